// Bit fields, extensions, bit and byte order, counting, CRC.
#include "backend/x64/integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

void IntegerEmitter::emit_clz(const Inst& i) {
    const bool trailing = values_[cur()].folded;
    const Ref a = trailing ? values_.inst(i.args[0]).args[0] : i.args[0];
    const Operand& x = regs_.use_rm(a, i.type);
    const Reg d = regs_.def_over(cur(), i.type, {a});
    flags_.clobber();
    trailing ? as_.tzcnt(d, x) : as_.lzcnt(d, x);
}

void IntegerEmitter::emit_cls(const Inst& i) {
    // Leading zeros of x ^ x << 1: bits that differ from the next lower one. The set bit 0 ends the
    // count.
    const Reg64 x = regs_.use(i.args[0]);
    const Reg d = regs_.def_over(cur(), i.type, {i.args[0]});
    flags_.clobber();
    as_.lea(rax, ptr[x + x]);
    as_.xor_(sized(rax, i.type), sized(x, i.type));
    as_.or_(sized(rax, i.type), 1);
    as_.lzcnt(d, sized(rax, i.type));
}

void IntegerEmitter::emit_nzcv_from_flags(const Inst& i) {
    const Ref f = i.args[0];
    flags_.put_in_memory(f);
    const Reg64 d = regs_.def(cur());
    as_.movzx(eax, word[at(regs_.memory_disp(f))]);
    as_.mov(d.cvt32(), static_cast<uint32_t>(jit::kFlagMask));
    as_.pext(d.cvt32(), eax, d.cvt32());
    if (flags_.busy()) {
        as_.mov(eax, 28);
        as_.shlx(d.cvt32(), d.cvt32(), eax);
    } else {
        flags_.clobber();
        as_.shl(d.cvt32(), 28);
    }
}

void IntegerEmitter::emit_flags_from_nzcv(const Inst& i) {
    const Reg64 x = regs_.use(i.args[0]);
    flags_.clobber();
    ScratchGpr t(regs_);
    as_.mov(eax, x.cvt32());
    as_.shr(eax, 28);
    as_.mov(t.cvt32(), static_cast<uint32_t>(jit::kFlagMask));
    as_.pdep(eax, eax, t.cvt32());
    as_.add(al, 0x7f);  // OF = V
    as_.sahf();
    flags_.set(cur(), Sense::Add);
}

void IntegerEmitter::emit_extend(const Inst& i) {
    const Ref a = i.args[0];
    if (i.op == Op::ZExt32 || i.op == Op::SExt32) {
        const Operand& x = regs_.use_rm(a, Type::I32);
        const Reg64 d = regs_.def_over(cur(), {a});
        if (i.op == Op::ZExt32) {
            as_.mov(d.cvt32(), x);
        } else {
            as_.movsxd(d, x);
        }
        return;
    }
    const Reg64 x = regs_.use(a);
    const Reg d = regs_.def_over(cur(), i.type, {a});
    switch (i.op) {
        case Op::SExt8: as_.movsx(d, x.cvt8()); break;
        case Op::SExt16: as_.movsx(d, x.cvt16()); break;
        case Op::ZExt8: as_.movzx(d.cvt32(), x.cvt8()); break;
        default: as_.movzx(d.cvt32(), x.cvt16()); break;
    }
}

void IntegerEmitter::emit_rev(const Inst& i) {
    const Reg d = regs_.def_copy(cur(), i.args[0], i.type);
    as_.bswap(r32e(d));
    if (i.op == Op::Rev32) as_.rorx(r32e(d), d, 32);
}

void IntegerEmitter::emit_rev16(const Inst& i) {
    if (i.type == Type::I32) {
        const Reg d = regs_.def_copy(cur(), i.args[0], i.type);
        as_.bswap(r32e(d));
        as_.rorx(r32e(d), d, 16);
        return;
    }
    const Reg64 x = regs_.use(i.args[0]);
    flags_.clobber();
    ScratchGpr t(regs_);
    const Reg64 d = regs_.def(cur());
    as_.mov(rax, 0x00ff'00ff'00ff'00ff);
    as_.mov(d, x);
    as_.shr(d, 8);
    as_.and_(d, rax);
    as_.mov(t, x);
    as_.and_(t, rax);
    as_.shl(t, 8);
    as_.or_(d, t);
}

void IntegerEmitter::emit_rbit(const Inst& i) {
    const Reg64 d = regs_.def_copy(cur(), i.args[0]);
    flags_.clobber();
    ScratchGpr t(regs_);
    const Reg w = sized(d, i.type), u = sized(t, i.type), m = sized(rax, i.type);
    as_.bswap(r32e(w));
    const auto swap = [&](int count, uint64_t mask) {
        as_.mov(m, i.type == Type::I32 ? mask & 0xffff'ffff : mask);
        as_.mov(u, w);
        as_.shr(u, count);
        as_.and_(u, m);
        as_.and_(w, m);
    };
    swap(4, 0x0f0f'0f0f'0f0f'0f0f);
    as_.shl(w, 4);
    as_.or_(w, u);
    swap(2, 0x3333'3333'3333'3333);
    as_.lea(w, ptr[t + d * 4]);
    swap(1, 0x5555'5555'5555'5555);
    as_.lea(w, ptr[t + d * 2]);
}

void IntegerEmitter::emit_extr(const Inst& i) {
    const Ref high = i.args[0], low = i.args[1];
    const uint8_t count = static_cast<uint8_t>(i.imm);
    if (high == low || count == 0) {
        const Operand& x = regs_.use_rm(low, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {low});
        if (count == 0) {
            as_.mov(d, x);
        } else {
            as_.rorx(r32e(d), x, count);
        }
        return;
    }
    const Reg h = regs_.use(high, i.type);
    const Reg d = regs_.def_copy(cur(), low, i.type);
    flags_.clobber();
    as_.shrd(d, h, count);
}

void IntegerEmitter::emit_bit_insert(const Inst& i) {
    const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff;
    const unsigned bits = i.type == Type::I32 ? 32 : 64;
    const Ref into = i.args[0], from = i.args[1];
    if (width == bits) {
        const Operand& x = regs_.use_rm(from, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {from});
        as_.mov(d, x);
        return;
    }
    if (lsb == 0 && (width == 8 || width == 16)) {
        const Reg64 x = regs_.use(from);
        const Reg64 d = regs_.def_copy(cur(), into);
        if (width == 8) {
            as_.mov(d.cvt8(), x.cvt8());
        } else {
            as_.mov(d.cvt16(), x.cvt16());
        }
        // The copy may be the operand's own register, whose upper half counts for nothing in an I32
        // operation.
        if (i.type == Type::I32) as_.mov(d.cvt32(), d.cvt32());
        return;
    }
    // d = into ^ (((from << lsb) ^ into) & mask)
    const Reg x = regs_.use(into, i.type);
    if (values_.inst(from).op == Op::Const && values_.inst(from).imm == 0) {
        const uint64_t keep = ~(((uint64_t{1} << width) - 1) << lsb);
        const Reg d = regs_.def_copy(cur(), into, i.type);
        flags_.clobber();
        and_const(d, i.type == Type::I32 ? keep & 0xffff'ffff : keep);
        return;
    }
    const uint64_t mask = ((uint64_t{1} << width) - 1) << lsb;
    const Reg d = from == into ? regs_.def(cur(), i.type) : regs_.def_copy(cur(), from, i.type);
    if (from == into) as_.mov(d, x);
    flags_.clobber();
    if (lsb != 0) as_.shl(d, static_cast<int>(lsb));
    as_.xor_(d, x);
    and_const(d, mask);
    as_.xor_(d, x);
}

void IntegerEmitter::and_const(const Reg& d, uint64_t mask) {
    if (d.isREG(32) || static_cast<int64_t>(mask) == static_cast<int32_t>(mask)) {
        as_.and_(d, static_cast<uint32_t>(mask));
    } else if (mask <= 0xffff'ffff) {
        as_.and_(d.cvt32(), static_cast<uint32_t>(mask));
    } else {
        as_.mov(rax, mask);
        as_.and_(d, rax);
    }
}

void IntegerEmitter::emit_bit_extract(const Inst& i) {
    const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff;
    const unsigned bits = i.type == Type::I32 ? 32 : 64;
    const bool sign = i.op == Op::BitExtractS;
    const Ref a = i.args[0];
    if (lsb == 0 && width == bits) {
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        as_.mov(d, x);
        return;
    }
    if (lsb == 0 && (width == 8 || width == 16 || width == 32)) {
        if (width == 32) {
            const Operand& x = regs_.use_rm(a, Type::I32);
            const Reg64 d = regs_.def_over(cur(), {a});
            if (sign) {
                as_.movsxd(d, x);
            } else {
                as_.mov(d.cvt32(), x);
            }
            return;
        }
        const Reg64 x = regs_.use(a);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        const Reg part = width == 8 ? static_cast<Reg>(x.cvt8()) : static_cast<Reg>(x.cvt16());
        if (sign) {
            as_.movsx(d, part);
        } else {
            as_.movzx(d.cvt32(), part);
        }
        return;
    }
    if (!sign && width < 32 && !flags_.busy() && lsb + width < bits) {
        if (lsb == 0) {
            const Reg d = regs_.def_copy(cur(), a, i.type);
            flags_.clobber();
            as_.and_(d.cvt32(), (1u << width) - 1);
            return;
        }
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        flags_.clobber();
        as_.rorx(r32e(d), x, static_cast<uint8_t>(lsb));
        if (width == 8) {
            as_.movzx(d.cvt32(), Xbyak::Reg8(d.getIdx(), d.getIdx() >= 4 && d.getIdx() < 8));
        } else if (width == 16) {
            as_.movzx(d.cvt32(), d.cvt16());
        } else {
            as_.and_(d.cvt32(), (1u << width) - 1);
        }
        return;
    }
    const int up = static_cast<int>(bits - lsb - width), down = static_cast<int>(bits - width);
    if (flags_.busy()) {
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        const Reg n = sized(rax, i.type);
        if (up != 0) {
            as_.mov(eax, up);
            as_.shlx(r32e(d), x, r32e(n));
        }
        as_.mov(eax, down);
        if (up != 0) {
            as_.shift_by(sign ? Op::Sar : Op::Shr, d, d, n);
        } else {
            as_.shift_by(sign ? Op::Sar : Op::Shr, d, x, n);
        }
        return;
    }
    const Reg d = regs_.def_copy(cur(), a, i.type);
    flags_.clobber();
    if (up != 0) as_.shl(d, up);
    if (sign) {
        as_.sar(d, down);
    } else {
        as_.shr(d, down);
    }
}

/// The Castagnoli polynomial has an instruction; the other one is reduced by two carry-less multiplications
/// (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ").
void IntegerEmitter::emit_crc32(const Inst& i) {
    const unsigned log2 = i.aux & 3;
    const bool castagnoli = (i.aux & 8) != 0;
    if (castagnoli) {
        const Reg64 data = regs_.use(i.args[1]);
        const Reg64 d = regs_.def_copy(cur(), i.args[0]);
        if (log2 == 3) {
            as_.crc32(d, data);
        } else {
            as_.crc32(d.cvt32(), sized_log2(data, log2));
        }
        return;
    }
    const Reg64 crc = regs_.use(i.args[0]), data = regs_.use(i.args[1]);
    flags_.clobber();
    ScratchXmm x(regs_), k(regs_);
    const Reg64 d = regs_.def(cur());
    // One step feeds 32 bits: r = (v * x^32) mod P for the bit-reflected v in eax.
    const auto reduce = [&] {
        as_.vmovd(x, eax);
        as_.mov(rax, 0x1'f701'1641);  // x^64 / P, reflected
        as_.vmovq(k, rax);
        as_.vpclmulqdq(xmm15, x, k, 0);
        as_.vpslldq(xmm15, xmm15, 12);  // low 32 bits of the quotient
        as_.vpsrldq(xmm15, xmm15, 12);
        as_.mov(rax, 0x1'db71'0641);  // P, reflected
        as_.vmovq(k, rax);
        as_.vpclmulqdq(xmm15, xmm15, k, 0);
        as_.vpxor(xmm15, xmm15, x);
        as_.vpextrd(eax, xmm15, 1);
    };
    as_.mov(eax, crc.cvt32());
    as_.xor_(eax, data.cvt32());
    switch (log2) {
        case 0:
        case 1: {
            const int bits = 8 << log2;
            as_.shl(eax, 32 - bits);
            reduce();
            as_.mov(d.cvt32(), crc.cvt32());
            as_.shr(d.cvt32(), bits);
            as_.xor_(d.cvt32(), eax);
            break;
        }
        case 2:
            reduce();
            as_.mov(d.cvt32(), eax);
            break;
        default:
            reduce();
            as_.mov(d, data);
            as_.shr(d, 32);
            as_.xor_(eax, d.cvt32());
            reduce();
            as_.mov(d.cvt32(), eax);
            break;
    }
}

}  // namespace arclight::backend
