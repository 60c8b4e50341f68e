// Shared by the handlers of half precision.
#pragma once

#include "frontend/a64/translate/handlers_half.h"
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

/// Emits operations on lane 0, as halves. Operands may have anything above it.
struct HalfScalar {
    TranslationContext& t;

    Ref operator()(Op op, std::initializer_list<Ref> args, uint64_t imm = 0) const {
        return t.ir.emit(op, Type::V128, args, imm, ir::vec_aux(1, false) | ir::kVecScalar);
    }
    Ref operator[](Vec r) const { return v(t, r); }
};
inline Ref half_unary_scalar(const HalfScalar& o, Op op, Ref value) {
    return op == Op::VFNeg || op == Op::VFAbs ? change_sign(o.t, op, 1, false, value) : o(op, {value});
}
/// A scalar operation: all lanes but the lowest become zero, which FNeg and FAbs do not do by themselves; or with FPCR.NEP those of `rest`.
template <typename Emit>
bool half_scalar(TranslationContext& t, Vec rest, Vec d, Emit&& emit) {
    if (!check_fp_enabled(t)) return false;
    const Ref result = emit(HalfScalar{t});
    const Op op = t.ir.block()[result].op;
    const bool whole = op == Op::VFNeg || op == Op::VFAbs || op == Op::VBitSelect;
    return write_scalar(t, 1, rest, d, whole ? zext(t, 1, result) : result);
}
/// 4H or 8H.
template <typename Emit>
bool half_vector(TranslationContext& t, bool q, Vec d, Emit&& emit) {
    return vector_op(t, q, 1, kH, d, emit);
}

/// fbits of a conversion whose immh:immb is 001:imm.
constexpr uint64_t fraction_bits(Imm<4> imm) { return 16 - imm; }
/// Inst::imm of VFToSInt, VFToUInt, VSIntToF and VUIntToF.
constexpr uint64_t fixed_point_imm(bool to_int, Imm<4> imm) {
    return to_int ? static_cast<uint64_t>(RoundMode::Zero) | fraction_bits(imm) << 8 : fraction_bits(imm);
}
constexpr uint64_t expand_half_imm(uint32_t imm8) {
    const uint64_t sign = imm8 >> 7 & 1, b = imm8 >> 6 & 1, low = imm8 & 0x3f;
    return sign << 15 | (b ^ 1) << 14 | (b ? uint64_t{3} : 0) << 12 | low << 6;
}

}  // namespace arclight::frontend::a64::translate
