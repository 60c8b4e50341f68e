// IEEE 754 interchange formats as bit fields.
#pragma once

#include <cstdint>

namespace arclight::jit::softfloat {

template <typename UintT, unsigned kExponentBits, unsigned kFractionBits>
struct Format {
    using Uint = UintT;
    static constexpr unsigned kWidth = 8 * sizeof(Uint);
    static constexpr unsigned kExpBits = kExponentBits;
    static constexpr unsigned kFracBits = kFractionBits;
    static constexpr int kBias = (1 << (kExpBits - 1)) - 1;
    /// FPCR.FZ16 and AHP are about it, FZ is not.
    static constexpr bool kIsHalf = kExpBits == 5;
    static constexpr int kMinExp = 1 - kBias;  ///< exponent of the smallest normal number
    static constexpr unsigned kMaxBiasedExp = (1u << kExpBits) - 1;
    static constexpr Uint kFracMask = static_cast<Uint>((Uint{1} << kFracBits) - 1);
    static constexpr Uint kSignBit = static_cast<Uint>(Uint{1} << (kWidth - 1));
    static constexpr Uint kQuietBit = static_cast<Uint>(Uint{1} << (kFracBits - 1));

    static constexpr bool sign(Uint v) { return (v & kSignBit) != 0; }
    static constexpr unsigned exponent(Uint v) {
        return static_cast<unsigned>(v >> kFracBits) & kMaxBiasedExp;
    }
    static constexpr Uint fraction(Uint v) { return v & kFracMask; }
    static constexpr Uint make(bool sign, unsigned biased_exp, Uint fraction) {
        return static_cast<Uint>((sign ? kSignBit : Uint{0}) |
                                 Uint{static_cast<Uint>(biased_exp)} << kFracBits | fraction);
    }

    // FPZero, FPInfinity, FPMaxNormal, FPDefaultNaN and the small constants, by the pseudocode's names.
    static constexpr Uint zero(bool sign) { return make(sign, 0, 0); }
    static constexpr Uint infinity(bool sign) { return make(sign, kMaxBiasedExp, 0); }
    static constexpr Uint max_normal(bool sign) { return make(sign, kMaxBiasedExp - 1, kFracMask); }
    static constexpr Uint default_nan(bool sign = false) { return make(sign, kMaxBiasedExp, kQuietBit); }
    static constexpr bool is_nan(Uint v) { return exponent(v) == kMaxBiasedExp && fraction(v) != 0; }
    static constexpr Uint two(bool sign) { return make(sign, kBias + 1, 0); }
    static constexpr Uint one_point_five(bool sign) { return make(sign, kBias, kQuietBit); }
};

using Half = Format<uint16_t, 5, 10>;
using BFloat16 = Format<uint16_t, 8, 7>;
using Single = Format<uint32_t, 8, 23>;
using Double = Format<uint64_t, 11, 52>;

/// FPNeg and FPAbs: no unpacking, no exceptions, NaNs included, but with FPCR.AH.
template <typename F>
constexpr typename F::Uint neg(typename F::Uint v) {
    return v ^ F::kSignBit;
}
template <typename F>
constexpr typename F::Uint abs(typename F::Uint v) {
    return v & static_cast<typename F::Uint>(~F::kSignBit);
}

}  // namespace arclight::jit::softfloat
