// FPRecipEstimate, FPRSqrtEstimate, UnsignedRecipEstimate, UnsignedRSqrtEstimate, FPRecpX.
#pragma once

#include <array>

#include "jit/softfloat/fused.h"
#include "jit/softfloat/sqrt.h"

namespace arclight::jit::softfloat {

/// RecipEstimate: 256..511 stands for 0.5..1, the result for 1..2.
constexpr unsigned recip_estimate_fixed(unsigned a) {
    const unsigned b = (1u << 19) / (2 * a + 1);
    return (b + 1) / 2;
}

/// RecipSqrtEstimate: 128..511 stands for 0.25..1, the result (256..511) for 1..2.
constexpr unsigned rsqrt_estimate_search(unsigned a) {
    a = a < 256 ? 2 * a + 1 : ((a >> 1 << 1) + 1) * 2;
    uint64_t b = 512;
    while (a * (b + 1) * (b + 1) < 1u << 28) ++b;
    return static_cast<unsigned>((b + 1) / 2);
}
inline constexpr auto kRsqrtTable = [] {
    std::array<uint16_t, 512> table{};
    for (unsigned a = 128; a < 512; ++a) table[a] = static_cast<uint16_t>(rsqrt_estimate_search(a));
    return table;
}();

/// RecipEstimate of FEAT_RPRES: 2048..4095 stands for 0.5..1, the result (4096..8191) for 1..2.
constexpr unsigned recip_estimate_precise(unsigned a) { return ((1u << 26) / (2 * a + 1) + 1) / 2; }

/// RecipSqrtEstimate of FEAT_RPRES: 1024..4095 stands for 0.25..1, the result (4096..8191) for 1..2. The root is rounded to the
/// 53 bits of a double, and so is what follows.
constexpr unsigned rsqrt_estimate_precise(unsigned a) {
    using Wide = unsigned __int128;
    // Of a number in units of 2^-116, so that the root has 11 bits more than are kept.
    const Wide scaled = a < 2048 ? static_cast<Wide>(2 * a + 1) << 115 : static_cast<Wide>(a | 1) << 116;
    bool exact = false;
    const uint64_t root = (sqrt128(scaled, exact) + 1024) >> 11;
    const Wide numerator = static_cast<Wide>(1) << 65;
    const auto quotient = static_cast<unsigned>(numerator / root);
    const auto rest = static_cast<uint64_t>(numerator % root);
    return quotient + (2 * rest > root || (2 * rest == root && (quotient & 1) != 0) ? 1 : 0);
}

/// FPRecipEstimate. `precise`: with AH, of singles (FEAT_RPRES).
template <typename F>
typename F::Uint recip_estimate(Environment& outer, typename F::Uint a, bool precise = false) {
    using Uint = typename F::Uint;
    StepEnvironment env(outer);
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) return process_nan<F>(env, x.kind, a);
    if (x.infinite()) return F::zero(x.sign);
    if (x.zero()) {
        env.raise(kDzc);
        return F::infinity(x.sign);
    }
    if (x.exp < F::kMinExp - 2) {
        env.raise(kOfc | kIxc);
        return overflows_to_infinity(env.rounding, x.sign) ? F::infinity(x.sign) : F::max_normal(x.sign);
    }
    if (env.flushes<F>() && x.exp >= F::kBias - 1) {
        env.raise(kUfc);
        return F::zero(x.sign);
    }
    const int result_exp = 2 * F::kBias - 1 - (x.exp + F::kBias);
    if (precise && env.alternative && F::kFracBits == 23) {  // no result is denormal
        const unsigned estimate = recip_estimate_precise(static_cast<unsigned>(x.mant >> 52));
        return F::make(x.sign, static_cast<unsigned>(result_exp),
                       F::fraction(static_cast<Uint>(Uint{static_cast<Uint>(estimate)} << (23 - 12))));
    }
    const unsigned estimate = recip_estimate_fixed(static_cast<unsigned>(x.mant >> 55));
    Uint significand = static_cast<Uint>(Uint{static_cast<Uint>(estimate)} << (F::kFracBits - 8));
    // The estimate's leading bit is the hidden one unless the result is denormal.
    if (result_exp > 0) return F::make(x.sign, static_cast<unsigned>(result_exp), F::fraction(significand));
    return F::make(x.sign, 0, significand >> (1 - result_exp));
}

/// FPRSqrtEstimate. `precise`: likewise.
template <typename F>
typename F::Uint rsqrt_estimate(Environment& outer, typename F::Uint a, bool precise = false) {
    using Uint = typename F::Uint;
    StepEnvironment env(outer);
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) return process_nan<F>(env, x.kind, a);
    if (x.zero()) {
        env.raise(kDzc);
        return F::infinity(x.sign);
    }
    if (x.sign) return invalid<F>(env);
    if (x.infinite()) return F::zero(false);
    const int exp = x.exp + F::kBias;
    const auto result_exp = static_cast<unsigned>((3 * F::kBias - 1 - exp) >> 1);
    if (precise && env.alternative && F::kFracBits == 23) {
        const unsigned estimate =
            rsqrt_estimate_precise(static_cast<unsigned>(x.mant >> (exp & 1 ? 53 : 52)));
        return F::make(false, result_exp,
                       F::fraction(static_cast<Uint>(Uint{static_cast<Uint>(estimate)} << (23 - 12))));
    }
    const unsigned estimate = kRsqrtTable[x.mant >> (exp & 1 ? 56 : 55)];
    return F::make(false, result_exp,
                   static_cast<Uint>(Uint{static_cast<Uint>(estimate & 0xff)} << (F::kFracBits - 8)));
}

/// FPRecpX: an exponent for scaling.
template <typename F>
typename F::Uint recip_exponent(Environment& outer, typename F::Uint a) {
    StepEnvironment env(outer);
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) return process_nan<F>(env, x.kind, a);
    const unsigned exp = F::exponent(a);
    return F::make(x.sign, exp == 0 ? F::kMaxBiasedExp - 1 : ~exp & F::kMaxBiasedExp, 0);
}

constexpr uint32_t unsigned_recip_estimate(uint32_t a) {
    if (!(a >> 31)) return ~0u;
    return recip_estimate_fixed(a >> 23) << 23;
}

constexpr uint32_t unsigned_rsqrt_estimate(uint32_t a) {
    if (!(a >> 30)) return ~0u;
    return static_cast<uint32_t>(kRsqrtTable[a >> 23]) << 23;
}

}  // namespace arclight::jit::softfloat
