// Vector conversions between floating point formats and integers; see emit_fp_convert.cpp.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_convert(const Inst& i) {
    if (fp_slow()) return false;
    const unsigned esize = ir::vec_esize(i.aux);
    switch (i.op) {
        case Op::VFCvtL: {
            const Operand& x = use_xmm_rm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            esize == 1 ? vcvtph2ps(d, x) : vcvtps2pd(d, x);
            return true;
        }
        case Op::VFCvtN: {
            const Xmm x = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            // Perhaps tiny: see check_scalar().
            if (esize == 1) {
                vcvtps2ph(d, x, 4);
                vpaddw(xmm15, d, d);
                vpcmpeqw(xmm15, xmm15, constant(halves(0x0800)));
            } else {
                vcvtpd2ps(d, x);
                vpaddd(xmm15, d, d);
                vpcmpeqd(xmm15, xmm15, constant(words(0x0100'0000)));
            }
            vpmovmskb(eax, xmm15);
            test(eax, eax);
            cold_if(kNe);
            return true;
        }
        case Op::VFToSInt:
        case Op::VFToUInt: return emit_vf_to_int(i);
        case Op::VSIntToF:
        case Op::VUIntToF: return emit_vint_to_f(i);
        default: return false;
    }
}

bool BlockEmitter::emit_vf_to_int(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux), is_signed = i.op == Op::VFToSInt;
    const auto mode = static_cast<ir::RoundMode>(i.imm & 7);
    if ((i.imm >> 8 & 0xff) != 0 || mode == ir::RoundMode::TieAway) return false;
    if (dbl && (!q || !is_signed)) return false;
    const bool zero = mode == ir::RoundMode::Zero;
    use_xmm(i.args[0]);
    const ScratchXmm t(*this), u(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    const Xmm x = quiet_upper(i, 0, t);
    Xmm rounded = x;
    if (!zero) {
        dbl ? vroundpd(u, x, round_imm(mode)) : vroundps(u, x, round_imm(mode));
        rounded = u;
    }
    const size_t first_cold = cold_.size();
    if (dbl) {
        vunpckhpd(xmm15, rounded, rounded);
        vcvttsd2si(rax, rounded);
        vmovq(d, rax);
        cmp(rax, 1);
        cold_if(kO, &BlockEmitter::cold_join);
        vcvttsd2si(rax, xmm15);
        vpinsrq(d, d, rax, 1);
        cmp(rax, 1);
        cold_if(kO);
    } else if (is_signed) {
        vcvttps2dq(d, rounded);
        vpcmpeqd(xmm15, d, constant(sign_bits(2)));
        vmovmskps(eax, xmm15);
        test(eax, eax);
        cold_if(kNe);
    } else {
        // Numbers from 2^31 are left to the reference function.
        vcmpps(xmm15, rounded, constant(one(false) | sign_of(false)), kGtQuiet);
        vcmpps(d, rounded, constant(power(false, 31)), kLtQuiet);
        vandps(xmm15, xmm15, d);
        vmovmskps(eax, xmm15);
        cmp(eax, 15);
        cold_if(kNe);
        vcvttps2dq(d, rounded);
    }
    if (!zero) {  // signals Inexact
        dbl ? vroundpd(xmm15, x, 3) : vroundps(xmm15, x, 3);
    }
    for (size_t k = first_cold; k < cold_.size(); ++k) resume_here(k);
    return true;
}

bool BlockEmitter::emit_vint_to_f(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux), is_signed = i.op == Op::VSIntToF;
    if (dbl && (!q || !is_signed)) return false;
    use_xmm(i.args[0]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm(cur_);
    const Xmm x = quiet_upper(i, 0, t);
    if (dbl) {
        vpextrq(rax, x, 1);
        vxorps(xmm15, xmm15, xmm15);
        vcvtsi2sd(xmm15, xmm15, rax);
        vmovq(rax, x);
        vxorps(d, d, d);
        vcvtsi2sd(d, d, rax);
        vunpcklpd(d, d, xmm15);
    } else if (is_signed) {
        vcvtdq2ps(d, x);
    } else {
        // The upper 16 bits as 2^39 + upper * 2^16, the lower ones as 2^23 + lower; all exact but the last
        // addition.
        vpsrld(xmm15, x, 16);
        vpblendw(d, x, constant(words(0x4b00'0000)), 0xaa);
        vpor(xmm15, xmm15, constant(words(0x5300'0000)));
        vsubps(xmm15, xmm15, constant(words(0x5300'0080)));
        vaddps(d, d, xmm15);
        vandps(d, d, constant(~sign_of(false)));  // zero is -0 when rounding down
    }
    const int fraction_bits = static_cast<int>(i.imm & 0xff);
    if (fraction_bits == 0) return true;
    const Address scale = constant(power(dbl, -fraction_bits));
    dbl ? vmulpd(d, d, scale) : vmulps(d, d, scale);
    return true;
}

}  // namespace arclight::backend
