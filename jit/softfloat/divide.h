// FPDiv.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

template <typename F>
typename F::Uint div(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    if (!y.zero()) note_denormals(env, x, y);
    const bool sign = x.sign != y.sign;
    if ((x.infinite() && y.infinite()) || (x.zero() && y.zero())) return invalid<F>(env);
    if (x.infinite()) return F::infinity(sign);
    if (y.zero()) {
        env.raise(kDzc);
        return F::infinity(sign);
    }
    if (x.zero() || y.infinite()) return F::zero(sign);
    // Scaled so that the quotient has exactly 64 bits.
    const bool below = x.mant < y.mant;
    const unsigned __int128 dividend = static_cast<unsigned __int128>(x.mant) << (below ? 64 : 63);
    uint64_t quotient = static_cast<uint64_t>(dividend / y.mant);
    if (static_cast<unsigned __int128>(quotient) * y.mant != dividend) quotient |= 1;
    return round_pack<F>(env, sign, x.exp - y.exp - (below ? 1 : 0), quotient, env.rounding);
}

}  // namespace arclight::jit::softfloat
