// Pairwise and across-lanes integer operations.
#include "backend/x64/simd.h"
#include "backend/x64/vector_lane_emitter.h"

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

/// The even elements of a:b in one register, the odd ones in another, then one operation.
bool VectorLaneEmitter::emit_vpairwise(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const auto& table = i.op == Op::VAddP    ? kPackedAdd
                        : i.op == Op::VMaxPS ? kMaxS
                        : i.op == Op::VMaxPU ? kMaxU
                        : i.op == Op::VMinPS ? kMinS
                                             : kMinU;
    const Vex3 op = table[esize];
    if (op == nullptr || (esize == 3 && !q)) return false;  // A64 has none
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm(cur());
    if (!q) {
        as_.vpunpcklqdq(d, a, b);
        if (esize == 2) {
            as_.vpshufd(xmm15, d, 0x0d);
            as_.vpshufd(d, d, 0x08);
        } else {
            as_.vpshufb(d, d, constant(kEvenOdd[esize].low, kEvenOdd[esize].high));
            as_.vpsrldq(xmm15, d, 8);
        }
        (as_.*op)(d, d, xmm15);
        as_.vmovq(d, d);
        return true;
    }
    switch (esize) {
        case 2:
            as_.vshufps(d, a, b, 0x88);
            as_.vshufps(xmm15, a, b, 0xdd);
            break;
        case 3:
            as_.vpunpcklqdq(d, a, b);
            as_.vpunpckhqdq(xmm15, a, b);
            break;
        default: {
            const Address shuffle = constant(kEvenOdd[esize].low, kEvenOdd[esize].high);
            as_.vpshufb(d, a, shuffle);
            if (i.args[0] == i.args[1]) {
                // Only one half of the result is different.
                as_.vpsrldq(xmm15, d, 8);
                (as_.*op)(d, d, xmm15);
                as_.vpunpcklqdq(d, d, d);
                return true;
            }
            const ScratchXmm t(regs_);
            as_.vpshufb(t, b, shuffle);
            as_.vpunpckhqdq(xmm15, d, t);
            as_.vpunpcklqdq(d, d, t);
            break;
        }
    }
    (as_.*op)(d, d, xmm15);
    return true;
}

bool VectorLaneEmitter::emit_vacross(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const bool add = i.op == Op::VAddV, add_long = i.op == Op::VAddlVS || i.op == Op::VAddlVU;
    if (esize == 3 || (esize == 2 && !q)) return false;  // A64 has none
    const Xmm a = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const auto clear_above = [&](unsigned result_esize) {
        if (result_esize < 2) {
            as_.vpand(d, d, constant(result_esize == 0 ? 0xff : 0xffff, 0));
        } else if (result_esize == 2) {
            as_.vinsertps(d, d, d, 0x0e);
        } else {
            as_.vmovq(d, d);
        }
    };

    if ((add || add_long) && esize == 0) {
        // vpsadbw sums unsigned bytes of each half.
        const bool is_signed = i.op == Op::VAddlVS;
        if (is_signed) {
            as_.vpxor(d, a, constant(sign_bits(0)));
        } else {
            as_.vmovaps(d, a);
        }
        as_.vpxor(xmm15, xmm15, xmm15);
        as_.vpsadbw(d, d, xmm15);
        if (q) {
            as_.vpsrldq(xmm15, d, 8);
            as_.vpaddd(d, d, xmm15);
        }
        if (is_signed) as_.vpsubd(d, d, constant(q ? 16 * 128 : 8 * 128, 0));
        clear_above(add ? 0 : 1);
        return true;
    }
    if (add || add_long) {
        unsigned sums = esize;
        if (add_long) {
            add_long_pairs(d, a, esize, i.op == Op::VAddlVS, t);
            ++sums;
        } else {
            as_.vmovaps(d, a);
        }
        const auto fold = [&](unsigned bytes_down) {
            as_.vpsrldq(xmm15, d, static_cast<uint8_t>(bytes_down));
            sums == 1   ? as_.vpaddw(d, d, xmm15)
            : sums == 2 ? as_.vpaddd(d, d, xmm15)
                        : as_.vpaddq(d, d, xmm15);
        };
        for (unsigned down = q ? 8 : 4; down >= 1u << sums; down /= 2) fold(down);
        clear_above(sums);
        return true;
    }

    const bool maximum = i.op == Op::VMaxVS || i.op == Op::VMaxVU;
    const bool is_signed = i.op == Op::VMaxVS || i.op == Op::VMinVS;
    if (esize == 2) {
        const auto fold = [&](uint8_t shuffle, const Xmm& from) {
            as_.vpshufd(xmm15, from, shuffle);
            if (is_signed) {
                maximum ? as_.vpmaxsd(d, from, xmm15) : as_.vpminsd(d, from, xmm15);
            } else {
                maximum ? as_.vpmaxud(d, from, xmm15) : as_.vpminud(d, from, xmm15);
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
        flip == 0 ? as_.vmovaps(d, a) : as_.vpxor(d, a, constant(flip));
    } else {
        as_.vpunpcklqdq(d, a, a);
        if (flip != 0) as_.vpxor(d, d, constant(flip));
    }
    if (esize == 0) {
        as_.vpsrlw(xmm15, d, 8);
        as_.vpminub(d, d, xmm15);  // with zeros above it
    }
    as_.vphminposuw(d, d);
    if (flip != 0) as_.vpxor(d, d, constant(flip));
    clear_above(esize);
    return true;
}

}  // namespace arclight::backend
