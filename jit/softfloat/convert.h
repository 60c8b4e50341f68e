// FPConvert: between formats.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// As convert(), where FZ16 is clear.
template <typename To, typename From>
typename To::Uint convert_values(Environment& env, typename From::Uint a, Rounding mode) {
    const bool alternative = To::kIsHalf && env.alternative_half;  // a format without NaNs and infinities
    const Unpacked x = unpack<From>(env, a, env.alternative_half);
    if (x.nan()) {
        if (alternative || x.kind == Kind::SignallingNan) env.raise(kIoc);
        if (alternative) return To::zero(x.sign);
        return env.default_nan ? default_nan<To>(env) : convert_nan<To, From>(a);
    }
    if (x.infinite()) {
        if (!alternative) return To::infinity(x.sign);
        env.raise(kIoc);
        return To::make(x.sign, To::kMaxBiasedExp, To::kFracMask);
    }
    if (x.zero()) return To::zero(x.sign);
    note_denormals(env, x);
    return round_pack<To>(env, x.sign, x.exp, x.mant, mode, env.alternative_half);
}

/// FPConvert. FPUnpackCV and FPRoundCV: FZ16 does not apply.
template <typename To, typename From>
typename To::Uint convert(Environment& env, typename From::Uint a, Rounding mode) {
    Environment here = env;
    here.flush_half_to_zero = false;
    const typename To::Uint result = convert_values<To, From>(here, a, mode);
    env.flags |= here.flags;
    return result;
}

/// FPConvertBF.
inline BFloat16::Uint convert_to_bfloat(Environment& env, Single::Uint a) {
    Environment here = env.of_estimates();
    const BFloat16::Uint result = convert<BFloat16, Single>(here, a, here.rounding);
    env.flags |= here.flags;
    return result;
}

}  // namespace arclight::jit::softfloat
