// Half precision, Advanced SIMD (ARM ARM C4.1.96, FEAT_FP16).
#include "frontend/a64/translate/half_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// The elements of n and m with even numbers, combined with the odd ones.
Ref pairs(const Lanes& o, Op op, Ref n, Ref m) { return o(op, {o(Op::VUzp1, {n, m}), o(Op::VUzp2, {n, m})}); }
/// Of "h" forms the element is any of eight.
Ref element(TranslationContext& t, bool l, bool m_bit, Imm<4> m, bool h) {
    return all_lanes(Lanes{t, 1, true}, element_h(l, m_bit, m, h));
}
}  // namespace

// ---- lanes
bool half_lanes_unary(TranslationContext& t, Op op, bool q, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        return op == Op::VFNeg || op == Op::VFAbs ? change_sign(t, op, 1, q, o[n]) : o(op, {o[n]});
    });
}

bool half_lanes_binary(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}

bool half_lanes_pairwise(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) { return pairs(o, op, o[n], o[m]); });
}

bool half_lanes_compare_absolute(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        return o(op, {o(Op::VFAbs, {o[n]}), o(Op::VFAbs, {o[m]})});
    });
}

/// n op 0, or with `swapped` 0 op n.
bool half_lanes_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}

bool half_lanes_round(TranslationContext& t, RoundMode mode, bool q, Vec n, Vec d) {
    return half_vector(t, q, d,
                       [&](const Lanes& o) { return o(Op::VFRint, {o[n]}, static_cast<uint64_t>(mode)); });
}

bool half_lanes_to_int(TranslationContext& t, Op op, RoundMode mode, bool q, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) { return o(op, {o[n]}, static_cast<uint64_t>(mode)); });
}

/// FMLA, or with `negate` FMLS.
bool half_lanes_multiply_add(TranslationContext& t, bool negate, bool q, Vec m, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        return o(Op::VFMulAdd, {o[d], negate ? change_sign(t, Op::VFNeg, 1, q, o[n]) : o[n], o[m]});
    });
}

bool half_lanes_fixed_point(TranslationContext& t, Op op, bool to_int, bool q, Imm<4> imm, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) { return o(op, {o[n]}, fixed_point_imm(to_int, imm)); });
}

/// Reduce() of the pseudocode: pairs of neighbours, then pairs of those, which decides which NaN wins. Elements that
/// are combined twice have been so before.
bool half_across_lanes(TranslationContext& t, Op op, bool q, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        Ref value = o[n];
        for (unsigned left = q ? 8 : 4; left > 1; left /= 2) value = pairs(o, op, value, value);
        return zext(t, 1, value);
    });
}

bool half_by_element(TranslationContext& t, Op op, bool q, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                     Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) { return o(op, {o[n], element(t, l, m_bit, m, h)}); });
}

bool half_by_element_multiply_add(TranslationContext& t, bool negate, bool q, bool l, bool m_bit, Imm<4> m,
                                  bool h, Vec n, Vec d) {
    return half_vector(t, q, d, [&](const Lanes& o) {
        return o(Op::VFMulAdd,
                 {o[d], negate ? change_sign(t, Op::VFNeg, 1, q, o[n]) : o[n], element(t, l, m_bit, m, h)});
    });
}

bool FABD_vector_half(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    return half_vector(t, Q, d, [&](const Lanes& o) {
        return change_sign(t, Op::VFAbs, 1, Q, o(Op::VFSub, {o[n], o[m]}));
    });
}
bool FMOV_vector_imm_half(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const uint64_t lanes = expand_half_imm(concat(abc, defgh)) * 0x0001'0001'0001'0001;
    return write(t, d, t.ir.emit(Op::VConst, Type::V128, {}, lanes, ir::vec_aux(3, Q)));
}

// ---- scalar
/// n op m, or with `absolute` |n| op |m|.
bool half_scalar_compare(TranslationContext& t, Op op, bool absolute, Vec m, Vec n, Vec d) {
    return half_scalar(t, m, d, [&](const HalfScalar& o) {
        return absolute ? o(op, {o(Op::VFAbs, {o[n]}), o(Op::VFAbs, {o[m]})}) : o(op, {o[n], o[m]});
    });
}

/// FPCR.NEP is not about it, nor about what is pairwise.
bool half_scalar_compare_zero(TranslationContext& t, Op op, bool swapped, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const HalfScalar o{t};
    const Ref value = o[n], none = zero(t);
    return write(t, d, swapped ? o(op, {none, value}) : o(op, {value, none}));
}

bool half_scalar_to_int(TranslationContext& t, Op op, RoundMode mode, Vec n, Vec d) {
    return half_scalar(t, d, d,
                       [&](const HalfScalar& o) { return o(op, {o[n]}, static_cast<uint64_t>(mode)); });
}

bool half_scalar_fixed_point(TranslationContext& t, Op op, bool to_int, Imm<4> imm, Vec n, Vec d) {
    return half_scalar(t, d, d,
                       [&](const HalfScalar& o) { return o(op, {o[n]}, fixed_point_imm(to_int, imm)); });
}

bool half_scalar_pairwise(TranslationContext& t, Op op, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const HalfScalar o{t};
    return write(t, d, o(op, {o[n], Lanes{t, 1, true}(Op::VDupLane, {o[n]}, 1)}));
}

bool half_scalar_by_element(TranslationContext& t, Op op, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                            Vec d) {
    return half_scalar(t, n, d, [&](const HalfScalar& o) {
        return o(op, {o[n], element(t, l, m_bit, m, h)});
    });
}

bool half_scalar_by_element_multiply_add(TranslationContext& t, bool negate, bool l, bool m_bit, Imm<4> m,
                                         bool h, Vec n, Vec d) {
    return half_scalar(t, d, d, [&](const HalfScalar& o) {
        return o(Op::VFMulAdd, {o[d], negate ? change_sign(t, Op::VFNeg, 1, false, o[n]) : o[n],
                                element(t, l, m_bit, m, h)});
    });
}

}  // namespace arclight::frontend::a64::translate
