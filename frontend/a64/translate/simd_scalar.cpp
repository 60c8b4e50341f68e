// Advanced SIMD scalar three same, three different, two-register miscellaneous and pairwise (ARM ARM
// C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
// ---- integer
bool binary_d(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}
bool unary_d(TranslationContext& t, Op op, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}
bool compare_zero_d(TranslationContext& t, Op op, bool swapped, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}
bool binary_sat(TranslationContext& t, Op op, unsigned sizes, Imm<2> size, Vec m, Vec n, Vec d) {
    return scalar_sat(t, size, sizes, d, [&](const ScalarLanes& o) { return o(op, {o.in(n), o.in(m)}); });
}
/// d op n
bool accumulate_sat(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHSD, d, [&](const ScalarLanes& o) { return o(op, {o.in(d), o.in(n)}); });
}
bool unary_sat(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHSD, d, [&](const ScalarLanes& o) { return o(op, {o.in(n)}); });
}
bool narrow_sat(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHS, d,
                      [&](const ScalarLanes& o) { return o(op, {zext(t, o.size + 1, o[n])}); });
}
bool rounding_doubling_accumulate(TranslationContext& t, Op op, Imm<2> size, Vec m, Vec n, Vec d) {
    return scalar_sat(t, size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(d), o.in(n), o.in(m)});
    });
}
bool doubling_accumulate(TranslationContext& t, Op combine, Imm<2> size, Vec m, Vec n, Vec d) {
    return scalar_sat(t, size, kHS, d, [&](const ScalarLanes& o) {
        return o.wide()(combine, {zext(t, o.size + 1, o[d]), o(Op::VQDMull, {o.in(n), o.in(m)})});
    });
}

// ---- floating point
bool fp_unary(TranslationContext& t, Op op, bool sz, Vec n, Vec d) {
    return scalar_fp(t, sz, d, [&](const Scalar& o) { return o(op, {o[n]}); });
}
bool fp_binary(TranslationContext& t, Op op, bool sz, Vec m, Vec n, Vec d) {
    return scalar_fp(t, sz, d, [&](const Scalar& o) { return o(op, {o[n], o[m]}); });
}
/// The comparison is a vector one, so a neighbouring single must not raise flags.
bool fp_compare(TranslationContext& t, Op op, bool sz, Vec d, auto&& first, auto&& second) {
    if (!check_fp_enabled(t)) return false;
    const unsigned size = sz ? 3 : 2;
    const Lanes o{t, size, false};
    const Ref a = first(o), b = second(o);
    return write(t, d, zext(t, size, o(op, {a, b})));
}
auto low(bool sz, Vec r) {
    return [=](const Lanes& o) { return sz ? o[r] : zext(o.t, 2, fp(o.t, false, r)); };
}
auto low_abs(bool sz, Vec r) {
    return [=](const Lanes& o) { return o(Op::VFAbs, {low(sz, r)(o)}); };
}
auto nothing() {
    return [](const Lanes& o) { return zero(o.t); };
}

bool to_int(TranslationContext& t, Op op, RoundMode mode, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref value = t.ir.emit(op, int_type(sz), {fp(t, sz, n)}, 0, to_int_aux(mode, sz));
    return write(t, d, t.ir.emit(Op::IntToF, fp_type(sz), {value}));
}
bool from_int(TranslationContext& t, Op op, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref value = t.ir.emit(Op::FToInt, int_type(sz), {fp(t, sz, n)});
    return write(t, d, t.ir.emit(op, fp_type(sz), {value}, 0, int_width(sz)));
}
bool fp_pair(TranslationContext& t, Op op, bool sz, Vec n, Vec d) {
    return scalar_fp(t, sz, d, [&](const Scalar& o) {
        const Lanes lanes{t, sz ? 3u : 2u, true};
        return o(op, {lanes[n], lanes(Op::VDupLane, {lanes[n]}, 1)});
    });
}
}  // namespace

bool SQADD_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQAddS, kBHSD, size, m, n, d);
}
bool SQSUB_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQSubS, kBHSD, size, m, n, d);
}
bool CMGT_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpGtS, m, n, d); }
bool CMGE_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpGeS, m, n, d); }
bool SSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VShlS, m, n, d); }
bool SQSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQShlS, kBHSD, size, m, n, d);
}
bool SRSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VRShlS, m, n, d); }
bool SQRSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQRShlS, kBHSD, size, m, n, d);
}
bool ADD_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VAdd, m, n, d); }
bool CMTST_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpTst, m, n, d); }
bool SQDMULH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQDMulH, kHS, size, m, n, d);
}
bool UQADD_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQAddU, kBHSD, size, m, n, d);
}
bool UQSUB_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQSubU, kBHSD, size, m, n, d);
}
bool CMHI_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpGtU, m, n, d); }
bool CMHS_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpGeU, m, n, d); }
bool USHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VShlU, m, n, d); }
bool UQSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQShlU, kBHSD, size, m, n, d);
}
bool URSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VRShlU, m, n, d); }
bool UQRSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQRShlU, kBHSD, size, m, n, d);
}
bool SUB_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VSub, m, n, d); }
bool CMEQ_scalar(TranslationContext& t, Vec m, Vec n, Vec d) { return binary_d(t, Op::VCmpEq, m, n, d); }
bool SQRDMULH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQRDMulH, kHS, size, m, n, d);
}
bool FMULX_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_binary(t, Op::FMulX, sz, m, n, d);
}
bool FRECPS_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_binary(t, Op::FRecpStep, sz, m, n, d);
}
bool FRSQRTS_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_binary(t, Op::FRsqrtStep, sz, m, n, d);
}
bool FABD_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return scalar_fp(t, sz, d, [&](const Scalar& o) { return o(Op::FAbs, {o(Op::FSub, {o[n], o[m]})}); });
}
bool FCMEQ_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpEq, sz, d, low(sz, n), low(sz, m));
}
bool FCMGE_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGe, sz, d, low(sz, n), low(sz, m));
}
bool FCMGT_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGt, sz, d, low(sz, n), low(sz, m));
}
bool FACGE_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGe, sz, d, low_abs(sz, n), low_abs(sz, m));
}
bool FACGT_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGt, sz, d, low_abs(sz, n), low_abs(sz, m));
}
bool SQRDMLAH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return rounding_doubling_accumulate(t, Op::VQRDMlah, size, m, n, d);
}
bool SQRDMLSH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return rounding_doubling_accumulate(t, Op::VQRDMlsh, size, m, n, d);
}
bool SQDMULL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return binary_sat(t, Op::VQDMull, kHS, size, m, n, d);
}
bool SQDMLAL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return doubling_accumulate(t, Op::VQAddS, size, m, n, d);
}
bool SQDMLSL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d) {
    return doubling_accumulate(t, Op::VQSubS, size, m, n, d);
}
bool SUQADD_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return accumulate_sat(t, Op::VSuqadd, size, n, d);
}
bool USQADD_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return accumulate_sat(t, Op::VUsqadd, size, n, d);
}
bool SQABS_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return unary_sat(t, Op::VQAbs, size, n, d);
}
bool SQNEG_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return unary_sat(t, Op::VQNeg, size, n, d);
}
bool ABS_scalar(TranslationContext& t, Vec n, Vec d) { return unary_d(t, Op::VAbs, n, d); }
bool NEG_scalar(TranslationContext& t, Vec n, Vec d) { return unary_d(t, Op::VNeg, n, d); }
bool CMEQ_zero_scalar(TranslationContext& t, Vec n, Vec d) {
    return compare_zero_d(t, Op::VCmpEq, false, n, d);
}
bool CMGE_zero_scalar(TranslationContext& t, Vec n, Vec d) {
    return compare_zero_d(t, Op::VCmpGeS, false, n, d);
}
bool CMGT_zero_scalar(TranslationContext& t, Vec n, Vec d) {
    return compare_zero_d(t, Op::VCmpGtS, false, n, d);
}
bool CMLE_zero_scalar(TranslationContext& t, Vec n, Vec d) {
    return compare_zero_d(t, Op::VCmpGeS, true, n, d);
}
bool CMLT_zero_scalar(TranslationContext& t, Vec n, Vec d) {
    return compare_zero_d(t, Op::VCmpGtS, true, n, d);
}
bool SQXTN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return narrow_sat(t, Op::VQXtnS, size, n, d);
}
bool UQXTN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return narrow_sat(t, Op::VQXtnU, size, n, d);
}
bool SQXTUN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d) {
    return narrow_sat(t, Op::VQXtun, size, n, d);
}
bool FCMEQ_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpEq, sz, d, low(sz, n), nothing());
}
bool FCMGE_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGe, sz, d, low(sz, n), nothing());
}
bool FCMGT_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGt, sz, d, low(sz, n), nothing());
}
bool FCMLE_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGe, sz, d, nothing(), low(sz, n));
}
bool FCMLT_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_compare(t, Op::VFCmpGt, sz, d, nothing(), low(sz, n));
}
bool FCVTNS_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToSInt, RoundMode::TieEven, sz, n, d);
}
bool FCVTNU_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToUInt, RoundMode::TieEven, sz, n, d);
}
bool FCVTPS_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToSInt, RoundMode::Up, sz, n, d);
}
bool FCVTPU_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToUInt, RoundMode::Up, sz, n, d);
}
bool FCVTMS_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToSInt, RoundMode::Down, sz, n, d);
}
bool FCVTMU_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToUInt, RoundMode::Down, sz, n, d);
}
bool FCVTAS_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToSInt, RoundMode::TieAway, sz, n, d);
}
bool FCVTAU_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToUInt, RoundMode::TieAway, sz, n, d);
}
bool FCVTZS_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToSInt, RoundMode::Zero, sz, n, d);
}
bool FCVTZU_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return to_int(t, Op::FToUInt, RoundMode::Zero, sz, n, d);
}
bool SCVTF_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return from_int(t, Op::SIntToF, sz, n, d);
}
bool UCVTF_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return from_int(t, Op::UIntToF, sz, n, d);
}
bool FRECPE_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_unary(t, Op::FRecpEst, sz, n, d);
}
bool FRSQRTE_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_unary(t, Op::FRsqrtEst, sz, n, d);
}
bool FRECPX_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_unary(t, Op::FRecpExp, sz, n, d);
}
bool FCVTXN_scalar(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::FCvtXN, Type::F32, {fp(t, true, n)}));
}
bool ADDP_scalar(TranslationContext& t, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VAdd, {o[n], o(Op::VHighToLow, {o[n]})}); });
}
bool FADDP_scalar(TranslationContext& t, bool sz, Vec n, Vec d) { return fp_pair(t, Op::FAdd, sz, n, d); }
bool FMAXP_scalar(TranslationContext& t, bool sz, Vec n, Vec d) { return fp_pair(t, Op::FMax, sz, n, d); }
bool FMINP_scalar(TranslationContext& t, bool sz, Vec n, Vec d) { return fp_pair(t, Op::FMin, sz, n, d); }
bool FMAXNMP_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_pair(t, Op::FMaxNum, sz, n, d);
}
bool FMINNMP_scalar(TranslationContext& t, bool sz, Vec n, Vec d) {
    return fp_pair(t, Op::FMinNum, sz, n, d);
}

}  // namespace arclight::frontend::a64::translate
