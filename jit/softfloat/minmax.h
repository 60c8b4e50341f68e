// FPMax, FPMin, FPMaxNum, FPMinNum.
#pragma once

#include "jit/softfloat/compare.h"
#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

template <typename F, bool kMax>
typename F::Uint extremum(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    note_denormals(env, x, y);
    if (x.zero() && y.zero()) return F::zero(kMax ? x.sign && y.sign : x.sign || y.sign);
    const bool first = order_values<F>(x, y, a, b) == (kMax ? Order::Greater : Order::Less);
    const Unpacked& chosen = first ? x : y;
    if (chosen.zero()) return F::zero(chosen.sign);
    // With AH operands are not flushed by what flushes results.
    if (env.alternative && chosen.kind == Kind::Nonzero)
        return round_pack<F>(env, chosen.sign, chosen.exp, chosen.mant, env.rounding);
    return first ? a : b;
}

/// FPMax, FPMin with AH: as x86 has them, where the second operand is the result unless the first one is greater or less. Denormal
/// results are not flushed.
template <typename F, bool kMax>
typename F::Uint alternative_extremum(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    const typename F::Uint second = y.zero() ? F::zero(y.sign) : b;
    if (x.nan() || y.nan()) {
        env.raise(kIoc);
        return second;
    }
    if (x.zero() && y.zero()) return second;
    note_denormals(env, x, y);
    const bool first = order_values<F>(x, y, a, b) == (kMax ? Order::Greater : Order::Less);
    return first ? (x.zero() ? F::zero(x.sign) : a) : second;
}

/// FPMaxNum, FPMinNum: a single quiet NaN loses against any number; with AH none where both are NaNs.
template <typename F, bool kMax>
typename F::Uint extremum_num(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    if (!(env.alternative && x.nan() && y.nan())) {
        if (x.kind == Kind::QuietNan && y.kind != Kind::QuietNan) a = F::infinity(kMax);
        if (y.kind == Kind::QuietNan && x.kind != Kind::QuietNan) b = F::infinity(kMax);
    }
    return extremum<F, kMax>(env, a, b);
}

template <typename F>
typename F::Uint max(Environment& env, typename F::Uint a, typename F::Uint b) {
    return env.alternative ? alternative_extremum<F, true>(env, a, b) : extremum<F, true>(env, a, b);
}
template <typename F>
typename F::Uint min(Environment& env, typename F::Uint a, typename F::Uint b) {
    return env.alternative ? alternative_extremum<F, false>(env, a, b) : extremum<F, false>(env, a, b);
}
template <typename F>
typename F::Uint max_num(Environment& env, typename F::Uint a, typename F::Uint b) {
    return extremum_num<F, true>(env, a, b);
}
template <typename F>
typename F::Uint min_num(Environment& env, typename F::Uint a, typename F::Uint b) {
    return extremum_num<F, false>(env, a, b);
}

}  // namespace arclight::jit::softfloat
