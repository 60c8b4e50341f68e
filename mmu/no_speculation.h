// Indices that a guest chooses, so that a mispredicted check of them reads nothing: docs/security.md, "Spectre".
#pragma once

#include <cstdint>

namespace arclight::mmu {

/// All ones if index < size, else 0, computed without a branch: what it is ANDed to depends on the comparison itself and not on
/// what was predicted of it (as Linux's array_index_mask_nospec()). `size` is 1 to 2^63.
inline uint64_t mask_if_below(uint64_t index, uint64_t size) {
    // The compiler must not know the index from a check before this one.
    asm("" : "+r"(index));
    return ~static_cast<uint64_t>(static_cast<int64_t>(index | (size - 1 - index)) >> 63);
}
/// All ones if they are the same, else 0.
inline uint64_t mask_if_equal(uint64_t a, uint64_t b) {
    asm("" : "+r"(a));
    const uint64_t difference = a ^ b;
    return ~static_cast<uint64_t>(static_cast<int64_t>(difference | (0 - difference)) >> 63);
}

/// `index`, which is below `size`; 0 where the processor goes on although it is not.
inline uint64_t bounded(uint64_t index, uint64_t size) { return index & mask_if_below(index, size); }

}  // namespace arclight::mmu
