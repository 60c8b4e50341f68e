// FPMul, FPMulX.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// `extended`: FPMulX, where zero times infinity is two.
template <typename F>
typename F::Uint mul(Environment& env, typename F::Uint a, typename F::Uint b, bool extended = false) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    note_denormals(env, x, y);
    const bool sign = x.sign != y.sign;
    if ((x.infinite() && y.zero()) || (x.zero() && y.infinite()))
        return extended ? F::two(sign) : invalid<F>(env);
    if (x.infinite() || y.infinite()) return F::infinity(sign);
    if (x.zero() || y.zero()) return F::zero(sign);
    const unsigned __int128 product = static_cast<unsigned __int128>(x.mant) * y.mant;
    const uint64_t mant = static_cast<uint64_t>(product >> 64) | (static_cast<uint64_t>(product) != 0);
    return normalise_round<F>(env, sign, x.exp + y.exp + 1, mant, env.rounding);
}

template <typename F>
typename F::Uint mulx(Environment& env, typename F::Uint a, typename F::Uint b) {
    return mul<F>(env, a, b, true);
}

}  // namespace arclight::jit::softfloat
