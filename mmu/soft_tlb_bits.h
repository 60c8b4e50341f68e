// Addresses and bit sets as SoftTlbSet has them.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "mmu/bits.h"
#include "mmu/soft_tlb.h"

namespace arclight::mmu::soft_tlb {

inline constexpr uint64_t kAddressBits = (uint64_t{1} << 56) - 1;  // of an address, without its tag

inline bool same_range(uint64_t a, uint64_t b, unsigned range_bits) {
    return ((a ^ b) & kAddressBits) >> range_bits == 0;
}
constexpr uint64_t first_of(uint64_t va, unsigned bits) { return va >> bits << bits; }
constexpr uint64_t last_of(uint64_t va, unsigned bits) { return va | low_bits(bits); }

inline constexpr unsigned kBlock2M = 21, kBlock1G = 30;  // fastmem knows blocks of these sizes by itself
/// The number of the block of this size that va is in.
inline unsigned block_hash(uint64_t va, unsigned bits) {
    return static_cast<unsigned>(hash_bits((va & kAddressBits) >> bits | uint64_t{bits} << 56, 12));
}
/// Calls fn with the number of each set bit, lowest first.
template <typename Fn>
void for_each_bit(uint64_t bits, Fn fn) {
    for (; bits != 0; bits &= bits - 1) fn(static_cast<unsigned>(std::countr_zero(bits)));
}
/// Sign-extends an address of a WriterMap, which keeps bits 55:12.
inline uint64_t extended(uint64_t va) { return static_cast<uint64_t>(static_cast<int64_t>(va << 8) >> 8); }
inline bool is_lower_half(uint64_t va) { return (va >> 55 & 1) == 0; }

/// The page of an entry that is valid for reads or writes; of a checked one without the address's tag.
inline uint64_t page_of(const TlbEntry& entry) {
    return (entry.read_tag != TlbEntry::kInvalidTag ? entry.read_tag : entry.write_tag) & kPageMask;
}

template <size_t N>
bool test(const std::array<uint64_t, N>& map, unsigned n) {
    return (map[n / 64] >> (n % 64) & 1) != 0;
}
template <size_t N>
void set(std::array<uint64_t, N>& map, unsigned n) {
    map[n / 64] |= uint64_t{1} << (n % 64);
}
template <size_t N>
void clear(std::array<uint64_t, N>& map, unsigned n) {
    map[n / 64] &= ~(uint64_t{1} << (n % 64));
}

/// Calls fn with the number of each set bit of map[first .. last).
template <size_t N, typename Fn>
void for_each(const std::array<uint64_t, N>& map, unsigned first, unsigned last, Fn fn) {
    for (unsigned w = first; w < last; ++w) for_each_bit(map[w], [&](unsigned n) { fn(w * 64 + n); });
}

}  // namespace arclight::mmu::soft_tlb
