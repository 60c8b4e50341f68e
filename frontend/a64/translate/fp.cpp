// Scalar floating point: data processing, compare and select (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
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
}  // namespace

bool fp_unary(TranslationContext& t, Op op, bool dbl, Vec n, Vec d) {
    return scalar_fp(t, dbl, d, d, [&](const Scalar& o) { return unary_scalar(o, op, o[n]); });
}

bool fp_binary(TranslationContext& t, Op op, bool dbl, Vec m, Vec n, Vec d) {
    return scalar_fp(t, dbl, n, d, [&](const Scalar& o) { return o(op, {o[n], o[m]}); });
}

/// then(n op m)
bool fp_binary_then(TranslationContext& t, Op op, Op then, bool dbl, Vec m, Vec n, Vec d) {
    return scalar_fp(t, dbl, n, d, [&](const Scalar& o) {
        return unary_scalar(o, then, o(op, {o[n], o[m]}));
    });
}

bool fp_round(TranslationContext& t, RoundMode mode, bool dbl, Vec n, Vec d) {
    return scalar_fp(t, dbl, d, d,
                     [&](const Scalar& o) { return o(Op::FRint, {o[n]}, 0, static_cast<uint32_t>(mode)); });
}

/// FRINT32X and the like, to what an integer of `bits` holds.
bool fp_round_within(TranslationContext& t, RoundMode mode, unsigned bits, bool dbl, Vec n, Vec d) {
    const uint32_t aux = static_cast<uint32_t>(mode) | bits << 8;
    return scalar_fp(t, dbl, d, d, [&](const Scalar& o) { return o(Op::FRintWithin, {o[n]}, 0, aux); });
}

bool fp_multiply_add(TranslationContext& t, bool negate_addend, bool negate_product, bool dbl, Vec m, Vec a,
                     Vec n, Vec d) {
    return scalar_fp(t, dbl, a, d, [&](const Scalar& o) {
        const Ref addend = negate_addend ? unary_scalar(o, Op::FNeg, o[a]) : o[a];
        const Ref factor = negate_product ? unary_scalar(o, Op::FNeg, o[n]) : o[n];
        return o(Op::FMulAdd, {addend, factor, o[m]});
    });
}

bool fp_compare(TranslationContext& t, bool signalling, bool dbl, Vec m, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, signalling, n, fp(t, dbl, m));
}

bool fp_compare_zero(TranslationContext& t, bool signalling, bool dbl, Vec n) {
    return check_fp_enabled(t) && compare(t, dbl, signalling, n, zero(t));
}

bool fp_conditional_compare(TranslationContext& t, bool signalling, bool dbl, Vec m, Imm<4> cond, Vec n,
                            Imm<4> nzcv) {
    if (!check_fp_enabled(t)) return false;
    if (always(cond)) return compare(t, dbl, signalling, n, fp(t, dbl, m));
    t.ir.set_flags(t.ir.emit(Op::FCondCompare, Type::Flags, {t.ir.cond(cond), fp(t, dbl, n), fp(t, dbl, m)},
                             nzcv, compare_aux(dbl, signalling)));
    return true;
}

bool FMOV_float(TranslationContext& t, bool dbl, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, dbl ? 3 : 2, fp(t, dbl, n)));
}
bool FMOV_float_imm(TranslationContext& t, bool dbl, Imm<8> imm, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VConst, Type::V128, {}, expand_fp_imm(dbl, imm), ir::vec_aux(3, false)));
}
bool FCSEL_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    if (always(cond)) return write(t, d, zext(t, dbl ? 3 : 2, fp(t, dbl, n)));
    return write(t, d, t.ir.select(fp_type(dbl), t.ir.cond(cond), fp(t, dbl, n), fp(t, dbl, m)));
}

}  // namespace arclight::frontend::a64::translate
