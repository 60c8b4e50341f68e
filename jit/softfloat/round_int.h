// FPRoundInt: to an integral value in the same format.
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

}  // namespace arclight::jit::softfloat
