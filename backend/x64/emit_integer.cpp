// Integer arithmetic, logic, shifts and selection.
#include <limits>
#include <utility>

#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

bool BlockEmitter::emit_integer(const Inst& i) {
    switch (i.op) {
        case Op::Add: emit_add(i); return true;
        case Op::Sub: emit_sub(i); return true;
        case Op::Adc:
        case Op::Sbc: emit_carry(i); return true;
        case Op::And:
        case Op::Or:
        case Op::Xor: emit_logic(i); return true;
        case Op::AndNot:
        case Op::OrNot:
        case Op::XorNot: emit_logic_not(i); return true;
        case Op::Mul: emit_mul(i); return true;
        case Op::UMulHigh:
        case Op::SMulHigh: emit_mul_high(i); return true;
        case Op::UDiv:
        case Op::SDiv: emit_div(i); return true;
        case Op::Shl:
        case Op::Shr:
        case Op::Sar:
        case Op::Ror: emit_shift(i); return true;
        case Op::BoolToInt: {
            const Cc cc = test_condition(i.args[0]);
            const Reg64 d = def(cur_);
            set_if(cc, al);
            movzx(d.cvt32(), al);
            return true;
        }
        default: return false;
    }
}

void BlockEmitter::emit_add(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur_];
    if (v.folded) {
        if (inst(b).op != Op::Shl) std::swap(a, b);
        const Inst& shift = inst(b);
        const Reg64 x = use(a), y = use(shift.args[0]);
        const Reg d = def_over(cur_, i.type, {a, shift.args[0]});
        lea(d, ptr[x + y * (1 << inst(shift.args[1]).imm)]);
        return;
    }
    if (is_const(a)) std::swap(a, b);
    int32_t imm = 0;
    const bool has_imm = imm32(b, i.type, imm);
    if (v.flags_live) {
        const bool wanted = v.next_use != kNever;
        const int32_t lowest = std::numeric_limits<int32_t>::min();
        if (!wanted && has_imm && imm != 0 && imm != lowest) {
            // a + imm carries just when a - (-imm) does not borrow; the overflow is the same.
            const Reg x = use(a, i.type);
            clobber_flags();
            cmp(x, static_cast<uint32_t>(-imm));
            set_eflags(cur_ + 1, Sense::Sub);
            return;
        }
        if (wanted && !has_imm && !dies(a) && dies(b)) std::swap(a, b);
        const Operand& y = has_imm ? static_cast<const Operand&>(rax) : use_rm(b, i.type);
        Reg d = wanted ? def_copy(cur_, a, i.type) : use(a, i.type);
        clobber_flags();
        if (!wanted) {
            mov(sized(rax, i.type), d);
            d = sized(rax, i.type);
        }
        if (has_imm) {
            add(d, static_cast<uint32_t>(imm));
        } else {
            add(d, y);
        }
        set_eflags(cur_ + 1, Sense::Add);
        return;
    }
    if (!has_imm && dies(b) && (!dies(a) || values_[a].reg == kNone)) std::swap(a, b);
    const bool in_place = dies(a) && !flags_busy();
    if (in_place) {
        if (has_imm) {
            const Reg d = def_copy(cur_, a, i.type);
            clobber_flags();
            add(d, static_cast<uint32_t>(imm));
            return;
        }
        const Operand& y = use_rm(b, i.type);
        const Reg d = def_copy(cur_, a, i.type);
        clobber_flags();
        add(d, y);
        return;
    }
    const Reg64 x = use(a);
    if (has_imm) {
        const Reg d = def_over(cur_, i.type, {a});
        lea(d, ptr[x + imm]);
        return;
    }
    const Reg64 y = use(b);
    const Reg d = def_over(cur_, i.type, {a, b});
    lea(d, ptr[x + y]);
}

void BlockEmitter::emit_sub(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur_];
    int32_t imm = 0;
    const bool has_imm = imm32(b, i.type, imm);
    if (v.flags_live && v.next_use == kNever) {
        const Reg x = use(a, i.type);
        if (has_imm && imm == 0) {
            clobber_flags();
            test(x, x);  // CF = OF = 0, as of x - 0
        } else if (has_imm) {
            clobber_flags();
            cmp(x, static_cast<uint32_t>(imm));
        } else {
            const Operand& y = use_rm(b, i.type);
            clobber_flags();
            cmp(x, y);
        }
        set_eflags(cur_ + 1, Sense::Sub);
        return;
    }
    if (!v.flags_live) {
        if (has_imm && imm != std::numeric_limits<int32_t>::min() &&
            (flags_busy() || !dies(a) || values_[a].reg == kNone)) {
            const Reg64 x = use(a);
            const Reg d = def_over(cur_, i.type, {a});
            lea(d, ptr[x - imm]);
            return;
        }
        if (flags_busy() && !has_imm) {
            // a - b = a + ~b + 1, without touching EFLAGS.
            const Reg64 x = use(a);
            const Reg64 y = use(b);
            mov(rax, y);
            not_(rax);
            const Reg d = def_over(cur_, i.type, {a, b});
            lea(d, ptr[x + rax + 1]);
            return;
        }
        if (is_const(a) && inst(a).imm == 0) {
            const Reg d = def_copy(cur_, b, i.type);
            clobber_flags();
            neg(d);
            return;
        }
    }
    if (has_imm) {
        const Reg d = def_copy(cur_, a, i.type);
        clobber_flags();
        sub(d, static_cast<uint32_t>(imm));
    } else {
        const Operand& y = use_rm(b, i.type);
        const Reg d = def_copy(cur_, a, i.type);
        clobber_flags();
        sub(d, y);
    }
    eflags_ = kNoRef;
    if (v.flags_live) set_eflags(cur_ + 1, Sense::Sub);
}

void BlockEmitter::emit_carry(const Inst& i) {
    const bool is_sub = i.op == Op::Sbc;
    Ref a = i.args[0], b = i.args[1];
    int32_t imm = 0;
    if (!is_sub && is_const(a)) std::swap(a, b);
    const bool has_imm = imm32(b, i.type, imm);
    // Only instructions that leave CF alone between here and the operation.
    load_carry(i.args[2], is_sub);
    const Operand& y = has_imm ? static_cast<const Operand&>(rax) : use_rm(b, i.type);
    const Reg d = def_copy(cur_, a, i.type);
    if (is_sub) {
        if (has_imm) {
            sbb(d, static_cast<uint32_t>(imm));
        } else {
            sbb(d, y);
        }
    } else if (has_imm) {
        adc(d, static_cast<uint32_t>(imm));
    } else {
        adc(d, y);
    }
    if (values_[cur_].flags_live) set_eflags(cur_ + 1, is_sub ? Sense::Sub : Sense::Add);
}

void BlockEmitter::emit_logic(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    if (is_const(a)) std::swap(a, b);
    const Value& v = values_[cur_];
    int32_t imm = 0;
    const bool has_imm = imm32(b, i.type, imm);
    if (v.flags_live && v.next_use == kNever) {
        const Reg x = use(a, i.type);
        if (has_imm) {
            clobber_flags();
            if (imm == -1) {
                test(x, x);
            } else {
                test(x, static_cast<uint32_t>(imm));
            }
        } else {
            const Operand& y = use_rm(b, i.type);
            clobber_flags();
            test(y, x);
        }
        set_eflags(cur_ + 1, Sense::Add);
        return;
    }
    // 64-bit masks of up to 32 bits do with a 32-bit instruction.
    if (i.op == Op::And && !v.flags_live && i.type == Type::I64 && is_const(b) && !has_imm &&
        inst(b).imm <= 0xffff'ffff) {
        const uint32_t mask = static_cast<uint32_t>(inst(b).imm);
        if (mask == 0xffff'ffff) {
            const Operand& x = use_rm(a, Type::I32);
            const Reg64 d = def_over(cur_, {a});
            mov(d.cvt32(), x);
            return;
        }
        const Reg64 d = def_copy(cur_, a);
        clobber_flags();
        and_(d.cvt32(), mask);
        return;
    }
    if (i.op == Op::And && !v.flags_live && has_imm && (imm == 0xff || imm == 0xffff)) {
        const Reg64 x = use(a);
        const Reg64 d = def_over(cur_, {a});
        if (imm == 0xff) {
            movzx(d.cvt32(), x.cvt8());
        } else {
            movzx(d.cvt32(), x.cvt16());
        }
        return;
    }
    if (i.op == Op::Xor && has_imm && imm == -1) {
        not_(def_copy(cur_, a, i.type));
        return;
    }
    if (!has_imm && dies(b) && !dies(a)) std::swap(a, b);
    const Operand& y = has_imm ? static_cast<const Operand&>(rax) : use_rm(b, i.type);
    const Reg d = def_copy(cur_, a, i.type);
    clobber_flags();
    const uint32_t u = static_cast<uint32_t>(imm);
    switch (i.op) {
        case Op::And: has_imm ? and_(d, u) : and_(d, y); break;
        case Op::Or: has_imm ? or_(d, u) : or_(d, y); break;
        default: has_imm ? xor_(d, u) : xor_(d, y); break;
    }
    if (v.flags_live) set_eflags(cur_ + 1, Sense::Add);
}

void BlockEmitter::emit_logic_not(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur_];
    if (i.op == Op::AndNot) {
        const Operand& x = use_rm(a, i.type);
        const Reg y = use(b, i.type);
        Reg d = sized(rax, i.type);
        if (v.next_use != kNever) d = def_over(cur_, i.type, {b, a});
        clobber_flags();
        andn(r32e(d), r32e(y), x);
        if (v.flags_live) set_eflags(cur_ + 1, Sense::Add);
        return;
    }
    if (is_const(a) && inst(a).imm == 0) {  // MVN
        not_(def_copy(cur_, b, i.type));
        return;
    }
    if (i.op == Op::OrNot) {  // ~(~a & b)
        const Reg x = use(a, i.type);
        const Operand& y = use_rm(b, i.type);
        const Reg d = def_over(cur_, i.type, {a, b});
        clobber_flags();
        andn(r32e(d), r32e(x), y);
        not_(d);
        return;
    }
    const Operand& x = use_rm(a, i.type);
    const Reg d = def_copy(cur_, b, i.type);
    clobber_flags();
    xor_(d, x);
    not_(d);
}

void BlockEmitter::emit_mul(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    if (is_const(a)) std::swap(a, b);
    int32_t imm = 0;
    if (imm32(b, i.type, imm)) {
        const Operand& x = use_rm(a, i.type);
        const Reg d = def_over(cur_, i.type, {a});
        clobber_flags();
        imul(d, x, imm);
        return;
    }
    if (flags_busy() && i.type == Type::I64) {  // in the middle of a carry chain
        reserve(Operand::RDX);
        const Reg64 x = use(a), y = use(b);
        mov(rdx, x);
        const Reg64 d = def(cur_);
        mulx(rax, d, y);
        return;
    }
    if (dies(b) && !dies(a)) std::swap(a, b);
    const Operand& y = use_rm(b, i.type);
    const Reg d = def_copy(cur_, a, i.type);
    clobber_flags();
    imul(d, y);
}

void BlockEmitter::emit_mul_high(const Inst& i) {
    reserve(Operand::RDX);
    const Reg64 x = use(i.args[0]), y = use(i.args[1]);
    if (i.op == Op::UMulHigh) {
        mov(rdx, x);
        const Reg64 d = def(cur_);
        mulx(d, rax, y);
        return;
    }
    clobber_flags();
    mov(rax, x);
    imul(y);
    const Reg64 d = def(cur_);
    mov(d, rdx);
}

void BlockEmitter::emit_div(const Inst& i) {
    const bool is_signed = i.op == Op::SDiv;
    reserve(Operand::RDX);
    const Reg x = use(i.args[0], i.type), y = use(i.args[1], i.type);
    const Reg d = def(cur_, i.type);
    clobber_flags();
    const Reg dividend = sized(rax, i.type);
    xor_(d.cvt32(), d.cvt32());
    test(y, y);
    const Jump zero = jump_if(kE, true);
    Jump minus_one;
    if (is_signed) {
        // x / -1 = -x also for the most negative number, where idiv would trap.
        mov(d, x);
        neg(d);
        cmp(y, -1);
        minus_one = jump_if(kE, true);
    }
    mov(dividend, x);
    if (!is_signed) {
        xor_(edx, edx);
        div(y);
    } else {
        if (i.type == Type::I64) {
            cqo();
        } else {
            cdq();
        }
        idiv(y);
    }
    mov(d, dividend);
    land(zero);
    if (is_signed) land(minus_one);
}

void BlockEmitter::emit_shift(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    if (is_const(b)) {
        const int count = static_cast<int>(inst(b).imm & (i.type == Type::I32 ? 31 : 63));
        if (count == 0) {
            const Operand& x = use_rm(a, i.type);
            const Reg d = def_over(cur_, i.type, {a});
            mov(d, x);
            return;
        }
        if (i.op == Op::Ror) {
            const Operand& x = use_rm(a, i.type);
            const Reg d = def_over(cur_, i.type, {a});
            rorx(r32e(d), x, static_cast<uint8_t>(count));
            return;
        }
        if (!flags_busy()) {
            const Reg d = def_copy(cur_, a, i.type);
            clobber_flags();
            switch (i.op) {
                case Op::Shl: shl(d, count); break;
                case Op::Shr: shr(d, count); break;
                default: sar(d, count); break;
            }
            return;
        }
        const Operand& x = use_rm(a, i.type);
        const Reg d = def_over(cur_, i.type, {a});
        mov(eax, count);
        shift_by(i.op, d, x, sized(rax, i.type));
        return;
    }
    if (i.op == Op::Ror) {
        reserve(Operand::RCX);
        const Reg64 count = use(b);
        const Reg d = def_copy(cur_, a, i.type);
        clobber_flags();
        mov(ecx, count.cvt32());
        ror(d, cl);
        return;
    }
    const Operand& x = use_rm(a, i.type);
    const Reg count = use(b, i.type);
    const Reg d = def_over(cur_, i.type, {a, b});
    shift_by(i.op, d, x, count);
}

void BlockEmitter::shift_by(Op op, const Reg& d, const Operand& x, const Reg& count) {
    const Xbyak::Reg32e dst(d.getIdx(), d.getBit()), n(count.getIdx(), count.getBit());
    switch (op) {
        case Op::Shl: shlx(dst, x, n); break;
        case Op::Shr: shrx(dst, x, n); break;
        default: sarx(dst, x, n); break;
    }
}

void BlockEmitter::emit_select(const Inst& i) {
    const Ref a = i.args[1], b = i.args[2];
    if (is_vec(i.type)) {
        const Xmm x = use_xmm(a);
        const Cc cc = test_condition(i.args[0]);
        const Xmm d = def_copy_xmm(cur_, b);
        const Jump skip = jump_if(inverted(cc), true);
        vmovaps(d, x);
        land(skip);
        return;
    }
    // From here on EFLAGS hold the condition: only moves.
    const Cc cc = test_condition(i.args[0]);
    if (dies(a) && !dies(b) && values_[a].reg != kNone) {
        const Operand& y = use_rm(b, i.type);
        const Reg d = def_copy(cur_, a, i.type);
        move_if(inverted(cc), d, y);
        return;
    }
    const Operand& x = use_rm(a, i.type);
    const Reg d = def_copy(cur_, b, i.type);
    move_if(cc, d, x);
}

}  // namespace arclight::backend
