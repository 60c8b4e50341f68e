// Scalar floating point: conversions, and moves to and from general registers (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// A 32-bit fixed-point number has at most 32 fraction bits.
constexpr bool reserved_scale(bool sf, Imm<6> scale) { return !sf && !scale.bit(5); }

bool to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, bool dbl, Vec n, Reg d,
            unsigned fraction) {
    if (!check_fp_enabled(t)) return false;
    // The conversion happens, and may raise flags, even if its result goes nowhere.
    const Ref value = t.ir.emit(op, int_type(sf), {fp(t, dbl, n)}, fraction, to_int_aux(mode, dbl));
    set_x(t, d, value);
    return true;
}
bool from_int(TranslationContext& t, Op op, bool sf, bool dbl, Reg n, Vec d, unsigned fraction) {
    if (!check_fp_enabled(t)) return false;
    return write_scalar(t, dbl ? 3 : 2, d, d,
                        t.ir.emit(op, fp_type(dbl), {x(t, n)}, fraction, int_width(sf)));
}
}  // namespace

bool fp_change_precision(TranslationContext& t, Op op, Type to, bool from_double, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const unsigned size = to == Type::F64 ? 3 : to == Type::F32 ? 2 : 1;
    return write_scalar(t, size, d, d, t.ir.emit(op, to, {fp(t, from_double, n)}));
}

bool fp_to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, bool dbl, Vec n, Reg d) {
    return to_int(t, op, mode, sf, dbl, n, d, 0);
}

bool fp_from_int(TranslationContext& t, Op op, bool sf, bool dbl, Reg n, Vec d) {
    return from_int(t, op, sf, dbl, n, d, 0);
}

bool fp_to_fixed_point(TranslationContext& t, Op op, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d) {
    return reserved_scale(sf, scale) ? undefined(t)
                                     : to_int(t, op, RoundMode::Zero, sf, dbl, n, d, 64 - scale);
}

bool fp_from_fixed_point(TranslationContext& t, Op op, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d) {
    return reserved_scale(sf, scale) ? undefined(t) : from_int(t, op, sf, dbl, n, d, 64 - scale);
}

bool FJCVTZS_float_int(TranslationContext& t, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    const Ref value = t.ir.emit(Op::FToJavaScript, Type::I64, {fp(t, true, n)});
    // N, C and V become 0.
    const Ref z = t.ir.emit(Op::BitExtractU, Type::I64, {value}, 32 | 1 << 8);
    const Ref nzcv = t.ir.bin(Op::Shl, Type::I64, z, t.ir.i64(30));
    set_x(t, d, truncate(t, Type::I32, value));
    t.ir.set_flags(t.ir.emit(Op::FlagsFromNzcv, Type::Flags, {nzcv}));
    return true;
}

/// The bits of a single in Wd, or of a double in Xd.
bool fp_to_general(TranslationContext& t, bool dbl, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::FToInt, int_type(dbl), {fp(t, dbl, n)}));
    return true;
}

bool general_to_fp(TranslationContext& t, bool dbl, Reg n, Vec d) {
    return check_fp_enabled(t) && write(t, d, t.ir.emit(Op::IntToF, fp_type(dbl), {x(t, n)}));
}

bool FMOV_upper_to_gen(TranslationContext& t, Vec n, Reg d) {
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(Op::VExtractU, Type::I64, {v(t, n)}, 1, ir::vec_aux(3)));
    return true;
}
bool FMOV_gen_to_upper(TranslationContext& t, Reg n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VInsert, Type::V128, {v(t, d), x(t, n)}, 1, ir::vec_aux(3)));
}

}  // namespace arclight::frontend::a64::translate
