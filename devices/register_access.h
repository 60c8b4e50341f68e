#pragma once

#include <cstdint>

/// Device registers are 32 bits wide; accesses may have any size and alignment. These two split an access
/// into the words it touches.
namespace arclight::devices {

inline constexpr uint64_t access_mask(unsigned size) { return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1; }

/// read32(word_offset) -> uint32_t
template <typename Read32>
uint64_t read_by_words(uint64_t offset, unsigned size, Read32&& read32) {
    unsigned __int128 words = 0;
    unsigned shift = 0;
    for (uint64_t word = offset & ~3ull; word < offset + size; word += 4, shift += 32) {
        words |= static_cast<unsigned __int128>(read32(word)) << shift;
    }
    return static_cast<uint64_t>(words >> ((offset & 3) * 8)) & access_mask(size);
}

/// write32(word_offset, value, mask): mask has ones in the bytes the access covers, value zeros elsewhere.
template <typename Write32>
void write_by_words(uint64_t offset, uint64_t value, unsigned size, Write32&& write32) {
    const unsigned shift = (offset & 3) * 8;
    unsigned __int128 mask = static_cast<unsigned __int128>(access_mask(size)) << shift;
    unsigned __int128 data = (static_cast<unsigned __int128>(value) << shift) & mask;
    for (uint64_t word = offset & ~3ull; word < offset + size; word += 4) {
        write32(word, static_cast<uint32_t>(data), static_cast<uint32_t>(mask));
        data >>= 32;
        mask >>= 32;
    }
}

inline uint32_t merge(uint32_t old, uint32_t value, uint32_t mask) { return (old & ~mask) | (value & mask); }

}  // namespace arclight::devices
