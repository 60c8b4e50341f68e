// FPRoundInt, FPRoundIntN: to an integral value in the same format.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// `exact`: signal Inexact when the value changes (FRINTX).
template <typename F>
typename F::Uint round_int(Environment& env, typename F::Uint a, Rounding mode, bool exact) {
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) return process_nan<F>(env, x.kind, a);
    if (x.zero()) return F::zero(x.sign);
    if (x.infinite() || x.exp >= static_cast<int>(F::kFracBits)) return a;
    const Split s = split(x.mant, 63 - x.exp);
    if (s.rest != 0 && exact) env.raise(kIxc);
    const uint64_t whole = s.whole + (rounds_up(mode, x.sign, s) ? 1 : 0);
    if (whole == 0) return F::zero(x.sign);
    return normalise_round<F>(env, x.sign, 63, whole, Rounding::Zero);
}

/// FPRoundIntN: to a value that a signed integer of `bits` can hold; what cannot be one is Invalid Operation and becomes the
/// smallest of them.
template <typename F>
typename F::Uint round_int_within(Environment& env, typename F::Uint a, Rounding mode, unsigned bits) {
    const Unpacked x = unpack<F>(env, a);
    if (x.zero()) return F::zero(x.sign);
    const int limit = static_cast<int>(bits) - 1;
    if (!x.nan() && !x.infinite() && x.exp <= limit) {
        const Split s = split(x.mant, 63 - x.exp);
        const uint64_t whole = s.whole + (rounds_up(mode, x.sign, s) ? 1 : 0);
        if (whole <= (uint64_t{1} << limit) - (x.sign ? 0 : 1)) {
            if (s.rest != 0) env.raise(kIxc);
            if (whole == 0) return F::zero(x.sign);
            return normalise_round<F>(env, x.sign, 63, whole, Rounding::Zero);
        }
    }
    env.raise(kIoc);  // and not Inexact
    return F::make(true, static_cast<unsigned>(F::kBias + limit), 0);
}

}  // namespace arclight::jit::softfloat
