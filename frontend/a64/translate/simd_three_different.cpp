// Advanced SIMD three different: widening and narrowing arithmetic (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// The difference of two narrow elements fits an unsigned narrow element.
Ref absolute_difference(const Lanes& o, Op op, bool q, Vec m, Vec n) {
    return o(Op::VUxtl, {o(op, {half(o.t, q, n), half(o.t, q, m)})});
}
}  // namespace

/// n and m widened, then op on the wide elements.
bool three_different_long(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(op, {o(widen, {half(t, q, n)}), o(widen, {half(t, q, m)})});
    });
}

/// n op (m widened)
bool three_different_wide(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(op, {o[n], o(widen, {half(t, q, m)})});
    });
}

bool long_multiply(TranslationContext& t, Op multiply, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n,
                   Vec d) {
    return widening_op(t, size, sizes, d, [&](const Lanes& o) {
        return o(multiply, {half(t, q, n), half(t, q, m)});
    });
}

/// SQDMLAL saturates the product and then the sum, each by itself.
bool long_multiply_accumulate(TranslationContext& t, Op multiply, Op combine, unsigned sizes, bool q,
                              Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, sizes, d, [&](const Lanes& o) {
        return o.wide()(combine, {o[d], o(multiply, {half(t, q, n), half(t, q, m)})});
    });
}

/// PMULL of bytes or of doublewords: the element size is not a field but two instructions.
bool long_multiply_polynomial(TranslationContext& t, Op multiply, unsigned size, bool q, Vec m, Vec n,
                              Vec d) {
    return widening_op(t, size, kB | kD, d, [&](const Lanes& o) {
        return o(multiply, {half(t, q, n), half(t, q, m)});
    });
}

bool long_difference(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) { return absolute_difference(o, op, q, m, n); });
}

bool long_difference_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(Op::VAdd, {o[d], absolute_difference(o, op, q, m, n)});
    });
}

/// The upper halves of the wide sums or differences.
bool high_half_narrow(TranslationContext& t, Op op, bool rounding, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return narrowing_op(t, q, size, kBHS, d, [&](const Lanes& o) {
        const Lanes wide = o.wide();
        const unsigned bits = 8u << size;
        Ref value = wide(op, {o[n], o[m]});
        if (rounding) {
            // A carry out of the wide element would be lost by narrowing anyway.
            const uint64_t lane = uint64_t{1} << (bits - 1);
            const uint64_t everywhere = size == 0   ? lane * 0x0001000100010001
                                        : size == 1 ? lane * 0x100000001
                                                    : lane;
            value = wide(Op::VAdd, {value, wide(Op::VConst, {}, everywhere)});
        }
        return o(Op::VXtn, {wide(Op::VShrUImm, {value}, bits)});
    });
}

}  // namespace arclight::frontend::a64::translate
