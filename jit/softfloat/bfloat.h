// BFDotAdd: without FPCR.EBF, and with it (FEAT_EBF16).
#pragma once

#include "jit/softfloat/add.h"
#include "jit/softfloat/fused.h"
#include "jit/softfloat/multiply.h"

namespace arclight::jit::softfloat {

/// A pair of BFloat16, the first in the lower half, as singles.
struct BfloatPair {
    explicit constexpr BfloatPair(uint32_t pair) : first(pair << 16), second(pair & 0xffff'0000) {}
    Single::Uint first, second;
};

/// FPDot, whose NaNs are all the default one: a.first * b.first + a.second * b.second, rounded once.
inline Single::Uint bfloat_dot(Environment& env, BfloatPair a, BfloatPair b) {
    const Unpacked x[] = {unpack<Single>(env, a.first), unpack<Single>(env, a.second)};
    const Unpacked y[] = {unpack<Single>(env, b.first), unpack<Single>(env, b.second)};
    bool sign[2], infinite[2], zero[2];
    for (unsigned i = 0; i < 2; ++i) {
        sign[i] = x[i].sign != y[i].sign;
        infinite[i] = x[i].infinite() || y[i].infinite();
        zero[i] = x[i].zero() || y[i].zero();
        if (x[i].nan() || y[i].nan() || (infinite[i] && zero[i])) return default_nan<Single>(env);
    }
    if (infinite[0] && infinite[1] && sign[0] != sign[1]) return default_nan<Single>(env);
    for (unsigned i = 0; i < 2; ++i)
        if (infinite[i]) return Single::infinity(sign[i]);
    if (zero[0] && zero[1] && sign[0] == sign[1]) return Single::zero(sign[0]);
    if (zero[0] || zero[1]) {
        const unsigned i = zero[0] ? 1 : 0;
        if (zero[i]) return exact_zero<Single>(env.rounding);
        return fused_values<Single>(env, {Kind::Zero, sign[i], kZeroExp, 0}, x[i], y[i]);
    }
    // The first product is exact in 16 bits, and so an addend as good as any.
    const uint64_t product = (x[0].mant >> 32) * (y[0].mant >> 32);
    const int lead = std::countl_zero(product);
    const Unpacked addend{Kind::Nonzero, sign[0], x[0].exp + y[0].exp + 1 - lead, product << lead};
    return fused_values<Single>(env, addend, x[1], y[1]);
}

/// addend + (a0 * b0 + a1 * b1), where a and b hold two BFloat16 each, the first in the lower half. Makes the default NaN and raises
/// nothing. With EBF the sum of products is rounded once, as FPCR says, and so is the other. Without it each step rounds to odd and
/// flushes to zero whatever FPCR says.
inline Single::Uint bfloat_dot_add(Environment env, Single::Uint addend, uint32_t a, uint32_t b) {
    env.silent = env.default_nan = true;
    const BfloatPair n(a), m(b);
    if (env.extended_bfloat) return add<Single>(env, addend, bfloat_dot(env, n, m));
    env.rounding = Rounding::OddToInfinity;
    env.flush_to_zero = env.flush_inputs = true;
    const Single::Uint first = mul<Single>(env, n.first, m.first),
                       second = mul<Single>(env, n.second, m.second);
    return add<Single>(env, addend, add<Single>(env, first, second));
}

}  // namespace arclight::jit::softfloat
