// Data processing, register (ARM ARM C4.1.95).
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr unsigned kAlways = 14;  ///< conditions 14 and 15

/// Rm shifted by a constant (ShiftReg, ARM ARM J1).
Ref shifted(TranslationContext& t, Type type, Reg m, unsigned kind, unsigned amount) {
    static constexpr Op kOps[] = {Op::Shl, Op::Shr, Op::Sar, Op::Ror};
    const Ref v = x(t, m);
    return amount == 0 ? v : t.ir.bin(kOps[kind], type, v, t.ir.i64(amount));
}

bool shift_valid(bool sf, Imm<6> amount) { return sf || amount < 32; }

/// Writes a value whose flags are wanted, and the flags, which directly follow their operation.
bool set_with_flags(TranslationContext& t, Reg d, Ref v) {
    const Ref flags = t.ir.flags_of(v);
    set_x(t, d, v);
    t.ir.set_flags(flags);
    return true;
}

constexpr unsigned kReservedShift = 3;  ///< ROR in an addition

Ref with_carry(TranslationContext& t, Op op, bool sf, Reg m, Reg n) {
    const Ref a = x(t, n), b = x(t, m), carry = t.ir.get_flags();
    return t.ir.emit(op, int_type(sf), {a, b, carry});
}

bool conditional_compare(TranslationContext& t, bool is_add, bool sf, Ref a, Ref b, unsigned cc,
                         unsigned nzcv) {
    if (cc >= kAlways) {
        const Ref v = t.ir.bin_raw(is_add ? Op::Add : Op::Sub, int_type(sf), a, b);
        t.ir.set_flags(t.ir.flags_of(v));
        return true;
    }
    const Ref condition = t.ir.cond(cc);
    t.ir.set_flags(
        t.ir.emit(Op::CondCompare, Type::Flags, {condition, a, b}, nzcv, int_width(sf) | (is_add ? 1 : 0)));
    return true;
}

Ref inverted(TranslationContext& t, Type type, Ref v) {
    return t.ir.bin(Op::Xor, type, v, t.ir.i64(~uint64_t{0}));
}
Ref negated(TranslationContext& t, Type type, Ref v) { return t.ir.sub(type, t.ir.i64(0), v); }

/// Rd = cond ? Rn : f(Rm).
template <typename F>
bool conditional_select(TranslationContext& t, bool sf, Reg m, unsigned cc, Reg n, Reg d, F f) {
    const Type type = int_type(sf);
    if (cc >= kAlways) {
        set_x(t, d, truncate(t, type, x(t, n)));
        return true;
    }
    const Ref condition = t.ir.cond(cc);
    const Ref a = x(t, n), b = f(type, x(t, m));
    set_x(t, d, t.ir.select(type, condition, a, b));
    return true;
}

/// The condition of CSET and CSETM, which are written with its inverse, as 0 or 1.
Ref inverse_condition_as_int(TranslationContext& t, Type type, unsigned cc) {
    return t.ir.un(Op::BoolToInt, type, t.ir.cond(cc ^ 1));
}

bool is_set_alias(unsigned cc, Reg m, Reg n) { return cc < kAlways && index(m) == 31 && index(n) == 31; }

bool multiply(TranslationContext& t, Op op, Type type, Ref product_a, Ref product_b, Reg a, Reg d) {
    const Ref product = t.ir.bin(Op::Mul, type, product_a, product_b);
    set_x(t, d, truncate(t, type, t.ir.bin(op, type, x(t, a), product)));
    return true;
}

}  // namespace

// ---- Families

bool logical_shift(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!shift_valid(sf, amount)) return undefined(t);
    const Type type = int_type(sf);
    const Ref a = x(t, n), b = shifted(t, type, m, kind, amount);
    set_x(t, d, truncate(t, type, t.ir.bin(op, type, a, b)));
    return true;
}

bool logical_shift_flags(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n,
                         Reg d) {
    if (!shift_valid(sf, amount)) return undefined(t);
    const Type type = int_type(sf);
    const Ref a = x(t, n), b = shifted(t, type, m, kind, amount);
    return set_with_flags(t, d, t.ir.bin_raw(op, type, a, b));
}

bool add_sub_shift(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (kind == kReservedShift) return undefined(t);
    return logical_shift(t, op, sf, kind, m, amount, n, d);
}

bool add_sub_shift_flags(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n,
                         Reg d) {
    if (kind == kReservedShift) return undefined(t);
    return logical_shift_flags(t, op, sf, kind, m, amount, n, d);
}

bool add_sub_ext(TranslationContext& t, Op op, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d) {
    if (amount > 4) return undefined(t);
    const Type type = int_type(sf);
    const Ref a = xsp(t, n), b = extend(t, type, m, option, amount);
    set_xsp(t, d, truncate(t, type, t.ir.bin(op, type, a, b)));
    return true;
}

bool add_sub_ext_flags(TranslationContext& t, Op op, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n,
                       Reg d) {
    if (amount > 4) return undefined(t);
    const Type type = int_type(sf);
    const Ref a = xsp(t, n), b = extend(t, type, m, option, amount);
    return set_with_flags(t, d, t.ir.bin_raw(op, type, a, b));
}

bool multiply_long(TranslationContext& t, Op op, Op extension, Reg m, Reg a, Reg n, Reg d) {
    const Ref p = t.ir.un(extension, Type::I64, x(t, n)), q = t.ir.un(extension, Type::I64, x(t, m));
    return multiply(t, op, Type::I64, p, q, a, d);
}

bool two_sources(TranslationContext& t, Op op, bool sf, Reg m, Reg n, Reg d) {
    const Type type = int_type(sf);
    const Ref a = x(t, n), b = x(t, m);
    set_x(t, d, truncate(t, type, t.ir.bin(op, type, a, b)));
    return true;
}

bool crc32(TranslationContext& t, bool castagnoli, bool sf, Reg m, Imm<2> size, Reg n, Reg d) {
    if (sf != (size == 3)) return undefined(t);
    const Ref crc = x(t, n), value = x(t, m);
    set_x(t, d, t.ir.emit(Op::Crc32, Type::I32, {crc, value}, 0, size | (castagnoli ? 8u : 0u)));
    return true;
}

bool one_source(TranslationContext& t, Op op, bool sf, Reg n, Reg d) {
    set_x(t, d, t.ir.un(op, int_type(sf), x(t, n)));
    return true;
}

bool min_max_reg(TranslationContext& t, Pick pick, bool sf, Reg m, Reg n, Reg d) {
    const Ref a = x(t, n), b = x(t, m);
    return min_max(t, pick, int_type(sf), a, b, d);
}

// ---- Bits counted

bool CTZ(TranslationContext& t, bool sf, Reg n, Reg d) {
    // v - 1 has ones where v ends in zeros, and there alone of the bits that v has not.
    const Type type = int_type(sf);
    const Ref v = x(t, n), below = t.ir.sub(type, v, t.ir.i64(1));
    const Ref zeros = t.ir.un(Op::Clz, type, t.ir.bin(Op::AndNot, type, below, v));
    set_x(t, d, t.ir.sub(type, t.ir.i64(int_width(sf)), zeros));
    return true;
}

bool CNT_int(TranslationContext& t, bool sf, Reg n, Reg d) {
    constexpr unsigned kDoubleword = 3;
    const Ref v = t.ir.emit(Op::VDup, Type::V128, {truncate(t, int_type(sf), x(t, n))}, 0,
                            ir::vec_aux(kDoubleword, false));
    const Ref counts = t.ir.emit(Op::VCnt, Type::V128, {v}, 0, ir::vec_aux(0, false));
    const Ref sum = t.ir.emit(Op::VAddV, Type::V128, {counts}, 0, ir::vec_aux(0, false));
    set_x(t, d, t.ir.emit(Op::VExtractU, int_type(sf), {sum}, 0, ir::vec_aux(0)));
    return true;
}

bool ABS_int(TranslationContext& t, bool sf, Reg n, Reg d) {
    const Type type = int_type(sf);
    const Ref v = x(t, n), sign = t.ir.bin(Op::Sar, type, v, t.ir.i64(int_width(sf) - 1));
    set_x(t, d, t.ir.sub(type, t.ir.bin(Op::Xor, type, v, sign), sign));
    return true;
}

// ---- Flags (FEAT_FlagM), as bits 31:28 of a number

namespace {
constexpr unsigned kN = 31, kZ = 30, kC = 29, kV = 28;

Ref nzcv(TranslationContext& t) { return t.ir.un(Op::NzcvFromFlags, Type::I64, t.ir.get_flags()); }
bool set_nzcv(TranslationContext& t, Ref value) {
    t.ir.set_flags(t.ir.un(Op::FlagsFromNzcv, Type::Flags, value));
    return true;
}
/// Bit `from` of v, at bit `to`, with all others zero.
Ref move_bit(TranslationContext& t, Ref v, unsigned from, unsigned to) {
    const Ref bit = t.ir.emit(Op::BitExtractU, Type::I64, {v}, from | 1u << 8);
    return t.ir.bin(Op::Shl, Type::I64, bit, t.ir.i64(to));
}
Ref bits(TranslationContext& t, Ref v, uint64_t mask) {
    return t.ir.bin(Op::And, Type::I64, v, t.ir.i64(mask));
}
Ref either(TranslationContext& t, Ref a, Ref b) { return t.ir.bin(Op::Or, Type::I64, a, b); }
}  // namespace

bool RMIF(TranslationContext& t, Imm<6> amount, Reg n, Imm<4> mask) {
    const uint64_t chosen = uint64_t{mask} << kV;
    const Ref rotated = t.ir.bin(Op::Ror, Type::I64, x(t, n), t.ir.i64(amount));
    const Ref given = bits(t, t.ir.bin(Op::Shl, Type::I64, rotated, t.ir.i64(kV)), chosen);
    return set_nzcv(t, either(t, bits(t, nzcv(t), ~chosen), given));
}

bool set_flags_from(TranslationContext& t, unsigned width, Reg n) {
    const Ref v = x(t, n), carry = bits(t, nzcv(t), 1u << kC);
    const Ref is_zero = t.ir.emit(Op::IsZero, Type::I1, {bits(t, v, (uint64_t{1} << width) - 1)}, 0, 64);
    const Ref zero = t.ir.bin(Op::Shl, Type::I64, t.ir.un(Op::BoolToInt, Type::I64, is_zero), t.ir.i64(kZ));
    const Ref overflow =
        t.ir.bin(Op::Xor, Type::I64, move_bit(t, v, width, kV), move_bit(t, v, width - 1, kV));
    return set_nzcv(t, either(t, either(t, carry, zero), either(t, overflow, move_bit(t, v, width - 1, kN))));
}

bool CFINV(TranslationContext& t) {
    return set_nzcv(t, t.ir.bin(Op::Xor, Type::I64, nzcv(t), t.ir.i64(1u << kC)));
}

// Z: it was equal or unordered; C: greater or equal, and ordered.
bool AXFLAG(TranslationContext& t) {
    const Ref flags = nzcv(t);
    const Ref unordered_as_z = move_bit(t, flags, kV, kZ), unordered_as_c = move_bit(t, flags, kV, kC);
    const Ref zero = either(t, bits(t, flags, 1u << kZ), unordered_as_z);
    const Ref carry = t.ir.bin(Op::AndNot, Type::I64, bits(t, flags, 1u << kC), unordered_as_c);
    return set_nzcv(t, either(t, zero, carry));
}

bool XAFLAG(TranslationContext& t) {
    const Ref flags = nzcv(t), c = bits(t, flags, 1u << kC), z = move_bit(t, flags, kZ, kC);
    const Ref below = t.ir.bin(Op::Xor, Type::I64, either(t, c, z), t.ir.i64(1u << kC));  // !C && !Z
    const Ref equal = t.ir.bin(Op::And, Type::I64, z, c), unordered = t.ir.bin(Op::AndNot, Type::I64, z, c);
    const Ref n = t.ir.bin(Op::Shl, Type::I64, below, t.ir.i64(kN - kC));
    const Ref new_z = t.ir.bin(Op::Shl, Type::I64, equal, t.ir.i64(kZ - kC));
    const Ref v = t.ir.bin(Op::Shr, Type::I64, unordered, t.ir.i64(kC - kV));
    return set_nzcv(t, either(t, either(t, n, new_z), either(t, either(t, c, z), v)));
}

// ---- Logical, with the aliases MOV and MVN

bool ORR_shift(TranslationContext& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (index(n) == 31 && amount == 0) {  // MOV (register)
        set_x(t, d, truncate(t, int_type(sf), x(t, m)));
        return true;
    }
    return logical_shift(t, Op::Or, sf, kind, m, amount, n, d);
}

bool ORN_shift(TranslationContext& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d) {
    if (!shift_valid(sf, amount)) return undefined(t);
    if (index(n) == 31) {  // MVN
        const Type type = int_type(sf);
        set_x(t, d, inverted(t, type, shifted(t, type, m, kind, amount)));
        return true;
    }
    return logical_shift(t, Op::OrNot, sf, kind, m, amount, n, d);
}

// ---- Add and subtract with carry

bool ADC(TranslationContext& t, bool sf, Reg m, Reg n, Reg d) {
    set_x(t, d, with_carry(t, Op::Adc, sf, m, n));
    return true;
}

bool ADCS(TranslationContext& t, bool sf, Reg m, Reg n, Reg d) {
    return set_with_flags(t, d, with_carry(t, Op::Adc, sf, m, n));
}

bool SBC(TranslationContext& t, bool sf, Reg m, Reg n, Reg d) {
    set_x(t, d, with_carry(t, Op::Sbc, sf, m, n));
    return true;
}

bool SBCS(TranslationContext& t, bool sf, Reg m, Reg n, Reg d) {
    return set_with_flags(t, d, with_carry(t, Op::Sbc, sf, m, n));
}

// ---- Conditional compare

bool CCMN_reg(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv) {
    const Ref a = x(t, n), b = x(t, m);
    return conditional_compare(t, true, sf, a, b, cc, nzcv);
}

bool CCMP_reg(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv) {
    const Ref a = x(t, n), b = x(t, m);
    return conditional_compare(t, false, sf, a, b, cc, nzcv);
}

bool CCMN_imm(TranslationContext& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv) {
    const Ref a = x(t, n), b = t.ir.i64(imm5);
    return conditional_compare(t, true, sf, a, b, cc, nzcv);
}

bool CCMP_imm(TranslationContext& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv) {
    const Ref a = x(t, n), b = t.ir.i64(imm5);
    return conditional_compare(t, false, sf, a, b, cc, nzcv);
}

// ---- Conditional select

bool CSEL(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d) {
    return conditional_select(t, sf, m, cc, n, d, [](Type, Ref v) { return v; });
}

bool CSINC(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d) {
    if (is_set_alias(cc, m, n)) {  // CSET
        set_x(t, d, inverse_condition_as_int(t, int_type(sf), cc));
        return true;
    }
    return conditional_select(t, sf, m, cc, n, d,
                              [&](Type type, Ref v) { return t.ir.add(type, v, t.ir.i64(1)); });
}

bool CSINV(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d) {
    if (is_set_alias(cc, m, n)) {  // CSETM
        const Type type = int_type(sf);
        set_x(t, d, negated(t, type, inverse_condition_as_int(t, type, cc)));
        return true;
    }
    return conditional_select(t, sf, m, cc, n, d, [&](Type type, Ref v) { return inverted(t, type, v); });
}

bool CSNEG(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d) {
    return conditional_select(t, sf, m, cc, n, d, [&](Type type, Ref v) { return negated(t, type, v); });
}

// ---- Three sources

bool MADD(TranslationContext& t, bool sf, Reg m, Reg a, Reg n, Reg d) {
    const Ref p = x(t, n), q = x(t, m);
    return multiply(t, Op::Add, int_type(sf), p, q, a, d);
}

bool MSUB(TranslationContext& t, bool sf, Reg m, Reg a, Reg n, Reg d) {
    const Ref p = x(t, n), q = x(t, m);
    return multiply(t, Op::Sub, int_type(sf), p, q, a, d);
}

}  // namespace arclight::frontend::a64::translate
