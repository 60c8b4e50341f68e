// The guest's RAM as the loader sees it: one run of physical addresses backed by host bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace arclight::guestos {

/// A view; the bytes belong to the machine.
struct Ram {
    uint64_t base;
    std::span<uint8_t> bytes;

    uint64_t end() const { return base + bytes.size(); }
    /// Whether the range is in RAM. No sum can wrap: addresses come from unchecked files.
    bool contains(uint64_t address, uint64_t size) const {
        return address >= base && size <= bytes.size() && address - base <= bytes.size() - size;
    }
    /// write() and zero() require contains(address, size).
    void write(uint64_t address, std::span<const uint8_t> source) {
        if (!source.empty()) std::memcpy(bytes.data() + (address - base), source.data(), source.size());
    }
    void zero(uint64_t address, uint64_t size) {
        if (size != 0) std::memset(bytes.data() + (address - base), 0, size);
    }
};

}  // namespace arclight::guestos
