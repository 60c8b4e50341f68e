// Advanced SIMD arithmetic on complex numbers (ARM ARM C7.2.63, C7.2.65, FEAT_FCMA): elements with even numbers are real
// parts, those above them the imaginary ones.
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// The parts of complex numbers, and which of them to negate.
struct Complex {
    const Lanes& o;

    /// Real parts where the imaginary ones were, and the other way round.
    Ref swapped(Ref r) const {
        if (o.size == 3) return Lanes{o.t, 0, true}(Op::VExt, {r, r}, 8);
        return o(Op::VRev, {r}, 16u << o.size);
    }
    Ref real(Ref r) const { return o(Op::VTrn1, {r, r}); }
    Ref imaginary(Ref r) const { return o(Op::VTrn2, {r, r}); }
    Ref negated(Ref r, bool real_parts, bool imaginary_parts) const {
        if (!real_parts && !imaginary_parts) return r;
        if (real_parts && imaginary_parts) return change_sign(o.t, Op::VFNeg, o.size, o.q, r);
        const Lanes bits{o.t, 0, true};
        const Ref which = real_parts ? real_signs() : imaginary_signs();
        if ((o.t.translation_flags & translation_flag::kFpAlternative) == 0)
            return bits(Op::VXor, {r, which});
        // The signs of those that FNEG changes.
        const Ref all = change_sign(o.t, Op::VFNeg, o.size, true, r);
        return bits(Op::VBitSelect, {which, all, r});
    }

  private:
    Ref signs(uint64_t each, bool upper) const {
        return o.t.ir.emit(Op::VConst, Type::V128, {}, each, ir::vec_aux(3, upper));
    }
    Ref real_signs() const {
        static constexpr uint64_t kSigns[] = {0, 0x0000'8000'0000'8000, 0x8000'0000, uint64_t{1} << 63};
        return signs(kSigns[o.size], o.size != 3);
    }
    Ref imaginary_signs() const {
        static constexpr uint64_t kSigns[] = {0, 0x8000'0000'8000'0000, uint64_t{1} << 63, uint64_t{1} << 63};
        if (o.size != 3) return signs(kSigns[o.size], true);
        return Lanes{o.t, 3, true}(Op::VCombine, {signs(0, true), signs(kSigns[3], true)});
    }
};

bool allowed(const TranslationContext& t, unsigned size) {
    return size >= 2 || (size == 1 && t.decoder.features().has(Feature::Fp16Simd));
}

/// d + n * m turned by rot * 90 degrees: each instruction does half of a complex product.
Ref multiply_add(const Lanes& o, Ref d, Ref n, Ref m, unsigned rot) {
    const Complex c{o};
    const Ref factor = (rot & 1) != 0 ? c.imaginary(n) : c.real(n);
    const Ref turned = (rot & 1) != 0 ? c.swapped(m) : m;
    // Of m = a + bi: (a, b), (-b, a), (-a, -b), (b, -a).
    return o(Op::VFMulAdd, {d, factor, c.negated(turned, rot == 1 || rot == 2, rot == 2 || rot == 3)});
}
}  // namespace

/// n + m turned by 90 degrees, or by 270.
bool FCADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, bool rot, Vec n, Vec d) {
    if (!allowed(t, size)) return undefined(t);
    return vector_op(t, Q, size, kHS | kD, d, [&](const Lanes& o) {
        const Complex c{o};
        return o(Op::VFAdd, {o[n], c.negated(c.swapped(o[m]), !rot, rot)});
    });
}

bool FCMLA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Imm<2> rot, Vec n, Vec d) {
    if (!allowed(t, size)) return undefined(t);
    return vector_op(t, Q, size, kHS | kD, d,
                     [&](const Lanes& o) { return multiply_add(o, o[d], o[n], o[m], rot); });
}

bool FCMLA_element(TranslationContext& t, bool Q, Imm<2> size, bool l, bool m_bit, Imm<4> m, Imm<2> rot,
                   bool h, Vec n, Vec d) {
    if (!allowed(t, size)) return undefined(t);
    // A pair of halves is numbered by H:L, of singles by H; half a register has as many pairs as the operand.
    if (size == 1 ? h && !Q : l || !Q) return undefined(t);
    const Element pair = {element_s(l, m_bit, m, h).m,
                          size == 1 ? unsigned{h} << 1 | unsigned{l} : unsigned{h}};
    return vector_op(t, Q, size, kHS, d, [&](const Lanes& o) {
        return multiply_add(o, o[d], o[n], all_lanes(o.wide(), pair), rot);
    });
}

}  // namespace arclight::frontend::a64::translate
