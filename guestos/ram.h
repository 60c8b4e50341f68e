// The guest's RAM as the loader sees it: one run of physical addresses backed by host bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace arclight::guestos {

struct Ram {
    uint64_t base;
    std::span<uint8_t> bytes;

    uint64_t end() const { return base + bytes.size(); }
    // Written so that no sum can wrap: addresses come from files nobody has checked.
    bool contains(uint64_t address, uint64_t size) const {
        return address >= base && size <= bytes.size() && address - base <= bytes.size() - size;
    }
    // Both require contains(address, size).
    void write(uint64_t address, std::span<const uint8_t> source) {
        if (!source.empty()) std::memcpy(bytes.data() + (address - base), source.data(), source.size());
    }
    void zero(uint64_t address, uint64_t size) {
        if (size != 0) std::memset(bytes.data() + (address - base), 0, size);
    }
};

}  // namespace arclight::guestos
