// Saturating arithmetic: the hot path finds out whether anything saturated, cold paths set FPSR.QC.
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

void VectorIntegerEmitter::emit_vqabs_or_neg(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    // Only the smallest number saturates.
    const Xmm a = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const Address smallest = constant(sign_bits(esize));
    switch (esize) {
        case 0: as_.vpcmpeqb(xmm15, a, smallest); break;
        case 1: as_.vpcmpeqw(xmm15, a, smallest); break;
        case 2: as_.vpcmpeqd(xmm15, a, smallest); break;
        default: as_.vpcmpeqq(xmm15, a, smallest); break;
    }
    as_.vpmovmskb(eax, xmm15);
    q ? as_.test(eax, eax) : as_.test(al, al);
    const size_t cold = cold_if(kNe);
    as_.vpxor(xmm15, xmm15, xmm15);
    if (i.op == Op::VQNeg || esize == 3) {
        switch (esize) {
            case 0: as_.vpsubb(d, xmm15, a); break;
            case 1: as_.vpsubw(d, xmm15, a); break;
            case 2: as_.vpsubd(d, xmm15, a); break;
            default: as_.vpsubq(d, xmm15, a); break;
        }
        if (i.op == Op::VQAbs) as_.vblendvpd(d, a, d, a);
    } else {
        switch (esize) {
            case 0: as_.vpabsb(d, a); break;
            case 1: as_.vpabsw(d, a); break;
            default: as_.vpabsd(d, a); break;
        }
    }
    if (!q) as_.vmovq(d, d);
    cold_.resume_here(cold);
}

bool VectorIntegerEmitter::emit_vqd_mul_h(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    if (esize != 1) return false;
    // Twice the square of the smallest number is the one product that saturates, and the one way to
    // get it.
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    if (i.op == Op::VQRDMulH) {
        as_.vpmulhrsw(d, a, b);
    } else {
        as_.vpmulhw(d, a, b);
        as_.vpmullw(xmm15, a, b);
        as_.vpsrlw(xmm15, xmm15, 15);
        as_.vpaddw(d, d, d);
        as_.vpor(d, d, xmm15);
    }
    if (!q) as_.vmovq(d, d);
    as_.vpcmpeqw(xmm15, d, constant(sign_bits(1)));
    as_.vpmovmskb(eax, xmm15);
    as_.test(eax, eax);
    cold_if(kNe);
    return true;
}

bool VectorIntegerEmitter::emit_vqxtn(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    emit_vqnarrow(i);
    return true;
}

/// `equal` has ones where an element did not saturate.
void VectorIntegerEmitter::jump_if_saturated(const Inst& i, const Xmm& equal) {
    as_.vpmovmskb(eax, equal);
    if (ir::vec_q(i.aux)) {
        as_.cmp(eax, 0xffff);
    } else {
        as_.cmp(al, 0xff);
    }
}

bool VectorIntegerEmitter::emit_vqadd(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), subtract = i.op == Op::VQSubS || i.op == Op::VQSubU;
    const bool is_signed = i.op == Op::VQAddS || i.op == Op::VQSubS;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    if (esize < 2) {
        struct Pair {
            Vex3 saturating, wrapping;
        };
        static constexpr Pair kAddS[2] = {{&Cg::vpaddsb, &Cg::vpaddb}, {&Cg::vpaddsw, &Cg::vpaddw}};
        static constexpr Pair kAddU[2] = {{&Cg::vpaddusb, &Cg::vpaddb}, {&Cg::vpaddusw, &Cg::vpaddw}};
        static constexpr Pair kSubS[2] = {{&Cg::vpsubsb, &Cg::vpsubb}, {&Cg::vpsubsw, &Cg::vpsubw}};
        static constexpr Pair kSubU[2] = {{&Cg::vpsubusb, &Cg::vpsubb}, {&Cg::vpsubusw, &Cg::vpsubw}};
        const Pair& pair = (subtract ? (is_signed ? kSubS : kSubU) : (is_signed ? kAddS : kAddU))[esize];
        (as_.*pair.saturating)(d, a, b);
        (as_.*pair.wrapping)(xmm15, a, b);
        as_.vpcmpeqb(xmm15, xmm15, d);
        if (!q) as_.vmovq(d, d);
        jump_if_saturated(i, xmm15);
        cold_if(kNe, cold_fn<&SimdEmitter::cold_saturated>);
        return true;
    }
    if (subtract) {
        esize == 2 ? as_.vpsubd(d, a, b) : as_.vpsubq(d, a, b);
    } else {
        esize == 2 ? as_.vpaddd(d, a, b) : as_.vpaddq(d, a, b);
    }
    // The sign of xmm15 tells an overflow.
    if (is_signed) {
        // The result's sign differs from that of a, and b's was the same (for a difference: was not).
        as_.vpxor(xmm15, a, d);
        subtract ? as_.vpxor(t, a, b) : as_.vpxor(t, b, d);
        as_.vpand(xmm15, xmm15, t);
    } else {
        // a + b < a, a < b: compared as signed numbers with inverted sign bits
        as_.vpxor(xmm15, a, constant(sign_bits(esize)));
        as_.vpxor(t, subtract ? b : d, constant(sign_bits(esize)));
        if (subtract) {
            esize == 2 ? as_.vpcmpgtd(xmm15, t, xmm15) : as_.vpcmpgtq(xmm15, t, xmm15);
        } else {
            esize == 2 ? as_.vpcmpgtd(xmm15, xmm15, t) : as_.vpcmpgtq(xmm15, xmm15, t);
        }
    }
    if (!q) as_.vmovq(d, d);
    esize == 2 ? as_.vmovmskps(eax, xmm15) : as_.vmovmskpd(eax, xmm15);
    if (q) {
        as_.test(eax, eax);
    } else {
        as_.test(al, esize == 2 ? 3 : 1);
    }
    cold_if(kNe);
    return true;
}

/// Narrowed with saturation and widened again: what changed did not fit.
void VectorIntegerEmitter::emit_vqnarrow(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Xmm a = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    if (esize == 2) {
        // No instruction for this one; the cold path does the saturation.
        as_.vpshufd(d, a, 0x08);
        as_.vmovq(d, d);
        i.op == Op::VQXtnS ? as_.vpmovsxdq(xmm15, d) : as_.vpmovzxdq(xmm15, d);
        as_.vpcmpeqd(xmm15, xmm15, a);
        as_.vpmovmskb(eax, xmm15);
        as_.cmp(eax, 0xffff);
        cold_if(kNe);
        return;
    }
    if (i.op == Op::VQXtnU) {
        if (esize == 0) {
            as_.vpminuw(d, a, constant(halves(0xff)));
            as_.vpackuswb(d, d, d);
        } else {
            as_.vpminud(d, a, constant(words(0xffff)));
            as_.vpackusdw(d, d, d);
        }
    } else if (i.op == Op::VQXtun) {
        esize == 0 ? as_.vpackuswb(d, a, a) : as_.vpackusdw(d, a, a);
    } else {
        esize == 0 ? as_.vpacksswb(d, a, a) : as_.vpackssdw(d, a, a);
    }
    as_.vmovq(d, d);
    if (i.op == Op::VQXtnS) {
        esize == 0 ? as_.vpmovsxbw(xmm15, d) : as_.vpmovsxwd(xmm15, d);
    } else {
        esize == 0 ? as_.vpmovzxbw(xmm15, d) : as_.vpmovzxwd(xmm15, d);
    }
    as_.vpcmpeqd(xmm15, xmm15, a);
    as_.vpmovmskb(eax, xmm15);
    as_.cmp(eax, 0xffff);
    cold_if(kNe, cold_fn<&SimdEmitter::cold_saturated>);
}

}  // namespace arclight::backend
