// Pairwise and across-lanes integer operations.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
/// Byte shuffles: the even elements, then the odd ones.
struct Shuffle {
    uint64_t low, high;
};
constexpr Shuffle kEvenOdd[2] = {{0x0e0c'0a08'0604'0200, 0x0f0d'0b09'0705'0301},
                                 {0x0d0c'0908'0504'0100, 0x0f0e'0b0a'0706'0302}};
}  // namespace

bool BlockEmitter::emit_vector_reduce(const Inst& i) {
    switch (i.op) {
        case Op::VAddP:
        case Op::VMaxPS:
        case Op::VMaxPU:
        case Op::VMinPS:
        case Op::VMinPU: return emit_vpairwise(i);
        case Op::VAddV:
        case Op::VMaxVS:
        case Op::VMaxVU:
        case Op::VMinVS:
        case Op::VMinVU:
        case Op::VAddlVS:
        case Op::VAddlVU: return emit_vacross(i);
        default: return false;
    }
}

/// The even elements of a:b in one register, the odd ones in another, then one operation.
bool BlockEmitter::emit_vpairwise(const Inst& i) {
    using Table = Vex3[4];
    static constexpr Table kAdd = {&Cg::vpaddb, &Cg::vpaddw, &Cg::vpaddd, &Cg::vpaddq};
    static constexpr Table kMaxS = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, nullptr};
    static constexpr Table kMaxU = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, nullptr};
    static constexpr Table kMinS = {&Cg::vpminsb, &Cg::vpminsw, &Cg::vpminsd, nullptr};
    static constexpr Table kMinU = {&Cg::vpminub, &Cg::vpminuw, &Cg::vpminud, nullptr};
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const Table& table = i.op == Op::VAddP    ? kAdd
                         : i.op == Op::VMaxPS ? kMaxS
                         : i.op == Op::VMaxPU ? kMaxU
                         : i.op == Op::VMinPS ? kMinS
                                              : kMinU;
    const Vex3 op = table[esize];
    if (op == nullptr || (esize == 3 && !q)) return false;  // A64 has none
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const Xmm d = def_xmm(cur_);
    if (!q) {
        vpunpcklqdq(d, a, b);
        if (esize == 2) {
            vpshufd(xmm15, d, 0x0d);
            vpshufd(d, d, 0x08);
        } else {
            vpshufb(d, d, constant(kEvenOdd[esize].low, kEvenOdd[esize].high));
            vpsrldq(xmm15, d, 8);
        }
        (this->*op)(d, d, xmm15);
        vmovq(d, d);
        return true;
    }
    switch (esize) {
        case 2:
            vshufps(d, a, b, 0x88);
            vshufps(xmm15, a, b, 0xdd);
            break;
        case 3:
            vpunpcklqdq(d, a, b);
            vpunpckhqdq(xmm15, a, b);
            break;
        default: {
            const Address shuffle = constant(kEvenOdd[esize].low, kEvenOdd[esize].high);
            vpshufb(d, a, shuffle);
            if (i.args[0] == i.args[1]) {
                // Only one half of the result is different.
                vpsrldq(xmm15, d, 8);
                (this->*op)(d, d, xmm15);
                vpunpcklqdq(d, d, d);
                return true;
            }
            const ScratchXmm t(*this);
            vpshufb(t, b, shuffle);
            vpunpckhqdq(xmm15, d, t);
            vpunpcklqdq(d, d, t);
            break;
        }
    }
    (this->*op)(d, d, xmm15);
    return true;
}

bool BlockEmitter::emit_vacross(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const bool add = i.op == Op::VAddV, add_long = i.op == Op::VAddlVS || i.op == Op::VAddlVU;
    if (esize == 3 || (esize == 2 && !q)) return false;  // A64 has none
    const Xmm a = use_xmm(i.args[0]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm(cur_);
    const auto clear_above = [&](unsigned result_esize) {
        if (result_esize < 2) {
            vpand(d, d, constant(result_esize == 0 ? 0xff : 0xffff, 0));
        } else if (result_esize == 2) {
            vinsertps(d, d, d, 0x0e);
        } else {
            vmovq(d, d);
        }
    };

    if ((add || add_long) && esize == 0) {
        // vpsadbw sums unsigned bytes of each half.
        const bool is_signed = i.op == Op::VAddlVS;
        if (is_signed) {
            vpxor(d, a, constant(sign_bits(0)));
        } else {
            vmovaps(d, a);
        }
        vpxor(xmm15, xmm15, xmm15);
        vpsadbw(d, d, xmm15);
        if (q) {
            vpsrldq(xmm15, d, 8);
            vpaddd(d, d, xmm15);
        }
        if (is_signed) vpsubd(d, d, constant(q ? 16 * 128 : 8 * 128, 0));
        clear_above(add ? 0 : 1);
        return true;
    }
    if (add || add_long) {
        unsigned sums = esize;
        if (add_long) {
            add_long_pairs(d, a, esize, i.op == Op::VAddlVS, t);
            ++sums;
        } else {
            vmovaps(d, a);
        }
        const auto fold = [&](unsigned bytes_down) {
            vpsrldq(xmm15, d, static_cast<uint8_t>(bytes_down));
            sums == 1 ? vpaddw(d, d, xmm15) : sums == 2 ? vpaddd(d, d, xmm15) : vpaddq(d, d, xmm15);
        };
        for (unsigned down = q ? 8 : 4; down >= 1u << sums; down /= 2) fold(down);
        clear_above(sums);
        return true;
    }

    const bool maximum = i.op == Op::VMaxVS || i.op == Op::VMaxVU;
    const bool is_signed = i.op == Op::VMaxVS || i.op == Op::VMinVS;
    if (esize == 2) {
        const auto fold = [&](uint8_t shuffle, const Xmm& from) {
            vpshufd(xmm15, from, shuffle);
            if (is_signed) {
                maximum ? vpmaxsd(d, from, xmm15) : vpminsd(d, from, xmm15);
            } else {
                maximum ? vpmaxud(d, from, xmm15) : vpminud(d, from, xmm15);
            }
        };
        fold(0x4e, a);
        fold(0xb1, d);
        clear_above(2);
        return true;
    }
    // x86 finds the smallest unsigned 16-bit element, so anything else is mapped to that and back by
    // inverting bits.
    const uint64_t flip = (maximum ? ~uint64_t{0} : 0) ^ (is_signed ? sign_bits(esize) : 0);
    if (q) {
        flip == 0 ? vmovaps(d, a) : vpxor(d, a, constant(flip));
    } else {
        vpunpcklqdq(d, a, a);
        if (flip != 0) vpxor(d, d, constant(flip));
    }
    if (esize == 0) {
        vpsrlw(xmm15, d, 8);
        vpminub(d, d, xmm15);  // with zeros above it
    }
    vphminposuw(d, d);
    if (flip != 0) vpxor(d, d, constant(flip));
    clear_above(esize);
    return true;
}

}  // namespace arclight::backend
