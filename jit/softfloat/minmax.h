// FPMax, FPMin, FPMaxNum, FPMinNum.
#pragma once

#include "jit/softfloat/compare.h"
#include "jit/softfloat/nan.h"

namespace arclight::jit::softfloat {

template <typename F, bool kMax>
typename F::Uint extremum(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    if (x.zero() && y.zero()) return F::zero(kMax ? x.sign && y.sign : x.sign || y.sign);
    const bool first = order_values<F>(x, y, a, b) == (kMax ? Order::Greater : Order::Less);
    if (first) return x.zero() ? F::zero(x.sign) : a;
    return y.zero() ? F::zero(y.sign) : b;
}

/// FPMaxNum, FPMinNum: a single quiet NaN loses against any number.
template <typename F, bool kMax>
typename F::Uint extremum_num(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Kind x = unpack<F>(env, a).kind, y = unpack<F>(env, b).kind;
    if (x == Kind::QuietNan && y != Kind::QuietNan) a = F::infinity(kMax);
    if (y == Kind::QuietNan && x != Kind::QuietNan) b = F::infinity(kMax);
    return extremum<F, kMax>(env, a, b);
}

template <typename F>
typename F::Uint max(Environment& env, typename F::Uint a, typename F::Uint b) {
    return extremum<F, true>(env, a, b);
}
template <typename F>
typename F::Uint min(Environment& env, typename F::Uint a, typename F::Uint b) {
    return extremum<F, false>(env, a, b);
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
