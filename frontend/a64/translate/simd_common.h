// Shared by the handlers of scalar floating point and Advanced SIMD.
//
// Every handler first rejects reserved encodings, then checks that FP is enabled, then emits. The templates
// below keep that order: they take the allowed element sizes and a function that emits the result.
#pragma once

#include <bit>

#include "frontend/a64/scalable/immediates.h"
#include "frontend/a64/translate/handlers_simd.h"

namespace arclight::frontend::a64::translate {

// ---- register access
inline Ref v(TranslationContext& t, Vec r) { return t.ir.get_v(Type::V128, index(r)); }
/// The low lane as a scalar; `dbl` chooses F64.
constexpr Type fp_type(bool dbl) { return dbl ? Type::F64 : Type::F32; }
inline Ref fp(TranslationContext& t, bool dbl, Vec r) { return t.ir.get_v(fp_type(dbl), index(r)); }
inline bool write(TranslationContext& t, Vec d, Ref value) {
    t.ir.set_v(index(d), value);
    return true;
}

/// The lowest element of 8 << size bits, all above it zero.
inline Ref zext(TranslationContext& t, unsigned size, Ref value) {
    constexpr Op ops[] = {Op::VZext8, Op::VZext16, Op::VZext32, Op::VZext64};
    return t.ir.emit(ops[size], Type::V128, {value});
}
inline Ref zero(TranslationContext& t) { return t.ir.emit(Op::VConst, Type::V128, {}, 0, ir::vec_aux(3)); }

// ---- FEAT_AFP
/// The result of a scalar operation, an element of 8 << size bits with zeros above it: with FPCR.NEP what is above it is that of `rest`.
inline bool write_scalar(TranslationContext& t, unsigned size, Vec rest, Vec d, Ref value) {
    if ((t.translation_flags & translation_flag::kFpMerges) == 0) return write(t, d, value);
    return write(
        t, d,
        t.ir.emit(Op::VInsertLane, Type::V128, {v(t, rest), zext(t, size, value)}, 0, ir::vec_aux(size)));
}
/// VFNeg or VFAbs of elements of 8 << size bits; with FPCR.AH NaNs stay as they are.
Ref change_sign(TranslationContext& t, Op op, unsigned size, bool q, Ref value);

/// Inst::imm of the estimates, 0 of others: FEAT_RPRES.
inline uint64_t estimate_imm(const TranslationContext& t, Op op) {
    const bool estimate =
        op == Op::FRecpEst || op == Op::FRsqrtEst || op == Op::VFRecpEst || op == Op::VFRsqrtEst;
    return estimate && (t.translation_flags & translation_flag::kFpAlternative) != 0 &&
           t.decoder.features().has(Feature::Rpres);
}
/// The same of BFMLALB and BFMLALT.
inline uint64_t bfloat_imm(const TranslationContext& t) {
    return (t.translation_flags & translation_flag::kFpAlternative) != 0;
}

// ---- element sizes that an encoding allows (kB to kD)
constexpr bool size_allowed(unsigned sizes, unsigned size) { return (sizes >> size & 1) != 0; }

/// Emits vector operations of one arrangement.
struct Lanes {
    TranslationContext& t;
    unsigned size;  ///< elements of 8 << size bits
    bool q;         ///< 128-bit; else only the low half may raise flags

    Ref operator()(Op op, std::initializer_list<Ref> args, uint64_t imm = 0) const {
        return t.ir.emit(op, Type::V128, args, imm, ir::vec_aux(size, q));
    }
    /// The same with elements twice or half as wide, on all of the 128 bits: widening operations make 128
    /// bits from one half, narrowing ones take 128 bits.
    Lanes wide() const { return {t, size + 1, true}; }
    Lanes full() const { return {t, size, true}; }
    Ref operator[](Vec r) const { return v(t, r); }
};

/// A vector operation: `emit(Lanes)` gives the result, whose upper half is cleared for a 64-bit arrangement.
template <typename Emit>
bool vector_op(TranslationContext& t, bool q, unsigned size, unsigned sizes, Vec d, Emit&& emit) {
    // The arrangement 1D does not exist.
    if (!size_allowed(sizes, size) || (size == 3 && !q)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref result = emit(Lanes{t, size, q});
    return write(t, d, q ? result : zext(t, 3, result));
}

/// The half of a register that a widening instruction reads: the upper for the "2" forms.
inline Ref half(TranslationContext& t, bool upper, Vec r) {
    return upper ? t.ir.emit(Op::VHighToLow, Type::V128, {v(t, r)}) : v(t, r);
}

/// A widening or wide operation: reads halves, writes 128 bits; `size` is that of the narrow elements.
template <typename Emit>
bool widening_op(TranslationContext& t, unsigned size, unsigned sizes, Vec d, Emit&& emit) {
    if (!size_allowed(sizes, size)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, emit(Lanes{t, size, true}));
}

/// A narrowing operation: 128 bits to one half; the "2" form keeps the lower half of the destination.
template <typename Emit>
bool narrowing_op(TranslationContext& t, bool upper, unsigned size, unsigned sizes, Vec d, Emit&& emit) {
    return widening_op(t, size, sizes, d, [&](const Lanes& o) {
        const Ref narrow = emit(o);
        return upper ? o(Op::VCombine, {o[d], narrow}) : narrow;
    });
}

/// A scalar operation on doublewords without FPSR effects.
template <typename Emit>
bool scalar_d(TranslationContext& t, Vec d, Emit&& emit) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, 3, emit(Lanes{t, 3, false})));
}

/// A scalar integer operation that may saturate: the operands' elements above the lowest must not raise QC,
/// so the inputs come zero-extended (`in`). All these operations give zero for zeros, so the result is right
/// as it is.
struct ScalarLanes : Lanes {
    Ref in(Vec r) const { return zext(t, size, v(t, r)); }
};
template <typename Emit>
bool scalar_sat(TranslationContext& t, unsigned size, unsigned sizes, Vec d, Emit&& emit) {
    if (!size_allowed(sizes, size)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, emit(ScalarLanes{{t, size, true}}));
}

/// A scalar floating-point operation.
struct Scalar {
    TranslationContext& t;
    bool dbl;

    Ref operator()(Op op, std::initializer_list<Ref> args, uint64_t imm = 0, uint32_t aux = 0) const {
        return t.ir.emit(op, fp_type(dbl), args, imm, aux);
    }
    Ref operator[](Vec r) const { return fp(t, dbl, r); }
};
/// `rest`: the register whose upper elements FPCR.NEP keeps.
template <typename Emit>
bool scalar_fp(TranslationContext& t, bool dbl, Vec rest, Vec d, Emit&& emit) {
    if (!check_fp_enabled(t)) return false;
    return write_scalar(t, dbl ? 3 : 2, rest, d, emit(Scalar{t, dbl}));
}
/// FNeg, FAbs and the estimates are not as others with FPCR.AH.
inline Ref unary_scalar(const Scalar& o, Op op, Ref value) {
    if ((o.t.translation_flags & translation_flag::kFpAlternative) == 0) return o(op, {value});
    if (op != Op::FNeg && op != Op::FAbs) return o(op, {value}, estimate_imm(o.t, op));
    const unsigned size = o.dbl ? 3 : 2;
    const Op lanes = op == Op::FNeg ? Op::VFNeg : Op::VFAbs;
    return zext(o.t, size, change_sign(o.t, lanes, size, false, zext(o.t, size, value)));
}

/// The lane an "indexed element" instruction names.
struct Element {
    Vec m;
    unsigned lane;
};
constexpr Element element_h(bool l, bool m_bit, Imm<4> m, bool h) {
    return {static_cast<Vec>(m.value), unsigned{h} << 2 | unsigned{l} << 1 | unsigned{m_bit}};
}
constexpr Element element_s(bool l, bool m_bit, Imm<4> m, bool h) {
    return {static_cast<Vec>(unsigned{m_bit} << 4 | m.value), unsigned{h} << 1 | unsigned{l}};
}
constexpr Element element_d(bool m_bit, Imm<4> m, bool h) {
    return {static_cast<Vec>(unsigned{m_bit} << 4 | m.value), unsigned{h}};
}
inline Ref all_lanes(const Lanes& o, Element e) { return o.full()(Op::VDupLane, {o[e.m]}, e.lane); }

/// FToSInt and FToUInt name their rounding and source in aux.
constexpr uint32_t to_int_aux(RoundMode mode, bool dbl) {
    return static_cast<uint32_t>(mode) | (dbl ? 3u : 2u) << 4;
}
constexpr uint64_t expand_fp_imm(bool dbl, uint32_t imm8) {
    return scalable::fp_immediate(dbl ? 3 : 2, imm8);
}

}  // namespace arclight::frontend::a64::translate
