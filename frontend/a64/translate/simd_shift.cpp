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
bool convert(TranslationContext& t, Op op, bool to_int, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
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
bool scalar_shift_left_sat(TranslationContext& t, Op op, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
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
bool scalar_convert(TranslationContext& t, Op op, bool to_int, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (immh < 4) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const ShiftImm shift = shift_imm(immh, immb);
    const bool dbl = shift.size == 3;
    if (to_int) {
        const Ref value =
            t.ir.emit(op, int_type(dbl), {fp(t, dbl, n)}, shift.right, to_int_aux(RoundMode::Zero, dbl));
        return write(t, d, t.ir.emit(Op::IntToF, fp_type(dbl), {value}));
    }
    const Ref value = t.ir.emit(Op::FToInt, int_type(dbl), {fp(t, dbl, n)});
    return write(t, d, t.ir.emit(op, fp_type(dbl), {value}, shift.right, int_width(dbl)));
}
}  // namespace

bool SSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VShrSImm, false, Q, immh, immb, n, d);
}
bool SSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VShrSImm, true, Q, immh, immb, n, d);
}
bool SRSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VRShrSImm, false, Q, immh, immb, n, d);
}
bool SRSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VRShrSImm, true, Q, immh, immb, n, d);
}
bool USHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VShrUImm, false, Q, immh, immb, n, d);
}
bool USRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VShrUImm, true, Q, immh, immb, n, d);
}
bool URSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VRShrUImm, false, Q, immh, immb, n, d);
}
bool URSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right(t, Op::VRShrUImm, true, Q, immh, immb, n, d);
}
bool SHL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left(t, Op::VShlImm, Q, immh, immb, n, d);
}
bool SQSHL_imm_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left(t, Op::VQShlSImm, Q, immh, immb, n, d);
}
bool UQSHL_imm_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left(t, Op::VQShlUImm, Q, immh, immb, n, d);
}
bool SQSHLU_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left(t, Op::VQShluImm, Q, immh, immb, n, d);
}
bool SRI_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return vector_op(t, Q, shift.size, kBHSD, d, [&](const Lanes& o) {
        return o(Op::VSriImm, {o[d], o[n]}, shift.right);
    });
}
bool SLI_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    if (shift_reserved(immh)) return undefined(t);
    const ShiftImm shift = shift_imm(immh, immb);
    return vector_op(t, Q, shift.size, kBHSD, d, [&](const Lanes& o) {
        return o(Op::VSliImm, {o[d], o[n]}, shift.left);
    });
}
bool SHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VShrUImm, Op::VXtn, Q, immh, immb, n, d);
}
bool RSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VRShrUImm, Op::VXtn, Q, immh, immb, n, d);
}
bool SQSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VShrSImm, Op::VQXtnS, Q, immh, immb, n, d);
}
bool SQRSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VRShrSImm, Op::VQXtnS, Q, immh, immb, n, d);
}
bool SQSHRUN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VShrSImm, Op::VQXtun, Q, immh, immb, n, d);
}
bool SQRSHRUN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VRShrSImm, Op::VQXtun, Q, immh, immb, n, d);
}
bool UQSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VShrUImm, Op::VQXtnU, Q, immh, immb, n, d);
}
bool UQRSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_right_narrow(t, Op::VRShrUImm, Op::VQXtnU, Q, immh, immb, n, d);
}
bool SSHLL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left_long(t, Op::VSxtl, Q, immh, immb, n, d);
}
bool USHLL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return shift_left_long(t, Op::VUxtl, Q, immh, immb, n, d);
}
bool SCVTF_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return convert(t, Op::VSIntToF, false, Q, immh, immb, n, d);
}
bool FCVTZS_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return convert(t, Op::VFToSInt, true, Q, immh, immb, n, d);
}
bool UCVTF_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return convert(t, Op::VUIntToF, false, Q, immh, immb, n, d);
}
bool FCVTZU_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return convert(t, Op::VFToUInt, true, Q, immh, immb, n, d);
}
bool SSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VShrSImm, false, imm, n, d);
}
bool SSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VShrSImm, true, imm, n, d);
}
bool SRSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VRShrSImm, false, imm, n, d);
}
bool SRSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VRShrSImm, true, imm, n, d);
}
bool USHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VShrUImm, false, imm, n, d);
}
bool USRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VShrUImm, true, imm, n, d);
}
bool URSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VRShrUImm, false, imm, n, d);
}
bool URSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_shift_right(t, Op::VRShrUImm, true, imm, n, d);
}
bool SHL_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VShlImm, {o[n]}, imm); });
}
bool SRI_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VSriImm, {o[d], o[n]}, 64 - imm); });
}
bool SLI_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VSliImm, {o[d], o[n]}, imm); });
}
bool SQSHL_imm_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_left_sat(t, Op::VQShlSImm, immh, immb, n, d);
}
bool UQSHL_imm_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_left_sat(t, Op::VQShlUImm, immh, immb, n, d);
}
bool SQSHLU_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_left_sat(t, Op::VQShluImm, immh, immb, n, d);
}
bool SQSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VShrSImm, Op::VQXtnS, immh, immb, n, d);
}
bool SQRSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VRShrSImm, Op::VQXtnS, immh, immb, n, d);
}
bool SQSHRUN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VShrSImm, Op::VQXtun, immh, immb, n, d);
}
bool SQRSHRUN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VRShrSImm, Op::VQXtun, immh, immb, n, d);
}
bool UQSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VShrUImm, Op::VQXtnU, immh, immb, n, d);
}
bool UQRSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_shift_right_narrow(t, Op::VRShrUImm, Op::VQXtnU, immh, immb, n, d);
}
bool SCVTF_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_convert(t, Op::SIntToF, false, immh, immb, n, d);
}
bool FCVTZS_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_convert(t, Op::FToSInt, true, immh, immb, n, d);
}
bool UCVTF_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_convert(t, Op::UIntToF, false, immh, immb, n, d);
}
bool FCVTZU_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d) {
    return scalar_convert(t, Op::FToUInt, true, immh, immb, n, d);
}

}  // namespace arclight::frontend::a64::translate
