// Element-wise integer comparisons.
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

/// x86 compares for equality and signed order only.
void VectorIntegerEmitter::emit_vcompare(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const Vex3 eq = kEq[esize], gt = kGt[esize];
    if (i.op == Op::VCmpEq) return emit_vex(i, eq);
    if (i.op == Op::VCmpGtS) return emit_vex(i, gt);

    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    const auto invert = [&] {
        as_.vpcmpeqd(xmm15, xmm15, xmm15);
        as_.vpxor(d, d, xmm15);
    };
    switch (i.op) {
        case Op::VCmpTst:
            as_.vpand(xmm15, a, b);
            as_.vpxor(d, d, d);
            (as_.*eq)(xmm15, xmm15, d);
            (as_.*eq)(d, xmm15, d);  // not equal to zero
            return;
        case Op::VCmpGeS:
        case Op::VCmpGeU:
            if (esize < 3) {
                const bool is_signed = i.op == Op::VCmpGeS;
                (as_.*(is_signed ? kMaxS : kMaxU)[esize])(xmm15, a, b);
                (as_.*eq)(d, xmm15, a);
                return;
            }
            if (i.op == Op::VCmpGeS) {
                as_.vpcmpgtq(d, b, a);
            } else {
                as_.vpxor(xmm15, a, constant(sign_bits(esize)));
                as_.vpxor(d, b, constant(sign_bits(esize)));
                as_.vpcmpgtq(d, d, xmm15);
            }
            invert();
            return;
        default:  // unsigned greater
            as_.vpxor(xmm15, a, constant(sign_bits(esize)));
            as_.vpxor(d, b, constant(sign_bits(esize)));
            (as_.*gt)(d, xmm15, d);
            return;
    }
}

}  // namespace arclight::backend
