// Element-wise integer comparisons.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_compare(const Inst& i) {
    switch (i.op) {
        case Op::VCmpEq:
        case Op::VCmpGtS:
        case Op::VCmpGeS:
        case Op::VCmpGtU:
        case Op::VCmpGeU:
        case Op::VCmpTst: emit_vcompare(i); return true;
        default: return false;
    }
}

/// x86 compares for equality and signed order only.
void BlockEmitter::emit_vcompare(const Inst& i) {
    using Table = Vex3[4];
    static constexpr Table kEq = {&Cg::vpcmpeqb, &Cg::vpcmpeqw, &Cg::vpcmpeqd, &Cg::vpcmpeqq};
    static constexpr Table kGt = {&Cg::vpcmpgtb, &Cg::vpcmpgtw, &Cg::vpcmpgtd, &Cg::vpcmpgtq};
    static constexpr Table kMaxS = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, nullptr};
    static constexpr Table kMaxU = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, nullptr};
    const unsigned esize = ir::vec_esize(i.aux);
    const Vex3 eq = kEq[esize], gt = kGt[esize];
    if (i.op == Op::VCmpEq) return emit_vex(i, eq);
    if (i.op == Op::VCmpGtS) return emit_vex(i, gt);

    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    const auto invert = [&] {
        vpcmpeqd(xmm15, xmm15, xmm15);
        vpxor(d, d, xmm15);
    };
    switch (i.op) {
        case Op::VCmpTst:
            vpand(xmm15, a, b);
            vpxor(d, d, d);
            (this->*eq)(xmm15, xmm15, d);
            (this->*eq)(d, xmm15, d);  // not equal to zero
            return;
        case Op::VCmpGeS:
        case Op::VCmpGeU:
            if (esize < 3) {
                const bool is_signed = i.op == Op::VCmpGeS;
                (this->*(is_signed ? kMaxS : kMaxU)[esize])(xmm15, a, b);
                (this->*eq)(d, xmm15, a);
                return;
            }
            if (i.op == Op::VCmpGeS) {
                vpcmpgtq(d, b, a);
            } else {
                vpxor(xmm15, a, constant(sign_bits(esize)));
                vpxor(d, b, constant(sign_bits(esize)));
                vpcmpgtq(d, d, xmm15);
            }
            invert();
            return;
        default:  // unsigned greater
            vpxor(xmm15, a, constant(sign_bits(esize)));
            vpxor(d, b, constant(sign_bits(esize)));
            (this->*gt)(d, xmm15, d);
            return;
    }
}

}  // namespace arclight::backend
