// Element-wise integer arithmetic and bit counting.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
constexpr uint64_t kNibbles = bytes(0x0f);
}  // namespace

bool BlockEmitter::emit_vector_arithmetic(const Inst& i) {
    using Table = Vex3[4];
    static constexpr Table kAdd = {&Cg::vpaddb, &Cg::vpaddw, &Cg::vpaddd, &Cg::vpaddq};
    static constexpr Table kSub = {&Cg::vpsubb, &Cg::vpsubw, &Cg::vpsubd, &Cg::vpsubq};
    static constexpr Table kMaxS = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, nullptr};
    static constexpr Table kMaxU = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, nullptr};
    static constexpr Table kMinS = {&Cg::vpminsb, &Cg::vpminsw, &Cg::vpminsd, nullptr};
    static constexpr Table kMinU = {&Cg::vpminub, &Cg::vpminuw, &Cg::vpminud, nullptr};
    const unsigned esize = ir::vec_esize(i.aux);
    switch (i.op) {
        case Op::VAdd: emit_vex(i, kAdd[esize]); return true;
        case Op::VSub: emit_vex(i, kSub[esize]); return true;
        case Op::VMul:
            if (esize == 3) return false;  // A64 has none
            emit_vmul(i);
            return true;
        case Op::VNeg: {
            const Operand& a = use_xmm_rm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            vpxor(xmm15, xmm15, xmm15);
            (this->*kSub[esize])(d, xmm15, a);
            return true;
        }
        case Op::VAbs: {
            const Xmm a = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            switch (esize) {
                case 0: vpabsb(d, a); break;
                case 1: vpabsw(d, a); break;
                case 2: vpabsd(d, a); break;
                default:
                    vpxor(xmm15, xmm15, xmm15);
                    vpcmpgtq(xmm15, xmm15, a);
                    vpxor(d, a, xmm15);
                    vpsubq(d, d, xmm15);
                    break;
            }
            return true;
        }
        default: break;
    }
    if (i.op == Op::VCnt || i.op == Op::VRbit) {
        // Both by tables of 16 nibbles.
        const Xmm a = use_xmm(i.args[0]);
        const ScratchXmm t(*this);
        const Xmm d = def_xmm_over(cur_, {i.args[0]});
        vpsrlw(t, a, 4);
        vpand(xmm15, a, constant(kNibbles));
        vpand(t, t, constant(kNibbles));
        if (i.op == Op::VCnt) {
            vmovaps(d, constant(0x0302'0201'0201'0100, 0x0403'0302'0302'0201));
            vpshufb(xmm15, d, xmm15);
            vpshufb(t, d, t);
            vpaddb(d, t, xmm15);
        } else {
            vmovaps(d, constant(0xe060'a020'c040'8000, 0xf070'b030'd050'9010));
            vpshufb(xmm15, d, xmm15);
            vmovaps(d, constant(0x0e06'0a02'0c04'0800, 0x0f07'0b03'0d05'0901));
            vpshufb(t, d, t);
            vpor(d, t, xmm15);
        }
        return true;
    }
    if (esize == 3) return false;  // A64 has none of the rest either
    switch (i.op) {
        case Op::VMaxS: emit_vex(i, kMaxS[esize]); return true;
        case Op::VMaxU: emit_vex(i, kMaxU[esize]); return true;
        case Op::VMinS: emit_vex(i, kMinS[esize]); return true;
        case Op::VMinU: emit_vex(i, kMinU[esize]); return true;
        case Op::VAbdS:
        case Op::VAbdU: {
            const bool is_signed = i.op == Op::VAbdS;
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
            (this->*(is_signed ? kMinS : kMinU)[esize])(xmm15, a, b);
            (this->*(is_signed ? kMaxS : kMaxU)[esize])(d, a, b);
            (this->*kSub[esize])(d, d, xmm15);
            return true;
        }
        case Op::VHAddS:
        case Op::VHAddU:
        case Op::VRHAddS:
        case Op::VRHAddU:
        case Op::VHSubS:
        case Op::VHSubU: emit_vhalving(i); return true;
        default: return false;
    }
}

void BlockEmitter::emit_vmul(const Inst& i) {
    switch (ir::vec_esize(i.aux)) {
        case 1: return emit_vex(i, &Cg::vpmullw);
        case 2: return emit_vex(i, &Cg::vpmulld);
        default: break;
    }
    // Bytes: odd ones as the upper halves of 16-bit products, even ones as the lower halves.
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    vpsrlw(t, a, 8);
    vpand(xmm15, b, constant(halves(0xff00)));
    vpmullw(t, t, xmm15);
    vpmullw(xmm15, a, b);
    vpand(xmm15, xmm15, constant(halves(0x00ff)));
    vpor(d, t, xmm15);
}

/// Without a wider type: a + b = 2 (a & b) + (a ^ b) = 2 (a | b) - (a ^ b), a - b = (a ^ b) - 2 (~a & b).
/// Bytes have no shifts but an unsigned rounding average; inverting the sign bits makes signed numbers
/// unsigned ones.
void BlockEmitter::emit_vhalving(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool is_signed = i.op == Op::VHAddS || i.op == Op::VRHAddS || i.op == Op::VHSubS;
    const bool rounding = i.op == Op::VRHAddS || i.op == Op::VRHAddU;
    const bool subtract = i.op == Op::VHSubS || i.op == Op::VHSubU;
    if (rounding && !is_signed && esize < 2) return emit_vex(i, esize == 0 ? &Cg::vpavgb : &Cg::vpavgw);

    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    if (esize == 0) {
        const uint64_t sign = sign_bits(0);
        if (subtract) {
            // ((a - b) >> 1) + 128 = average(a, ~b)
            vpxor(xmm15, b, constant(is_signed ? ~sign : ~uint64_t{0}));
            if (is_signed) {
                vpxor(t, a, constant(sign));
                vpavgb(d, t, xmm15);
            } else {
                vpavgb(d, a, xmm15);
            }
            vpxor(d, d, constant(sign));
            return;
        }
        if (!rounding) {
            vpxor(t, a, b);
            vpand(t, t, constant(bytes(1)));
        }
        if (is_signed) {
            vpxor(xmm15, a, constant(sign));
            vpxor(d, b, constant(sign));
            vpavgb(d, d, xmm15);
        } else {
            vpavgb(d, a, b);
        }
        if (!rounding) vpsubb(d, d, t);
        if (is_signed) vpxor(d, d, constant(sign));
        return;
    }
    vpxor(t, a, b);
    if (esize == 1) {
        is_signed ? vpsraw(t, t, 1) : vpsrlw(t, t, 1);
    } else {
        is_signed ? vpsrad(t, t, 1) : vpsrld(t, t, 1);
    }
    if (subtract) {
        vpandn(xmm15, a, b);
        esize == 1 ? vpsubw(d, t, xmm15) : vpsubd(d, t, xmm15);
    } else if (rounding) {
        vpor(xmm15, a, b);
        esize == 1 ? vpsubw(d, xmm15, t) : vpsubd(d, xmm15, t);
    } else {
        vpand(xmm15, a, b);
        esize == 1 ? vpaddw(d, xmm15, t) : vpaddd(d, xmm15, t);
    }
}

}  // namespace arclight::backend
