// FPCompare, FPCompareEQ, FPCompareGE, FPCompareGT.
#pragma once

#include "jit/softfloat/unpack.h"

namespace arclight::jit::softfloat {

enum class Order : uint8_t { Less, Equal, Greater, Unordered };

/// The order of two values that are not NaNs.
template <typename F>
Order order_values(const Unpacked& x, const Unpacked& y, typename F::Uint a, typename F::Uint b) {
    // Operands that were flushed are zeros in spite of their bits.
    const typename F::Uint p = x.zero() ? 0 : abs<F>(a), q = y.zero() ? 0 : abs<F>(b);
    if (p == q && (x.sign == y.sign || p == 0)) return Order::Equal;
    if (x.sign != y.sign) return x.sign ? Order::Less : Order::Greater;
    return (p < q) != x.sign ? Order::Less : Order::Greater;
}

/// FPCompare: with `signal_all` quiet NaNs are invalid operands too.
template <typename F>
Order compare(Environment& env, typename F::Uint a, typename F::Uint b, bool signal_all) {
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    if (x.nan() || y.nan()) {
        if (signal_all || x.kind == Kind::SignallingNan || y.kind == Kind::SignallingNan) env.raise(kIoc);
        return Order::Unordered;
    }
    note_denormals(env, x, y);
    return order_values<F>(x, y, a, b);
}

template <typename F>
bool compare_eq(Environment& env, typename F::Uint a, typename F::Uint b) {
    return compare<F>(env, a, b, false) == Order::Equal;
}
template <typename F>
bool compare_ge(Environment& env, typename F::Uint a, typename F::Uint b) {
    const Order order = compare<F>(env, a, b, true);
    return order == Order::Greater || order == Order::Equal;
}
template <typename F>
bool compare_gt(Environment& env, typename F::Uint a, typename F::Uint b) {
    return compare<F>(env, a, b, true) == Order::Greater;
}

}  // namespace arclight::jit::softfloat
