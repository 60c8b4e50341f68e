// Saturating arithmetic: the hot path finds out whether anything saturated, cold paths set FPSR.QC.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_saturate(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    switch (i.op) {
        case Op::VQAddS:
        case Op::VQAddU:
        case Op::VQSubS:
        case Op::VQSubU: return emit_vqadd(i);
        case Op::VQAbs:
        case Op::VQNeg: {
            // Only the smallest number saturates.
            const Xmm a = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            const Address smallest = constant(sign_bits(esize));
            switch (esize) {
                case 0: vpcmpeqb(xmm15, a, smallest); break;
                case 1: vpcmpeqw(xmm15, a, smallest); break;
                case 2: vpcmpeqd(xmm15, a, smallest); break;
                default: vpcmpeqq(xmm15, a, smallest); break;
            }
            vpmovmskb(eax, xmm15);
            q ? test(eax, eax) : test(al, al);
            const size_t cold = cold_if(kNe);
            vpxor(xmm15, xmm15, xmm15);
            if (i.op == Op::VQNeg || esize == 3) {
                switch (esize) {
                    case 0: vpsubb(d, xmm15, a); break;
                    case 1: vpsubw(d, xmm15, a); break;
                    case 2: vpsubd(d, xmm15, a); break;
                    default: vpsubq(d, xmm15, a); break;
                }
                if (i.op == Op::VQAbs) vblendvpd(d, a, d, a);
            } else {
                switch (esize) {
                    case 0: vpabsb(d, a); break;
                    case 1: vpabsw(d, a); break;
                    default: vpabsd(d, a); break;
                }
            }
            if (!q) vmovq(d, d);
            resume_here(cold);
            return true;
        }
        case Op::VQDMulH:
        case Op::VQRDMulH: {
            if (esize != 1) return false;
            // Twice the square of the smallest number is the one product that saturates, and the one way to
            // get it.
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            if (i.op == Op::VQRDMulH) {
                vpmulhrsw(d, a, b);
            } else {
                vpmulhw(d, a, b);
                vpmullw(xmm15, a, b);
                vpsrlw(xmm15, xmm15, 15);
                vpaddw(d, d, d);
                vpor(d, d, xmm15);
            }
            if (!q) vmovq(d, d);
            vpcmpeqw(xmm15, d, constant(sign_bits(1)));
            vpmovmskb(eax, xmm15);
            test(eax, eax);
            cold_if(kNe);
            return true;
        }
        case Op::VQXtnS:
        case Op::VQXtnU:
        case Op::VQXtun:
            if (esize == 3) return false;
            emit_vqnarrow(i);
            return true;
        default: return false;
    }
}

/// `equal` has ones where an element did not saturate.
void BlockEmitter::jump_if_saturated(const Inst& i, const Xmm& equal) {
    vpmovmskb(eax, equal);
    if (ir::vec_q(i.aux)) {
        cmp(eax, 0xffff);
    } else {
        cmp(al, 0xff);
    }
}

bool BlockEmitter::emit_vqadd(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), subtract = i.op == Op::VQSubS || i.op == Op::VQSubU;
    const bool is_signed = i.op == Op::VQAddS || i.op == Op::VQSubS;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    if (esize < 2) {
        struct Pair {
            Vex3 saturating, wrapping;
        };
        static constexpr Pair kAddS[2] = {{&Cg::vpaddsb, &Cg::vpaddb}, {&Cg::vpaddsw, &Cg::vpaddw}};
        static constexpr Pair kAddU[2] = {{&Cg::vpaddusb, &Cg::vpaddb}, {&Cg::vpaddusw, &Cg::vpaddw}};
        static constexpr Pair kSubS[2] = {{&Cg::vpsubsb, &Cg::vpsubb}, {&Cg::vpsubsw, &Cg::vpsubw}};
        static constexpr Pair kSubU[2] = {{&Cg::vpsubusb, &Cg::vpsubb}, {&Cg::vpsubusw, &Cg::vpsubw}};
        const Pair& pair = (subtract ? (is_signed ? kSubS : kSubU) : (is_signed ? kAddS : kAddU))[esize];
        (this->*pair.saturating)(d, a, b);
        (this->*pair.wrapping)(xmm15, a, b);
        vpcmpeqb(xmm15, xmm15, d);
        if (!q) vmovq(d, d);
        jump_if_saturated(i, xmm15);
        cold_if(kNe, &BlockEmitter::cold_saturated);
        return true;
    }
    if (subtract) {
        esize == 2 ? vpsubd(d, a, b) : vpsubq(d, a, b);
    } else {
        esize == 2 ? vpaddd(d, a, b) : vpaddq(d, a, b);
    }
    // The sign of xmm15 tells an overflow.
    if (is_signed) {
        // The result's sign differs from that of a, and b's was the same (for a difference: was not).
        vpxor(xmm15, a, d);
        subtract ? vpxor(t, a, b) : vpxor(t, b, d);
        vpand(xmm15, xmm15, t);
    } else {
        // a + b < a, a < b: compared as signed numbers with inverted sign bits
        vpxor(xmm15, a, constant(sign_bits(esize)));
        vpxor(t, subtract ? b : d, constant(sign_bits(esize)));
        if (subtract) {
            esize == 2 ? vpcmpgtd(xmm15, t, xmm15) : vpcmpgtq(xmm15, t, xmm15);
        } else {
            esize == 2 ? vpcmpgtd(xmm15, xmm15, t) : vpcmpgtq(xmm15, xmm15, t);
        }
    }
    if (!q) vmovq(d, d);
    esize == 2 ? vmovmskps(eax, xmm15) : vmovmskpd(eax, xmm15);
    if (q) {
        test(eax, eax);
    } else {
        test(al, esize == 2 ? 3 : 1);
    }
    cold_if(kNe);
    return true;
}

/// Narrowed with saturation and widened again: what changed did not fit.
void BlockEmitter::emit_vqnarrow(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Xmm a = use_xmm(i.args[0]);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    if (esize == 2) {
        // No instruction for this one; the cold path does the saturation.
        vpshufd(d, a, 0x08);
        vmovq(d, d);
        i.op == Op::VQXtnS ? vpmovsxdq(xmm15, d) : vpmovzxdq(xmm15, d);
        vpcmpeqd(xmm15, xmm15, a);
        vpmovmskb(eax, xmm15);
        cmp(eax, 0xffff);
        cold_if(kNe);
        return;
    }
    if (i.op == Op::VQXtnU) {
        if (esize == 0) {
            vpminuw(d, a, constant(halves(0xff)));
            vpackuswb(d, d, d);
        } else {
            vpminud(d, a, constant(words(0xffff)));
            vpackusdw(d, d, d);
        }
    } else if (i.op == Op::VQXtun) {
        esize == 0 ? vpackuswb(d, a, a) : vpackusdw(d, a, a);
    } else {
        esize == 0 ? vpacksswb(d, a, a) : vpackssdw(d, a, a);
    }
    vmovq(d, d);
    if (i.op == Op::VQXtnS) {
        esize == 0 ? vpmovsxbw(xmm15, d) : vpmovsxwd(xmm15, d);
    } else {
        esize == 0 ? vpmovzxbw(xmm15, d) : vpmovzxwd(xmm15, d);
    }
    vpcmpeqd(xmm15, xmm15, a);
    vpmovmskb(eax, xmm15);
    cmp(eax, 0xffff);
    cold_if(kNe, &BlockEmitter::cold_saturated);
}

}  // namespace arclight::backend
