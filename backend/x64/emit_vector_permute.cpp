// Permutations of elements and bytes.
#include "backend/x64/simd.h"
#include "backend/x64/vector_lane_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
/// A byte shuffle that takes every second element, from `part`, of the source: eight bytes.
constexpr uint64_t every_second(unsigned esize, unsigned part) {
    uint64_t r = 0;
    for (unsigned k = 0; k < 8; ++k) {
        const unsigned element = 2 * (k >> esize) + part;
        r |= uint64_t{(element << esize) + (k & ((1u << esize) - 1))} << (8 * k);
    }
    return r;
}
/// Eight bytes, from `first`, of the shuffle that reverses elements inside containers.
constexpr uint64_t reversed(unsigned esize, unsigned container, unsigned first) {
    const unsigned mirror = container / 8 - (1u << esize);
    uint64_t r = 0;
    for (unsigned k = 0; k < 8; ++k) r |= uint64_t{(first + k) ^ mirror} << (8 * k);
    return r;
}
}  // namespace

bool VectorLaneEmitter::emit_vpermute(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    switch (i.op) {
        case Op::VZip1:
        case Op::VZip2:
        case Op::VUzp1:
        case Op::VUzp2:
        case Op::VTrn1:
        case Op::VTrn2:
            if (esize == 3 && !q) return false;  // one element: A64 has none
            break;
        case Op::VExt:
        case Op::VTbl:
        case Op::VTbx:
        case Op::VRev: break;
        default: return false;
    }
    if (i.op == Op::VRev) {
        const auto container = static_cast<unsigned>(i.imm);
        const Xmm a = regs_.use_xmm(i.args[0]);
        const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
        if (esize == 2) {
            as_.vpshufd(d, a, 0xb1);
        } else {
            as_.vpshufb(d, a, constant(reversed(esize, container, 0), reversed(esize, container, 8)));
        }
        return true;
    }
    if (i.op == Op::VTbx) {
        const Xmm old = regs_.use_xmm(i.args[0]), table = regs_.use_xmm(i.args[1]),
                  index = regs_.use_xmm(i.args[2]);
        const ScratchXmm t(regs_);
        const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1], i.args[2]});
        as_.vpaddusb(xmm15, index, constant(bytes(0x70)));  // sets the sign bit of those above 15
        as_.vpshufb(t, table, xmm15);
        as_.vpblendvb(d, t, old, xmm15);
        return true;
    }
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    const bool second = i.op == Op::VZip2 || i.op == Op::VUzp2 || i.op == Op::VTrn2;
    switch (i.op) {
        case Op::VTbl:
            as_.vpaddusb(xmm15, b, constant(bytes(0x70)));
            as_.vpshufb(d, a, xmm15);
            return true;
        case Op::VExt:
            if (q) {
                as_.vpalignr(d, b, a, static_cast<uint8_t>(i.imm & 15));
            } else {
                as_.vpunpcklqdq(d, a, b);
                as_.vpsrldq(d, d, static_cast<uint8_t>(i.imm & 7));
                as_.vmovq(d, d);
            }
            return true;
        case Op::VZip1:
        case Op::VZip2:
            if (q) {
                (as_.*(second ? kHigh : kLow)[esize])(d, a, b);
            } else {
                (as_.*kLow[esize])(d, a, b);
                second ? as_.vpsrldq(d, d, 8) : as_.vmovq(d, d);
            }
            return true;
        case Op::VUzp1:
        case Op::VUzp2: {
            const uint64_t shuffle = every_second(esize, second);
            if (!q) {
                as_.vpunpcklqdq(d, a, b);
                as_.vpshufb(d, d, constant(shuffle, kZeroBytes));
            } else if (esize == 3) {
                (as_.*(second ? kHigh : kLow)[3])(d, a, b);
            } else if (esize == 2) {
                as_.vshufps(d, a, b, second ? 0xdd : 0x88);
            } else {
                const Address control = constant(shuffle);
                as_.vpshufb(xmm15, b, control);
                as_.vpshufb(d, a, control);
                as_.vpunpcklqdq(d, d, xmm15);
            }
            return true;
        }
        default: break;
    }
    // TRN: elements of one parity of a and b, those of b in the odd places.
    switch (esize) {
        case 0:
            if (second) {
                as_.vpsrlw(xmm15, a, 8);
                as_.vpand(d, b, constant(halves(0xff00)));
            } else {
                as_.vpsllw(xmm15, b, 8);
                as_.vpand(d, a, constant(halves(0x00ff)));
            }
            as_.vpor(d, d, xmm15);
            break;
        case 1:
            if (second) {
                as_.vpsrld(xmm15, a, 16);
                as_.vpblendw(d, xmm15, b, 0xaa);
            } else {
                as_.vpslld(xmm15, b, 16);
                as_.vpblendw(d, a, xmm15, 0xaa);
            }
            break;
        case 2:
            if (second) {
                as_.vpsrlq(xmm15, a, 32);
                as_.vpblendd(d, xmm15, b, 0b1010);
            } else {
                as_.vpsllq(xmm15, b, 32);
                as_.vpblendd(d, a, xmm15, 0b1010);
            }
            break;
        default: (as_.*(second ? kHigh : kLow)[3])(d, a, b); break;
    }
    if (!q) as_.vmovq(d, d);
    return true;
}

}  // namespace arclight::backend
