// Advanced SIMD three different: widening and narrowing arithmetic (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// n and m widened, then op on the wide elements.
bool long_op(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(op, {o(widen, {half(t, q, n)}), o(widen, {half(t, q, m)})});
    });
}
/// n op (m widened)
bool wide_op(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(op, {o[n], o(widen, {half(t, q, m)})});
    });
}
bool product(TranslationContext& t, Op multiply, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o(multiply, {half(t, q, n), half(t, q, m)});
    });
}
bool multiply_accumulate(TranslationContext& t, Op multiply, Op combine, bool q, Imm<2> size, Vec m, Vec n,
                         Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(combine, {o[d], o(multiply, {half(t, q, n), half(t, q, m)})});
    });
}
/// The difference of two narrow elements fits an unsigned narrow element.
Ref absolute_difference(const Lanes& o, Op op, bool q, Vec m, Vec n) {
    return o(Op::VUxtl, {o(op, {half(o.t, q, n), half(o.t, q, m)})});
}
bool difference(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) { return absolute_difference(o, op, q, m, n); });
}
bool difference_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(Op::VAdd, {o[d], absolute_difference(o, op, q, m, n)});
    });
}
/// The upper halves of the wide sums or differences.
bool high_narrow(TranslationContext& t, Op op, bool rounding, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
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
/// SQDMLAL saturates the product and then the sum, each by itself.
bool doubling(TranslationContext& t, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kHS, d, [&](const Lanes& o) {
        return o(Op::VQDMull, {half(t, q, n), half(t, q, m)});
    });
}
bool doubling_accumulate(TranslationContext& t, Op combine, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return widening_op(t, size, kHS, d, [&](const Lanes& o) {
        return o.wide()(combine, {o[d], o(Op::VQDMull, {half(t, q, n), half(t, q, m)})});
    });
}
}  // namespace

bool SADDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return long_op(t, Op::VSxtl, Op::VAdd, Q, size, m, n, d);
}
bool SADDW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return wide_op(t, Op::VSxtl, Op::VAdd, Q, size, m, n, d);
}
bool SSUBL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return long_op(t, Op::VSxtl, Op::VSub, Q, size, m, n, d);
}
bool SSUBW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return wide_op(t, Op::VSxtl, Op::VSub, Q, size, m, n, d);
}
bool SABAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return difference_accumulate(t, Op::VAbdS, Q, size, m, n, d);
}
bool SABDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return difference(t, Op::VAbdS, Q, size, m, n, d);
}
bool SMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return multiply_accumulate(t, Op::VMullS, Op::VAdd, Q, size, m, n, d);
}
bool SMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return multiply_accumulate(t, Op::VMullS, Op::VSub, Q, size, m, n, d);
}
bool SMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return product(t, Op::VMullS, Q, size, m, n, d);
}
bool UADDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return long_op(t, Op::VUxtl, Op::VAdd, Q, size, m, n, d);
}
bool UADDW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return wide_op(t, Op::VUxtl, Op::VAdd, Q, size, m, n, d);
}
bool USUBL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return long_op(t, Op::VUxtl, Op::VSub, Q, size, m, n, d);
}
bool USUBW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return wide_op(t, Op::VUxtl, Op::VSub, Q, size, m, n, d);
}
bool UABAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return difference_accumulate(t, Op::VAbdU, Q, size, m, n, d);
}
bool UABDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return difference(t, Op::VAbdU, Q, size, m, n, d);
}
bool UMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return multiply_accumulate(t, Op::VMullU, Op::VAdd, Q, size, m, n, d);
}
bool UMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return multiply_accumulate(t, Op::VMullU, Op::VSub, Q, size, m, n, d);
}
bool UMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return product(t, Op::VMullU, Q, size, m, n, d);
}
bool ADDHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return high_narrow(t, Op::VAdd, false, Q, size, m, n, d);
}
bool RADDHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return high_narrow(t, Op::VAdd, true, Q, size, m, n, d);
}
bool SUBHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return high_narrow(t, Op::VSub, false, Q, size, m, n, d);
}
bool RSUBHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return high_narrow(t, Op::VSub, true, Q, size, m, n, d);
}
bool SQDMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return doubling(t, Q, size, m, n, d);
}
bool SQDMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return doubling_accumulate(t, Op::VQAddS, Q, size, m, n, d);
}
bool SQDMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return doubling_accumulate(t, Op::VQSubS, Q, size, m, n, d);
}
bool PMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    const Op op = size == 3 ? Op::VPMull64 : Op::VPMull8;
    return widening_op(t, size, kB | kD, d, [&](const Lanes& o) {
        return o(op, {half(t, Q, n), half(t, Q, m)});
    });
}

}  // namespace arclight::frontend::a64::translate
