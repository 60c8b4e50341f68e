// Scalar floating point, inline. What is not here goes to the reference functions.
//
// x86 and ARM agree on everything but the choice of the NaN when an operand is one, the sign of the default
// NaN, and when a result is tiny. So x86 computes, and where one of these shows in the result the reference
// function computes it again. The flags that the first attempt raised in MXCSR are then ones that ARM raises
// too: Invalid for signalling NaNs and undefined operations, Inexact for a tiny result.
#include <optional>

#include "backend/x64/fp_emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
constexpr bool is_double(Type t) { return t == Type::F64; }
}  // namespace

void FpEmitter::emit_fp_from_bits(const Inst& i) {
    if (i.type == Type::F32) {
        const Reg64 r = regs_.use(i.args[0]);
        as_.vmovd(regs_.def_xmm(cur()), r.cvt32());
    } else {
        const Reg64 r = regs_.use(i.args[0]);
        as_.vmovq(regs_.def_xmm(cur()), r);
    }
}

void FpEmitter::emit_fp_to_bits(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    if (i.type == Type::I32) {
        as_.vmovd(regs_.def(cur()).cvt32(), x);
    } else {
        as_.vmovq(regs_.def(cur()), x);
    }
}

void FpEmitter::emit_fadd(const Inst& i) { emit_fp_binary(i, &Cg::vaddss, &Cg::vaddsd, FpRisk::Nan); }

void FpEmitter::emit_fsub(const Inst& i) { emit_fp_binary(i, &Cg::vsubss, &Cg::vsubsd, FpRisk::Nan); }

void FpEmitter::emit_fmul(const Inst& i) { emit_fp_binary(i, &Cg::vmulss, &Cg::vmulsd, FpRisk::NanOrTiny); }

/// A quotient less than a power of two is so by 1 part in 2^p at least (p bits of precision), and thus
/// never rounded up to it: it cannot be tiny in the sense of check_scalar().
void FpEmitter::emit_fdiv(const Inst& i) { emit_fp_binary(i, &Cg::vdivss, &Cg::vdivsd, FpRisk::Nan); }

void FpEmitter::emit_fsqrt(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    is_double(i.type) ? as_.vsqrtsd(d, x, x) : as_.vsqrtss(d, x, x);
    check_scalar(d, is_double(i.type), FpRisk::Nan);
    resume_guard(guard);
}

void FpEmitter::emit_fmax(const Inst& i) { emit_fp_extremum(i, true); }

void FpEmitter::emit_fmin(const Inst& i) { emit_fp_extremum(i, false); }

void FpEmitter::emit_fp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk) {
    const bool extended = i.op == Op::FMulX;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());  // not one of the operands: the cold path needs them
    const size_t cold = extended ? check_infinite(a, b, is_double(i.type), d) : 0;
    const VexFp3 compute = is_double(i.type) ? dbl : single;
    if (!flushes()) {
        (as_.*compute)(d, a, b);
        check_scalar(d, is_double(i.type), risk);
    } else if (i.op == Op::FAdd || i.op == Op::FSub) {
        const size_t guard = guard_operands(i);
        (as_.*compute)(d, a, b);
        check_sum(d, i);
        resume_guard(guard);
    } else {
        (as_.*compute)(xmm16, a, b | T_rz_sae);
        const size_t guard = guard_result(i);
        (as_.*compute)(d, a, b);
        resume_guard(guard);
    }
    if (extended) cold_.resume_here(cold);
}

void FpEmitter::emit_fmuladd(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]), c = regs_.use_xmm(i.args[2]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const auto compute = [&](const Xmm& to, const Xmm& last) {
        as_.vmovaps(to, a);
        is_double(i.type) ? as_.vfmadd231sd(to, b, last) : as_.vfmadd231ss(to, b, last);
    };
    if (flushes()) {
        compute(xmm16, c | T_rz_sae);
        const size_t guard = guard_result(i);
        compute(d, c);
        resume_guard(guard);
        return;
    }
    compute(d, c);
    check_scalar(d, is_double(i.type), FpRisk::NanOrTiny);
}

void FpEmitter::emit_fp_sign(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    const uint64_t sign = sign_of(is_double(i.type));
    if (i.op == Op::FNeg) {
        as_.vxorps(d, x, constant(sign));
    } else {
        as_.vandps(d, x, constant(~sign));
    }
}

/// Here NaNs must be found before: x86 signals quiet ones, and returns the second operand.
void FpEmitter::emit_fp_extremum(const Inst& i, bool maximum) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    if (is_double(i.type)) {
        as_.vucomisd(a, b);
    } else {
        as_.vucomiss(a, b);
    }
    const size_t cold = cold_if(kP);
    if (is_double(i.type)) {
        maximum ? as_.vmaxsd(d, a, b) : as_.vminsd(d, a, b);
        maximum ? as_.vmaxsd(xmm15, b, a) : as_.vminsd(xmm15, b, a);
    } else {
        maximum ? as_.vmaxss(d, a, b) : as_.vminss(d, a, b);
        maximum ? as_.vmaxss(xmm15, b, a) : as_.vminss(xmm15, b, a);
    }
    maximum ? as_.vandps(d, d, xmm15) : as_.vorps(d, d, xmm15);
    cold_.resume_here(cold);
    resume_guard(guard);
}

/// 2 - a b. The result cannot be tiny.
void FpEmitter::emit_frecpstep(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t cold = check_infinite(a, b, is_double(i.type), d);
    const size_t guard = guard_operands(i);
    as_.vmovaps(d, constant(two(is_double(i.type))));
    is_double(i.type) ? as_.vfnmadd231sd(d, a, b) : as_.vfnmadd231ss(d, a, b);
    check_scalar(d, is_double(i.type), FpRisk::Nan);
    cold_.resume_here(cold);
    resume_guard(guard);
}

void FpEmitter::emit_frint(const Inst& i) {
    const auto mode = static_cast<ir::RoundMode>(i.aux & 7);
    const Xmm x = regs_.use_xmm(i.args[0]);
    if (flushes() || keeps_no_payloads()) {
        const ScratchXmm t(regs_);
        flags_.clobber();
        const Xmm d = regs_.def_xmm(cur());
        const size_t guard = guard_operands(i, true), rest = cold_.size();
        round_scalar(d, x, is_double(i.type), mode, t);
        if (cold_.size() > rest) cold_.resume_here(rest);
        resume_guard(guard);
        return;
    }
    if (mode != ir::RoundMode::TieAway) {
        round_scalar(regs_.def_xmm_over(cur(), {i.args[0]}), x, is_double(i.type), mode, xmm15);
        return;
    }
    const ScratchXmm t(regs_);
    flags_.clobber();
    round_scalar(regs_.def_xmm(cur()), x, is_double(i.type), mode, t);
    cold_.resume_here(cold_.size() - 1);
}

/// NaNs come out quiet and signal as on ARM. Ties away from zero: towards zero, and one more if what was cut
/// off, which is exact, was half or more. An infinity cannot be treated that way.
void FpEmitter::round_scalar(const Xmm& d, const Xmm& x, bool dbl, ir::RoundMode mode, const Xmm& t) {
    if (mode != ir::RoundMode::TieAway) {
        dbl ? as_.vroundsd(d, x, x, round_imm(mode)) : as_.vroundss(d, x, x, round_imm(mode));
        return;
    }
    const uint64_t sign = sign_of(dbl);
    as_.vandps(xmm15, x, constant(~sign));
    if (dbl) {
        as_.vmovsd(t, constant(all_integral(dbl)));
        as_.vucomisd(t, xmm15);
    } else {
        as_.vmovss(t, constant(all_integral(dbl)));
        as_.vucomiss(t, xmm15);
    }
    cold_if(kBe);
    as_.vandps(xmm15, x, constant(sign));
    if (dbl) {
        as_.vroundsd(d, x, x, round_imm(ir::RoundMode::Zero));
        as_.vsubsd(t, x, d);
        as_.vandps(t, t, constant(~sign));
        as_.vcmpsd(t, t, constant(half(dbl)), kGeQuiet);
    } else {
        as_.vroundss(d, x, x, round_imm(ir::RoundMode::Zero));
        as_.vsubss(t, x, d);
        as_.vandps(t, t, constant(~sign));
        as_.vcmpss(t, t, constant(half(dbl)), kGeQuiet);
    }
    as_.vandps(t, t, constant(one(dbl)));
    as_.vorps(t, t, xmm15);
    dbl ? as_.vaddsd(d, d, t) : as_.vaddss(d, d, t);  // zeros have the sign of x, too
}

/// As emit_frint() with Exact or Zero, which must not happen where the result is out of range: it would signal Inexact.
void FpEmitter::emit_frint_within(const Inst& i) {
    const bool dbl = is_double(i.type),
               current = static_cast<ir::RoundMode>(i.aux & 7) == ir::RoundMode::Current;
    const Xmm x = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    const auto round = [&](const Xmm& to, int mode) {
        dbl ? as_.vroundsd(to, x, x, static_cast<uint8_t>(mode))
            : as_.vroundss(to, x, x, static_cast<uint8_t>(mode));
    };
    round(d, current ? 8 | 4 : 8 | 3);
    as_.vandps(t, d, constant(~sign_of(dbl)));
    const Address limit = constant(power(dbl, static_cast<int>(i.aux >> 8) - 1));
    if (dbl) {
        as_.vmovsd(xmm15, limit);
        as_.vucomisd(xmm15, t);
    } else {
        as_.vmovss(xmm15, limit);
        as_.vucomiss(xmm15, t);
    }
    const size_t cold = cold_if(kBe);
    round(xmm15, current ? 4 : 3);
    cold_.resume_here(cold);
    resume_guard(guard);
}

void FpEmitter::compare(const Xmm& a, const Operand& b, uint32_t aux, const Xmm& t) {
    const bool signalling = (aux & 16) != 0;
    switch (aux & 3) {
        case 1:
            as_.vpand(t, a, constant(0xffff, 0));  // neighbours may be signalling NaNs
            as_.vcvtph2ps(t, t);
            as_.vmovdqa(xmm15, constant(0xffff, 0));
            as_.vpand(xmm15, xmm15, b);
            as_.vcvtph2ps(xmm15, xmm15);
            signalling ? as_.vcomiss(t, xmm15) : as_.vucomiss(t, xmm15);
            break;
        case 2: signalling ? as_.vcomiss(a, b) : as_.vucomiss(a, b); break;
        default: signalling ? as_.vcomisd(a, b) : as_.vucomisd(a, b); break;
    }
}

/// ARM: less N, equal ZC, greater C, unordered CV. ucomis gives CF, ZF, none, ZF PF CF. Some ARM conditions
/// are one x86 condition only with the operands exchanged.
void FpEmitter::emit_fcmp(const Inst& i) {
    const bool reversed = prefers_reversed_fcmp();
    const Xmm a = regs_.use_xmm(i.args[reversed ? 1 : 0]);
    if (flushes() && (i.aux & 3) != 1) {
        const Xmm b = regs_.use_xmm(i.args[reversed ? 0 : 1]);
        flags_.clobber();
        flush_compared(a, b, (i.aux & 3) != 2);
        compare(xmm16, xmm17, i.aux, xmm15);
        flags_.set(cur(), reversed ? Sense::FCmpRev : Sense::FCmp);
        return;
    }
    const Operand& b = regs_.use_xmm_rm(i.args[reversed ? 0 : 1]);
    flags_.clobber();
    if ((i.aux & 3) == 1) {
        const ScratchXmm t(regs_);
        compare(a, b, i.aux, t);
    } else {
        compare(a, b, i.aux, xmm15);
    }
    flags_.set(cur(), reversed ? Sense::FCmpRev : Sense::FCmp);
}

bool FpEmitter::prefers_reversed_fcmp() const {
    // b.cond or fcsel comes next, if anything: MI, PL, CS, CC, LS and HI want it reversed.
    const uint32_t end = std::min<uint32_t>(cur() + 8, static_cast<uint32_t>(values_.block().insts.size()));
    for (uint32_t k = cur() + 1; k < end; ++k) {
        const Inst& i = values_.inst(k);
        if (i.op == Op::Cond && i.args[0] == cur())
            return (i.imm >= 2 && i.imm <= 5) || i.imm == 8 || i.imm == 9;
    }
    return false;
}

/// The immediate flags can be any, so both branches make the stored format.
void FpEmitter::emit_fcondcompare(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[1]), b = regs_.use_xmm(i.args[2]);
    const ScratchGpr t(regs_);
    std::optional<ScratchXmm> u;
    if ((i.aux & 3) == 1) u.emplace(regs_);
    const auto stored = [](unsigned nzcv) { return static_cast<uint32_t>(jit::flags_from_nzcv(nzcv << 28)); };
    if (flags_.busy()) flags_.save();
    const Cc cc = flags_.test_condition(i.args[0]);
    as_.mov(eax, stored(static_cast<unsigned>(i.imm & 15)));
    const Jump done = as_.jump_if(inverted(cc), true);
    compare(a, b, i.aux, u ? Xmm(*u) : xmm15);
    as_.mov(eax, stored(0b0010));
    as_.mov(t.cvt32(), stored(0b1000));
    as_.cmovb(eax, t.cvt32());
    as_.mov(t.cvt32(), stored(0b0110));
    as_.cmove(eax, t.cvt32());
    as_.mov(t.cvt32(), stored(0b0011));
    as_.cmovp(eax, t.cvt32());
    as_.land(done);
    as_.add(al, 0x7f);
    as_.sahf();
    flags_.set(cur(), Sense::Add);
}

}  // namespace arclight::backend
