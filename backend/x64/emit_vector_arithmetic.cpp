// Element-wise integer arithmetic and bit counting.
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
constexpr uint64_t kNibbles = bytes(0x0f);
}  // namespace

void VectorIntegerEmitter::emit_vadd(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    emit_vex(i, kPackedAdd[esize]);
}

void VectorIntegerEmitter::emit_vsub(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    emit_vex(i, kPackedSub[esize]);
}

void VectorIntegerEmitter::emit_vneg(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Operand& a = regs_.use_xmm_rm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpxor(xmm15, xmm15, xmm15);
    (as_.*kPackedSub[esize])(d, xmm15, a);
}

void VectorIntegerEmitter::emit_vabs(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    switch (esize) {
        case 0: as_.vpabsb(d, a); break;
        case 1: as_.vpabsw(d, a); break;
        case 2: as_.vpabsd(d, a); break;
        default:
            as_.vpxor(xmm15, xmm15, xmm15);
            as_.vpcmpgtq(xmm15, xmm15, a);
            as_.vpxor(d, a, xmm15);
            as_.vpsubq(d, d, xmm15);
            break;
    }
}

bool VectorIntegerEmitter::emit_vextremum(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;  // A64 has no such operation on doublewords
    const auto& table = i.op == Op::VMaxS   ? kMaxS
                        : i.op == Op::VMaxU ? kMaxU
                        : i.op == Op::VMinS ? kMinS
                                            : kMinU;
    emit_vex(i, table[esize]);
    return true;
}

bool VectorIntegerEmitter::emit_vabd(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;  // A64 has no such operation on doublewords
    const bool is_signed = i.op == Op::VAbdS;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    (as_.*(is_signed ? kMinS : kMinU)[esize])(xmm15, a, b);
    (as_.*(is_signed ? kMaxS : kMaxU)[esize])(d, a, b);
    (as_.*kPackedSub[esize])(d, d, xmm15);
    return true;
}

/// Both by tables of 16 nibbles.
void VectorIntegerEmitter::emit_vcount_bits(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpsrlw(t, a, 4);
    as_.vpand(xmm15, a, constant(kNibbles));
    as_.vpand(t, t, constant(kNibbles));
    if (i.op == Op::VCnt) {
        as_.vmovaps(d, constant(0x0302'0201'0201'0100, 0x0403'0302'0302'0201));
        as_.vpshufb(xmm15, d, xmm15);
        as_.vpshufb(t, d, t);
        as_.vpaddb(d, t, xmm15);
    } else {
        as_.vmovaps(d, constant(0xe060'a020'c040'8000, 0xf070'b030'd050'9010));
        as_.vpshufb(xmm15, d, xmm15);
        as_.vmovaps(d, constant(0x0e06'0a02'0c04'0800, 0x0f07'0b03'0d05'0901));
        as_.vpshufb(t, d, t);
        as_.vpor(d, t, xmm15);
    }
}

bool VectorIntegerEmitter::emit_vmul(const Inst& i) {
    switch (ir::vec_esize(i.aux)) {
        case 1: emit_vex(i, &Cg::vpmullw); return true;
        case 2: emit_vex(i, &Cg::vpmulld); return true;
        case 3: return false;  // A64 has none
        default: break;
    }
    // Bytes: odd ones as the upper halves of 16-bit products, even ones as the lower halves.
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    as_.vpsrlw(t, a, 8);
    as_.vpand(xmm15, b, constant(halves(0xff00)));
    as_.vpmullw(t, t, xmm15);
    as_.vpmullw(xmm15, a, b);
    as_.vpand(xmm15, xmm15, constant(halves(0x00ff)));
    as_.vpor(d, t, xmm15);
    return true;
}

/// Without a wider type: a + b = 2 (a & b) + (a ^ b) = 2 (a | b) - (a ^ b), a - b = (a ^ b) - 2 (~a & b).
/// Bytes have no shifts but an unsigned rounding average; inverting the sign bits makes signed numbers
/// unsigned ones.
bool VectorIntegerEmitter::emit_vhalving(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;  // A64 has no such operation on doublewords
    const bool is_signed = i.op == Op::VHAddS || i.op == Op::VRHAddS || i.op == Op::VHSubS;
    const bool rounding = i.op == Op::VRHAddS || i.op == Op::VRHAddU;
    const bool subtract = i.op == Op::VHSubS || i.op == Op::VHSubU;
    if (rounding && !is_signed && esize < 2) {
        emit_vex(i, esize == 0 ? &Cg::vpavgb : &Cg::vpavgw);
        return true;
    }

    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    if (esize == 0) {
        const uint64_t sign = sign_bits(0);
        if (subtract) {
            // ((a - b) >> 1) + 128 = average(a, ~b)
            as_.vpxor(xmm15, b, constant(is_signed ? ~sign : ~uint64_t{0}));
            if (is_signed) {
                as_.vpxor(t, a, constant(sign));
                as_.vpavgb(d, t, xmm15);
            } else {
                as_.vpavgb(d, a, xmm15);
            }
            as_.vpxor(d, d, constant(sign));
            return true;
        }
        if (!rounding) {
            as_.vpxor(t, a, b);
            as_.vpand(t, t, constant(bytes(1)));
        }
        if (is_signed) {
            as_.vpxor(xmm15, a, constant(sign));
            as_.vpxor(d, b, constant(sign));
            as_.vpavgb(d, d, xmm15);
        } else {
            as_.vpavgb(d, a, b);
        }
        if (!rounding) as_.vpsubb(d, d, t);
        if (is_signed) as_.vpxor(d, d, constant(sign));
        return true;
    }
    as_.vpxor(t, a, b);
    if (esize == 1) {
        is_signed ? as_.vpsraw(t, t, 1) : as_.vpsrlw(t, t, 1);
    } else {
        is_signed ? as_.vpsrad(t, t, 1) : as_.vpsrld(t, t, 1);
    }
    if (subtract) {
        as_.vpandn(xmm15, a, b);
        esize == 1 ? as_.vpsubw(d, t, xmm15) : as_.vpsubd(d, t, xmm15);
    } else if (rounding) {
        as_.vpor(xmm15, a, b);
        esize == 1 ? as_.vpsubw(d, xmm15, t) : as_.vpsubd(d, xmm15, t);
    } else {
        as_.vpand(xmm15, a, b);
        esize == 1 ? as_.vpaddw(d, xmm15, t) : as_.vpaddd(d, xmm15, t);
    }
    return true;
}

}  // namespace arclight::backend
