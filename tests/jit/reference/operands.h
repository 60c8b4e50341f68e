// Operands that are worth testing: special values, neighbours of boundaries, related pairs.
#pragma once

#include <cstdint>
#include <random>

#include "jit/guest_state.h"

namespace arclight::tests {

using Rng = std::mt19937_64;

/// A half, single or double (esize 1, 2, 3): specials, numbers near powers of two, integers and fractions,
/// noise.
uint64_t fp_operand(Rng& rng, unsigned esize);
/// Two or three operands that nearly cancel, are equal but for the sign, or otherwise related, now and then.
void relate_fp(Rng& rng, unsigned esize, uint64_t& a, uint64_t& b, uint64_t& c);
/// An integer of 8 << esize bits.
uint64_t int_operand(Rng& rng, unsigned esize);

uint64_t get_lane(const jit::V128& v, unsigned esize, unsigned index);
void set_lane(jit::V128& v, unsigned esize, unsigned index, uint64_t value);

}  // namespace arclight::tests
