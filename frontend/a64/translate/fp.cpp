// Scalar floating point: data processing, compare and select (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool unary(TranslationContext& t, Op op, bool dbl, Vec n, Vec d) {
    return scalar_fp(t, dbl, d, [&](const Scalar& o) { return o(op, {o[n]}); });
}
bool binary(TranslationContext& t, Op op, bool dbl, Vec m, Vec n, Vec d) {
    return scalar_fp(t, dbl, d, [&](const Scalar& o) { return o(op, {o[n], o[m]}); });
}
bool round(TranslationContext& t, RoundMode mode, bool dbl, Vec n, Vec d) {
    return scalar_fp(t, dbl, d,
                     [&](const Scalar& o) { return o(Op::FRint, {o[n]}, 0, static_cast<uint32_t>(mode)); });
}
bool multiply_add(TranslationContext& t, bool dbl, bool negate_addend, bool negate_product, Vec m, Vec a,
                  Vec n, Vec d) {
    return scalar_fp(t, dbl, d, [&](const Scalar& o) {
        const Ref addend = negate_addend ? o(Op::FNeg, {o[a]}) : o[a];
        const Ref factor = negate_product ? o(Op::FNeg, {o[n]}) : o[n];
        return o(Op::FMulAdd, {addend, factor, o[m]});
    });
}

constexpr uint32_t compare_aux(bool dbl, bool signalling) {
    return (dbl ? 3u : 2u) | (signalling ? 16u : 0u);
}
bool compare(TranslationContext& t, bool dbl, bool signalling, Vec n, Ref second) {
    t.ir.set_flags(
        t.ir.emit(Op::FCmp, Type::Flags, {fp(t, dbl, n), second}, 0, compare_aux(dbl, signalling)));
    return true;
}
/// Conditions 14 and 15 both mean always.
constexpr bool always(Imm<4> cond) { return cond >= 14; }

bool conditional_compare(TranslationContext& t, bool dbl, bool signalling, Vec m, Imm<4> cond, Vec n,
                         Imm<4> nzcv) {
    if (!check_fp_enabled(t)) return false;
    if (always(cond)) return compare(t, dbl, signalling, n, fp(t, dbl, m));
    t.ir.set_flags(t.ir.emit(Op::FCondCompare, Type::Flags, {t.ir.cond(cond), fp(t, dbl, n), fp(t, dbl, m)},
                             nzcv, compare_aux(dbl, signalling)));
    return true;
}
}  // namespace

bool FMOV_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, dbl ? 3 : 2, fp(t, dbl, n)));
}
bool FABS_float(TranslationContext& t, bool dbl, Vec n, Vec d) { return unary(t, Op::FAbs, dbl, n, d); }
bool FNEG_float(TranslationContext& t, bool dbl, Vec n, Vec d) { return unary(t, Op::FNeg, dbl, n, d); }
bool FSQRT_float(TranslationContext& t, bool dbl, Vec n, Vec d) { return unary(t, Op::FSqrt, dbl, n, d); }
bool FRINTN_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::TieEven, dbl, n, d);
}
bool FRINTP_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::Up, dbl, n, d);
}
bool FRINTM_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::Down, dbl, n, d);
}
bool FRINTZ_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::Zero, dbl, n, d);
}
bool FRINTA_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::TieAway, dbl, n, d);
}
bool FRINTX_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::Exact, dbl, n, d);
}
bool FRINTI_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    return round(t, RoundMode::Current, dbl, n, d);
}
bool FMUL_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FMul, dbl, m, n, d);
}
bool FDIV_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FDiv, dbl, m, n, d);
}
bool FADD_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FAdd, dbl, m, n, d);
}
bool FSUB_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FSub, dbl, m, n, d);
}
bool FMAX_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FMax, dbl, m, n, d);
}
bool FMIN_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FMin, dbl, m, n, d);
}
bool FMAXNM_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FMaxNum, dbl, m, n, d);
}
bool FMINNM_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return binary(t, Op::FMinNum, dbl, m, n, d);
}
bool FNMUL_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d) {
    return scalar_fp(t, dbl, d, [&](const Scalar& o) { return o(Op::FNeg, {o(Op::FMul, {o[n], o[m]})}); });
}
bool FMADD_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d) {
    return multiply_add(t, dbl, false, false, m, a, n, d);
}
bool FMSUB_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d) {
    return multiply_add(t, dbl, false, true, m, a, n, d);
}
bool FNMADD_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d) {
    return multiply_add(t, dbl, true, true, m, a, n, d);
}
bool FNMSUB_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d) {
    return multiply_add(t, dbl, true, false, m, a, n, d);
}
bool FMOV_float_imm(TranslationContext& t, bool dbl, Imm<8> imm, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VConst, Type::V128, {}, expand_fp_imm(dbl, imm), ir::vec_aux(3, false)));
}
bool FCMP_float(TranslationContext& t, bool dbl, Vec m, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, false, n, fp(t, dbl, m));
}
bool FCMP_zero_float(TranslationContext& t, bool dbl, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, false, n, zero(t));
}
bool FCMPE_float(TranslationContext& t, bool dbl, Vec m, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, true, n, fp(t, dbl, m));
}
bool FCMPE_zero_float(TranslationContext& t, bool dbl, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, true, n, zero(t));
}
bool FCCMP_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv) {
    return conditional_compare(t, dbl, false, m, cond, n, nzcv);
}
bool FCCMPE_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv) {
    return conditional_compare(t, dbl, true, m, cond, n, nzcv);
}
bool FCSEL_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    if (always(cond)) return write(t, d, zext(t, dbl ? 3 : 2, fp(t, dbl, n)));
    return write(t, d, t.ir.select(fp_type(dbl), t.ir.cond(cond), fp(t, dbl, n), fp(t, dbl, m)));
}

}  // namespace arclight::frontend::a64::translate
