// Operations between elements of two widths, without saturation.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_widen(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize == 3) return false;
    switch (i.op) {
        case Op::VXtn: {
            static constexpr uint64_t kShuffle[3] = {0x0e0c'0a08'0604'0200, 0x0d0c'0908'0504'0100,
                                                     0x0b0a'0908'0302'0100};
            const Xmm a = use_xmm(i.args[0]);
            vpshufb(def_xmm_over(cur_, {i.args[0]}), a, constant(kShuffle[esize], kZeroBytes));
            return true;
        }
        case Op::VSxtl:
        case Op::VUxtl: {
            const bool is_signed = i.op == Op::VSxtl;
            const Operand& a = use_xmm_rm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            switch (esize) {
                case 0: is_signed ? vpmovsxbw(d, a) : vpmovzxbw(d, a); break;
                case 1: is_signed ? vpmovsxwd(d, a) : vpmovzxwd(d, a); break;
                default: is_signed ? vpmovsxdq(d, a) : vpmovzxdq(d, a); break;
            }
            return true;
        }
        case Op::VMullS:
        case Op::VMullU: emit_vmull(i); return true;
        case Op::VAddlPS:
        case Op::VAddlPU: {
            const Xmm a = use_xmm(i.args[0]);
            const ScratchXmm t(*this);
            add_long_pairs(def_xmm(cur_), a, esize, i.op == Op::VAddlPS, t);
            return true;
        }
        default: return false;
    }
}

void BlockEmitter::emit_vmull(const Inst& i) {
    const bool is_signed = i.op == Op::VMullS;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const Xmm d = def_xmm(cur_);
    switch (ir::vec_esize(i.aux)) {
        case 0:
            is_signed ? vpmovsxbw(xmm15, a) : vpmovzxbw(xmm15, a);
            is_signed ? vpmovsxbw(d, b) : vpmovzxbw(d, b);
            vpmullw(d, d, xmm15);
            break;
        case 1:
            is_signed ? vpmulhw(xmm15, a, b) : vpmulhuw(xmm15, a, b);
            vpmullw(d, a, b);
            vpunpcklwd(d, d, xmm15);
            break;
        default:
            vpshufd(xmm15, a, 0x50);  // elements 0 and 1 where vpmul*dq reads them
            vpshufd(d, b, 0x50);
            is_signed ? vpmuldq(d, d, xmm15) : vpmuludq(d, d, xmm15);
            break;
    }
}

/// d must not be a; xmm15 and t are clobbered.
void BlockEmitter::add_long_pairs(const Xmm& d, const Xmm& a, unsigned esize, bool is_signed, const Xmm& t) {
    switch (esize) {
        case 0:  // vpmaddubsw multiplies unsigned bytes by signed ones
            if (is_signed) {
                vmovaps(d, constant(bytes(1)));
                vpmaddubsw(d, d, a);
            } else {
                vpmaddubsw(d, a, constant(bytes(1)));
            }
            break;
        case 1:
            if (is_signed) {
                vpmaddwd(d, a, constant(halves(1)));
            } else {
                vpsrld(d, a, 16);
                vpand(t, a, constant(words(0xffff)));
                vpaddd(d, d, t);
            }
            break;
        default:
            if (is_signed) {
                vpshufd(d, a, 0x08);
                vpmovsxdq(d, d);
                vpshufd(t, a, 0x0d);
                vpmovsxdq(t, t);
            } else {
                vpsrlq(d, a, 32);
                vpand(t, a, constant(0xffff'ffff));
            }
            vpaddq(d, d, t);
            break;
    }
}

}  // namespace arclight::backend
