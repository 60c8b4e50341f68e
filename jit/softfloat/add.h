// FPAdd, FPSub.
#pragma once

#include <utility>

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// mant / 2^shift with the lost bits folded into the lowest one.
constexpr uint64_t shift_right_jam(uint64_t mant, int shift) {
    if (shift == 0) return mant;
    if (shift > 63) return mant != 0;
    return mant >> shift | (mant << (64 - shift) != 0);
}

/// The rounded sum of two finite values that are not zeros of one sign.
template <typename F>
typename F::Uint add_values(Environment& env, Unpacked x, Unpacked y) {
    if (x.exp < y.exp) std::swap(x, y);
    // One bit of headroom for the carry; there are at least ten guard bits below.
    uint64_t p = x.mant >> 1;
    const uint64_t q = shift_right_jam(y.mant >> 1, x.exp - y.exp);
    if (x.sign == y.sign) {
        p += q;
    } else if (p >= q) {
        p -= q;
    } else {
        p = q - p;
        x.sign = y.sign;
    }
    if (p == 0) return exact_zero<F>(env.rounding);
    return normalise_round<F>(env, x.sign, x.exp + 1, p, env.rounding);
}

template <typename F>
typename F::Uint add(Environment& env, typename F::Uint a, typename F::Uint b, bool subtract = false) {
    const Unpacked x = unpack<F>(env, a);
    Unpacked y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    note_denormals(env, x, y);
    y.sign ^= subtract;  // after the NaN rules: FPSub does not negate a NaN operand
    if (x.infinite() || y.infinite()) {
        if (x.infinite() && y.infinite() && x.sign != y.sign) return invalid<F>(env);
        return F::infinity(x.infinite() ? x.sign : y.sign);
    }
    if (x.zero() && y.zero() && x.sign == y.sign) return F::zero(x.sign);
    return add_values<F>(env, x, y);
}

template <typename F>
typename F::Uint sub(Environment& env, typename F::Uint a, typename F::Uint b) {
    return add<F>(env, a, b, true);
}

}  // namespace arclight::jit::softfloat
