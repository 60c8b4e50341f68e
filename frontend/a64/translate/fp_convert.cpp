// Scalar floating point: conversions, and moves to and from general registers (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool convert(TranslationContext& t, Op op, Type to, Ref value, Vec d) {
    return write(t, d, t.ir.emit(op, to, {value}));
}

bool to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, bool dbl, Vec n, Reg d,
            unsigned fraction = 0) {
    if (!check_fp_enabled(t)) return false;
    // The conversion happens, and may raise flags, even if its result goes nowhere.
    const Ref value = t.ir.emit(op, int_type(sf), {fp(t, dbl, n)}, fraction, to_int_aux(mode, dbl));
    set_x(t, d, value);
    return true;
}
bool from_int(TranslationContext& t, Op op, bool sf, bool dbl, Reg n, Vec d, unsigned fraction = 0) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(op, fp_type(dbl), {x(t, n)}, fraction, int_width(sf)));
}
/// A 32-bit fixed-point number has at most 32 fraction bits.
constexpr bool reserved_scale(bool sf, Imm<6> scale) { return !sf && !scale.bit(5); }
}  // namespace

bool FCVT_single_to_double(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt32To64, Type::F64, fp(t, false, n), d);
}
bool FCVT_single_to_half(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt32To16, Type::V128, fp(t, false, n), d);
}
bool FCVT_double_to_single(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt64To32, Type::F32, fp(t, true, n), d);
}
bool FCVT_double_to_half(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt64To16, Type::V128, fp(t, true, n), d);
}
bool FCVT_half_to_single(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt16To32, Type::F32, fp(t, false, n), d);
}
bool FCVT_half_to_double(TranslationContext& t, Vec n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::FCvt16To64, Type::F64, fp(t, false, n), d);
}
bool FCVTNS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToSInt, RoundMode::TieEven, sf, dbl, n, d);
}
bool FCVTNU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToUInt, RoundMode::TieEven, sf, dbl, n, d);
}
bool FCVTAS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToSInt, RoundMode::TieAway, sf, dbl, n, d);
}
bool FCVTAU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToUInt, RoundMode::TieAway, sf, dbl, n, d);
}
bool FCVTPS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToSInt, RoundMode::Up, sf, dbl, n, d);
}
bool FCVTPU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToUInt, RoundMode::Up, sf, dbl, n, d);
}
bool FCVTMS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToSInt, RoundMode::Down, sf, dbl, n, d);
}
bool FCVTMU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToUInt, RoundMode::Down, sf, dbl, n, d);
}
bool FCVTZS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToSInt, RoundMode::Zero, sf, dbl, n, d);
}
bool FCVTZU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, Op::FToUInt, RoundMode::Zero, sf, dbl, n, d);
}
bool SCVTF_float_int(TranslationContext& t, bool sf, bool dbl, Reg n, Vec d) {
    return from_int(t, Op::SIntToF, sf, dbl, n, d);
}
bool UCVTF_float_int(TranslationContext& t, bool sf, bool dbl, Reg n, Vec d) {
    return from_int(t, Op::UIntToF, sf, dbl, n, d);
}
bool FMOV_single_to_gen(TranslationContext& t, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::FToInt, Type::I32, {fp(t, false, n)}));
    return true;
}
bool FMOV_double_to_gen(TranslationContext& t, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::FToInt, Type::I64, {fp(t, true, n)}));
    return true;
}
bool FMOV_upper_to_gen(TranslationContext& t, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::VExtractU, Type::I64, {v(t, n)}, 1, ir::vec_aux(3)));
    return true;
}
bool FMOV_gen_to_single(TranslationContext& t, Reg n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::IntToF, Type::F32, x(t, n), d);
}
bool FMOV_gen_to_double(TranslationContext& t, Reg n, Vec d) {
    return check_fp_enabled(t) && convert(t, Op::IntToF, Type::F64, x(t, n), d);
}
bool FMOV_gen_to_upper(TranslationContext& t, Reg n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VInsert, Type::V128, {v(t, d), x(t, n)}, 1, ir::vec_aux(3)));
}
bool SCVTF_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d) {
    return reserved_scale(sf, scale) ? undefined(t) : from_int(t, Op::SIntToF, sf, dbl, n, d, 64 - scale);
}
bool UCVTF_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d) {
    return reserved_scale(sf, scale) ? undefined(t) : from_int(t, Op::UIntToF, sf, dbl, n, d, 64 - scale);
}
bool FCVTZS_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d) {
    return reserved_scale(sf, scale) ? undefined(t)
                                     : to_int(t, Op::FToSInt, RoundMode::Zero, sf, dbl, n, d, 64 - scale);
}
bool FCVTZU_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d) {
    return reserved_scale(sf, scale) ? undefined(t)
                                     : to_int(t, Op::FToUInt, RoundMode::Zero, sf, dbl, n, d, 64 - scale);
}

}  // namespace arclight::frontend::a64::translate
