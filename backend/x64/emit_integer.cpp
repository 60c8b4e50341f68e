// Integer arithmetic, logic, shifts and selection.
#include <iterator>
#include <limits>
#include <utility>

#include "backend/x64/integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

void IntegerEmitter::emit_add(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur()];
    if (v.folded) {
        if (values_.inst(b).op != Op::Shl) std::swap(a, b);
        const Inst& shift = values_.inst(b);
        const Reg64 x = regs_.use(a), y = regs_.use(shift.args[0]);
        const Reg d = regs_.def_over(cur(), i.type, {a, shift.args[0]});
        as_.lea(d, ptr[x + y * (1 << values_.inst(shift.args[1]).imm)]);
        return;
    }
    if (values_.is_const(a)) std::swap(a, b);
    int32_t imm = 0;
    const bool has_imm = values_.imm32(b, i.type, imm);
    if (v.flags_live) {
        const bool wanted = v.next_use != kNever;
        const int32_t lowest = std::numeric_limits<int32_t>::min();
        if (!wanted && has_imm && imm != 0 && imm != lowest) {
            // a + imm carries just when a - (-imm) does not borrow; the overflow is the same.
            const Reg x = regs_.use(a, i.type);
            flags_.clobber();
            as_.cmp(x, static_cast<uint32_t>(-imm));
            flags_.set(cur() + 1, Sense::Sub);
            return;
        }
        if (wanted && !has_imm && !values_.dies(a) && values_.dies(b)) std::swap(a, b);
        const Operand& y = has_imm ? static_cast<const Operand&>(rax) : regs_.use_rm(b, i.type);
        Reg d = wanted ? regs_.def_copy(cur(), a, i.type) : regs_.use(a, i.type);
        flags_.clobber();
        if (!wanted) {
            as_.mov(sized(rax, i.type), d);
            d = sized(rax, i.type);
        }
        if (has_imm) {
            as_.add(d, static_cast<uint32_t>(imm));
        } else {
            as_.add(d, y);
        }
        flags_.set(cur() + 1, Sense::Add);
        return;
    }
    if (!has_imm && values_.dies(b) && (!values_.dies(a) || values_[a].reg == kNone)) std::swap(a, b);
    const bool in_place = values_.dies(a) && !flags_.busy();
    if (in_place) {
        if (has_imm) {
            const Reg d = regs_.def_copy(cur(), a, i.type);
            flags_.clobber();
            as_.add(d, static_cast<uint32_t>(imm));
            return;
        }
        const Operand& y = regs_.use_rm(b, i.type);
        const Reg d = regs_.def_copy(cur(), a, i.type);
        flags_.clobber();
        as_.add(d, y);
        return;
    }
    const Reg64 x = regs_.use(a);
    if (has_imm) {
        const Reg d = regs_.def_over(cur(), i.type, {a});
        as_.lea(d, mem(x, imm));
        return;
    }
    const Reg64 y = regs_.use(b);
    const Reg d = regs_.def_over(cur(), i.type, {a, b});
    as_.lea(d, x + mem(y));
}

void IntegerEmitter::emit_sub(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur()];
    int32_t imm = 0;
    const bool has_imm = values_.imm32(b, i.type, imm);
    if (v.flags_live && v.next_use == kNever) {
        const Reg x = regs_.use(a, i.type);
        if (has_imm && imm == 0) {
            flags_.clobber();
            as_.test(x, x);  // CF = OF = 0, as of x - 0
        } else if (has_imm) {
            flags_.clobber();
            as_.cmp(x, static_cast<uint32_t>(imm));
        } else {
            const Operand& y = regs_.use_rm(b, i.type);
            flags_.clobber();
            as_.cmp(x, y);
        }
        flags_.set(cur() + 1, Sense::Sub);
        return;
    }
    if (!v.flags_live) {
        if (has_imm && imm != std::numeric_limits<int32_t>::min() &&
            (flags_.busy() || !values_.dies(a) || values_[a].reg == kNone)) {
            const Reg64 x = regs_.use(a);
            const Reg d = regs_.def_over(cur(), i.type, {a});
            as_.lea(d, mem(x, -imm));
            return;
        }
        if (flags_.busy() && !has_imm) {
            // a - b = a + ~b + 1, without touching EFLAGS.
            const Reg64 x = regs_.use(a);
            const Reg64 y = regs_.use(b);
            as_.mov(rax, y);
            as_.not_(rax);
            const Reg d = regs_.def_over(cur(), i.type, {a, b});
            as_.lea(d, ptr[x + rax + 1]);
            return;
        }
        if (values_.is_const(a) && values_.inst(a).imm == 0) {
            const Reg d = regs_.def_copy(cur(), b, i.type);
            flags_.clobber();
            as_.neg(d);
            return;
        }
    }
    if (has_imm) {
        const Reg d = regs_.def_copy(cur(), a, i.type);
        flags_.clobber();
        as_.sub(d, static_cast<uint32_t>(imm));
    } else {
        const Operand& y = regs_.use_rm(b, i.type);
        const Reg d = regs_.def_copy(cur(), a, i.type);
        flags_.clobber();
        as_.sub(d, y);
    }
    flags_.forget();
    if (v.flags_live) flags_.set(cur() + 1, Sense::Sub);
}

void IntegerEmitter::emit_carry(const Inst& i) {
    const bool is_sub = i.op == Op::Sbc;
    Ref a = i.args[0], b = i.args[1];
    int32_t imm = 0;
    if (!is_sub && values_.is_const(a)) std::swap(a, b);
    const bool has_imm = values_.imm32(b, i.type, imm);
    // Only instructions that leave CF alone between here and the operation.
    flags_.load_carry(i.args[2], is_sub);
    const Operand& y = has_imm ? static_cast<const Operand&>(rax) : regs_.use_rm(b, i.type);
    const Reg d = regs_.def_copy(cur(), a, i.type);
    if (is_sub) {
        if (has_imm) {
            as_.sbb(d, static_cast<uint32_t>(imm));
        } else {
            as_.sbb(d, y);
        }
    } else if (has_imm) {
        as_.adc(d, static_cast<uint32_t>(imm));
    } else {
        as_.adc(d, y);
    }
    if (values_[cur()].flags_live) flags_.set(cur() + 1, is_sub ? Sense::Sub : Sense::Add);
}

void IntegerEmitter::emit_logic(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    if (values_.is_const(a)) std::swap(a, b);
    const Value& v = values_[cur()];
    int32_t imm = 0;
    const bool has_imm = values_.imm32(b, i.type, imm);
    if (v.flags_live && v.next_use == kNever) {
        const Reg x = regs_.use(a, i.type);
        if (has_imm) {
            flags_.clobber();
            if (imm == -1) {
                as_.test(x, x);
            } else {
                as_.test(x, static_cast<uint32_t>(imm));
            }
        } else {
            const Operand& y = regs_.use_rm(b, i.type);
            flags_.clobber();
            as_.test(y, x);
        }
        flags_.set(cur() + 1, Sense::Add);
        return;
    }
    // 64-bit masks of up to 32 bits do with a 32-bit instruction.
    if (i.op == Op::And && !v.flags_live && i.type == Type::I64 && values_.is_const(b) && !has_imm &&
        values_.inst(b).imm <= 0xffff'ffff) {
        const uint32_t mask = static_cast<uint32_t>(values_.inst(b).imm);
        if (mask == 0xffff'ffff) {
            const Operand& x = regs_.use_rm(a, Type::I32);
            const Reg64 d = regs_.def_over(cur(), {a});
            as_.mov(d.cvt32(), x);
            return;
        }
        const Reg64 d = regs_.def_copy(cur(), a);
        flags_.clobber();
        as_.and_(d.cvt32(), mask);
        return;
    }
    if (i.op == Op::And && !v.flags_live && has_imm && (imm == 0xff || imm == 0xffff)) {
        const Reg64 x = regs_.use(a);
        const Reg64 d = regs_.def_over(cur(), {a});
        if (imm == 0xff) {
            as_.movzx(d.cvt32(), x.cvt8());
        } else {
            as_.movzx(d.cvt32(), x.cvt16());
        }
        return;
    }
    if (i.op == Op::Xor && has_imm && imm == -1) {
        as_.not_(regs_.def_copy(cur(), a, i.type));
        return;
    }
    if (!has_imm && values_.dies(b) && !values_.dies(a)) std::swap(a, b);
    const Operand& y = has_imm ? static_cast<const Operand&>(rax) : regs_.use_rm(b, i.type);
    const Reg d = regs_.def_copy(cur(), a, i.type);
    flags_.clobber();
    const uint32_t u = static_cast<uint32_t>(imm);
    switch (i.op) {
        case Op::And: has_imm ? as_.and_(d, u) : as_.and_(d, y); break;
        case Op::Or: has_imm ? as_.or_(d, u) : as_.or_(d, y); break;
        default: has_imm ? as_.xor_(d, u) : as_.xor_(d, y); break;
    }
    if (v.flags_live) flags_.set(cur() + 1, Sense::Add);
}

void IntegerEmitter::emit_logic_not(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    const Value& v = values_[cur()];
    if (i.op == Op::AndNot) {
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg y = regs_.use(b, i.type);
        Reg d = sized(rax, i.type);
        if (v.next_use != kNever) d = regs_.def_over(cur(), i.type, {b, a});
        flags_.clobber();
        as_.andn(r32e(d), r32e(y), x);
        if (v.flags_live) flags_.set(cur() + 1, Sense::Add);
        return;
    }
    if (values_.is_const(a) && values_.inst(a).imm == 0) {  // MVN
        as_.not_(regs_.def_copy(cur(), b, i.type));
        return;
    }
    if (i.op == Op::OrNot) {  // ~(~a & b)
        const Reg x = regs_.use(a, i.type);
        const Operand& y = regs_.use_rm(b, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a, b});
        flags_.clobber();
        as_.andn(r32e(d), r32e(x), y);
        as_.not_(d);
        return;
    }
    const Operand& x = regs_.use_rm(a, i.type);
    const Reg d = regs_.def_copy(cur(), b, i.type);
    flags_.clobber();
    as_.xor_(d, x);
    as_.not_(d);
}

void IntegerEmitter::emit_mul(const Inst& i) {
    Ref a = i.args[0], b = i.args[1];
    if (values_.is_const(a)) std::swap(a, b);
    int32_t imm = 0;
    if (values_.imm32(b, i.type, imm)) {
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        flags_.clobber();
        as_.imul(d, x, imm);
        return;
    }
    if (flags_.busy() && i.type == Type::I64) {  // in the middle of a carry chain
        regs_.reserve(Operand::RDX);
        const Reg64 x = regs_.use(a), y = regs_.use(b);
        as_.mov(rdx, x);
        const Reg64 d = regs_.def(cur());
        as_.mulx(rax, d, y);
        return;
    }
    if (values_.dies(b) && !values_.dies(a)) std::swap(a, b);
    const Operand& y = regs_.use_rm(b, i.type);
    const Reg d = regs_.def_copy(cur(), a, i.type);
    flags_.clobber();
    as_.imul(d, y);
}

void IntegerEmitter::emit_mul_high(const Inst& i) {
    regs_.reserve(Operand::RDX);
    const Reg64 x = regs_.use(i.args[0]), y = regs_.use(i.args[1]);
    if (i.op == Op::UMulHigh) {
        as_.mov(rdx, x);
        const Reg64 d = regs_.def(cur());
        as_.mulx(d, rax, y);
        return;
    }
    flags_.clobber();
    as_.mov(rax, x);
    as_.imul(y);
    const Reg64 d = regs_.def(cur());
    as_.mov(d, rdx);
}

void IntegerEmitter::emit_div(const Inst& i) {
    const bool is_signed = i.op == Op::SDiv;
    regs_.reserve(Operand::RDX);
    const Reg x = regs_.use(i.args[0], i.type), y = regs_.use(i.args[1], i.type);
    const Reg d = regs_.def(cur(), i.type);
    flags_.clobber();
    const Reg dividend = sized(rax, i.type);
    as_.xor_(d.cvt32(), d.cvt32());
    as_.test(y, y);
    const Jump zero = as_.jump_if(kE, true);
    Jump minus_one;
    if (is_signed) {
        // x / -1 = -x also for the most negative number, where idiv would trap.
        as_.mov(d, x);
        as_.neg(d);
        as_.cmp(y, -1);
        minus_one = as_.jump_if(kE, true);
    }
    as_.mov(dividend, x);
    if (!is_signed) {
        as_.xor_(edx, edx);
        as_.div(y);
    } else {
        if (i.type == Type::I64) {
            as_.cqo();
        } else {
            as_.cdq();
        }
        as_.idiv(y);
    }
    as_.mov(d, dividend);
    as_.land(zero);
    if (is_signed) as_.land(minus_one);
}

void IntegerEmitter::emit_shift(const Inst& i) {
    const Ref a = i.args[0], b = i.args[1];
    if (values_.is_const(b)) {
        const int count = static_cast<int>(values_.inst(b).imm & (i.type == Type::I32 ? 31 : 63));
        if (count == 0) {
            const Operand& x = regs_.use_rm(a, i.type);
            const Reg d = regs_.def_over(cur(), i.type, {a});
            as_.mov(d, x);
            return;
        }
        if (i.op == Op::Ror) {
            const Operand& x = regs_.use_rm(a, i.type);
            const Reg d = regs_.def_over(cur(), i.type, {a});
            as_.rorx(r32e(d), x, static_cast<uint8_t>(count));
            return;
        }
        if (!flags_.busy()) {
            const Reg d = regs_.def_copy(cur(), a, i.type);
            flags_.clobber();
            switch (i.op) {
                case Op::Shl: as_.shl(d, count); break;
                case Op::Shr: as_.shr(d, count); break;
                default: as_.sar(d, count); break;
            }
            return;
        }
        const Operand& x = regs_.use_rm(a, i.type);
        const Reg d = regs_.def_over(cur(), i.type, {a});
        as_.mov(eax, count);
        as_.shift_by(i.op, d, x, sized(rax, i.type));
        return;
    }
    if (i.op == Op::Ror) {
        regs_.reserve(Operand::RCX);
        const Reg64 count = regs_.use(b);
        const Reg d = regs_.def_copy(cur(), a, i.type);
        flags_.clobber();
        as_.mov(ecx, count.cvt32());
        as_.ror(d, cl);
        return;
    }
    const Operand& x = regs_.use_rm(a, i.type);
    const Reg count = regs_.use(b, i.type);
    const Reg d = regs_.def_over(cur(), i.type, {a, b});
    as_.shift_by(i.op, d, x, count);
}

void IntegerEmitter::emit_select(const Inst& i) {
    const Ref a = i.args[1], b = i.args[2];
    if (is_vec(i.type)) {
        const Xmm x = regs_.use_xmm(a);
        const Cc cc = flags_.test_condition(i.args[0]);
        const Xmm d = regs_.def_copy_xmm(cur(), b);
        const Jump skip = as_.jump_if(inverted(cc), true);
        as_.vmovaps(d, x);
        as_.land(skip);
        return;
    }
    // From here on EFLAGS hold the condition: only moves.
    const Cc cc = flags_.test_condition(i.args[0]);
    if (values_.dies(a) && !values_.dies(b) && values_[a].reg != kNone) {
        const Operand& y = regs_.use_rm(b, i.type);
        const Reg d = regs_.def_copy(cur(), a, i.type);
        as_.move_if(inverted(cc), d, y);
        return;
    }
    const Operand& x = regs_.use_rm(a, i.type);
    const Reg d = regs_.def_copy(cur(), b, i.type);
    as_.move_if(cc, d, x);
}

void IntegerEmitter::emit_bool_to_int(const Inst& i) {
    const Cc cc = flags_.test_condition(i.args[0]);
    const Reg64 d = regs_.def(cur());
    as_.set_if(cc, al);
    as_.movzx(d.cvt32(), al);
}

namespace {
/// NZCV of a - b, of so many bits.
unsigned nzcv_of_difference(uint64_t a, uint64_t b, unsigned width) {
    const uint64_t sign = uint64_t{1} << (width - 1), mask = sign | (sign - 1), d = (a - b) & mask;
    return ((d & sign) != 0 ? 8u : 0) | (d == 0 ? 4u : 0) | (a >= b ? 2u : 0) |
           (((a ^ b) & (a ^ d) & sign) != 0 ? 1u : 0);
}

struct Operands {
    bool found = false;
    uint64_t a = 0, b = 0;
};
/// Operands whose difference has this NZCV; the second is `b` if there are such and `b` is wanted.
Operands operands_for(unsigned nzcv, bool wanted, uint64_t b, unsigned width) {
    const uint64_t sign = uint64_t{1} << (width - 1), mask = sign | (sign - 1);
    const uint64_t seconds[] = {b & mask, 0, 1, sign, sign + 1};
    for (unsigned k = wanted ? 0 : 1; k < std::size(seconds); ++k) {
        const uint64_t y = seconds[k];
        for (const uint64_t x : {y, (y + 1) & mask, (y - 1) & mask, uint64_t{0}, mask, sign})
            if (nzcv_of_difference(x, y, width) == nzcv) return {true, x, y};
    }
    return {};
}
}  // namespace

/// Without a branch where other operands, whose difference has the other NZCV, can take the place of the two: as often as not the condition
/// cannot be foreseen, or the compiler would have branched.
void IntegerEmitter::emit_cond_compare(const Inst& i) {
    const unsigned width = i.aux & ~1u;
    const Type t = width == 32 ? Type::I32 : Type::I64;
    const bool negative = (i.aux & 1) != 0;
    const Reg a = regs_.use(i.args[1], t);
    int32_t imm = 0;
    const bool has_imm = values_.imm32(i.args[2], t, imm);
    Reg b = a;
    if (!has_imm) b = regs_.use(i.args[2], t);
    const unsigned nzcv = i.imm & 15;
    const uint64_t mask = t == Type::I32 ? 0xffff'ffff : ~uint64_t{0};
    const uint64_t subtrahend = static_cast<uint64_t>(int64_t{imm}) & mask;
    const Operands others = negative ? Operands{} : operands_for(nzcv, has_imm, subtrahend, width);
    if (flags_.busy()) flags_.save();
    if (others.found) {
        const ScratchGpr scratch(regs_);
        const Cc unless = inverted(flags_.test_condition(i.args[0]));
        const Reg x = sized(rax, t), y = sized(scratch, t);
        as_.mov(x, a);
        as_.move_if(unless, x, ctx_.constants.address(others.a, 0));
        if (has_imm && others.b == subtrahend) {
            imm == 0 ? as_.test(x, x) : as_.cmp(x, static_cast<uint32_t>(imm));
        } else {
            has_imm ? as_.mov(y, subtrahend) : as_.mov(y, b);
            as_.move_if(unless, y, ctx_.constants.address(others.b, 0));
            as_.cmp(x, y);
        }
        flags_.set(cur(), Sense::Sub);
        return;
    }
    const Cc cc = flags_.test_condition(i.args[0]);
    const Jump compare = as_.jump_if(cc, true);
    if (nzcv == 4 && !negative) {  // Z without C: of no difference, but of a sum
        as_.mov(eax, 0xffff'ffff);
        as_.add(eax, 1);
    } else {
        // The stored format; HostFlags has C inverted after a subtraction.
        const uint64_t otherwise = jit::flags_from_nzcv(nzcv << 28);
        as_.mov(eax, static_cast<uint32_t>(negative ? otherwise : otherwise ^ 1u << jit::kFlagCBit));
        as_.add(al, 0x7f);
        as_.sahf();
    }
    const Jump done = as_.jump_always(true);
    as_.land(compare);
    if (negative) {
        as_.mov(sized(rax, t), a);
        if (has_imm) {
            as_.add(sized(rax, t), static_cast<uint32_t>(imm));
        } else {
            as_.add(sized(rax, t), b);
        }
    } else if (has_imm && imm == 0) {
        as_.test(a, a);  // a - 0 never borrows and never overflows: CF = OF = 0
    } else if (has_imm) {
        as_.cmp(a, static_cast<uint32_t>(imm));
    } else {
        as_.cmp(a, b);
    }
    as_.land(done);
    flags_.set(cur(), negative ? Sense::Add : Sense::Sub);
}

}  // namespace arclight::backend
