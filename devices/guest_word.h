#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "host/memory_fault.h"
#include "mmu/guest_memory.h"

/// Integers in guest memory, little-endian, that a device reads or writes by itself.
namespace arclight::devices {

/// Nothing: that is not all RAM, the page refuses the access, or the memory is gone.
template <typename T>
std::optional<T> load_guest(const mmu::GuestMemory& memory, uint64_t pa) {
    const auto dma = memory.dma();
    uint8_t raw[sizeof(T)];
    uint8_t* to = raw;
    bool lost = false;
    const bool there = memory.pieces(pa, sizeof(T), false, [&](const uint8_t* host, uint64_t bytes) {
        lost |= !host::touch([&] { std::memcpy(to, host, bytes); });
        to += bytes;
    });
    if (!there || lost) return std::nullopt;
    T value;
    std::memcpy(&value, raw, sizeof value);
    return value;
}

/// False: as above.
template <typename T>
bool store_guest(const mmu::GuestMemory& memory, uint64_t pa, T value) {
    const auto dma = memory.dma();
    uint8_t raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof value);
    const uint8_t* from = raw;
    bool lost = false;
    const bool there = memory.pieces(pa, sizeof(T), true, [&](uint8_t* host, uint64_t bytes) {
        lost |= !host::touch([&] { std::memcpy(host, from, bytes); });
        from += bytes;
    });
    return there && !lost;
}

}  // namespace arclight::devices
