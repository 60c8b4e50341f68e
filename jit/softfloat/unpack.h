// FPUnpack: from bits to a class and an exact value.
#pragma once

#include <bit>

#include "jit/softfloat/environment.h"
#include "jit/softfloat/format.h"

namespace arclight::jit::softfloat {

enum class Kind : uint8_t { Zero, Nonzero, Infinity, QuietNan, SignallingNan };

/// |value| = mant * 2^(exp - 63); bit 63 of mant is set if the kind is Nonzero. A zero has mant 0 and an
/// exponent below all others, so that sums need no special case for it.
struct Unpacked {
    Kind kind;
    bool sign;
    int exp;
    uint64_t mant;
    bool denormal = false;  ///< Nonzero, and not of a half

    bool nan() const { return kind >= Kind::QuietNan; }
    bool infinite() const { return kind == Kind::Infinity; }
    bool zero() const { return kind == Kind::Zero; }
};
inline constexpr int kZeroExp = -100000;

/// `alternative_half` selects the format without infinities and NaNs; it is honoured for halves only.
template <typename F>
Unpacked unpack(Environment& env, typename F::Uint bits, bool alternative_half = false) {
    const bool sign = F::sign(bits);
    const unsigned exp = F::exponent(bits);
    const uint64_t frac = F::fraction(bits);
    if (exp == 0) {
        if (frac == 0) return {Kind::Zero, sign, kZeroExp, 0};
        if (env.flushes_inputs<F>()) {
            if (!F::kIsHalf && env.flush_to_zero && !env.alternative) env.raise(kIdc);
            return {Kind::Zero, sign, kZeroExp, 0};
        }
        const int lead = std::countl_zero(frac);
        return {Kind::Nonzero, sign, F::kMinExp + 63 - lead - static_cast<int>(F::kFracBits), frac << lead,
                !F::kIsHalf};
    }
    if (exp == F::kMaxBiasedExp && !(F::kIsHalf && alternative_half)) {
        if (frac == 0) return {Kind::Infinity, sign, 0, 0};
        return {frac & F::kQuietBit ? Kind::QuietNan : Kind::SignallingNan, sign, 0, 0};
    }
    return {Kind::Nonzero, sign, static_cast<int>(exp) - F::kBias,
            (frac | uint64_t{1} << F::kFracBits) << (63 - F::kFracBits)};
}

/// FPProcessDenorms: with AH, what is computed from a denormal number says so, and not that it was flushed.
template <typename... Operands>
void note_denormals(Environment& env, const Operands&... operands) {
    if (env.alternative && (operands.denormal || ...)) [[unlikely]]
        env.raise(kIdc);
}

}  // namespace arclight::jit::softfloat
