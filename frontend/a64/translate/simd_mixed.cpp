// Advanced SIMD products of narrow elements that are added to wider ones: FEAT_I8MM, FEAT_FHM, FEAT_BF16, but for what fits
// the families of dot products (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
constexpr unsigned kHalf = 1, kSingle = 2;

/// FMLAL, FMLSL: to the low end what the instruction reads of n, 32 or 64 bits.
Ref factors(TranslationContext& t, bool upper, bool q, Vec r) {
    if (!upper || q) return half(t, upper, r);
    return t.ir.emit(Op::VDupLane, Type::V128, {v(t, r)}, 1, ir::vec_aux(2));
}
template <typename Second>
bool multiply_add(TranslationContext& t, bool negate, bool upper, bool q, Vec n, Vec d, Second&& second) {
    return vector_op(t, q, kSingle, kS, d, [&](const Lanes& o) {
        Ref first = factors(t, upper, q, n);
        if (negate) first = change_sign(t, Op::VFNeg, kHalf, true, first);
        return o(Op::VFMulAddH, {o[d], first, second()});
    });
}

/// BFloat16 elements with even or odd numbers, as singles: they are the upper halves of those.
Ref bfloat_singles(const Lanes& o, bool odd, Ref r) {
    if (!odd) return o(Op::VShlImm, {r}, 16);
    const Ref mask = o.t.ir.emit(Op::VConst, Type::V128, {}, 0xffff'0000'ffff'0000, ir::vec_aux(3));
    return o(Op::VAnd, {r, mask});
}
/// All 128 bits take part; Q chooses the elements of n, and of m if that has as many.
template <typename Second>
bool bfloat_multiply_add(TranslationContext& t, bool odd, Vec n, Vec d, Second&& second) {
    return vector_op(t, true, kSingle, kS, d, [&](const Lanes& o) {
        return o(Op::VFMulAdd, {o[d], bfloat_singles(o, odd, o[n]), second(o)}, bfloat_imm(t));
    });
}
}  // namespace

bool matrix_multiply(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return vector_op(t, true, kSingle, kS, d, [&](const Lanes& o) { return o(op, {o[d], o[n], o[m]}); });
}

bool multiply_add_halves(TranslationContext& t, bool negate, bool upper, bool q, Vec m, Vec n, Vec d) {
    return multiply_add(t, negate, upper, q, n, d, [&] { return factors(t, upper, q, m); });
}

bool multiply_add_halves_by_element(TranslationContext& t, bool negate, bool upper, bool q, bool l,
                                    bool m_bit, Imm<4> m, bool h, Vec n, Vec d) {
    return multiply_add(t, negate, upper, q, n, d, [&] {
        return all_lanes(Lanes{t, kHalf, true}, element_h(l, m_bit, m, h));
    });
}

/// The signed bytes are n's.
bool SUDOT_element(TranslationContext& t, bool Q, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d) {
    return vector_op(t, Q, kSingle, kS, d, [&](const Lanes& o) {
        return o(Op::VUSDot, {o[d], all_lanes(o, element_s(l, m_bit, m, h)), o[n]});
    });
}

bool BFMLAL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return bfloat_multiply_add(t, Q, n, d, [&](const Lanes& o) { return bfloat_singles(o, Q, o[m]); });
}

bool BFMLAL_element(TranslationContext& t, bool Q, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d) {
    return bfloat_multiply_add(t, Q, n, d, [&](const Lanes& o) {
        const Ref element = all_lanes(Lanes{t, kHalf, true}, element_h(l, m_bit, m, h));
        return bfloat_singles(o, true, element);
    });
}

bool BFCVTN_vector(TranslationContext& t, bool Q, Vec n, Vec d) {
    return narrowing_op(t, Q, kHalf, kH, d, [&](const Lanes& o) { return o(Op::VBfCvtN, {o[n]}); });
}

/// As the lowest of four, of which the others are zero.
bool BFCVT_float(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write_scalar(t, kHalf, d, d,
                        Lanes{t, kHalf, true}(Op::VBfCvtN, {zext(t, kSingle, fp(t, false, n))}));
}

}  // namespace arclight::frontend::a64::translate
