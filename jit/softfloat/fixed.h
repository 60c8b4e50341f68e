// FPToFixed, FPToFixedJS and FixedToFP: between floating point and fixed point or integers.
#pragma once

#include <limits>
#include <type_traits>

#include "jit/softfloat/round.h"
#include "jit/softfloat/unpack.h"

namespace arclight::jit::softfloat {

/// FPToFixed to Int, whose signedness is that of the conversion; saturates.
template <typename F, typename Int>
Int to_fixed(Environment& env, typename F::Uint a, unsigned fraction_bits, Rounding mode) {
    using Limits = std::numeric_limits<Int>;
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) {
        env.raise(kIoc);
        return 0;
    }
    if (x.zero()) return 0;
    const Int saturated = x.sign ? Limits::min() : Limits::max();
    const int exp = x.exp + static_cast<int>(fraction_bits);
    if (x.infinite() || exp > 63) {
        env.raise(kIoc);
        return saturated;
    }
    const Split s = split(x.mant, 63 - exp);
    const uint64_t magnitude = s.whole + (rounds_up(mode, x.sign, s) ? 1 : 0);
    const uint64_t most = x.sign ? (std::is_signed_v<Int> ? uint64_t{1} << (8 * sizeof(Int) - 1) : 0)
                                 : static_cast<uint64_t>(Limits::max());
    if (magnitude > most) {
        env.raise(kIoc);  // and not Inexact
        return saturated;
    }
    if (s.rest != 0) env.raise(kIxc);
    return static_cast<Int>(x.sign ? 0 - magnitude : magnitude);
}

/// FPToFixedJS: the integral part modulo 2^32, and in bit 32 whether it is the value, which -0 and what was flushed are not
/// (PSTATE.Z of FJCVTZS).
inline uint64_t to_javascript(Environment& env, Double::Uint a) {
    constexpr uint64_t kExact = uint64_t{1} << 32;
    const Unpacked x = unpack<Double>(env, a);
    if (x.nan() || x.infinite()) {
        env.raise(kIoc);
        return 0;
    }
    if (x.zero()) return a == 0 ? kExact : 0;
    const bool large = x.exp > 63;
    const Split s = large ? Split{x.exp < 95 ? x.mant << (x.exp - 63) : 0, 0} : split(x.mant, 63 - x.exp);
    const auto result = static_cast<uint32_t>(x.sign ? 0 - s.whole : s.whole);
    if (large || s.whole > (x.sign ? uint64_t{1} << 31 : (uint64_t{1} << 31) - 1)) {
        env.raise(kIoc);  // and not Inexact
        return result;
    }
    if (s.rest == 0) return result | kExact;
    env.raise(kIxc);
    return result;
}

/// FixedToFP from Int, whose signedness is that of the conversion.
template <typename F, typename Int>
typename F::Uint from_fixed(Environment& env, Int value, unsigned fraction_bits) {
    if (value == 0) return F::zero(false);
    const bool sign = std::is_signed_v<Int> && value < 0;
    const uint64_t wide = static_cast<uint64_t>(
        static_cast<std::conditional_t<std::is_signed_v<Int>, int64_t, uint64_t>>(value));
    return normalise_round<F>(env, sign, 63 - static_cast<int>(fraction_bits), sign ? 0 - wide : wide,
                              env.rounding);
}

}  // namespace arclight::jit::softfloat
