// FPProcessNaN, FPProcessNaNs, FPProcessNaNs3, FPProcessNaNs3H: which NaN operand becomes the result.
#pragma once

#include <algorithm>

#include "jit/softfloat/unpack.h"

namespace arclight::jit::softfloat {

/// FPDefaultNaN.
template <typename F>
typename F::Uint default_nan(const Environment& env) {
    return F::default_nan(env.alternative);
}

/// FPProcessNaN.
template <typename F>
typename F::Uint process_nan(Environment& env, Kind kind, typename F::Uint bits) {
    if (kind == Kind::SignallingNan) env.raise(kIoc);
    return env.default_nan ? default_nan<F>(env) : bits | F::kQuietBit;
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
/// quiet one. With AH the first one wins, whatever it is like.
template <typename F>
bool process_nans(Environment& env, const Unpacked& x, const Unpacked& y, typename F::Uint a,
                  typename F::Uint b, typename F::Uint& result) {
    if (!x.nan() && !y.nan()) [[likely]]
        return false;
    if (env.alternative && x.nan() && y.nan()) {
        const Kind kind = std::max(x.kind, y.kind);  // SignallingNan if one is
        return result = process_nan<F>(env, kind, a), true;
    }
    const bool first = x.kind == Kind::SignallingNan || (x.nan() && y.kind != Kind::SignallingNan);
    result = first ? process_nan<F>(env, x.kind, a) : process_nan<F>(env, y.kind, b);
    return true;
}

/// FPProcessNaNs3, or with factors of another format FPProcessNaNs3H. With AH the first factor wins, then the second one.
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
    if (env.alternative && (x.nan() ? 1 : 0) + (y.nan() ? 1 : 0) + (z.nan() ? 1 : 0) > 1) {
        const Kind kind = std::max(
            {x.nan() ? x.kind : Kind::Zero, y.nan() ? y.kind : Kind::Zero, z.nan() ? z.kind : Kind::Zero});
        return result = y.nan() ? factor(kind, b) : factor(kind, c), true;
    }
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
    return default_nan<F>(env);
}

}  // namespace arclight::jit::softfloat
