// Data processing, immediate (ARM ARM C4.1.92).
#include "frontend/a64/logical_mask.h"
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

uint64_t add_sub_operand(bool shift, Imm<12> imm12) { return uint64_t{imm12} << (shift ? 12 : 0); }

/// The fields of SBFM, BFM and UBFM, or of EXTR, ask for nothing reserved.
bool bitfield_valid(bool sf, bool N, unsigned immr, unsigned imms) {
    return sf == N && (sf || (immr < 32 && imms < 32));
}

Ref shift(TranslationContext& t, Op op, Type type, Ref v, unsigned amount) {
    return amount == 0 ? truncate(t, type, v) : t.ir.bin(op, type, v, t.ir.i64(amount));
}

/// `width` bits of `v` from bit `lsb`.
Ref extract(TranslationContext& t, Type type, Ref v, unsigned lsb, unsigned width, bool is_signed) {
    const unsigned bits = int_width(type == Type::I64);
    if (lsb + width == bits) return shift(t, is_signed ? Op::Sar : Op::Shr, type, v, lsb);
    if (lsb == 0) {
        if (width == 8) return t.ir.un(is_signed ? Op::SExt8 : Op::ZExt8, type, v);
        if (width == 16) return t.ir.un(is_signed ? Op::SExt16 : Op::ZExt16, type, v);
        if (width == 32) return is_signed ? t.ir.un(Op::SExt32, type, v) : truncate(t, Type::I32, v);
    }
    return t.ir.emit(is_signed ? Op::BitExtractS : Op::BitExtractU, type, {v}, lsb | width << 8);
}

}  // namespace

// ---- Families

bool add_sub_imm(TranslationContext& t, Op op, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    const Type type = int_type(sf);
    set_xsp(t, d, truncate(t, type, t.ir.bin(op, type, xsp(t, n), t.ir.i64(add_sub_operand(shift, imm12)))));
    return true;
}

bool add_sub_imm_flags(TranslationContext& t, Op op, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d) {
    const Ref a = xsp(t, n), b = t.ir.i64(add_sub_operand(shift, imm12));
    const Ref v = t.ir.bin_raw(op, int_type(sf), a, b);
    const Ref flags = t.ir.flags_of(v);
    set_x(t, d, v);
    t.ir.set_flags(flags);
    return true;
}

bool min_max_imm(TranslationContext& t, Pick pick, bool sf, Imm<8> imm8, Reg n, Reg d) {
    const Type type = int_type(sf);
    const bool is_signed = pick == Pick::GreaterS || pick == Pick::LessS;
    const Ref imm = t.ir.constant(type, is_signed ? static_cast<uint64_t>(imm8.sign_extend()) : imm8);
    return min_max(t, pick, type, x(t, n), imm, d);
}

bool logical_imm(TranslationContext& t, Op op, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const auto mask = logical_mask(sf, N, immr, imms);
    if (!mask) return undefined(t);
    const Type type = int_type(sf);
    set_xsp(t, d, truncate(t, type, t.ir.bin(op, type, x(t, n), t.ir.i64(*mask))));
    return true;
}

/// SBFM and UBFM: all their aliases (LSL, LSR, ASR, SXT*, UXT*, *BFX, *BFIZ) come out as the simplest
/// operation.
bool bitfield(TranslationContext& t, bool is_signed, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n,
              Reg d) {
    if (!bitfield_valid(sf, N, immr, imms)) return undefined(t);
    const Type type = int_type(sf);
    const Ref v = x(t, n);
    if (imms >= immr) {
        set_x(t, d, extract(t, type, v, immr, imms - immr + 1, is_signed));
        return true;
    }
    const unsigned lsb = int_width(sf) - immr, width = imms + 1;
    const bool reaches_top = lsb + width == int_width(sf);
    set_x(t, d, shift(t, Op::Shl, type, reaches_top ? v : extract(t, type, v, 0, width, is_signed), lsb));
    return true;
}

// ---- PC-relative addressing

bool ADR(TranslationContext& t, Imm<2> immlo, Imm<19> immhi, Reg d) {
    const int64_t offset = t.offset + concat(immhi, immlo).sign_extend();
    set_x(t, d, t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(offset)));
    return true;
}

bool ADRP(TranslationContext& t, Imm<2> immlo, Imm<19> immhi, Reg d) {
    const int64_t offset = concat(immhi, immlo).sign_extend() * 4096;
    set_x(t, d, t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(offset)));
    return true;
}

// ---- Logical

bool ANDS_imm(TranslationContext& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    const auto mask = logical_mask(sf, N, immr, imms);
    if (!mask) return undefined(t);
    const Ref a = x(t, n), b = t.ir.i64(*mask);
    const Ref v = t.ir.bin_raw(Op::And, int_type(sf), a, b);
    const Ref flags = t.ir.flags_of(v);
    set_x(t, d, v);
    t.ir.set_flags(flags);
    return true;
}

// ---- Move wide

bool MOVN(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d) {
    if (!sf && hw >= 2) return undefined(t);
    set_x(t, d, t.ir.constant(int_type(sf), ~(uint64_t{imm16} << (hw * 16))));
    return true;
}

bool MOVZ(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d) {
    if (!sf && hw >= 2) return undefined(t);
    set_x(t, d, t.ir.constant(int_type(sf), uint64_t{imm16} << (hw * 16)));
    return true;
}

bool MOVK(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d) {
    if (!sf && hw >= 2) return undefined(t);
    const Type type = int_type(sf);
    const Ref old = x(t, d);
    const unsigned lsb = hw * 16;
    if (t.ir.is_const(old)) {
        const uint64_t rest = t.ir.const_value(old) & ~(uint64_t{0xffff} << lsb);
        set_x(t, d, t.ir.constant(type, rest | uint64_t{imm16} << lsb));
        return true;
    }
    set_x(t, d, t.ir.emit(Op::BitInsert, type, {old, t.ir.i64(imm16)}, lsb | 16u << 8));
    return true;
}

// ---- Bitfield

bool BFM(TranslationContext& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d) {
    if (!bitfield_valid(sf, N, immr, imms)) return undefined(t);
    const Type type = int_type(sf);
    const bool extracts = imms >= immr;  // BFXIL, else BFI
    const unsigned width = extracts ? imms - immr + 1 : imms + 1;
    const unsigned lsb = extracts ? 0 : int_width(sf) - immr;
    const Ref source = extracts ? shift(t, Op::Shr, type, x(t, n), immr) : x(t, n);
    if (width == int_width(sf)) {
        set_x(t, d, truncate(t, type, source));
        return true;
    }
    const Ref old = x(t, d);
    set_x(t, d, t.ir.emit(Op::BitInsert, type, {old, source}, lsb | width << 8));
    return true;
}

// ---- Extract

bool EXTR(TranslationContext& t, bool sf, bool N, Reg m, Imm<6> imms, Reg n, Reg d) {
    if (!bitfield_valid(sf, N, 0, imms)) return undefined(t);
    const Type type = int_type(sf);
    const Ref low = x(t, m);
    if (n == m || imms == 0) {
        set_x(t, d, shift(t, Op::Ror, type, low, imms));
        return true;
    }
    const Ref high = x(t, n);
    set_x(t, d, t.ir.emit(Op::Extr, type, {high, low}, imms));
    return true;
}

}  // namespace arclight::frontend::a64::translate
