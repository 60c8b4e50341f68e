// SVE: what works on lengths and predicates, which are integers: the length of vectors is one of the translation flags.
#include <bit>

#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/translate/sve_common.h"

namespace arclight::frontend::a64::translate {

namespace {
constexpr uint64_t place_of(unsigned i) { return offsetof(jit::GuestState, p) + i * sizeof(uint64_t); }
Ref logic(TranslationContext& t, Op op, Ref a, Ref b) { return t.ir.bin(op, Type::I64, a, b); }
Ref is_zero(TranslationContext& t, Ref v) { return t.ir.emit(Op::IsZero, Type::I1, {v}, 0, 64); }
Ref is_not_zero(TranslationContext& t, Ref v) { return t.ir.emit(Op::IsNotZero, Type::I1, {v}, 0, 64); }
Ref bit_of(TranslationContext& t, Ref condition, unsigned place) {
    return logic(t, Op::Shl, t.ir.emit(Op::BoolToInt, Type::I64, {condition}), t.ir.i64(place));
}
void set_nzcv(TranslationContext& t, Ref word) {
    t.ir.set_flags(t.ir.emit(Op::FlagsFromNzcv, Type::Flags, {word}));
}
constexpr uint64_t kN = uint64_t{1} << 31, kZ = uint64_t{1} << 30, kC = uint64_t{1} << 29;

/// What the reference functions know of patterns.
uint64_t pattern_count(const TranslationContext& t, unsigned pattern, unsigned size) {
    return scalable::pattern_count(vector_bytes(t), pattern, size);
}

int64_t six_bits(uint32_t field) { return static_cast<int64_t>(field ^ 32) - 32; }

bool add_length(TranslationContext& t, const Operation& o, unsigned bytes) {
    set_xsp(t, static_cast<Reg>(o.d), offset_by(t, xsp(t, static_cast<Reg>(o.n)), six_bits(o.imm) * bytes));
    return true;
}

bool count_scalar(TranslationContext& t, const Operation& o) {
    const auto count = static_cast<int64_t>(pattern_count(t, o.k, o.size) * (o.imm + 1));
    const auto d = static_cast<Reg>(o.d);
    set_x(t, d, offset_by(t, x(t, d), o.variant == scalable::kDown ? -count : count));
    return true;
}

bool predicate_true(TranslationContext& t, const Operation& o) {
    const uint64_t bits = pattern_count(t, o.k, o.size) << o.size;
    const uint64_t value = element_bits(t, o.size) & (bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1);
    const Ref p = t.ir.i64(value);
    t.ir.store_field(p, place_of(o.d), 8);
    if (o.s != 0) set_nzcv(t, t.ir.i64(value != 0 ? kN : kZ | kC));
    return true;
}

bool predicate_logical(TranslationContext& t, const Operation& o) {
    const Ref mask = predicate(t, o.g), a = predicate(t, o.n), b = predicate(t, o.m);
    Ref r = ir::kNoRef;
    switch (o.variant) {
        case scalable::kPAnd: r = logic(t, Op::And, a, b); break;
        case scalable::kPBic: r = logic(t, Op::AndNot, a, b); break;
        case scalable::kPEor: r = logic(t, Op::Xor, a, b); break;
        case scalable::kPSel:
            r = logic(t, Op::Or, logic(t, Op::And, mask, a), logic(t, Op::AndNot, b, mask));
            break;
        case scalable::kPOrr: r = logic(t, Op::Or, a, b); break;
        case scalable::kPOrn: r = logic(t, Op::OrNot, a, b); break;
        case scalable::kPNor:
            r = logic(t, Op::AndNot, logic(t, Op::Xor, a, t.ir.i64(~uint64_t{0})), b);
            break;
        default: r = logic(t, Op::Xor, logic(t, Op::And, a, b), t.ir.i64(~uint64_t{0})); break;
    }
    if (o.variant != scalable::kPSel) r = logic(t, Op::And, r, mask);
    set_predicate(t, o.d, r);
    if (o.s != 0) set_flags_by(t, mask, r);
    return true;
}

/// A bit of the lower or upper half after the other, with a zero between them: what the product of a polynomial with itself has.
bool predicate_unpack(TranslationContext& t, const Operation& o) {
    const unsigned half = vector_bytes(t) / 2;
    const Ref bits =
        t.ir.emit(Op::BitExtractU, Type::I64, {predicate(t, o.n)}, (o.variant * half) | half << 8);
    const Ref v = t.ir.emit(Op::VZext64, Type::V128, {t.ir.emit(Op::IntToF, Type::F64, {bits})});
    const Ref apart = t.ir.emit(Op::VPMull64, Type::V128, {v, v}, 0, ir::vec_aux(3));
    set_predicate(t, o.d, t.ir.emit(Op::VExtractU, Type::I64, {apart}, 0, ir::vec_aux(3)));
    return true;
}

/// The number of elements of predicate n, of those of g (`governed`), that are true.
Ref count_true(TranslationContext& t, const Operation& o, bool governed) {
    Ref p = logic(t, Op::And, predicate(t, o.n), t.ir.i64(element_bits(t, o.size)));
    if (governed) p = logic(t, Op::And, p, predicate(t, o.g));
    const Ref v = t.ir.emit(Op::VZext64, Type::V128, {t.ir.emit(Op::IntToF, Type::F64, {p})});
    const Ref by_byte = t.ir.emit(Op::VCnt, Type::V128, {v}, 0, ir::vec_aux(0));
    const Ref sum = t.ir.emit(Op::VAddV, Type::V128, {by_byte}, 0, ir::vec_aux(0));
    return t.ir.emit(Op::VExtractU, Type::I64, {sum}, 0, ir::vec_aux(3));
}

/// A predicate of which as many elements are true as `count` says.
Ref first_elements(TranslationContext& t, Ref count, unsigned size) {
    const auto shift = [&](Ref v, Ref by) { return logic(t, Op::Shl, v, by); };
    const auto times = [&](unsigned log2) { return log2 == 0 ? count : shift(count, t.ir.i64(log2)); };
    const Ref one = t.ir.i64(1);
    Ref end;
    if (vector_bytes(t) == 64) {
        // In two steps, as it may be bit 64.
        const Ref half = size == 0 ? logic(t, Op::Shr, count, one) : times(size - 1);
        end = shift(shift(one, half), size == 0 ? logic(t, Op::Sub, count, half) : half);
    } else {
        end = shift(one, times(size));
    }
    return logic(t, Op::And, logic(t, Op::Sub, end, one), t.ir.i64(element_bits(t, size)));
}

/// The first elements, as many as a count from n up to m has (or down: SVE2's, which is not here).
bool while_loop(TranslationContext& t, const Operation& o) {
    if ((o.variant & scalable::kWhileDown) != 0) return false;
    const bool is_unsigned = (o.variant & scalable::kWhileUnsigned) != 0,
               equal = (o.variant & scalable::kWhileEqual) != 0;
    const auto operand = [&](unsigned i) {
        const Ref v = x(t, static_cast<Reg>(i));
        if (o.x != 0) return v;
        return is_unsigned ? truncate(t, Type::I32, v) : t.ir.un(Op::SExt32, Type::I64, v);
    };
    constexpr uint64_t kHighest = 2, kHigher = 8, kGreaterOrEqual = 10, kGreater = 12, kLower = 3;
    const uint64_t elements = vector_bytes(t) >> o.size;
    const Ref zero = t.ir.i64(0), all = t.ir.i64(elements);
    const Ref from = operand(o.n), to = operand(o.m);
    const Ref distance = t.ir.bin_raw(Op::Sub, Type::I64, to, from);
    const Ref compared = t.ir.flags_of(distance);
    const uint64_t condition = equal         ? (is_unsigned ? kHighest : kGreaterOrEqual)
                               : is_unsigned ? kHigher
                                             : kGreater;
    const Ref any = t.ir.emit(Op::Cond, Type::I1, {compared}, condition);
    Ref count;
    if (equal) {
        // One more than the distance, which may be all that there are numbers; up to the highest number it never ends.
        const Ref some = t.ir.select(Type::I64, any, distance, t.ir.i64(0));
        const Ref few = t.ir.bin_raw(Op::Sub, Type::I64, some, t.ir.i64(elements - 1));
        const Ref is_few = t.ir.emit(Op::Cond, Type::I1, {t.ir.flags_of(few)}, kLower);
        const Ref more =
            t.ir.add(Type::I64, t.ir.select(Type::I64, is_few, some, t.ir.i64(elements - 1)), t.ir.i64(1));
        count = t.ir.select(Type::I64, t.ir.emit(Op::Cond, Type::I1, {compared}, condition), more, zero);
        const uint64_t highest = o.x != 0 ? (is_unsigned ? ~uint64_t{0} : ~uint64_t{0} >> 1)
                                          : (is_unsigned ? 0xffff'ffff : 0x7fff'ffff);
        count = t.ir.select(Type::I64, is_zero(t, logic(t, Op::Xor, to, t.ir.i64(highest))), all, count);
    } else {
        const Ref some = t.ir.select(Type::I64, any, distance, zero);
        const Ref few = t.ir.bin_raw(Op::Sub, Type::I64, some, all);
        const Ref is_few = t.ir.emit(Op::Cond, Type::I1, {t.ir.flags_of(few)}, kLower);
        count = t.ir.select(Type::I64, is_few, some, all);
    }
    const Ref p = first_elements(t, count, o.size);
    set_predicate(t, o.d, p);
    // N: there is one; Z: there is none; C: not all are; V: 0. So are the flags of 0 - 0, of 1 << 63 less 0, and, of all, of 0 - 1.
    const Ref all_of_them =
        logic(t, Op::Shr, count, t.ir.i64(static_cast<uint64_t>(std::countr_zero(elements))));
    const Ref some_of_them = logic(t, Op::Shl, logic(t, Op::Xor, p, all_of_them), t.ir.i64(63));
    t.ir.set_flags(t.ir.flags_of(t.ir.bin_raw(Op::Sub, Type::I64, some_of_them, all_of_them)));
    return true;
}
}  // namespace

uint64_t element_bits(const TranslationContext& t, unsigned size) {
    return ir::element_bits(size, vector_bytes(t));
}

Ref predicate(TranslationContext& t, unsigned i) {
    const Ref p = t.ir.load_field(Type::I64, place_of(i));
    return vector_bytes(t) == 64 ? p : logic(t, Op::And, p, t.ir.i64(element_bits(t, 0)));
}

void set_predicate(TranslationContext& t, unsigned i, Ref value) { t.ir.store_field(value, place_of(i), 8); }

void set_flags_by(TranslationContext& t, Ref mask, Ref result) {
    const Ref held = logic(t, Op::And, result, mask);
    const Ref first = logic(t, Op::And, mask, logic(t, Op::Sub, t.ir.i64(0), mask));
    const Ref n = bit_of(t, is_not_zero(t, logic(t, Op::And, held, first)), 31);
    const Ref z = bit_of(t, is_zero(t, held), 30);
    // Their last bits are as many zeros from the top; of an empty mask they are not.
    const Ref last = t.ir.un(Op::Clz, Type::I64, logic(t, Op::Or, mask, t.ir.i64(1)));
    const Ref c = bit_of(t, is_not_zero(t, logic(t, Op::Xor, t.ir.un(Op::Clz, Type::I64, held), last)), 29);
    set_nzcv(t, logic(t, Op::Or, logic(t, Op::Or, n, z), c));
}

bool emit_scalar(TranslationContext& t, const Operation& o) {
    switch (o.kind) {
        case Scalable::PredicateTrue: return predicate_true(t, o);
        case Scalable::PredicateFalse: set_predicate(t, o.d, t.ir.i64(0)); return true;
        case Scalable::PredicateLogical: return predicate_logical(t, o);
        case Scalable::PredicateTest: set_flags_by(t, predicate(t, o.g), predicate(t, o.n)); return true;
        case Scalable::While: return while_loop(t, o);
        case Scalable::AddVectorLength: return add_length(t, o, vector_bytes(t));
        case Scalable::AddPredicateLength: return add_length(t, o, vector_bytes(t) / 8);
        case Scalable::ReadVectorLength:
            set_x(t, static_cast<Reg>(o.d),
                  t.ir.i64(static_cast<uint64_t>(six_bits(o.imm) * static_cast<int64_t>(vector_bytes(t)))));
            return true;
        case Scalable::CountElements:
            set_x(t, static_cast<Reg>(o.d), t.ir.i64(pattern_count(t, o.k, o.size) * (o.imm + 1)));
            return true;
        case Scalable::CountScalar: return count_scalar(t, o);
        case Scalable::PredicateUnpack: return predicate_unpack(t, o);
        case Scalable::CountTrue: set_x(t, static_cast<Reg>(o.d), count_true(t, o, true)); return true;
        case Scalable::TrueScalar: {
            const auto d = static_cast<Reg>(o.d);
            const Ref count = count_true(t, o, false);
            set_x(t, d, logic(t, o.variant == scalable::kDown ? Op::Sub : Op::Add, x(t, d), count));
            return true;
        }
        default: return false;
    }
}

bool emit_predicate_access(TranslationContext& t, const Operation& o) {
    const bool loads = o.kind == Scalable::LoadPredicate;
    if (!loads && o.kind != Scalable::StorePredicate) return false;
    const unsigned bytes = vector_bytes(t) / 8, size = static_cast<unsigned>(std::countr_zero(bytes));
    const int64_t offset = (static_cast<int64_t>(o.imm ^ 256) - 256) * static_cast<int64_t>(bytes);
    const Ref address = offset_by(t, xsp(t, static_cast<Reg>(o.n)), offset);
    const uint32_t aux = mem_aux(t, size);
    if (loads)
        set_predicate(t, o.d, load(t, Type::I64, address, aux));
    else
        store(t, address, predicate(t, o.d), aux);
    return true;
}

}  // namespace arclight::frontend::a64::translate
