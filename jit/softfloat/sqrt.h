// FPSqrt.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

/// floor(sqrt(v)) digit by digit, and what remains.
constexpr uint64_t sqrt64(uint64_t v, uint64_t& remainder) {
    uint64_t root = 0;
    for (uint64_t bit = uint64_t{1} << 62; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (v >= trial) v -= trial, root += bit;
    }
    remainder = v;
    return root;
}

/// floor(sqrt(v)) for v >= 2^126, and whether it is exact: one step of Zimmermann's "Karatsuba Square Root"
/// (INRIA RR-3805) doubles the 32 digits of the upper half's root.
constexpr uint64_t sqrt128(unsigned __int128 v, bool& exact) {
    using Wide = unsigned __int128;
    uint64_t rest = 0;
    const uint64_t high = sqrt64(static_cast<uint64_t>(v >> 64), rest);
    const uint64_t low = static_cast<uint64_t>(v);
    const Wide numerator = static_cast<Wide>(rest) << 32 | low >> 32;
    const Wide q = numerator / (2 * high), u = numerator % (2 * high);
    Wide root = (static_cast<Wide>(high) << 32) + q;
    __int128 remainder = static_cast<__int128>(u << 32 | (low & 0xffffffff)) - static_cast<__int128>(q * q);
    if (remainder < 0) {
        remainder += static_cast<__int128>(2 * root - 1);
        --root;
    }
    exact = remainder == 0;
    return static_cast<uint64_t>(root);
}

template <typename F>
typename F::Uint sqrt(Environment& env, typename F::Uint a) {
    const Unpacked x = unpack<F>(env, a);
    if (x.nan()) return process_nan<F>(env, x.kind, a);
    if (x.zero()) return F::zero(x.sign);
    if (x.sign) return invalid<F>(env);
    if (x.infinite()) return F::infinity(false);
    note_denormals(env, x);
    bool exact = false;
    const uint64_t root = sqrt128(static_cast<unsigned __int128>(x.mant) << (x.exp & 1 ? 64 : 63), exact);
    return round_pack<F>(env, false, x.exp >> 1, root | (exact ? 0 : 1), env.rounding);
}

}  // namespace arclight::jit::softfloat
