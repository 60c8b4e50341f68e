// FPProcessNaN, FPProcessNaNs, FPProcessNaNs3, FPProcessNaNs3H: which NaN operand becomes the result.
#pragma once

#include "jit/softfloat/unpack.h"

namespace arclight::jit::softfloat {

/// FPProcessNaN.
template <typename F>
typename F::Uint process_nan(Environment& env, Kind kind, typename F::Uint bits) {
    if (kind == Kind::SignallingNan) env.raise(kIoc);
    return env.default_nan ? F::default_nan() : bits | F::kQuietBit;
}

/// FPConvertNaN: keeps the sign and the upper end of the payload, quiet.
template <typename To, typename From>
typename To::Uint convert_nan(typename From::Uint a) {
    uint64_t payload = uint64_t{From::fraction(a)} << (64 - From::kFracBits);
    payload >>= 64 - To::kFracBits;
    return To::make(From::sign(a), To::kMaxBiasedExp,
                    static_cast<typename To::Uint>(payload | To::kQuietBit));
}

/// FPProcessNaNs: true and the result if an operand is a NaN. The first signalling one wins, then the first
/// quiet one.
template <typename F>
bool process_nans(Environment& env, const Unpacked& x, const Unpacked& y, typename F::Uint a,
                  typename F::Uint b, typename F::Uint& result) {
    if (!x.nan() && !y.nan()) [[likely]]
        return false;
    const bool first = x.kind == Kind::SignallingNan || (x.nan() && y.kind != Kind::SignallingNan);
    result = first ? process_nan<F>(env, x.kind, a) : process_nan<F>(env, y.kind, b);
    return true;
}

/// FPProcessNaNs3, or with factors of another format FPProcessNaNs3H.
template <typename F, typename Factor>
bool process_nans3(Environment& env, const Unpacked& x, const Unpacked& y, const Unpacked& z,
                   typename F::Uint a, typename Factor::Uint b, typename Factor::Uint c,
                   typename F::Uint& result) {
    if (!x.nan() && !y.nan() && !z.nan()) [[likely]]
        return false;
    const auto factor = [&](Kind kind, typename Factor::Uint bits) -> typename F::Uint {
        const typename Factor::Uint nan = process_nan<Factor>(env, kind, bits);
        if constexpr (F::kWidth == Factor::kWidth) {
            return nan;
        } else {
            return convert_nan<F, Factor>(nan);
        }
    };
    for (const Kind kind : {Kind::SignallingNan, Kind::QuietNan}) {
        if (x.kind == kind) return result = process_nan<F>(env, kind, a), true;
        if (y.kind == kind) return result = factor(kind, b), true;
        if (z.kind == kind) return result = factor(kind, c), true;
    }
    return false;
}

/// FPDefaultNaN with Invalid Operation: the result of an operation without one.
template <typename F>
typename F::Uint invalid(Environment& env) {
    env.raise(kIoc);
    return F::default_nan();
}

}  // namespace arclight::jit::softfloat
