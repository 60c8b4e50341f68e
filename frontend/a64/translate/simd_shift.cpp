// Advanced SIMD shift by immediate, vector and scalar (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// immh:immb. The highest set bit of immh gives the element size; a right shift counts down from twice the
/// element size, a left shift up from the element size. For narrowing and widening shifts it is the narrow
/// element.
struct ShiftImm {
    unsigned size, right, left;
};
constexpr bool shift_reserved(Imm<4> immh) { return immh == 0; }
constexpr ShiftImm shift_imm(Imm<4> immh, Imm<3> immb) {
    const unsigned size = static_cast<unsigned>(std::bit_width(immh.value)) - 1, value = immh << 3 | immb;
    return {size, (16u << size) - value, value - (8u << size)};
}
}  // namespace

/// A right shift of n; with `accumulate` added to d.
bool shift_right(TranslationContext& t, Op op, bool accumulate, bool q, Imm<4> immh, Imm<3> immb, Vec n,
                 Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return vector_op(t, q, shift.size, kBHSD, d, [&](const Lanes& o) {
        const Ref shifted = o(op, {o[n]}, shift.right);
        return accumulate ? o(Op::VAdd, {o[d], shifted}) : shifted;
    });
}

bool shift_left(TranslationContext& t, Op op, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return vector_op(t, q, shift.size, kBHSD, d, [&](const Lanes& o) { return o(op, {o[n]}, shift.left); });
}

/// SRI, or with `right` false SLI: the bits that the shift leaves free keep those of d.
bool shift_insert(TranslationContext& t, Op op, bool right, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return vector_op(t, q, shift.size, kBHSD, d, [&](const Lanes& o) {
        return o(op, {o[d], o[n]}, right ? shift.right : shift.left);
    });
}

/// The wide elements shifted right by `shift_op`, then narrowed by `narrow_op`.
bool shift_right_narrow(TranslationContext& t, Op shift_op, Op narrow_op, bool q, Imm<4> immh, Imm<3> immb,
                        Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return narrowing_op(t, q, shift.size, kBHS, d, [&](const Lanes& o) {
        return o(narrow_op, {o.wide()(shift_op, {o[n]}, shift.right)});
    });
}

bool shift_left_long(TranslationContext& t, Op widen, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return widening_op(t, shift.size, kBHS, d, [&](const Lanes& o) {
        const Ref wide = o(widen, {half(t, q, n)});
        return shift.left == 0 ? wide : o.wide()(Op::VShlImm, {wide}, shift.left);
    });
}

bool fixed_point_convert(TranslationContext& t, Op op, bool to_int, bool q, Imm<4> immh, Imm<3> immb, Vec n,
                         Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    const uint64_t imm = to_int ? static_cast<uint64_t>(RoundMode::Zero) | shift.right << 8 : shift.right;
    return vector_op(t, q, shift.size, kS | kD, d, [&](const Lanes& o) { return o(op, {o[n]}, imm); });
}

// ---- scalar; `imm` is immh:immb with immh<3> set, the only form that shifts without saturating have
bool scalar_shift_right(TranslationContext& t, Op op, bool accumulate, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) {
        const Ref shifted = o(op, {o[n]}, 64 - imm);
        return accumulate ? o(Op::VAdd, {o[d], shifted}) : shifted;
    });
}

bool scalar_shift_insert(TranslationContext& t, Op op, bool right, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) {
        return o(op, {o[d], o[n]}, right ? 64 - imm : uint32_t{imm});
    });
}

bool scalar_shift_left_saturating(TranslationContext& t, Op op, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return scalar_sat(t, shift.size, kBHSD, d,
                      [&](const ScalarLanes& o) { return o(op, {o.in(n)}, shift.left); });
}

bool scalar_shift_right_narrow(TranslationContext& t, Op shift_op, Op narrow_op, Imm<4> immh, Imm<3> immb,
                               Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return scalar_sat(t, shift.size, kBHS, d, [&](const ScalarLanes& o) {
        return o(narrow_op, {o.wide()(shift_op, {zext(t, o.size + 1, o[n])}, shift.right)});
    });
}

/// Between a floating-point and a fixed-point number, both in the low lane.
bool scalar_fixed_point_convert(TranslationContext& t, Op op, bool to_int, Imm<4> immh, Imm<3> immb, Vec n,
                                Vec d) {
    if (immh < 4) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const ShiftImm shift = shift_imm(immh, immb);
    const bool dbl = shift.size == 3;
    if (to_int) {
        const Ref value =
            t.ir.emit(op, int_type(dbl), {fp(t, dbl, n)}, shift.right, to_int_aux(RoundMode::Zero, dbl));
        return write_scalar(t, shift.size, d, d, t.ir.emit(Op::IntToF, fp_type(dbl), {value}));
    }
    const Ref value = t.ir.emit(Op::FToInt, int_type(dbl), {fp(t, dbl, n)});
    return write_scalar(t, shift.size, d, d,
                        t.ir.emit(op, fp_type(dbl), {value}, shift.right, int_width(dbl)));
}

bool SHL_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VShlImm, {o[n]}, imm); });
}

}  // namespace arclight::frontend::a64::translate
