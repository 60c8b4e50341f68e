// Shifts without saturation.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_shift(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), width = bits_of(esize);
    switch (i.op) {
        case Op::VShlImm: {
            const auto count = static_cast<unsigned>(i.imm & 63);
            const Xmm a = use_xmm(i.args[0]);
            shift_left(def_xmm_over(cur_, {i.args[0]}), a, esize, count);
            return true;
        }
        case Op::VShrSImm:
        case Op::VShrUImm: {
            const unsigned count = (static_cast<unsigned>(i.imm) - 1) % width + 1;
            const Xmm a = use_xmm(i.args[0]);
            shift_right(def_xmm_over(cur_, {i.args[0]}), a, esize, count, i.op == Op::VShrSImm);
            return true;
        }
        case Op::VRShrSImm:
        case Op::VRShrUImm: {
            // The last bit shifted out is added.
            const unsigned count = (static_cast<unsigned>(i.imm) - 1) % width + 1;
            const Xmm a = use_xmm(i.args[0]);
            const Xmm d = def_xmm(cur_);
            shift_right(d, a, esize, count, i.op == Op::VRShrSImm);
            const auto before = static_cast<uint8_t>(count - 1);
            switch (esize) {
                case 0:
                case 1: vpsrlw(xmm15, a, before); break;
                case 2: vpsrld(xmm15, a, before); break;
                default: vpsrlq(xmm15, a, before); break;
            }
            vpand(xmm15, xmm15, constant(each(esize, 1)));
            switch (esize) {
                case 0: vpaddb(d, d, xmm15); break;
                case 1: vpaddw(d, d, xmm15); break;
                case 2: vpaddd(d, d, xmm15); break;
                default: vpaddq(d, d, xmm15); break;
            }
            return true;
        }
        case Op::VSliImm:
        case Op::VSriImm: emit_vshift_insert(i); return true;
        case Op::VShlS:
        case Op::VShlU: return emit_vshift_by_register(i);
        default: return false;
    }
}

/// d may be a; xmm15 is kept.
void BlockEmitter::shift_left(const Xmm& d, const Xmm& a, unsigned esize, unsigned count) {
    const auto n = static_cast<uint8_t>(count);
    switch (esize) {
        case 0:
            vpsllw(d, a, n);
            vpand(d, d, constant(bytes(0xffu << count)));
            break;
        case 1: vpsllw(d, a, n); break;
        case 2: vpslld(d, a, n); break;
        default: vpsllq(d, a, n); break;
    }
}

/// d may be a; xmm15 is clobbered. count = 1 .. width.
void BlockEmitter::shift_right(const Xmm& d, const Xmm& a, unsigned esize, unsigned count, bool is_signed) {
    const auto n = static_cast<uint8_t>(count);
    if (!is_signed) {
        switch (esize) {
            case 0:
                vpsrlw(d, a, n);
                vpand(d, d, constant(bytes(0xffu >> count)));
                break;
            case 1: vpsrlw(d, a, n); break;
            case 2: vpsrld(d, a, n); break;
            default: vpsrlq(d, a, n); break;
        }
        return;
    }
    switch (esize) {
        case 0:
            if (count >= 7) {  // nothing but the sign
                vpxor(xmm15, xmm15, xmm15);
                vpcmpgtb(d, xmm15, a);
                return;
            }
            vpsrlw(d, a, n);
            vpand(d, d, constant(bytes(0xffu >> count)));
            vpxor(d, d, constant(bytes(0x80u >> count)));
            vpsubb(d, d, constant(bytes(0x80u >> count)));
            return;
        case 1: vpsraw(d, a, n); return;
        case 2: vpsrad(d, a, n); return;
        default: break;
    }
    // There is no 64-bit vpsra: the upper words by 32-bit shifts.
    if (count >= 63) {
        vpxor(xmm15, xmm15, xmm15);
        vpcmpgtq(d, xmm15, a);
    } else if (count < 32) {
        vpsrad(xmm15, a, n);
        vpsrlq(d, a, n);
        vpblendd(d, d, xmm15, 0b1010);
    } else {
        vpsrad(xmm15, a, 31);
        vpsrad(d, a, static_cast<uint8_t>(count - 32));
        vpshufd(d, d, 0xf5);
        vpblendd(d, d, xmm15, 0b1010);
    }
}

void BlockEmitter::emit_vshift_insert(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux), width = bits_of(esize);
    const uint64_t ones = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    const Xmm old = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
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
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    vpand(d, old, constant(kept));
    vpor(d, d, t);
}

/// By the signed low byte of each element. x86 takes counts as unsigned numbers and gives zero for large
/// ones: of a shift to the left by the count and one to the right by its negative, both modulo 256, one is
/// zero, unless the count is.
bool BlockEmitter::emit_vshift_by_register(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool is_signed = i.op == Op::VShlS;
    if (esize < 2 || (esize == 3 && is_signed)) return false;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm(cur_);
    const uint64_t low_byte = each(esize, 0xff);
    vpand(xmm15, b, constant(low_byte));
    esize == 2 ? vpsllvd(t, a, xmm15) : vpsllvq(t, a, xmm15);
    vpxor(d, d, d);
    esize == 2 ? vpsubd(d, d, b) : vpsubq(d, d, b);
    vpand(d, d, constant(low_byte));
    if (is_signed) {
        // The shift to the right never gives zero for a negative number.
        vpsravd(d, a, d);
        vpslld(xmm15, b, 24);
        vblendvps(d, t, d, xmm15);
    } else {
        esize == 2 ? vpsrlvd(d, a, d) : vpsrlvq(d, a, d);
        vpor(d, d, t);
    }
    return true;
}

}  // namespace arclight::backend
