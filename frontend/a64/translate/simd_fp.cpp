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
bool unary(TranslationContext& t, Op op, bool q, bool sz, Vec n, Vec d, uint64_t imm) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) { return o(op, {o[n]}, imm); });
}
}  // namespace

Ref change_sign(TranslationContext& t, Op op, unsigned size, bool q, Ref value) {
    const Lanes o{t, size, q};
    const Ref changed = o(op, {value});
    if ((t.translation_flags & translation_flag::kFpAlternative) == 0) return changed;
    constexpr uint64_t kInfinities[] = {0, 0x7c00'7c00'7c00'7c00, 0x7f80'0000'7f80'0000,
                                        0x7ff0'0000'0000'0000};
    const Ref infinity = t.ir.emit(Op::VConst, Type::V128, {}, kInfinities[size], ir::vec_aux(3));
    return o(Op::VBitSelect, {o(Op::VCmpGtU, {o(Op::VFAbs, {value}), infinity}), value, changed});
}

bool fp_lanes_unary(TranslationContext& t, Op op, bool q, bool sz, Vec n, Vec d) {
    if (op != Op::VFNeg && op != Op::VFAbs) return unary(t, op, q, sz, n, d, estimate_imm(t, op));
    return fp_vector(t, q, sz, d, [&](const Lanes& o) { return change_sign(t, op, o.size, q, o[n]); });
}

bool fp_lanes_binary(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}

bool fp_lanes_compare_absolute(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) {
        return o(op, {o(Op::VFAbs, {o[n]}), o(Op::VFAbs, {o[m]})});
    });
}

/// n op 0, or with `swapped` 0 op n: less than is greater than with the operands exchanged.
bool fp_lanes_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, bool sz, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}

bool fp_lanes_round(TranslationContext& t, RoundMode mode, bool q, bool sz, Vec n, Vec d) {
    return unary(t, Op::VFRint, q, sz, n, d, static_cast<uint64_t>(mode));
}

/// FRINT32X and the like, to what an integer of `bits` holds.
bool fp_lanes_round_within(TranslationContext& t, RoundMode mode, unsigned bits, bool q, bool sz, Vec n,
                           Vec d) {
    return unary(t, Op::VFRintWithin, q, sz, n, d, static_cast<uint64_t>(mode) | bits << 8);
}

bool fp_lanes_to_int(TranslationContext& t, Op op, RoundMode mode, bool q, bool sz, Vec n, Vec d) {
    return unary(t, op, q, sz, n, d, static_cast<uint64_t>(mode));
}

/// FMLA, or with `negate` FMLS.
bool fp_lanes_multiply_add(TranslationContext& t, bool negate, bool q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, q, sz, d, [&](const Lanes& o) {
        return o(Op::VFMulAdd, {o[d], negate ? change_sign(t, Op::VFNeg, o.size, q, o[n]) : o[n], o[m]});
    });
}

/// URECPE and URSQRTE exist for 2S and 4S only.
bool fixed_point_estimate(TranslationContext& t, Op op, bool q, Vec n, Vec d) {
    return vector_op(t, q, 2, kS, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}

/// FMAXV and the like exist for 4S only (and half precision).
bool fp_across_lanes(TranslationContext& t, Op op, Vec n, Vec d) {
    return vector_op(t, true, 2, kS, d, [&](const Lanes& o) { return zext(t, 2, o(op, {o[n]})); });
}

bool FABD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d) {
    return fp_vector(t, Q, sz, d, [&](const Lanes& o) {
        return change_sign(t, Op::VFAbs, o.size, Q, o(Op::VFSub, {o[n], o[m]}));
    });
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

}  // namespace arclight::frontend::a64::translate
