// Advanced SIMD three same, integer and logical (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool three_same(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}
/// d = d combine (n op m)
bool accumulate(TranslationContext& t, Op combine, Op op, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n,
                Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) {
        return o(combine, {o[d], o(op, {o[n], o[m]})});
    });
}
bool logical(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return three_same(t, op, kB, q, Imm<2>{0}, m, n, d);
}
/// d = mask ? one : other, bit by bit
bool select_bits(TranslationContext& t, bool q, Vec mask, Vec one, Vec other, Vec d) {
    return vector_op(t, q, 0, kB, d, [&](const Lanes& o) {
        return o(Op::VBitSelect, {o[mask], o[one], o[other]});
    });
}
bool rounding_doubling_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, kHS, d, [&](const Lanes& o) { return o(op, {o[d], o[n], o[m]}); });
}
bool dot(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return vector_op(t, q, 2, kS, d, [&](const Lanes& o) { return o(op, {o[d], o[n], o[m]}); });
}
}  // namespace

bool SHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VHAddS, kBHS, Q, size, m, n, d);
}
bool SQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQAddS, kBHSD, Q, size, m, n, d);
}
bool SRHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VRHAddS, kBHS, Q, size, m, n, d);
}
bool SHSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VHSubS, kBHS, Q, size, m, n, d);
}
bool SQSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQSubS, kBHSD, Q, size, m, n, d);
}
bool CMGT_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpGtS, kBHSD, Q, size, m, n, d);
}
bool CMGE_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpGeS, kBHSD, Q, size, m, n, d);
}
bool SSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VShlS, kBHSD, Q, size, m, n, d);
}
bool SQSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQShlS, kBHSD, Q, size, m, n, d);
}
bool SRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VRShlS, kBHSD, Q, size, m, n, d);
}
bool SQRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQRShlS, kBHSD, Q, size, m, n, d);
}
bool SMAX_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMaxS, kBHS, Q, size, m, n, d);
}
bool SMIN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMinS, kBHS, Q, size, m, n, d);
}
bool SABD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VAbdS, kBHS, Q, size, m, n, d);
}
bool SABA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return accumulate(t, Op::VAdd, Op::VAbdS, kBHS, Q, size, m, n, d);
}
bool ADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VAdd, kBHSD, Q, size, m, n, d);
}
bool CMTST_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpTst, kBHSD, Q, size, m, n, d);
}
bool MLA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return accumulate(t, Op::VAdd, Op::VMul, kBHS, Q, size, m, n, d);
}
bool MUL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMul, kBHS, Q, size, m, n, d);
}
bool SMAXP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMaxPS, kBHS, Q, size, m, n, d);
}
bool SMINP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMinPS, kBHS, Q, size, m, n, d);
}
bool SQDMULH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQDMulH, kHS, Q, size, m, n, d);
}
bool ADDP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VAddP, kBHSD, Q, size, m, n, d);
}
bool UHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VHAddU, kBHS, Q, size, m, n, d);
}
bool UQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQAddU, kBHSD, Q, size, m, n, d);
}
bool URHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VRHAddU, kBHS, Q, size, m, n, d);
}
bool UHSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VHSubU, kBHS, Q, size, m, n, d);
}
bool UQSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQSubU, kBHSD, Q, size, m, n, d);
}
bool CMHI_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpGtU, kBHSD, Q, size, m, n, d);
}
bool CMHS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpGeU, kBHSD, Q, size, m, n, d);
}
bool USHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VShlU, kBHSD, Q, size, m, n, d);
}
bool UQSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQShlU, kBHSD, Q, size, m, n, d);
}
bool URSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VRShlU, kBHSD, Q, size, m, n, d);
}
bool UQRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQRShlU, kBHSD, Q, size, m, n, d);
}
bool UMAX_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMaxU, kBHS, Q, size, m, n, d);
}
bool UMIN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMinU, kBHS, Q, size, m, n, d);
}
bool UABD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VAbdU, kBHS, Q, size, m, n, d);
}
bool UABA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return accumulate(t, Op::VAdd, Op::VAbdU, kBHS, Q, size, m, n, d);
}
bool SUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VSub, kBHSD, Q, size, m, n, d);
}
bool CMEQ_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VCmpEq, kBHSD, Q, size, m, n, d);
}
bool MLS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return accumulate(t, Op::VSub, Op::VMul, kBHS, Q, size, m, n, d);
}
bool PMUL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VPMul8, kB, Q, size, m, n, d);
}
bool UMAXP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMaxPU, kBHS, Q, size, m, n, d);
}
bool UMINP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VMinPU, kBHS, Q, size, m, n, d);
}
bool SQRDMULH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return three_same(t, Op::VQRDMulH, kHS, Q, size, m, n, d);
}
bool AND_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return logical(t, Op::VAnd, Q, m, n, d);
}
bool BIC_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return logical(t, Op::VAndNot, Q, m, n, d);
}
bool ORN_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return logical(t, Op::VOrNot, Q, m, n, d);
}
bool EOR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return logical(t, Op::VXor, Q, m, n, d);
}
bool ORR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    // MOV (vector)
    if (m == n) return vector_op(t, Q, 0, kB, d, [&](const Lanes& o) { return o[n]; });
    return logical(t, Op::VOr, Q, m, n, d);
}
bool BSL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, d, n, m, d); }
bool BIT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, m, n, d, d); }
bool BIF_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, m, d, n, d); }
bool SQRDMLAH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return rounding_doubling_accumulate(t, Op::VQRDMlah, Q, size, m, n, d);
}
bool SQRDMLSH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d) {
    return rounding_doubling_accumulate(t, Op::VQRDMlsh, Q, size, m, n, d);
}
bool SDOT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return dot(t, Op::VSDot, Q, m, n, d); }
bool UDOT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return dot(t, Op::VUDot, Q, m, n, d); }

}  // namespace arclight::frontend::a64::translate
