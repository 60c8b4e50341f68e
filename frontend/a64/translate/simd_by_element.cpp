// Advanced SIMD vector x indexed element, vector and scalar (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// size:L:M:Rm:H of an integer instruction; only halfwords and words have elements.
struct Index {
    Imm<2> size;
    bool l, m_bit;
    Imm<4> m;
    bool h;

    Element element() const { return size == 1 ? element_h(l, m_bit, m, h) : element_s(l, m_bit, m, h); }
};
/// As above for sz of a floating-point instruction; doublewords have no L.
struct FpIndex {
    bool sz, l, m_bit;
    Imm<4> m;
    bool h;

    bool reserved() const { return sz && l; }
    Element element() const { return sz ? element_d(m_bit, m, h) : element_s(l, m_bit, m, h); }
};

template <typename Emit>
bool fp_vector(TranslationContext& t, bool q, FpIndex i, Vec d, Emit&& emit) {
    if (i.reserved()) return undefined(t);
    return vector_op(t, q, i.sz ? 3 : 2, kS | kD, d,
                     [&](const Lanes& o) { return emit(o, all_lanes(o, i.element())); });
}
template <typename Emit>
bool fp_scalar(TranslationContext& t, FpIndex i, Vec rest, Vec d, Emit&& emit) {
    if (i.reserved()) return undefined(t);
    return scalar_fp(t, i.sz, rest, d, [&](const Scalar& o) {
        const Element e = i.element();
        return emit(o, e.lane == 0 ? o[e.m] : all_lanes(Lanes{t, i.sz ? 3u : 2u, true}, e));
    });
}
}  // namespace

bool by_element(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return vector_op(t, q, i.size, kHS, d, [&](const Lanes& o) {
        return o(op, {o[n], all_lanes(o, i.element())});
    });
}

bool by_element_accumulate(TranslationContext& t, Op combine, bool q, Imm<2> size, bool l, bool m_bit,
                           Imm<4> m, bool h, Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return vector_op(t, q, i.size, kHS, d, [&](const Lanes& o) {
        return o(combine, {o[d], o(Op::VMul, {o[n], all_lanes(o, i.element())})});
    });
}

/// (d, n, m) with the accumulation inside the operation
bool by_element_fused(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                      Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return vector_op(t, q, i.size, kHS, d, [&](const Lanes& o) {
        return o(op, {o[d], o[n], all_lanes(o, i.element())});
    });
}

bool by_element_long(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                     Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return widening_op(t, i.size, kHS, d, [&](const Lanes& o) {
        return o(op, {half(t, q, n), all_lanes(o, i.element())});
    });
}

bool by_element_long_accumulate(TranslationContext& t, Op op, Op combine, bool q, Imm<2> size, bool l,
                                bool m_bit, Imm<4> m, bool h, Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return widening_op(t, i.size, kHS, d, [&](const Lanes& o) {
        return o.wide()(combine, {o[d], o(op, {half(t, q, n), all_lanes(o, i.element())})});
    });
}

// Scalar: the other lanes have a zero factor, so they do not raise QC.
bool scalar_by_element(TranslationContext& t, Op op, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                       Vec d) {
    const Index i{size, l, m_bit, m, h};
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(n), all_lanes(o, i.element())});
    });
}

bool scalar_by_element_fused(TranslationContext& t, Op op, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                             Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(d), o.in(n), all_lanes(o, i.element())});
    });
}

bool scalar_by_element_accumulate(TranslationContext& t, Op combine, Imm<2> size, bool l, bool m_bit,
                                  Imm<4> m, bool h, Vec n, Vec d) {
    const Index i{size, l, m_bit, m, h};
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        const Ref product = o(Op::VQDMull, {o.in(n), all_lanes(o, i.element())});
        return o.wide()(combine, {zext(t, o.size + 1, o[d]), product});
    });
}

bool by_element_dot(TranslationContext& t, Op op, bool q, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                    Vec d) {
    const Index i{Imm<2>{2}, l, m_bit, m, h};
    return vector_op(t, q, i.size, kS, d, [&](const Lanes& o) {
        return o(op, {o[d], o[n], all_lanes(o, i.element())});
    });
}

bool fp_by_element(TranslationContext& t, Op op, bool q, bool sz, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                   Vec d) {
    return fp_vector(t, q, FpIndex{sz, l, m_bit, m, h}, d, [&](const Lanes& o, Ref e) {
        return o(op, {o[n], e});
    });
}

/// FMLA, or with `negate` FMLS.
bool fp_by_element_multiply_add(TranslationContext& t, bool negate, bool q, bool sz, bool l, bool m_bit,
                                Imm<4> m, bool h, Vec n, Vec d) {
    return fp_vector(t, q, FpIndex{sz, l, m_bit, m, h}, d, [&](const Lanes& o, Ref e) {
        return o(Op::VFMulAdd, {o[d], negate ? change_sign(t, Op::VFNeg, o.size, q, o[n]) : o[n], e});
    });
}

bool scalar_fp_by_element(TranslationContext& t, Op op, bool sz, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                          Vec d) {
    return fp_scalar(t, FpIndex{sz, l, m_bit, m, h}, n, d, [&](const Scalar& o, Ref e) {
        return o(op, {o[n], e});
    });
}

bool scalar_fp_by_element_multiply_add(TranslationContext& t, bool negate, bool sz, bool l, bool m_bit,
                                       Imm<4> m, bool h, Vec n, Vec d) {
    return fp_scalar(t, FpIndex{sz, l, m_bit, m, h}, d, d, [&](const Scalar& o, Ref e) {
        return o(Op::FMulAdd, {o[d], negate ? unary_scalar(o, Op::FNeg, o[n]) : o[n], e});
    });
}

}  // namespace arclight::frontend::a64::translate
