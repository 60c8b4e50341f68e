// Advanced SIMD floating point: three same, two-register miscellaneous, across lanes (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
constexpr unsigned kSD = kS | kD;
constexpr unsigned fp_size(bool sz) { return sz ? 3 : 2; }

template <typename Emit>
bool fp_vector(TranslationContext& t, bool q, bool sz, Vec d, Emit&& emit) {
    return vector_op(t, q, fp_size(sz), kSD, d, emit);
}
bool unary(TranslationContext& t, Op op, bool q, bool sz, Vec n, Vec d, uint64_t imm = 0) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) { return o(op, {o[n]}, imm); });
}
bool binary(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}
bool absolute_compare(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) {
        return o(op, {o(Op::VFAbs, {o[n]}), o(Op::VFAbs, {o[m]})});
    });
}
/// n op 0, or with `swapped` 0 op n: less than is greater than with the operands exchanged.
bool compare_zero(TranslationContext& t, Op op, bool swapped, bool q, bool sz, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}
bool round(TranslationContext& t, RoundMode mode, bool q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFRint, q, sz, n, d, static_cast<uint64_t>(mode));
}
bool to_int(TranslationContext& t, Op op, RoundMode mode, bool q, bool sz, Vec n, Vec d) {
    return unary(t, op, q, sz, n, d, static_cast<uint64_t>(mode));
}
/// FMAXV and the like exist for 4S only (and half precision).
bool across(TranslationContext& t, Op op, Vec n, Vec d) {
    return vector_op(t, true, 2, kS, d, [&](const Lanes& o) { return zext(t, 2, o(op, {o[n]})); });
}
}  // namespace

bool FADD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFAdd, Q, sz, m, n, d);
}
bool FSUB_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFSub, Q, sz, m, n, d);
}
bool FMUL_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMul, Q, sz, m, n, d);
}
bool FDIV_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFDiv, Q, sz, m, n, d);
}
bool FMULX_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMulX, Q, sz, m, n, d);
}
bool FMAX_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMax, Q, sz, m, n, d);
}
bool FMIN_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMin, Q, sz, m, n, d);
}
bool FMAXNM_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMaxNum, Q, sz, m, n, d);
}
bool FMINNM_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMinNum, Q, sz, m, n, d);
}
bool FRECPS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFRecpStep, Q, sz, m, n, d);
}
bool FRSQRTS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFRsqrtStep, Q, sz, m, n, d);
}
bool FCMEQ_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFCmpEq, Q, sz, m, n, d);
}
bool FCMGE_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFCmpGe, Q, sz, m, n, d);
}
bool FCMGT_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFCmpGt, Q, sz, m, n, d);
}
bool FADDP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFAddP, Q, sz, m, n, d);
}
bool FMAXP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMaxP, Q, sz, m, n, d);
}
bool FMINP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMinP, Q, sz, m, n, d);
}
bool FMAXNMP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMaxNumP, Q, sz, m, n, d);
}
bool FMINNMP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return binary(t, Op::VFMinNumP, Q, sz, m, n, d);
}
bool FABD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, Q, sz, d, [&](const Lanes& o) { return o(Op::VFAbs, {o(Op::VFSub, {o[n], o[m]})}); });
}
bool FMLA_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, Q, sz, d, [&](const Lanes& o) { return o(Op::VFMulAdd, {o[d], o[n], o[m]}); });
}
bool FMLS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, Q, sz, d, [&](const Lanes& o) {
        return o(Op::VFMulAdd, {o[d], o(Op::VFNeg, {o[n]}), o[m]});
    });
}
bool FACGE_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return absolute_compare(t, Op::VFCmpGe, Q, sz, m, n, d);
}
bool FACGT_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return absolute_compare(t, Op::VFCmpGt, Q, sz, m, n, d);
}
bool FCMEQ_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return compare_zero(t, Op::VFCmpEq, false, Q, sz, n, d);
}
bool FCMGE_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return compare_zero(t, Op::VFCmpGe, false, Q, sz, n, d);
}
bool FCMGT_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return compare_zero(t, Op::VFCmpGt, false, Q, sz, n, d);
}
bool FCMLE_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return compare_zero(t, Op::VFCmpGe, true, Q, sz, n, d);
}
bool FCMLT_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return compare_zero(t, Op::VFCmpGt, true, Q, sz, n, d);
}
bool FABS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFAbs, Q, sz, n, d);
}
bool FNEG_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFNeg, Q, sz, n, d);
}
bool FSQRT_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFSqrt, Q, sz, n, d);
}
bool FRECPE_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFRecpEst, Q, sz, n, d);
}
bool FRSQRTE_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFRsqrtEst, Q, sz, n, d);
}
bool SCVTF_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VSIntToF, Q, sz, n, d);
}
bool UCVTF_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VUIntToF, Q, sz, n, d);
}
bool FRINTN_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::TieEven, Q, sz, n, d);
}
bool FRINTP_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::Up, Q, sz, n, d);
}
bool FRINTM_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::Down, Q, sz, n, d);
}
bool FRINTZ_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::Zero, Q, sz, n, d);
}
bool FRINTA_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::TieAway, Q, sz, n, d);
}
bool FRINTX_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::Exact, Q, sz, n, d);
}
bool FRINTI_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return round(t, RoundMode::Current, Q, sz, n, d);
}
bool FCVTNS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToSInt, RoundMode::TieEven, Q, sz, n, d);
}
bool FCVTNU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToUInt, RoundMode::TieEven, Q, sz, n, d);
}
bool FCVTPS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToSInt, RoundMode::Up, Q, sz, n, d);
}
bool FCVTPU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToUInt, RoundMode::Up, Q, sz, n, d);
}
bool FCVTMS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToSInt, RoundMode::Down, Q, sz, n, d);
}
bool FCVTMU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToUInt, RoundMode::Down, Q, sz, n, d);
}
bool FCVTAS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToSInt, RoundMode::TieAway, Q, sz, n, d);
}
bool FCVTAU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToUInt, RoundMode::TieAway, Q, sz, n, d);
}
bool FCVTZS_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToSInt, RoundMode::Zero, Q, sz, n, d);
}
bool FCVTZU_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return to_int(t, Op::VFToUInt, RoundMode::Zero, Q, sz, n, d);
}
bool FCVTL_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return widening_op(t, sz ? 2 : 1, kHS, d, [&](const Lanes& o) { return o(Op::VFCvtL, {half(t, Q, n)}); });
}
bool FCVTN_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d) {
    return narrowing_op(t, Q, sz ? 2 : 1, kHS, d, [&](const Lanes& o) { return o(Op::VFCvtN, {o[n]}); });
}
bool FCVTXN_vector(TranslationContext& t, bool Q, Vec n, Vec d) {
    return narrowing_op(t, Q, 2, kS, d, [&](const Lanes& o) { return o(Op::VFCvtXN, {o[n]}); });
}
bool URECPE_vector(TranslationContext& t, bool Q, Vec n, Vec d) {
    return vector_op(t, Q, 2, kS, d, [&](const Lanes& o) { return o(Op::VURecpEst, {o[n]}); });
}
bool URSQRTE_vector(TranslationContext& t, bool Q, Vec n, Vec d) {
    return vector_op(t, Q, 2, kS, d, [&](const Lanes& o) { return o(Op::VURsqrtEst, {o[n]}); });
}
bool FMAXV_vector(TranslationContext& t, Vec n, Vec d) { return across(t, Op::VFMaxV, n, d); }
bool FMINV_vector(TranslationContext& t, Vec n, Vec d) { return across(t, Op::VFMinV, n, d); }
bool FMAXNMV_vector(TranslationContext& t, Vec n, Vec d) { return across(t, Op::VFMaxNumV, n, d); }
bool FMINNMV_vector(TranslationContext& t, Vec n, Vec d) { return across(t, Op::VFMinNumV, n, d); }

}  // namespace arclight::frontend::a64::translate
