// Operations between elements of two widths, without saturation.
#include "backend/x64/simd.h"
#include "backend/x64/vector_lane_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool VectorLaneEmitter::emit_vxtn(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    static constexpr uint64_t kShuffle[3] = {0x0e0c'0a08'0604'0200, 0x0d0c'0908'0504'0100,
                                             0x0b0a'0908'0302'0100};
    const Xmm a = regs_.use_xmm(i.args[0]);
    as_.vpshufb(regs_.def_xmm_over(cur(), {i.args[0]}), a, constant(kShuffle[esize], kZeroBytes));
    return true;
}

bool VectorLaneEmitter::emit_vextend_long(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    const bool is_signed = i.op == Op::VSxtl;
    const Operand& a = regs_.use_xmm_rm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    switch (esize) {
        case 0: is_signed ? as_.vpmovsxbw(d, a) : as_.vpmovzxbw(d, a); break;
        case 1: is_signed ? as_.vpmovsxwd(d, a) : as_.vpmovzxwd(d, a); break;
        default: is_signed ? as_.vpmovsxdq(d, a) : as_.vpmovzxdq(d, a); break;
    }
    return true;
}

bool VectorLaneEmitter::emit_vmultiply_long(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    emit_vmull(i);
    return true;
}

bool VectorLaneEmitter::emit_vaddlp(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    const Xmm a = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    add_long_pairs(regs_.def_xmm(cur()), a, esize, i.op == Op::VAddlPS, t);
    return true;
}

void VectorLaneEmitter::emit_vmull(const Inst& i) {
    const bool is_signed = i.op == Op::VMullS;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm(cur());
    switch (ir::vec_esize(i.aux)) {
        case 0:
            is_signed ? as_.vpmovsxbw(xmm15, a) : as_.vpmovzxbw(xmm15, a);
            is_signed ? as_.vpmovsxbw(d, b) : as_.vpmovzxbw(d, b);
            as_.vpmullw(d, d, xmm15);
            break;
        case 1:
            is_signed ? as_.vpmulhw(xmm15, a, b) : as_.vpmulhuw(xmm15, a, b);
            as_.vpmullw(d, a, b);
            as_.vpunpcklwd(d, d, xmm15);
            break;
        default:
            as_.vpshufd(xmm15, a, 0x50);  // elements 0 and 1 where vpmul*dq reads them
            as_.vpshufd(d, b, 0x50);
            is_signed ? as_.vpmuldq(d, d, xmm15) : as_.vpmuludq(d, d, xmm15);
            break;
    }
}

/// d must not be a; xmm15 and t are clobbered.
void VectorLaneEmitter::add_long_pairs(const Xmm& d, const Xmm& a, unsigned esize, bool is_signed,
                                       const Xmm& t) {
    switch (esize) {
        case 0:  // vpmaddubsw multiplies unsigned bytes by signed ones
            if (is_signed) {
                as_.vmovaps(d, constant(bytes(1)));
                as_.vpmaddubsw(d, d, a);
            } else {
                as_.vpmaddubsw(d, a, constant(bytes(1)));
            }
            break;
        case 1:
            if (is_signed) {
                as_.vpmaddwd(d, a, constant(halves(1)));
            } else {
                as_.vpsrld(d, a, 16);
                as_.vpand(t, a, constant(words(0xffff)));
                as_.vpaddd(d, d, t);
            }
            break;
        default:
            if (is_signed) {
                as_.vpshufd(d, a, 0x08);
                as_.vpmovsxdq(d, d);
                as_.vpshufd(t, a, 0x0d);
                as_.vpmovsxdq(t, t);
            } else {
                as_.vpsrlq(d, a, 32);
                as_.vpand(t, a, constant(0xffff'ffff));
            }
            as_.vpaddq(d, d, t);
            break;
    }
}

}  // namespace arclight::backend
