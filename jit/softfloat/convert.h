// FPConvert: between formats.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// FPConvertNaN: keeps the sign and the upper end of the payload, quiet.
template <typename To, typename From>
typename To::Uint convert_nan(typename From::Uint a) {
    uint64_t payload = uint64_t{From::fraction(a)} << (64 - From::kFracBits);
    payload >>= 64 - To::kFracBits;
    return To::make(From::sign(a), To::kMaxBiasedExp,
                    static_cast<typename To::Uint>(payload | To::kQuietBit));
}

template <typename To, typename From>
typename To::Uint convert(Environment& env, typename From::Uint a, Rounding mode) {
    const bool alternative =
        To::kWidth == 16 && env.alternative_half;  // a format without NaNs and infinities
    const Unpacked x = unpack<From>(env, a, env.alternative_half);
    if (x.nan()) {
        if (alternative || x.kind == Kind::SignallingNan) env.raise(kIoc);
        if (alternative) return To::zero(x.sign);
        return env.default_nan ? To::default_nan() : convert_nan<To, From>(a);
    }
    if (x.infinite()) {
        if (!alternative) return To::infinity(x.sign);
        env.raise(kIoc);
        return To::make(x.sign, To::kMaxBiasedExp, To::kFracMask);
    }
    if (x.zero()) return To::zero(x.sign);
    return round_pack<To>(env, x.sign, x.exp, x.mant, mode, env.alternative_half);
}

}  // namespace arclight::jit::softfloat
