// BFDotAdd, where FEAT_EBF16 is not implemented.
#pragma once

#include "jit/softfloat/add.h"
#include "jit/softfloat/multiply.h"

namespace arclight::jit::softfloat {

/// addend + (a0 * b0 + a1 * b1), where a and b hold two BFloat16 each, the first in the lower half: each step rounds to odd and flushes
/// to zero whatever FPCR says, makes the default NaN, and raises nothing.
inline Single::Uint bfloat_dot_add(Single::Uint addend, uint32_t a, uint32_t b) {
    Environment env(0);
    env.rounding = Rounding::OddToInfinity;
    env.flush_to_zero = env.default_nan = true;
    constexpr uint32_t kUpper = 0xffff'0000;
    const Single::Uint first = mul<Single>(env, a << 16, b << 16),
                       second = mul<Single>(env, a & kUpper, b & kUpper);
    return add<Single>(env, addend, add<Single>(env, first, second));
}

}  // namespace arclight::jit::softfloat
