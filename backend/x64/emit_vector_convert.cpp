// Vector conversions between floating point formats and integers; see emit_fp_convert.cpp.
#include "backend/x64/simd.h"
#include "backend/x64/vector_fp_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using Xbyak::Ymm;

void VectorFpEmitter::emit_vfcvt_l(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (keeps_no_payloads() || (esize != 1 && flushes())) {
        const Xmm x = regs_.use_xmm(i.args[0]);
        flags_.clobber();
        const Xmm d = regs_.def_xmm(cur());
        if (esize == 1) {
            as_.vcvtph2ps(d, x);
            check_nan(d, {.is_double = false, .mask = 15, .scalar = false});
            return;
        }
        const size_t guard = guard_operands(i, true);
        as_.vcvtps2pd(d, x);
        resume_guard(guard);
        return;
    }
    const Operand& x = regs_.use_xmm_rm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    esize == 1 ? as_.vcvtph2ps(d, x) : as_.vcvtps2pd(d, x);
}

void VectorFpEmitter::emit_vfcvt_n(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Xmm x = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    if (esize != 1 && flushes()) {
        as_.vcvtpd2ps(Ymm(16), Xbyak::Zmm(x.getIdx()) | T_rz_sae);
        const size_t guard = guard_result(i);
        as_.vcvtpd2ps(d, x);
        resume_guard(guard);
        return;
    }
    const size_t guard = guard_operands(i, true);
    // Perhaps tiny: see check_scalar().
    if (esize == 1) {
        as_.vcvtps2ph(d, x, 4);
        as_.vpaddw(xmm15, d, d);
        as_.vpcmpeqw(xmm15, xmm15, constant(halves(0x0800)));
    } else {
        as_.vcvtpd2ps(d, x);
        as_.vpaddd(xmm15, d, d);
        as_.vpcmpeqd(xmm15, xmm15, constant(words(0x0100'0000)));
    }
    as_.vpmovmskb(eax, xmm15);
    as_.test(eax, eax);
    cold_if(kNe);
    resume_guard(guard);
}

/// Rounded by adding 2^45 times the power of two that a number begins with, as a double: of the sum's 53 bits those stay that are the
/// upper 8 of the number. What is no normal number, or zero, goes the slow way.
void VectorFpEmitter::emit_vbfcvt_n(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const Ymm number(t.getIdx()), large(u.getIdx());
    as_.vandps(t, x, constant(~sign_of(false)));
    as_.vpxor(u, u, u);
    as_.vpcmpeqd(u, u, t);
    as_.vmovdqa(xmm15, constant(words(0x0080'0000)));
    as_.vpcmpgtd(xmm15, xmm15, t);
    as_.vpandn(u, u, xmm15);
    as_.vpcmpgtd(xmm15, t, constant(words(0x7f7f'ffff)));
    as_.vpor(xmm15, xmm15, u);
    as_.vptest(xmm15, xmm15);
    const size_t cold = cold_if(kNe);
    // With its sign, which directed rounding asks for.
    as_.vcvtps2pd(number, x);
    as_.vbroadcastsd(large, constant(uint64_t{0xfff} << 52));
    as_.vandpd(large, large, number);
    as_.vbroadcastsd(Ymm(xmm15.getIdx()), constant(uint64_t{45} << 52));
    as_.vpaddq(large, large, Ymm(xmm15.getIdx()));
    as_.vaddpd(number, number, large);
    as_.vsubpd(number, number, large);
    as_.vcvtpd2ps(t, number);
    // The difference of zeros may have either sign.
    as_.vandps(t, t, constant(~sign_of(false)));
    as_.vandps(xmm15, x, constant(sign_of(false)));
    as_.vorps(t, t, xmm15);
    as_.vpsrld(t, t, 16);
    as_.vpxor(xmm15, xmm15, xmm15);
    as_.vpackusdw(d, t, xmm15);
    cold_.resume_here(cold);
}

bool VectorFpEmitter::emit_vf_to_int(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux), is_signed = i.op == Op::VFToSInt;
    if (ir::vec_esize(i.aux) == 1) return half_to_int(i);
    const auto mode = static_cast<ir::RoundMode>(i.imm & 7);
    if ((i.imm >> 8 & 0xff) != 0 || mode == ir::RoundMode::TieAway) return false;
    if (dbl && (!q || !is_signed)) return false;
    const bool zero = mode == ir::RoundMode::Zero;
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t first_cold = cold_.size();
    guard_operands(i);
    const Xmm x = quiet_upper(i, 0, t);
    Xmm rounded = x;
    if (!zero) {
        dbl ? as_.vroundpd(u, x, round_imm(mode)) : as_.vroundps(u, x, round_imm(mode));
        rounded = u;
    }
    if (dbl) {
        as_.vunpckhpd(xmm15, rounded, rounded);
        as_.vcvttsd2si(rax, rounded);
        as_.vmovq(d, rax);
        as_.cmp(rax, 1);
        cold_if(kO, cold_fn<&SimdEmitter::cold_join>);
        as_.vcvttsd2si(rax, xmm15);
        as_.vpinsrq(d, d, rax, 1);
        as_.cmp(rax, 1);
        cold_if(kO);
    } else if (is_signed) {
        as_.vcvttps2dq(d, rounded);
        as_.vpcmpeqd(xmm15, d, constant(sign_bits(2)));
        as_.vmovmskps(eax, xmm15);
        as_.test(eax, eax);
        cold_if(kNe);
    } else {
        // Numbers from 2^31 are left to the reference function.
        as_.vcmpps(xmm15, rounded, constant(one(false) | sign_of(false)), kGtQuiet);
        as_.vcmpps(d, rounded, constant(power(false, 31)), kLtQuiet);
        as_.vandps(xmm15, xmm15, d);
        as_.vmovmskps(eax, xmm15);
        as_.cmp(eax, 15);
        cold_if(kNe);
        as_.vcvttps2dq(d, rounded);
    }
    if (!zero) {  // signals Inexact
        dbl ? as_.vroundpd(xmm15, x, 3) : as_.vroundps(xmm15, x, 3);
    }
    for (size_t k = first_cold; k < cold_.size(); ++k) cold_.resume_here(k);
    return true;
}

bool VectorFpEmitter::emit_vint_to_f(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux), is_signed = i.op == Op::VSIntToF;
    if (ir::vec_esize(i.aux) == 1) return int_to_half(i);
    if (dbl && (!q || !is_signed)) return false;
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const Xmm x = quiet_upper(i, 0, t);
    if (dbl) {
        as_.vpextrq(rax, x, 1);
        as_.vxorps(xmm15, xmm15, xmm15);
        as_.vcvtsi2sd(xmm15, xmm15, rax);
        as_.vmovq(rax, x);
        as_.vxorps(d, d, d);
        as_.vcvtsi2sd(d, d, rax);
        as_.vunpcklpd(d, d, xmm15);
    } else if (is_signed) {
        as_.vcvtdq2ps(d, x);
    } else {
        // The upper 16 bits as 2^39 + upper * 2^16, the lower ones as 2^23 + lower; all exact but the last
        // addition.
        as_.vpsrld(xmm15, x, 16);
        as_.vpblendw(d, x, constant(words(0x4b00'0000)), 0xaa);
        as_.vpor(xmm15, xmm15, constant(words(0x5300'0000)));
        as_.vsubps(xmm15, xmm15, constant(words(0x5300'0080)));
        as_.vaddps(d, d, xmm15);
        as_.vandps(d, d, constant(~sign_of(false)));  // zero is -0 when rounding down
    }
    const int fraction_bits = static_cast<int>(i.imm & 0xff);
    if (fraction_bits == 0) return true;
    const Address scale = constant(power(dbl, -fraction_bits));
    dbl ? as_.vmulpd(d, d, scale) : as_.vmulps(d, d, scale);
    return true;
}

}  // namespace arclight::backend
