// FPRound: from an exact value to bits, with underflow detected before rounding, or with FPCR.AH after it.
#pragma once

#include <bit>

#include "jit/softfloat/environment.h"
#include "jit/softfloat/format.h"

namespace arclight::jit::softfloat {

inline constexpr uint64_t kHalfUlp = uint64_t{1} << 63;

/// A magnitude split at the units' place: `rest` is the fraction below it, in units of 2^-64, with everything
/// further down folded into its lowest bit.
struct Split {
    uint64_t whole;
    uint64_t rest;
};
/// mant / 2^shift, shift >= 0.
constexpr Split split(uint64_t mant, int shift) {
    if (shift == 0) return {mant, 0};
    if (shift < 64) return {mant >> shift, mant << (64 - shift)};
    if (shift == 64) return {0, mant};
    return {0, mant != 0};
}

/// Whether a magnitude with this sign is rounded away from zero.
constexpr bool rounds_up(Rounding mode, bool sign, Split s) {
    switch (mode) {
        case Rounding::TieEven: return s.rest > kHalfUlp || (s.rest == kHalfUlp && (s.whole & 1));
        case Rounding::TieAway: return s.rest >= kHalfUlp;
        case Rounding::Up: return s.rest != 0 && !sign;
        case Rounding::Down: return s.rest != 0 && sign;
        case Rounding::Zero:
        case Rounding::Odd:
        case Rounding::OddToInfinity: return false;
    }
    return false;
}

constexpr bool overflows_to_infinity(Rounding mode, bool sign) {
    return mode == Rounding::TieEven || mode == Rounding::TieAway || mode == Rounding::OddToInfinity ||
           (mode == Rounding::Up && !sign) || (mode == Rounding::Down && sign);
}

/// Whether a magnitude below the smallest normal number is so still when it is rounded as if there were no such limit.
template <typename F>
constexpr bool stays_tiny(Rounding mode, bool sign, int exp, uint64_t mant) {
    if (exp < F::kMinExp - 1) return true;
    const Split s = split(mant, 63 - static_cast<int>(F::kFracBits));
    return s.whole + (rounds_up(mode, sign, s) ? 1 : 0) < uint64_t{2} << F::kFracBits;
}

/// FPRoundBase. The value is mant * 2^(exp - 63) with bit 63 of mant set; bit 0 may stand for any amount
/// below it.
template <typename F>
typename F::Uint round_pack(Environment& env, bool sign, int exp, uint64_t mant, Rounding mode,
                            bool alternative_half = false) {
    using Uint = typename F::Uint;
    const bool alternative = F::kIsHalf && alternative_half;
    int shift = 63 - static_cast<int>(F::kFracBits);
    uint64_t base = 0;
    const bool tiny = exp < F::kMinExp;
    bool underflows = tiny;
    if (tiny) {
        if (env.alternative) underflows = stays_tiny<F>(mode, sign, exp, mant);
        if (underflows && env.flushes<F>()) {
            env.raise(env.alternative ? kUfc | kIxc : kUfc);  // else not Inexact
            return F::zero(sign);
        }
        shift += F::kMinExp - exp;
    }
    const int overflow_exp = static_cast<int>(F::kMaxBiasedExp) + (alternative ? 1 : 0);
    const Split s = split(mant, shift);
    if (exp + F::kBias < overflow_exp) {
        // The hidden bit is added as one unit of the exponent, so a carry out of the fraction needs no care.
        if (!tiny) base = static_cast<uint64_t>(exp + F::kBias - 1) << F::kFracBits;
        uint64_t magnitude = base + s.whole + (rounds_up(mode, sign, s) ? 1 : 0);
        if ((mode == Rounding::Odd || mode == Rounding::OddToInfinity) && s.rest != 0) magnitude |= 1;
        if (magnitude >> F::kFracBits < static_cast<uint64_t>(overflow_exp)) {
            if (s.rest != 0) env.raise(underflows ? kUfc | kIxc : kIxc);
            return static_cast<Uint>(magnitude | (sign ? F::kSignBit : 0));
        }
    }
    if (alternative) {
        env.raise(kIoc);  // instead of Overflow and Inexact
        return F::make(sign, F::kMaxBiasedExp, F::kFracMask);
    }
    env.raise(kOfc | kIxc);
    return overflows_to_infinity(mode, sign) ? F::infinity(sign) : F::max_normal(sign);
}

/// round_pack of a non-zero mantissa whose leading bit is anywhere.
template <typename F>
typename F::Uint normalise_round(Environment& env, bool sign, int exp, uint64_t mant, Rounding mode) {
    const int lead = std::countl_zero(mant);
    return round_pack<F>(env, sign, exp - lead, mant << lead, mode);
}

/// The sign of an exact zero sum of non-zero terms, or of zeros of opposite signs.
template <typename F>
typename F::Uint exact_zero(Rounding mode) {
    return F::zero(mode == Rounding::Down);
}

}  // namespace arclight::jit::softfloat
