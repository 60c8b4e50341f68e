// Permutations of elements and bytes.
#include "backend/x64/simd.h"

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

bool BlockEmitter::emit_vector_permute(const Inst& i) {
    using Table = Vex3[4];
    static constexpr Table kLow = {&Cg::vpunpcklbw, &Cg::vpunpcklwd, &Cg::vpunpckldq, &Cg::vpunpcklqdq};
    static constexpr Table kHigh = {&Cg::vpunpckhbw, &Cg::vpunpckhwd, &Cg::vpunpckhdq, &Cg::vpunpckhqdq};
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
        const Xmm a = use_xmm(i.args[0]);
        const Xmm d = def_xmm_over(cur_, {i.args[0]});
        if (esize == 2) {
            vpshufd(d, a, 0xb1);
        } else {
            vpshufb(d, a, constant(reversed(esize, container, 0), reversed(esize, container, 8)));
        }
        return true;
    }
    if (i.op == Op::VTbx) {
        const Xmm old = use_xmm(i.args[0]), table = use_xmm(i.args[1]), index = use_xmm(i.args[2]);
        const ScratchXmm t(*this);
        const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1], i.args[2]});
        vpaddusb(xmm15, index, constant(bytes(0x70)));  // sets the sign bit of those above 15
        vpshufb(t, table, xmm15);
        vpblendvb(d, t, old, xmm15);
        return true;
    }
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    const bool second = i.op == Op::VZip2 || i.op == Op::VUzp2 || i.op == Op::VTrn2;
    switch (i.op) {
        case Op::VTbl:
            vpaddusb(xmm15, b, constant(bytes(0x70)));
            vpshufb(d, a, xmm15);
            return true;
        case Op::VExt:
            if (q) {
                vpalignr(d, b, a, static_cast<uint8_t>(i.imm & 15));
            } else {
                vpunpcklqdq(d, a, b);
                vpsrldq(d, d, static_cast<uint8_t>(i.imm & 7));
                vmovq(d, d);
            }
            return true;
        case Op::VZip1:
        case Op::VZip2:
            if (q) {
                (this->*(second ? kHigh : kLow)[esize])(d, a, b);
            } else {
                (this->*kLow[esize])(d, a, b);
                second ? vpsrldq(d, d, 8) : vmovq(d, d);
            }
            return true;
        case Op::VUzp1:
        case Op::VUzp2: {
            const uint64_t shuffle = every_second(esize, second);
            if (!q) {
                vpunpcklqdq(d, a, b);
                vpshufb(d, d, constant(shuffle, kZeroBytes));
            } else if (esize == 3) {
                (this->*(second ? kHigh : kLow)[3])(d, a, b);
            } else if (esize == 2) {
                vshufps(d, a, b, second ? 0xdd : 0x88);
            } else {
                const Address control = constant(shuffle);
                vpshufb(xmm15, b, control);
                vpshufb(d, a, control);
                vpunpcklqdq(d, d, xmm15);
            }
            return true;
        }
        default: break;
    }
    // TRN: elements of one parity of a and b, those of b in the odd places.
    switch (esize) {
        case 0:
            if (second) {
                vpsrlw(xmm15, a, 8);
                vpand(d, b, constant(halves(0xff00)));
            } else {
                vpsllw(xmm15, b, 8);
                vpand(d, a, constant(halves(0x00ff)));
            }
            vpor(d, d, xmm15);
            break;
        case 1:
            if (second) {
                vpsrld(xmm15, a, 16);
                vpblendw(d, xmm15, b, 0xaa);
            } else {
                vpslld(xmm15, b, 16);
                vpblendw(d, a, xmm15, 0xaa);
            }
            break;
        case 2:
            if (second) {
                vpsrlq(xmm15, a, 32);
                vpblendd(d, xmm15, b, 0b1010);
            } else {
                vpsllq(xmm15, b, 32);
                vpblendd(d, a, xmm15, 0b1010);
            }
            break;
        default: (this->*(second ? kHigh : kLow)[3])(d, a, b); break;
    }
    if (!q) vmovq(d, d);
    return true;
}

}  // namespace arclight::backend
