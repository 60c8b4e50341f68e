// SVE: what is done element by element, as one operation of the IR (ir::Scalable).
#include <optional>

#include "frontend/a64/scalable/immediates.h"
#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/translate/sve_common.h"
#include "jit/ir/scalable.h"

namespace arclight::frontend::a64::translate {

using ir::Inactive;
using ir::Lanes;

namespace {
/// What the IR has for an operation. In each element of its second operand, where `scalar` says so in `lanes`, are: a constant; a
/// register; the lowest or another element of a vector.
struct Form {
    ir::Scalable lanes;
    enum class From : uint8_t { Constant, Register, Element } from = From::Constant;
    uint64_t constant = 0;
    bool sets_flags = false;
};

std::optional<Lanes> binary(Op op) {
    switch (op) {
        case Op::VAdd: return Lanes::Add;
        case Op::VSub: return Lanes::Sub;
        case Op::VAnd: return Lanes::And;
        case Op::VOr: return Lanes::Or;
        case Op::VXor: return Lanes::Xor;
        case Op::VAndNot: return Lanes::AndNot;
        case Op::VMaxS: return Lanes::MaxS;
        case Op::VMaxU: return Lanes::MaxU;
        case Op::VMinS: return Lanes::MinS;
        case Op::VMinU: return Lanes::MinU;
        case Op::VAbdS: return Lanes::AbsDiffS;
        case Op::VAbdU: return Lanes::AbsDiffU;
        case Op::VFAdd: return Lanes::FAdd;
        case Op::VFSub: return Lanes::FSub;
        case Op::VFMul: return Lanes::FMul;
        case Op::VFDiv: return Lanes::FDiv;
        case Op::VFMax:
        case Op::VFMaxNum: return Lanes::FMax;
        case Op::VFMin:
        case Op::VFMinNum: return Lanes::FMin;
        case Op::VQAddS: return Lanes::SatAddS;
        case Op::VQAddU: return Lanes::SatAddU;
        case Op::VQSubS: return Lanes::SatSubS;
        case Op::VQSubU: return Lanes::SatSubU;
        default: return {};
    }
}
std::optional<Lanes> unary(Op op) {
    switch (op) {
        case Op::VAbs: return Lanes::Abs;
        case Op::VNeg: return Lanes::Neg;
        case Op::VFSqrt: return Lanes::FSqrt;
        default: return {};
    }
}
std::optional<Lanes> element(unsigned variant) {
    switch (variant) {
        case scalable::kMultiply: return Lanes::Mul;
        case scalable::kShiftRightS: return Lanes::ShrS;
        case scalable::kShiftRightU: return Lanes::ShrU;
        case scalable::kShiftLeft: return Lanes::Shl;
        case scalable::kExtendS8: return Lanes::SExt8;
        case scalable::kExtendU8: return Lanes::ZExt8;
        case scalable::kExtendS16: return Lanes::SExt16;
        case scalable::kExtendU16: return Lanes::ZExt16;
        case scalable::kExtendS32: return Lanes::SExt32;
        case scalable::kExtendU32: return Lanes::ZExt32;
        case scalable::kNot: return Lanes::Not;
        default: return {};
    }
}
/// Of the operation, s: of opposite operands, x: negated.
std::optional<Lanes> comparison(const Operation& o) {
    const auto either = [&](Lanes plain, Lanes opposite) {
        return o.x != 0 ? std::nullopt : std::optional(o.s != 0 ? opposite : plain);
    };
    switch (static_cast<Op>(o.variant)) {
        case Op::VCmpEq: return o.x != 0 ? Lanes::CmpNe : Lanes::CmpEq;
        case Op::VCmpGtS: return either(Lanes::CmpGtS, Lanes::CmpLtS);
        case Op::VCmpGeS: return either(Lanes::CmpGeS, Lanes::CmpLeS);
        case Op::VCmpGtU: return either(Lanes::CmpGtU, Lanes::CmpLtU);
        case Op::VCmpGeU: return either(Lanes::CmpGeU, Lanes::CmpLeU);
        case Op::VFCmpEq: return o.x != 0 ? Lanes::FCmpNe : Lanes::FCmpEq;
        case Op::VFCmpGt: return either(Lanes::FCmpGt, Lanes::FCmpLt);
        case Op::VFCmpGe: return either(Lanes::FCmpGe, Lanes::FCmpLe);
        default: return {};
    }
}
constexpr bool is_fp(Lanes op) {
    return (op >= Lanes::FAdd && op <= Lanes::FNegMulSub) || (op >= Lanes::FCmpEq && op <= Lanes::FCmpLe);
}
constexpr Lanes kFused[] = {Lanes::FMulAdd, Lanes::FMulSub, Lanes::FNegMulSub, Lanes::FNegMulAdd};

constexpr Lanes kPermutations[] = {Lanes::Zip1, Lanes::Zip2, Lanes::Uzp1,
                                   Lanes::Uzp2, Lanes::Trn1, Lanes::Trn2};
constexpr Lanes kDots[] = {Lanes::DotS, Lanes::DotUS, Lanes::DotSU, Lanes::DotU};
constexpr Lanes kReductions[] = {Lanes::ReduceAddS, Lanes::ReduceAddU, Lanes::ReduceMaxS,
                                 Lanes::ReduceMaxU, Lanes::ReduceMinS, Lanes::ReduceMinU,
                                 Lanes::ReduceOr,   Lanes::ReduceXor,  Lanes::ReduceAnd};

/// The table of Lanes::Bitwise for one of Ternaries.
constexpr uint8_t bitwise_table(unsigned variant) {
    constexpr uint8_t kD = 0xf0, kM = 0xcc, kN = 0xaa;
    const auto select = [](unsigned first, unsigned second) { return (first & kN) | (second & ~kN & 0xffu); };
    unsigned table = 0;
    switch (variant) {
        case scalable::kXorAll: table = kD ^ kM ^ kN; break;
        case scalable::kXorClear: table = kD ^ (kM & ~kN); break;
        case scalable::kBitSelect: table = select(kD, kM); break;
        case scalable::kBitSelectNotFirst: table = select(~kD, kM); break;
        case scalable::kBitSelectNotSecond: table = select(kD, ~kM); break;
        default: table = ~select(kD, kM); break;
    }
    return static_cast<uint8_t>(table);
}

/// The sign of 8 bits extended, and shifted by 8 if that is asked for (s).
uint64_t byte(const Operation& o) {
    return static_cast<uint64_t>(int64_t{static_cast<int8_t>(o.imm)}) << (o.s != 0 ? 8 : 0);
}
int64_t five_bits(uint32_t field) { return static_cast<int64_t>(field ^ 16) - 16; }

/// Which operation it is; the registers of `form` are those of the instruction, and are changed where they play other parts.
std::optional<Lanes> lanes_of(const Operation& o, Form& form) {
    ir::Scalable& s = form.lanes;
    const auto destructive = [&] { s.n = o.d, s.inactive = Inactive::Keep; };
    const auto reversed = [&] { s.n = o.m, s.m = o.d, s.inactive = Inactive::Keep; };
    const auto of_n = [&](Inactive inactive) { s.m = o.n, s.inactive = inactive; };
    const auto indexed = [&] { s.indexed = true, s.imm = static_cast<int8_t>(o.imm); };
    const auto constant = [&](uint64_t value) { s.scalar = true, form.constant = value; };
    const auto op = static_cast<Op>(o.variant);
    switch (o.kind) {
        case Scalable::Binary: return binary(op);
        case Scalable::BinaryMerging: destructive(); return binary(op);
        case Scalable::BinaryMergingReversed: reversed(); return binary(op);
        case Scalable::UnaryMerging: of_n(Inactive::Keep); return unary(op);
        case Scalable::BinaryImmediate:
            constant(o.k != 0 ? uint64_t{o.imm} << (o.s != 0 ? 8 : 0) : byte(o));
            s.n = o.d;
            if (o.x != 0) return op == Op::VSub ? std::optional(Lanes::SubReversed) : std::nullopt;
            return binary(op);
        case Scalable::BitwiseImmediate:
            constant(*scalable::bitwise_immediate(o.imm));
            s.n = o.d;
            return o.variant == 0 ? Lanes::Move : binary(op);
        case Scalable::ElementMerging: destructive(); return element(o.variant);
        case Scalable::ElementMergingReversed: reversed(); return element(o.variant);
        case Scalable::ElementOf: return element(o.variant);
        case Scalable::ElementUnaryMerging: of_n(Inactive::Keep); return element(o.variant);
        case Scalable::ElementImmediateMerging: destructive(); [[fallthrough]];
        case Scalable::ElementImmediateOf:
            constant(o.imm);
            s.imm = static_cast<int8_t>(o.imm);
            return element(o.variant);
        case Scalable::MultiplyImmediate:
            s.n = o.d;
            constant(byte(o));
            return Lanes::Mul;
        case Scalable::IntegerMultiplyAccumulate:
            s.a = o.d, s.inactive = Inactive::Keep;
            return o.k != 0 ? Lanes::MulSub : Lanes::MulAdd;
        case Scalable::IntegerMultiplyAdd: destructive(); return o.k != 0 ? Lanes::MulSub : Lanes::MulAdd;
        case Scalable::MultiplyAccumulateMerging: s.a = o.d, s.inactive = Inactive::Keep; return kFused[o.k];
        case Scalable::MultiplyAddMerging: destructive(); return kFused[o.k];
        case Scalable::FpNegate: of_n(Inactive::Keep); return Lanes::FNeg;
        case Scalable::FpMagnitude: of_n(Inactive::Keep); return Lanes::FAbs;
        case Scalable::FpImmediate: {
            destructive();
            constant(scalable::fp_operand(o.size, o.k, o.imm != 0));
            if (o.x == 0) return binary(op);
            return op == Op::VFSub ? std::optional(Lanes::FSubReversed) : std::nullopt;
        }
        case Scalable::Index:
            if (o.x != 0) form.from = Form::From::Register;
            constant(static_cast<uint64_t>(five_bits(o.imm)));
            s.imm = static_cast<int8_t>(five_bits(o.k));
            return Lanes::Index;
        case Scalable::CountVector: {
            const uint64_t count =
                scalable::pattern_count(16u << s.length, o.k, o.size) * (uint64_t{o.imm} + 1);
            s.n = o.d;
            constant(o.variant == scalable::kDown ? 0 - count : count);
            return Lanes::Add;
        }
        case Scalable::Unpack:
            of_n(Inactive::None);
            s.imm = static_cast<int8_t>(o.k);
            return o.s != 0 ? Lanes::UnpackU : Lanes::UnpackS;
        case Scalable::XorRotate:
            s.n = o.d;
            s.imm = static_cast<int8_t>(o.imm);
            return Lanes::XorRotate;
        case Scalable::BitwiseTernary:
            s.a = o.d;
            s.imm = static_cast<int8_t>(bitwise_table(o.variant));
            return Lanes::Bitwise;
        case Scalable::Dot:
            s.a = o.d;
            if (o.x != 0) indexed();
            return kDots[o.variant];
        case Scalable::FpMultiplyIndexed: indexed(); return Lanes::FMul;
        case Scalable::FpMultiplyAddIndexed:
            s.a = o.d;
            indexed();
            return o.k != 0 ? Lanes::FMulSub : Lanes::FMulAdd;
        case Scalable::Permute: return o.size > 3 ? std::nullopt : std::optional(kPermutations[o.variant]);
        case Scalable::Table: return o.x != 0 || o.s != 0 ? std::nullopt : std::optional(Lanes::Table);
        case Scalable::ReverseElements: of_n(Inactive::None); return Lanes::Reverse;
        case Scalable::Extract:
            if (o.x == 0) s.n = o.d;
            if (o.x != 0) s.m = static_cast<uint8_t>((o.n + 1) % 32);
            s.size = 0;
            s.imm = static_cast<int8_t>(o.imm < s.bytes() ? o.imm : 0);
            return Lanes::Extract;
        case Scalable::Compact: of_n(Inactive::Zero); return Lanes::Compact;
        case Scalable::IntegerToFp:
        case Scalable::FpToInteger: {
            const bool to_fp = o.kind == Scalable::IntegerToFp;
            if (o.variant != (o.size | o.size << 4)) return {};
            of_n(Inactive::Keep);
            if (to_fp) return o.k != 0 ? Lanes::IntToFpU : Lanes::IntToFpS;
            return o.k != 0 ? Lanes::FpToIntU : Lanes::FpToIntS;
        }
        case Scalable::IntegerReduce: of_n(Inactive::Zero); return kReductions[o.variant];
        case Scalable::Compare:
            s.inactive = Inactive::Zero;
            if (o.s != 0) return {};
            return comparison(o);
        case Scalable::CompareZero:
            s.inactive = Inactive::Zero;
            constant(0);
            return comparison(o);
        case Scalable::CompareImmediate:
            s.inactive = Inactive::Zero;
            constant(o.k != 0 ? o.imm : static_cast<uint64_t>(five_bits(o.imm)));
            return comparison(o);
        case Scalable::Move: of_n(Inactive::None); return Lanes::Move;
        case Scalable::MovePredicated: of_n(o.x != 0 ? Inactive::Keep : Inactive::Zero); return Lanes::Move;
        case Scalable::Select:
            of_n(Inactive::Other);
            s.a = o.m;
            return Lanes::Move;
        case Scalable::CopyImmediate:
            constant(byte(o));
            s.inactive = o.x != 0 ? Inactive::Keep : Inactive::Zero;
            return Lanes::Move;
        case Scalable::DuplicateImmediate: constant(byte(o)); return Lanes::Move;
        case Scalable::CopyFpImmediate:
            constant(scalable::fp_immediate(o.size, o.imm));
            s.inactive = Inactive::Keep;
            return Lanes::Move;
        case Scalable::DuplicateFpImmediate:
            constant(scalable::fp_immediate(o.size, o.imm));
            return Lanes::Move;
        case Scalable::DuplicateScalar:
        case Scalable::CopyScalar:
            s.scalar = true, form.from = Form::From::Register;
            if (o.kind == Scalable::CopyScalar) s.inactive = Inactive::Keep;
            return Lanes::Move;
        case Scalable::DuplicateElement:
        case Scalable::CopyElement:
            s.scalar = true, form.from = Form::From::Element;
            form.constant = o.kind == Scalable::CopyElement ? 0 : o.imm;
            if (o.kind == Scalable::CopyElement) s.inactive = Inactive::Keep;
            // Of the elements that are in the V register.
            if (o.size > 3 || form.constant >= 16u >> o.size) return {};
            return Lanes::Move;
        default: return {};
    }
}

ir::Scalable registers_of(const TranslationContext& t, const Operation& o) {
    ir::Scalable s{.d = o.d, .n = o.n, .m = o.m, .a = o.a, .g = o.g, .size = o.size};
    s.length = static_cast<uint8_t>(std::countr_zero(vector_bytes(t)) - 4);
    return s;
}

void emit_scalable(TranslationContext& t, Op op, const ir::Scalable& s, const Operation& o, Helper helper,
                   Ref scalar) {
    const uint32_t aux = ir::scalable_call(static_cast<uint32_t>(helper), helper_aux(helper));
    t.ir.scalable(op, s.pack(), t.ir.i64(o.first()), t.ir.i64(o.second()), scalar, aux);
}

/// FPCR asks for what the IR's operations do not do.
bool is_special(const TranslationContext& t, const Operation& o, Lanes op) {
    if (op == Lanes::FNeg || op == Lanes::FAbs)
        return (t.translation_flags & translation_flag::kFpAlternative) != 0;
    return is_fp(op) && (o.size < 2 || (t.translation_flags & translation_flag::kFpSpecial) != 0);
}
}  // namespace

bool emit_lanes(TranslationContext& t, const Operation& o) {
    Form form{.lanes = registers_of(t, o)};
    const std::optional<Lanes> op = lanes_of(o, form);
    if (!op || is_special(t, o, *op)) return false;
    form.lanes.op = *op;
    Ref scalar = ir::kNoRef;
    switch (form.from) {
        case Form::From::Constant: scalar = t.ir.i64(form.constant); break;
        // The base of INDEX is a register of which 31 is zero; DUP and CPY have the stack pointer there.
        case Form::From::Register:
            scalar = *op == Lanes::Index ? x(t, static_cast<Reg>(o.n)) : xsp(t, static_cast<Reg>(o.n));
            break;
        case Form::From::Element:
            scalar = t.ir.emit(Op::VExtractU, o.size == 3 ? Type::I64 : Type::I32,
                               {t.ir.get_v(Type::V128, o.n)}, form.constant, ir::vec_aux(o.size));
            break;
    }
    // Of integers, whose governing predicate may be the destination.
    const bool sets_flags = ir::is_compare(*op) && !is_fp(*op);
    const Ref mask = sets_flags
                         ? t.ir.bin(Op::And, Type::I64, predicate(t, o.g), t.ir.i64(element_bits(t, o.size)))
                         : ir::kNoRef;
    emit_scalable(t, Op::Scalable, form.lanes, o, Helper::Scalable, scalar);
    if (sets_flags) set_flags_by(t, mask, predicate(t, o.d));
    return true;
}

bool emit_contiguous(TranslationContext& t, const Operation& o) {
    // Each element must be aligned where that is asked for.
    if ((t.translation_flags & translation_flag::kAlignCheck) != 0) return false;
    ir::Scalable s = registers_of(t, o);
    const auto whole = [&](Lanes op) { s.op = op, s.inactive = Inactive::None, s.size = s.memory_size = 3; };
    const auto elements = [&](Lanes op) { s.op = op, s.inactive = Inactive::Zero, s.memory_size = o.k; };
    int64_t offset = 0;
    switch (o.kind) {
        case Scalable::LoadContiguous:
            if (o.variant != scalable::kNormal) return false;
            elements(o.s != 0 ? Lanes::LoadSigned : Lanes::Load);
            break;
        case Scalable::LoadReplicated:
            elements(o.s != 0 ? Lanes::LoadReplicatedSigned : Lanes::LoadReplicated);
            break;
        case Scalable::LoadReplicatedSegment:
            if (o.k != 0) return false;
            elements(Lanes::LoadSegment);
            s.memory_size = s.size;
            break;
        case Scalable::StoreContiguous: elements(Lanes::Store); break;
        // LDNT1 and STNT1 are among them.
        case Scalable::LoadStructures:
            if (o.a != 0) return false;
            elements(Lanes::Load);
            break;
        case Scalable::StoreStructures:
            if (o.a != 0) return false;
            elements(Lanes::Store);
            break;
        case Scalable::LoadVector: whole(Lanes::Load); break;
        case Scalable::StoreVector: whole(Lanes::Store); break;
        default: return false;
    }
    const Ref base = xsp(t, static_cast<Reg>(o.n));
    Ref address = base;
    if (s.inactive == Inactive::None) {
        offset = (static_cast<int64_t>(o.imm ^ 256) - 256) * s.bytes();
    } else if (o.kind == Scalable::LoadReplicated) {
        offset = static_cast<int64_t>(o.imm) << o.k;
    } else if (o.x == 0) {
        // Of LD1RQ in units of the segment, which is what it spans too.
        offset = (static_cast<int64_t>(o.imm ^ 8) - 8) * s.memory_bytes();
    } else {
        const Ref index = x(t, static_cast<Reg>(o.m));
        address = t.ir.add(
            Type::I64, base,
            s.memory_size == 0 ? index : t.ir.bin(Op::Shl, Type::I64, index, t.ir.i64(s.memory_size)));
    }
    if (offset != 0) address = offset_by(t, address, offset);
    emit_scalable(t, Op::ScalableAccess, s, o, Helper::ScalableMemory, address);
    return true;
}

}  // namespace arclight::frontend::a64::translate
