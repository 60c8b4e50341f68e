// Bits of a word, for register fields and table descriptors; a hash of a word.
#pragma once

#include <cstdint>

namespace arclight {

/// 1 << n, n below 64.
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
/// The n lowest bits set, n below 64.
constexpr uint64_t low_bits(unsigned n) { return bit(n) - 1; }

/// Multiplicative hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): 2^64 divided by the golden
/// ratio. The upper bits of key * kHashMultiplier are well mixed, the lower ones are not.
inline constexpr uint64_t kHashMultiplier = 0x9e37'79b9'7f4a'7c15;
/// A hash of `bits` bits, 1 to 63.
constexpr uint64_t hash_bits(uint64_t key, unsigned bits) { return key * kHashMultiplier >> (64 - bits); }

}  // namespace arclight
