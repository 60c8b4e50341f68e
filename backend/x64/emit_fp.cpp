// Scalar floating point, inline. What is not here goes to the reference functions.
//
// x86 and ARM agree on everything but the choice of the NaN when an operand is one, the sign of the default
// NaN, and when a result is tiny. So x86 computes, and where one of these shows in the result the reference
// function computes it again. The flags that the first attempt raised in MXCSR are then ones that ARM raises
// too: Invalid for signalling NaNs and undefined operations, Inexact for a tiny result.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
constexpr bool is_double(Type t) { return t == Type::F64; }
}  // namespace

bool BlockEmitter::emit_fp(const Inst& i) {
    switch (i.op) {
        case Op::FNeg:
        case Op::FAbs: emit_fp_sign(i); return true;
        case Op::IntToF:
            if (i.type == Type::F32) {
                const Reg64 r = use(i.args[0]);
                vmovd(def_xmm(cur_), r.cvt32());
            } else {
                const Reg64 r = use(i.args[0]);
                vmovq(def_xmm(cur_), r);
            }
            return true;
        case Op::FToInt: {
            const Xmm x = use_xmm(i.args[0]);
            if (i.type == Type::I32) {
                vmovd(def(cur_).cvt32(), x);
            } else {
                vmovq(def(cur_), x);
            }
            return true;
        }
        default: break;
    }
    if (fp_slow()) return false;
    switch (i.op) {
        case Op::FAdd: emit_fp_binary(i, &Cg::vaddss, &Cg::vaddsd, FpRisk::Nan); return true;
        case Op::FSub: emit_fp_binary(i, &Cg::vsubss, &Cg::vsubsd, FpRisk::Nan); return true;
        case Op::FMul:
        case Op::FMulX: emit_fp_binary(i, &Cg::vmulss, &Cg::vmulsd, FpRisk::NanOrTiny); return true;
        case Op::FRecpStep: emit_frecpstep(i); return true;
        // A quotient less than a power of two is so by 1 part in 2^p at least (p bits of precision), and thus
        // never rounded up to it: it cannot be tiny in the sense of check_scalar().
        case Op::FDiv: emit_fp_binary(i, &Cg::vdivss, &Cg::vdivsd, FpRisk::Nan); return true;
        case Op::FSqrt: {
            const Xmm x = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            is_double(i.type) ? vsqrtsd(d, x, x) : vsqrtss(d, x, x);
            check_scalar(d, is_double(i.type), FpRisk::Nan);
            return true;
        }
        case Op::FMulAdd: emit_fmuladd(i); return true;
        case Op::FMax:
        case Op::FMaxNum: emit_fp_extremum(i, true); return true;
        case Op::FMin:
        case Op::FMinNum: emit_fp_extremum(i, false); return true;
        case Op::FRint: emit_frint(i); return true;
        case Op::FCmp: emit_fcmp(i); return true;
        case Op::FCondCompare: emit_fcondcompare(i); return true;
        default: return emit_fp_convert(i);
    }
}

void BlockEmitter::emit_fp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk) {
    const bool extended = i.op == Op::FMulX;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    clobber_flags();
    const Xmm d = def_xmm(cur_);  // not one of the operands: the cold path needs them
    const size_t cold = extended ? check_infinite(a, b, is_double(i.type), d) : 0;
    (this->*(is_double(i.type) ? dbl : single))(d, a, b);
    check_scalar(d, is_double(i.type), risk);
    if (extended) resume_here(cold);
}

void BlockEmitter::emit_fmuladd(const Inst& i) {
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]), c = use_xmm(i.args[2]);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    vmovaps(d, a);
    is_double(i.type) ? vfmadd231sd(d, b, c) : vfmadd231ss(d, b, c);
    check_scalar(d, is_double(i.type), FpRisk::NanOrTiny);
}

void BlockEmitter::emit_fp_sign(const Inst& i) {
    const Xmm x = use_xmm(i.args[0]);
    const Xmm d = def_xmm_over(cur_, {i.args[0]});
    const uint64_t sign = sign_of(is_double(i.type));
    if (i.op == Op::FNeg) {
        vxorps(d, x, constant(sign));
    } else {
        vandps(d, x, constant(~sign));
    }
}

/// x86 gives the second operand for equal ones, in particular for zeros of different signs: both orders,
/// combined bit by bit, give the zero that ARM wants, and change nothing else.
void BlockEmitter::extremum(const Xmm& d, const Xmm& a, const Xmm& b, bool is_double, bool maximum) {
    if (maximum) {
        is_double ? vmaxpd(d, a, b) : vmaxps(d, a, b);
        is_double ? vmaxpd(xmm15, b, a) : vmaxps(xmm15, b, a);
        vandps(d, d, xmm15);
    } else {
        is_double ? vminpd(d, a, b) : vminps(d, a, b);
        is_double ? vminpd(xmm15, b, a) : vminps(xmm15, b, a);
        vorps(d, d, xmm15);
    }
}

/// Here NaNs must be found before: x86 signals quiet ones, and returns the second operand.
void BlockEmitter::emit_fp_extremum(const Inst& i, bool maximum) {
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    if (is_double(i.type)) {
        vucomisd(a, b);
    } else {
        vucomiss(a, b);
    }
    const size_t cold = cold_if(kP);
    if (is_double(i.type)) {
        maximum ? vmaxsd(d, a, b) : vminsd(d, a, b);
        maximum ? vmaxsd(xmm15, b, a) : vminsd(xmm15, b, a);
    } else {
        maximum ? vmaxss(d, a, b) : vminss(d, a, b);
        maximum ? vmaxss(xmm15, b, a) : vminss(xmm15, b, a);
    }
    maximum ? vandps(d, d, xmm15) : vorps(d, d, xmm15);
    resume_here(cold);
}

/// 2 - a b. The result cannot be tiny.
void BlockEmitter::emit_frecpstep(const Inst& i) {
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    const size_t cold = check_infinite(a, b, is_double(i.type), d);
    vmovaps(d, constant(two(is_double(i.type))));
    is_double(i.type) ? vfnmadd231sd(d, a, b) : vfnmadd231ss(d, a, b);
    check_scalar(d, is_double(i.type), FpRisk::Nan);
    resume_here(cold);
}

void BlockEmitter::emit_frint(const Inst& i) {
    const auto mode = static_cast<ir::RoundMode>(i.aux & 7);
    const Xmm x = use_xmm(i.args[0]);
    if (mode != ir::RoundMode::TieAway) {
        round_scalar(def_xmm_over(cur_, {i.args[0]}), x, is_double(i.type), mode, xmm15);
        return;
    }
    const ScratchXmm t(*this);
    clobber_flags();
    round_scalar(def_xmm(cur_), x, is_double(i.type), mode, t);
    resume_here(cold_.size() - 1);
}

/// NaNs come out quiet and signal as on ARM. Ties away from zero: towards zero, and one more if what was cut
/// off, which is exact, was half or more. An infinity cannot be treated that way.
void BlockEmitter::round_scalar(const Xmm& d, const Xmm& x, bool dbl, ir::RoundMode mode, const Xmm& t) {
    if (mode != ir::RoundMode::TieAway) {
        dbl ? vroundsd(d, x, x, round_imm(mode)) : vroundss(d, x, x, round_imm(mode));
        return;
    }
    const uint64_t sign = sign_of(dbl);
    vandps(xmm15, x, constant(~sign));
    if (dbl) {
        vmovsd(t, constant(all_integral(dbl)));
        vucomisd(t, xmm15);
    } else {
        vmovss(t, constant(all_integral(dbl)));
        vucomiss(t, xmm15);
    }
    cold_if(kBe);
    vandps(xmm15, x, constant(sign));
    if (dbl) {
        vroundsd(d, x, x, round_imm(ir::RoundMode::Zero));
        vsubsd(t, x, d);
        vandps(t, t, constant(~sign));
        vcmpsd(t, t, constant(half(dbl)), kGeQuiet);
    } else {
        vroundss(d, x, x, round_imm(ir::RoundMode::Zero));
        vsubss(t, x, d);
        vandps(t, t, constant(~sign));
        vcmpss(t, t, constant(half(dbl)), kGeQuiet);
    }
    vandps(t, t, constant(one(dbl)));
    vorps(t, t, xmm15);
    dbl ? vaddsd(d, d, t) : vaddss(d, d, t);  // zeros have the sign of x, too
}

/// ARM: less N, equal ZC, greater C, unordered CV. ucomis gives CF, ZF, none, ZF PF CF. Some ARM conditions
/// are one x86 condition only with the operands exchanged.
void BlockEmitter::emit_fcmp(const Inst& i) {
    const bool reversed = prefers_reversed_fcmp();
    const Xmm a = use_xmm(i.args[reversed ? 1 : 0]);
    const Operand& b = use_xmm_rm(i.args[reversed ? 0 : 1]);
    clobber_flags();
    const bool is_double = (i.aux & 3) == 3, signalling = (i.aux & 16) != 0;
    if (is_double) {
        signalling ? vcomisd(a, b) : vucomisd(a, b);
    } else {
        signalling ? vcomiss(a, b) : vucomiss(a, b);
    }
    set_eflags(cur_, reversed ? Sense::FCmpRev : Sense::FCmp);
}

bool BlockEmitter::prefers_reversed_fcmp() const {
    // b.cond or fcsel comes next, if anything: MI, PL, CS, CC, LS and HI want it reversed.
    const uint32_t end = std::min<uint32_t>(cur_ + 8, static_cast<uint32_t>(block_->insts.size()));
    for (uint32_t k = cur_ + 1; k < end; ++k) {
        const Inst& i = inst(k);
        if (i.op == Op::Cond && i.args[0] == cur_)
            return (i.imm >= 2 && i.imm <= 5) || i.imm == 8 || i.imm == 9;
    }
    return false;
}

/// The immediate flags can be any, so both branches make the stored format.
void BlockEmitter::emit_fcondcompare(const Inst& i) {
    const Xmm a = use_xmm(i.args[1]), b = use_xmm(i.args[2]);
    const ScratchGpr t(*this);
    const bool is_double = (i.aux & 3) == 3, signalling = (i.aux & 16) != 0;
    const auto stored = [](unsigned nzcv) { return static_cast<uint32_t>(jit::flags_from_nzcv(nzcv << 28)); };
    if (flags_busy()) save_eflags();
    const Cc cc = test_condition(i.args[0]);
    mov(eax, stored(static_cast<unsigned>(i.imm & 15)));
    const Jump done = jump_if(inverted(cc), true);
    if (is_double) {
        signalling ? vcomisd(a, b) : vucomisd(a, b);
    } else {
        signalling ? vcomiss(a, b) : vucomiss(a, b);
    }
    mov(eax, stored(0b0010));
    mov(t.cvt32(), stored(0b1000));
    cmovb(eax, t.cvt32());
    mov(t.cvt32(), stored(0b0110));
    cmove(eax, t.cvt32());
    mov(t.cvt32(), stored(0b0011));
    cmovp(eax, t.cvt32());
    land(done);
    add(al, 0x7f);
    sahf();
    set_eflags(cur_, Sense::Add);
}

}  // namespace arclight::backend
