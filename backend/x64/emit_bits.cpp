// Bit fields, extensions, bit and byte order, counting, CRC.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

bool BlockEmitter::emit_bits(const Inst& i) {
    switch (i.op) {
        case Op::SExt8:
        case Op::SExt16:
        case Op::SExt32:
        case Op::ZExt8:
        case Op::ZExt16:
        case Op::ZExt32: emit_extend(i); return true;
        case Op::Clz: {
            const Operand& x = use_rm(i.args[0], i.type);
            const Reg d = def_over(cur_, i.type, {i.args[0]});
            clobber_flags();
            lzcnt(d, x);
            return true;
        }
        case Op::Cls: {
            // Leading zeros of x ^ x << 1: bits that differ from the next lower one. The set bit 0 ends the
            // count.
            const Reg64 x = use(i.args[0]);
            const Reg d = def_over(cur_, i.type, {i.args[0]});
            clobber_flags();
            lea(rax, ptr[x + x]);
            xor_(sized(rax, i.type), sized(x, i.type));
            or_(sized(rax, i.type), 1);
            lzcnt(d, sized(rax, i.type));
            return true;
        }
        case Op::Rbit: emit_rbit(i); return true;
        case Op::Rev:
        case Op::Rev32: emit_rev(i); return true;
        case Op::Rev16: emit_rev16(i); return true;
        case Op::Extr: emit_extr(i); return true;
        case Op::BitInsert: emit_bit_insert(i); return true;
        case Op::BitExtractU:
        case Op::BitExtractS: emit_bit_extract(i); return true;
        case Op::Crc32: emit_crc32(i); return true;
        case Op::NzcvFromFlags: {
            const Ref f = i.args[0];
            if (eflags_ == f) save_eflags();
            const Reg64 d = def(cur_);
            movzx(eax, word[at(memory_disp(f))]);
            mov(d.cvt32(), static_cast<uint32_t>(jit::kFlagMask));
            pext(d.cvt32(), eax, d.cvt32());
            if (flags_busy()) {
                mov(eax, 28);
                shlx(d.cvt32(), d.cvt32(), eax);
            } else {
                clobber_flags();
                shl(d.cvt32(), 28);
            }
            return true;
        }
        case Op::FlagsFromNzcv: {
            const Reg64 x = use(i.args[0]);
            clobber_flags();
            ScratchGpr t(*this);
            mov(eax, x.cvt32());
            shr(eax, 28);
            mov(t.cvt32(), static_cast<uint32_t>(jit::kFlagMask));
            pdep(eax, eax, t.cvt32());
            add(al, 0x7f);  // OF = V
            sahf();
            set_eflags(cur_, Sense::Add);
            return true;
        }
        default: return false;
    }
}

void BlockEmitter::emit_extend(const Inst& i) {
    const Ref a = i.args[0];
    if (i.op == Op::ZExt32 || i.op == Op::SExt32) {
        const Operand& x = use_rm(a, Type::I32);
        const Reg64 d = def_over(cur_, {a});
        if (i.op == Op::ZExt32) {
            mov(d.cvt32(), x);
        } else {
            movsxd(d, x);
        }
        return;
    }
    const Reg64 x = use(a);
    const Reg d = def_over(cur_, i.type, {a});
    switch (i.op) {
        case Op::SExt8: movsx(d, x.cvt8()); break;
        case Op::SExt16: movsx(d, x.cvt16()); break;
        case Op::ZExt8: movzx(d.cvt32(), x.cvt8()); break;
        default: movzx(d.cvt32(), x.cvt16()); break;
    }
}

void BlockEmitter::emit_rev(const Inst& i) {
    const Reg d = def_copy(cur_, i.args[0], i.type);
    bswap(r32e(d));
    if (i.op == Op::Rev32) rorx(r32e(d), d, 32);
}

void BlockEmitter::emit_rev16(const Inst& i) {
    if (i.type == Type::I32) {
        const Reg d = def_copy(cur_, i.args[0], i.type);
        bswap(r32e(d));
        rorx(r32e(d), d, 16);
        return;
    }
    const Reg64 x = use(i.args[0]);
    clobber_flags();
    ScratchGpr t(*this);
    const Reg64 d = def(cur_);
    mov(rax, 0x00ff'00ff'00ff'00ff);
    mov(d, x);
    shr(d, 8);
    and_(d, rax);
    mov(t, x);
    and_(t, rax);
    shl(t, 8);
    or_(d, t);
}

void BlockEmitter::emit_rbit(const Inst& i) {
    const Reg64 d = def_copy(cur_, i.args[0]);
    clobber_flags();
    ScratchGpr t(*this);
    const Reg w = sized(d, i.type), u = sized(t, i.type), m = sized(rax, i.type);
    bswap(r32e(w));
    const auto swap = [&](int count, uint64_t mask) {
        mov(m, i.type == Type::I32 ? mask & 0xffff'ffff : mask);
        mov(u, w);
        shr(u, count);
        and_(u, m);
        and_(w, m);
    };
    swap(4, 0x0f0f'0f0f'0f0f'0f0f);
    shl(w, 4);
    or_(w, u);
    swap(2, 0x3333'3333'3333'3333);
    lea(w, ptr[t + d * 4]);
    swap(1, 0x5555'5555'5555'5555);
    lea(w, ptr[t + d * 2]);
}

void BlockEmitter::emit_extr(const Inst& i) {
    const Ref high = i.args[0], low = i.args[1];
    const uint8_t count = static_cast<uint8_t>(i.imm);
    if (high == low || count == 0) {
        const Operand& x = use_rm(low, i.type);
        const Reg d = def_over(cur_, i.type, {low});
        if (count == 0) {
            mov(d, x);
        } else {
            rorx(r32e(d), x, count);
        }
        return;
    }
    const Reg h = use(high, i.type);
    const Reg d = def_copy(cur_, low, i.type);
    clobber_flags();
    shrd(d, h, count);
}

void BlockEmitter::emit_bit_insert(const Inst& i) {
    const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff;
    const unsigned bits = i.type == Type::I32 ? 32 : 64;
    const Ref into = i.args[0], from = i.args[1];
    if (width == bits) {
        const Operand& x = use_rm(from, i.type);
        const Reg d = def_over(cur_, i.type, {from});
        mov(d, x);
        return;
    }
    if (lsb == 0 && (width == 8 || width == 16)) {
        const Reg64 x = use(from);
        const Reg64 d = def_copy(cur_, into);
        if (width == 8) {
            mov(d.cvt8(), x.cvt8());
        } else {
            mov(d.cvt16(), x.cvt16());
        }
        // The copy may be the operand's own register, whose upper half counts for nothing in an I32
        // operation.
        if (i.type == Type::I32) mov(d.cvt32(), d.cvt32());
        return;
    }
    // d = into ^ (((from << lsb) ^ into) & mask)
    const Reg x = use(into, i.type);
    if (inst(from).op == Op::Const && inst(from).imm == 0) {
        const uint64_t keep = ~(((uint64_t{1} << width) - 1) << lsb);
        const Reg d = def_copy(cur_, into, i.type);
        clobber_flags();
        and_const(d, i.type == Type::I32 ? keep & 0xffff'ffff : keep);
        return;
    }
    const uint64_t mask = ((uint64_t{1} << width) - 1) << lsb;
    const Reg d = from == into ? def(cur_, i.type) : def_copy(cur_, from, i.type);
    if (from == into) mov(d, x);
    clobber_flags();
    if (lsb != 0) shl(d, static_cast<int>(lsb));
    xor_(d, x);
    and_const(d, mask);
    xor_(d, x);
}

void BlockEmitter::and_const(const Reg& d, uint64_t mask) {
    if (d.isREG(32) || static_cast<int64_t>(mask) == static_cast<int32_t>(mask)) {
        and_(d, static_cast<uint32_t>(mask));
    } else if (mask <= 0xffff'ffff) {
        and_(d.cvt32(), static_cast<uint32_t>(mask));
    } else {
        mov(rax, mask);
        and_(d, rax);
    }
}

void BlockEmitter::emit_bit_extract(const Inst& i) {
    const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff;
    const unsigned bits = i.type == Type::I32 ? 32 : 64;
    const bool sign = i.op == Op::BitExtractS;
    const Ref a = i.args[0];
    if (lsb == 0 && width == bits) {
        const Operand& x = use_rm(a, i.type);
        const Reg d = def_over(cur_, i.type, {a});
        mov(d, x);
        return;
    }
    if (lsb == 0 && (width == 8 || width == 16 || width == 32)) {
        if (width == 32) {
            const Operand& x = use_rm(a, Type::I32);
            const Reg64 d = def_over(cur_, {a});
            if (sign) {
                movsxd(d, x);
            } else {
                mov(d.cvt32(), x);
            }
            return;
        }
        const Reg64 x = use(a);
        const Reg d = def_over(cur_, i.type, {a});
        const Reg part = width == 8 ? static_cast<Reg>(x.cvt8()) : static_cast<Reg>(x.cvt16());
        if (sign) {
            movsx(d, part);
        } else {
            movzx(d.cvt32(), part);
        }
        return;
    }
    if (!sign && width < 32 && !flags_busy() && lsb + width < bits) {
        if (lsb == 0) {
            const Reg d = def_copy(cur_, a, i.type);
            clobber_flags();
            and_(d.cvt32(), (1u << width) - 1);
            return;
        }
        const Operand& x = use_rm(a, i.type);
        const Reg d = def_over(cur_, i.type, {a});
        clobber_flags();
        rorx(r32e(d), x, static_cast<uint8_t>(lsb));
        if (width == 8) {
            movzx(d.cvt32(), Xbyak::Reg8(d.getIdx(), d.getIdx() >= 4 && d.getIdx() < 8));
        } else if (width == 16) {
            movzx(d.cvt32(), d.cvt16());
        } else {
            and_(d.cvt32(), (1u << width) - 1);
        }
        return;
    }
    const int up = static_cast<int>(bits - lsb - width), down = static_cast<int>(bits - width);
    if (flags_busy()) {
        const Operand& x = use_rm(a, i.type);
        const Reg d = def_over(cur_, i.type, {a});
        const Reg n = sized(rax, i.type);
        if (up != 0) {
            mov(eax, up);
            shlx(r32e(d), x, r32e(n));
        }
        mov(eax, down);
        if (up != 0) {
            shift_by(sign ? Op::Sar : Op::Shr, d, d, n);
        } else {
            shift_by(sign ? Op::Sar : Op::Shr, d, x, n);
        }
        return;
    }
    const Reg d = def_copy(cur_, a, i.type);
    clobber_flags();
    if (up != 0) shl(d, up);
    if (sign) {
        sar(d, down);
    } else {
        shr(d, down);
    }
}

/// The Castagnoli polynomial has an instruction; the other one is reduced by two carry-less multiplications
/// (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ").
void BlockEmitter::emit_crc32(const Inst& i) {
    const unsigned log2 = i.aux & 3;
    const bool castagnoli = (i.aux & 8) != 0;
    if (castagnoli) {
        const Reg64 data = use(i.args[1]);
        const Reg64 d = def_copy(cur_, i.args[0]);
        if (log2 == 3) {
            crc32(d, data);
        } else {
            crc32(d.cvt32(), sized_log2(data, log2));
        }
        return;
    }
    const Reg64 crc = use(i.args[0]), data = use(i.args[1]);
    clobber_flags();
    ScratchXmm x(*this), k(*this);
    const Reg64 d = def(cur_);
    // One step feeds 32 bits: r = (v * x^32) mod P for the bit-reflected v in eax.
    const auto reduce = [&] {
        vmovd(x, eax);
        mov(rax, 0x1'f701'1641);  // x^64 / P, reflected
        vmovq(k, rax);
        vpclmulqdq(xmm15, x, k, 0);
        vpslldq(xmm15, xmm15, 12);  // low 32 bits of the quotient
        vpsrldq(xmm15, xmm15, 12);
        mov(rax, 0x1'db71'0641);  // P, reflected
        vmovq(k, rax);
        vpclmulqdq(xmm15, xmm15, k, 0);
        vpxor(xmm15, xmm15, x);
        vpextrd(eax, xmm15, 1);
    };
    mov(eax, crc.cvt32());
    xor_(eax, data.cvt32());
    switch (log2) {
        case 0:
        case 1: {
            const int bits = 8 << log2;
            shl(eax, 32 - bits);
            reduce();
            mov(d.cvt32(), crc.cvt32());
            shr(d.cvt32(), bits);
            xor_(d.cvt32(), eax);
            break;
        }
        case 2:
            reduce();
            mov(d.cvt32(), eax);
            break;
        default:
            reduce();
            mov(d, data);
            shr(d, 32);
            xor_(eax, d.cvt32());
            reduce();
            mov(d.cvt32(), eax);
            break;
    }
}

}  // namespace arclight::backend
