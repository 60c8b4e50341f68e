// Half precision, scalar floating point (ARM ARM C4.1.96, FEAT_FP16).
#include "frontend/a64/translate/half_common.h"

namespace arclight::frontend::a64::translate {

namespace {
constexpr unsigned kSize = 1;
constexpr uint32_t compare_aux(bool signalling) { return kSize | (signalling ? 16u : 0u); }
bool compare(TranslationContext& t, bool signalling, Vec n, Ref second) {
    t.ir.set_flags(t.ir.emit(Op::FCmp, Type::Flags, {v(t, n), second}, 0, compare_aux(signalling)));
    return true;
}
/// Conditions 14 and 15 both mean always.
constexpr bool always(Imm<4> cond) { return cond >= 14; }
/// A 32-bit fixed-point number has at most 32 fraction bits.
constexpr bool reserved_scale(bool sf, Imm<6> scale) { return !sf && !scale.bit(5); }

bool to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, Vec n, Reg d, unsigned fraction) {
    if (!check_fp_enabled(t)) return false;
    const uint32_t aux = static_cast<uint32_t>(mode) | kSize << 4;
    // As everywhere: it may raise flags even if its result goes nowhere.
    const Ref value = t.ir.emit(op, int_type(sf), {v(t, n)}, fraction, aux);
    set_x(t, d, value);
    return true;
}
bool from_int(TranslationContext& t, Op op, bool sf, Reg n, Vec d, unsigned fraction) {
    if (!check_fp_enabled(t)) return false;
    return write_scalar(t, kSize, d, d, t.ir.emit(op, Type::V128, {x(t, n)}, fraction, int_width(sf)));
}
}  // namespace

bool half_unary(TranslationContext& t, Op op, Vec n, Vec d) {
    return half_scalar(t, d, d, [&](const HalfScalar& o) { return half_unary_scalar(o, op, o[n]); });
}

bool half_binary(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return half_scalar(t, n, d, [&](const HalfScalar& o) { return o(op, {o[n], o[m]}); });
}

/// then(n op m)
bool half_binary_then(TranslationContext& t, Op op, Op then, Vec m, Vec n, Vec d) {
    return half_scalar(t, n, d, [&](const HalfScalar& o) {
        return half_unary_scalar(o, then, o(op, {o[n], o[m]}));
    });
}

bool half_round(TranslationContext& t, RoundMode mode, Vec n, Vec d) {
    return half_scalar(
        t, d, d, [&](const HalfScalar& o) { return o(Op::VFRint, {o[n]}, static_cast<uint64_t>(mode)); });
}

bool half_multiply_add(TranslationContext& t, bool negate_addend, bool negate_product, Vec m, Vec a, Vec n,
                       Vec d) {
    return half_scalar(t, a, d, [&](const HalfScalar& o) {
        const Ref addend = negate_addend ? half_unary_scalar(o, Op::VFNeg, o[a]) : o[a];
        const Ref factor = negate_product ? half_unary_scalar(o, Op::VFNeg, o[n]) : o[n];
        return o(Op::VFMulAdd, {addend, factor, o[m]});
    });
}

bool half_compare(TranslationContext& t, bool signalling, Vec m, Vec n) {
    return check_fp_enabled(t) && compare(t, signalling, n, v(t, m));
}

bool half_compare_zero(TranslationContext& t, bool signalling, Vec n) {
    return check_fp_enabled(t) && compare(t, signalling, n, zero(t));
}

bool half_conditional_compare(TranslationContext& t, bool signalling, Vec m, Imm<4> cond, Vec n,
                              Imm<4> nzcv) {
    if (!check_fp_enabled(t)) return false;
    if (always(cond)) return compare(t, signalling, n, v(t, m));
    t.ir.set_flags(t.ir.emit(Op::FCondCompare, Type::Flags, {t.ir.cond(cond), v(t, n), v(t, m)}, nzcv,
                             compare_aux(signalling)));
    return true;
}

bool half_to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, Vec n, Reg d) {
    return to_int(t, op, mode, sf, n, d, 0);
}

bool half_from_int(TranslationContext& t, Op op, bool sf, Reg n, Vec d) {
    return from_int(t, op, sf, n, d, 0);
}

bool half_to_fixed_point(TranslationContext& t, Op op, bool sf, Imm<6> scale, Vec n, Reg d) {
    return reserved_scale(sf, scale) ? undefined(t) : to_int(t, op, RoundMode::Zero, sf, n, d, 64 - scale);
}

bool half_from_fixed_point(TranslationContext& t, Op op, bool sf, Imm<6> scale, Reg n, Vec d) {
    return reserved_scale(sf, scale) ? undefined(t) : from_int(t, op, sf, n, d, 64 - scale);
}

bool FMOV_half(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && write(t, d, zext(t, kSize, v(t, n)));
}
bool FMOV_half_imm(TranslationContext& t, Imm<8> imm, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VConst, Type::V128, {}, expand_half_imm(imm), ir::vec_aux(3, false)));
}
bool FMOV_half_to_gen(TranslationContext& t, bool sf, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::VExtractU, int_type(sf), {v(t, n)}, 0, ir::vec_aux(kSize)));
    return true;
}
bool FMOV_gen_to_half(TranslationContext& t, [[maybe_unused]] bool sf, Reg n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, kSize, t.ir.emit(Op::VDup, Type::V128, {x(t, n)}, 0, ir::vec_aux(kSize))));
}
bool FCSEL_half(TranslationContext& t, Vec m, Imm<4> cond, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref chosen = always(cond) ? v(t, n) : t.ir.select(Type::V128, t.ir.cond(cond), v(t, n), v(t, m));
    return write(t, d, zext(t, kSize, chosen));
}

}  // namespace arclight::frontend::a64::translate
