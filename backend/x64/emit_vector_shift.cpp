// Shifts without saturation.
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

void VectorIntegerEmitter::emit_vshl_imm(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const auto count = static_cast<unsigned>(i.imm & 63);
    const Xmm a = regs_.use_xmm(i.args[0]);
    shift_left(regs_.def_xmm_over(cur(), {i.args[0]}), a, esize, count);
}

void VectorIntegerEmitter::emit_vshr_imm(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), width = bits_of(esize);
    const unsigned count = (static_cast<unsigned>(i.imm) - 1) % width + 1;
    const Xmm a = regs_.use_xmm(i.args[0]);
    shift_right(regs_.def_xmm_over(cur(), {i.args[0]}), a, esize, count, i.op == Op::VShrSImm);
}

void VectorIntegerEmitter::emit_vrshr_imm(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), width = bits_of(esize);
    // The last bit shifted out is added.
    const unsigned count = (static_cast<unsigned>(i.imm) - 1) % width + 1;
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm(cur());
    shift_right(d, a, esize, count, i.op == Op::VRShrSImm);
    const auto before = static_cast<uint8_t>(count - 1);
    switch (esize) {
        case 0:
        case 1: as_.vpsrlw(xmm15, a, before); break;
        case 2: as_.vpsrld(xmm15, a, before); break;
        default: as_.vpsrlq(xmm15, a, before); break;
    }
    as_.vpand(xmm15, xmm15, constant(each(esize, 1)));
    switch (esize) {
        case 0: as_.vpaddb(d, d, xmm15); break;
        case 1: as_.vpaddw(d, d, xmm15); break;
        case 2: as_.vpaddd(d, d, xmm15); break;
        default: as_.vpaddq(d, d, xmm15); break;
    }
}

/// d may be a; xmm15 is kept.
void VectorIntegerEmitter::shift_left(const Xmm& d, const Xmm& a, unsigned esize, unsigned count) {
    const auto n = static_cast<uint8_t>(count);
    switch (esize) {
        case 0:
            as_.vpsllw(d, a, n);
            as_.vpand(d, d, constant(bytes(0xffu << count)));
            break;
        case 1: as_.vpsllw(d, a, n); break;
        case 2: as_.vpslld(d, a, n); break;
        default: as_.vpsllq(d, a, n); break;
    }
}

/// d may be a; xmm15 is clobbered. count = 1 .. width.
void VectorIntegerEmitter::shift_right(const Xmm& d, const Xmm& a, unsigned esize, unsigned count,
                                       bool is_signed) {
    const auto n = static_cast<uint8_t>(count);
    if (!is_signed) {
        switch (esize) {
            case 0:
                as_.vpsrlw(d, a, n);
                as_.vpand(d, d, constant(bytes(0xffu >> count)));
                break;
            case 1: as_.vpsrlw(d, a, n); break;
            case 2: as_.vpsrld(d, a, n); break;
            default: as_.vpsrlq(d, a, n); break;
        }
        return;
    }
    switch (esize) {
        case 0:
            if (count >= 7) {  // nothing but the sign
                as_.vpxor(xmm15, xmm15, xmm15);
                as_.vpcmpgtb(d, xmm15, a);
                return;
            }
            as_.vpsrlw(d, a, n);
            as_.vpand(d, d, constant(bytes(0xffu >> count)));
            as_.vpxor(d, d, constant(bytes(0x80u >> count)));
            as_.vpsubb(d, d, constant(bytes(0x80u >> count)));
            return;
        case 1: as_.vpsraw(d, a, n); return;
        case 2: as_.vpsrad(d, a, n); return;
        default: break;
    }
    // There is no 64-bit vpsra: the upper words by 32-bit shifts.
    if (count >= 63) {
        as_.vpxor(xmm15, xmm15, xmm15);
        as_.vpcmpgtq(d, xmm15, a);
    } else if (count < 32) {
        as_.vpsrad(xmm15, a, n);
        as_.vpsrlq(d, a, n);
        as_.vpblendd(d, d, xmm15, 0b1010);
    } else {
        as_.vpsrad(xmm15, a, 31);
        as_.vpsrad(d, a, static_cast<uint8_t>(count - 32));
        as_.vpshufd(d, d, 0xf5);
        as_.vpblendd(d, d, xmm15, 0b1010);
    }
}

void VectorIntegerEmitter::emit_vshift_insert(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), width = bits_of(esize);
    const uint64_t ones = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    const Xmm old = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    uint64_t kept = 0;
    if (i.op == Op::VSliImm) {
        const auto count = static_cast<unsigned>(i.imm % width);
        kept = each(esize, ~(ones << count));
        shift_left(t, b, esize, count);
    } else {
        const unsigned count = (static_cast<unsigned>(i.imm) - 1) % width + 1;
        kept = count == width ? ~uint64_t{0} : each(esize, ~(ones >> count));
        shift_right(t, b, esize, count, false);
    }
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    as_.vpand(d, old, constant(kept));
    as_.vpor(d, d, t);
}

/// By the signed low byte of each element. x86 takes counts as unsigned numbers and gives zero for large
/// ones: of a shift to the left by the count and one to the right by its negative, both modulo 256, one is
/// zero, unless the count is.
bool VectorIntegerEmitter::emit_vshift_by_register(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool is_signed = i.op == Op::VShlS;
    if (esize < 2 || (esize == 3 && is_signed)) return false;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const uint64_t low_byte = each(esize, 0xff);
    as_.vpand(xmm15, b, constant(low_byte));
    esize == 2 ? as_.vpsllvd(t, a, xmm15) : as_.vpsllvq(t, a, xmm15);
    as_.vpxor(d, d, d);
    esize == 2 ? as_.vpsubd(d, d, b) : as_.vpsubq(d, d, b);
    as_.vpand(d, d, constant(low_byte));
    if (is_signed) {
        // The shift to the right never gives zero for a negative number.
        as_.vpsravd(d, a, d);
        as_.vpslld(xmm15, b, 24);
        as_.vblendvps(d, t, d, xmm15);
    } else {
        esize == 2 ? as_.vpsrlvd(d, a, d) : as_.vpsrlvq(d, a, d);
        as_.vpor(d, d, t);
    }
    return true;
}

}  // namespace arclight::backend
