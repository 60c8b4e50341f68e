// Bits of a word, for register fields and table descriptors.
#pragma once

#include <cstdint>

namespace arclight {

/// 1 << n, n below 64.
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
/// The n lowest bits set, n below 64.
constexpr uint64_t low_bits(unsigned n) { return bit(n) - 1; }

}  // namespace arclight
