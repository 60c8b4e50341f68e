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

bool product(TranslationContext& t, Op op, bool q, Index i, Vec n, Vec d) {
    return vector_op(t, q, i.size, kHS, d, [&](const Lanes& o) {
        return o(op, {o[n], all_lanes(o, i.element())});
    });
}
bool product_accumulate(TranslationContext& t, Op combine, bool q, Index i, Vec n, Vec d) {
    return vector_op(t, q, i.size, kHS, d, [&](const Lanes& o) {
        return o(combine, {o[d], o(Op::VMul, {o[n], all_lanes(o, i.element())})});
    });
}
/// (d, n, m) with the accumulation inside the operation
bool fused(TranslationContext& t, Op op, unsigned sizes, bool q, Index i, Vec n, Vec d) {
    return vector_op(t, q, i.size, sizes, d, [&](const Lanes& o) {
        return o(op, {o[d], o[n], all_lanes(o, i.element())});
    });
}
bool long_product(TranslationContext& t, Op op, bool q, Index i, Vec n, Vec d) {
    return widening_op(t, i.size, kHS, d, [&](const Lanes& o) {
        return o(op, {half(t, q, n), all_lanes(o, i.element())});
    });
}
bool long_product_accumulate(TranslationContext& t, Op op, Op combine, bool q, Index i, Vec n, Vec d) {
    return widening_op(t, i.size, kHS, d, [&](const Lanes& o) {
        return o.wide()(combine, {o[d], o(op, {half(t, q, n), all_lanes(o, i.element())})});
    });
}

template <typename Emit>
bool fp_vector(TranslationContext& t, bool q, FpIndex i, Vec d, Emit&& emit) {
    if (i.reserved()) return undefined(t);
    return vector_op(t, q, i.sz ? 3 : 2, kS | kD, d,
                     [&](const Lanes& o) { return emit(o, all_lanes(o, i.element())); });
}
template <typename Emit>
bool fp_scalar(TranslationContext& t, FpIndex i, Vec d, Emit&& emit) {
    if (i.reserved()) return undefined(t);
    return scalar_fp(t, i.sz, d, [&](const Scalar& o) {
        const Element e = i.element();
        return emit(o, e.lane == 0 ? o[e.m] : all_lanes(Lanes{t, i.sz ? 3u : 2u, true}, e));
    });
}

// Scalar: one zero factor keeps the other lanes quiet.
bool scalar_product(TranslationContext& t, Op op, Index i, Vec n, Vec d) {
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(n), all_lanes(o, i.element())});
    });
}
bool scalar_fused(TranslationContext& t, Op op, Index i, Vec n, Vec d) {
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(d), o.in(n), all_lanes(o, i.element())});
    });
}
bool scalar_product_accumulate(TranslationContext& t, Op combine, Index i, Vec n, Vec d) {
    return scalar_sat(t, i.size, kHS, d, [&](const ScalarLanes& o) {
        const Ref product = o(Op::VQDMull, {o.in(n), all_lanes(o, i.element())});
        return o.wide()(combine, {zext(t, o.size + 1, o[d]), product});
    });
}
}  // namespace

bool MUL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return product(t, Op::VMul, Q, Index{size, L, M, m, H}, n, d);
}
bool SQDMULH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d) {
    return product(t, Op::VQDMulH, Q, Index{size, L, M, m, H}, n, d);
}
bool SQRDMULH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d) {
    return product(t, Op::VQRDMulH, Q, Index{size, L, M, m, H}, n, d);
}
bool MLA_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return product_accumulate(t, Op::VAdd, Q, Index{size, L, M, m, H}, n, d);
}
bool MLS_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return product_accumulate(t, Op::VSub, Q, Index{size, L, M, m, H}, n, d);
}
bool SMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product(t, Op::VMullS, Q, Index{size, L, M, m, H}, n, d);
}
bool SMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product_accumulate(t, Op::VMullS, Op::VAdd, Q, Index{size, L, M, m, H}, n, d);
}
bool SMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product_accumulate(t, Op::VMullS, Op::VSub, Q, Index{size, L, M, m, H}, n, d);
}
bool UMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product(t, Op::VMullU, Q, Index{size, L, M, m, H}, n, d);
}
bool UMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product_accumulate(t, Op::VMullU, Op::VAdd, Q, Index{size, L, M, m, H}, n, d);
}
bool UMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d) {
    return long_product_accumulate(t, Op::VMullU, Op::VSub, Q, Index{size, L, M, m, H}, n, d);
}
bool SQDMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d) {
    return long_product(t, Op::VQDMull, Q, Index{size, L, M, m, H}, n, d);
}
bool SQDMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d) {
    return long_product_accumulate(t, Op::VQDMull, Op::VQAddS, Q, Index{size, L, M, m, H}, n, d);
}
bool SQDMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d) {
    return long_product_accumulate(t, Op::VQDMull, Op::VQSubS, Q, Index{size, L, M, m, H}, n, d);
}
bool SQRDMLAH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d) {
    return fused(t, Op::VQRDMlah, kHS, Q, Index{size, L, M, m, H}, n, d);
}
bool SQRDMLSH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d) {
    return fused(t, Op::VQRDMlsh, kHS, Q, Index{size, L, M, m, H}, n, d);
}
bool SDOT_element(TranslationContext& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fused(t, Op::VSDot, kS, Q, Index{Imm<2>{2}, L, M, m, H}, n, d);
}
bool UDOT_element(TranslationContext& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fused(t, Op::VUDot, kS, Q, Index{Imm<2>{2}, L, M, m, H}, n, d);
}
bool FMUL_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_vector(t, Q, FpIndex{sz, L, M, m, H}, d, [&](const Lanes& o, Ref e) {
        return o(Op::VFMul, {o[n], e});
    });
}
bool FMULX_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_vector(t, Q, FpIndex{sz, L, M, m, H}, d, [&](const Lanes& o, Ref e) {
        return o(Op::VFMulX, {o[n], e});
    });
}
bool FMLA_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_vector(t, Q, FpIndex{sz, L, M, m, H}, d, [&](const Lanes& o, Ref e) {
        return o(Op::VFMulAdd, {o[d], o[n], e});
    });
}
bool FMLS_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_vector(t, Q, FpIndex{sz, L, M, m, H}, d, [&](const Lanes& o, Ref e) {
        return o(Op::VFMulAdd, {o[d], o(Op::VFNeg, {o[n]}), e});
    });
}
bool FMUL_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_scalar(t, FpIndex{sz, L, M, m, H}, d, [&](const Scalar& o, Ref e) {
        return o(Op::FMul, {o[n], e});
    });
}
bool FMULX_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_scalar(t, FpIndex{sz, L, M, m, H}, d, [&](const Scalar& o, Ref e) {
        return o(Op::FMulX, {o[n], e});
    });
}
bool FMLA_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_scalar(t, FpIndex{sz, L, M, m, H}, d, [&](const Scalar& o, Ref e) {
        return o(Op::FMulAdd, {o[d], o[n], e});
    });
}
bool FMLS_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d) {
    return fp_scalar(t, FpIndex{sz, L, M, m, H}, d, [&](const Scalar& o, Ref e) {
        return o(Op::FMulAdd, {o[d], o(Op::FNeg, {o[n]}), e});
    });
}
bool SQDMULH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d) {
    return scalar_product(t, Op::VQDMulH, Index{size, L, M, m, H}, n, d);
}
bool SQRDMULH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d) {
    return scalar_product(t, Op::VQRDMulH, Index{size, L, M, m, H}, n, d);
}
bool SQDMULL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d) {
    return scalar_product(t, Op::VQDMull, Index{size, L, M, m, H}, n, d);
}
bool SQDMLAL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d) {
    return scalar_product_accumulate(t, Op::VQAddS, Index{size, L, M, m, H}, n, d);
}
bool SQDMLSL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d) {
    return scalar_product_accumulate(t, Op::VQSubS, Index{size, L, M, m, H}, n, d);
}
bool SQRDMLAH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d) {
    return scalar_fused(t, Op::VQRDMlah, Index{size, L, M, m, H}, n, d);
}
bool SQRDMLSH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d) {
    return scalar_fused(t, Op::VQRDMlsh, Index{size, L, M, m, H}, n, d);
}

}  // namespace arclight::frontend::a64::translate
