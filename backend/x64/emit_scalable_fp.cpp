// Floating point in scalable vectors, with AVX-512. What may have other bits or flags than the architecture's is done again by the
// runtime: results that are NaNs or at the edge of underflow, as those of Advanced SIMD, maxima with NaNs, integers that do not fit.
#include "backend/x64/scalable_emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using ir::Inactive;
using ir::Lanes;

void ScalableEmitter::compute_fp() {
    const bool dbl = s_.size == 3;
    const Xmm &n = n_, &m = m_;
    const bool masked = s_.inactive != Inactive::None;
    const Xmm r = masked ? result_ | mask_ | T_z : result_;
    const auto two = [&](VexFp3 single, VexFp3 of_doubles, const Xmm& a, const Xmm& b) {
        (as_.*(dbl ? of_doubles : single))(r, a, b);
    };
    const auto fused = [&](Vex3 single, Vex3 of_doubles) {
        if (result_.getIdx() != a_.getIdx()) as_.vmovdqa64(result_, a_);
        (as_.*(dbl ? of_doubles : single))(masked ? result_ | mask_ : result_, n, m);
    };
    switch (s_.op) {
        case Lanes::FAdd: return two(&Cg::vaddps, &Cg::vaddpd, n, m);
        case Lanes::FSub: return two(&Cg::vsubps, &Cg::vsubpd, n, m);
        case Lanes::FSubReversed: return two(&Cg::vsubps, &Cg::vsubpd, m, n);
        case Lanes::FMul: return two(&Cg::vmulps, &Cg::vmulpd, n, m);
        case Lanes::FDiv: return two(&Cg::vdivps, &Cg::vdivpd, n, m);
        case Lanes::FSqrt: return dbl ? as_.vsqrtpd(r, m) : as_.vsqrtps(r, m);
        case Lanes::IntToFpS: return dbl ? as_.vcvtqq2pd(r, m) : as_.vcvtdq2ps(r, m);
        case Lanes::IntToFpU: return dbl ? as_.vcvtuqq2pd(r, m) : as_.vcvtudq2ps(r, m);
        case Lanes::FMulAdd: return fused(&Cg::vfmadd231ps, &Cg::vfmadd231pd);
        case Lanes::FMulSub: return fused(&Cg::vfnmadd231ps, &Cg::vfnmadd231pd);
        case Lanes::FNegMulAdd: return fused(&Cg::vfnmsub231ps, &Cg::vfnmsub231pd);
        default: return fused(&Cg::vfmsub231ps, &Cg::vfmsub231pd);
    }
}

/// The smallest normal number in each element, doubled as an integer, for later operations too.
void ScalableEmitter::load_edge(unsigned size) {
    as_.mov(rax, size == 3 ? 0x0020'0000'0000'0000 : words(0x0100'0000));
    as_.vpbroadcastq(vector(kEdge), rax);
}

size_t ScalableEmitter::check_result(bool tiny, ColdArgs args) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    const bool dbl = s_.size == 3;
    const Xmm &r = result_, t = vector(kTemporary), edge = vector(kEdge);
    const auto active = [&](const Xbyak::Opmask& k) { return s_.inactive != Inactive::None ? k | mask_ : k; };
    dbl ? as_.vcmppd(active(k2), r, r, 3) : as_.vcmpps(active(k2), r, r, 3);
    if (tiny) {
        // The smallest normal number of either sign.
        if (ctx_.copies.edge_size != s_.size) load_edge(s_.size);
        ctx_.copies.edge_size = s_.size;
        (as_.*kPackedAdd[s_.size])(t, r, r);
        dbl ? as_.vpcmpeqq(active(k3), t, edge) : as_.vpcmpeqd(active(k3), t, edge);
        as_.kortestw(k2, k3);
    } else {
        as_.kortestw(k2, k2);
    }
    return leave_if_any(args);
}

/// The runtime does it where k2 or, with a result that is so found, k3 has a bit: by the flags.
size_t ScalableEmitter::leave_if_any(ColdArgs args) {
    args.inst = cur();
    args.imm = ctx_.insn_offset;
    return cold_.jump(kNe, cold_fn<&ScalableEmitter::cold_operation>, args);
}

/// x86's have the second operand for zeros of either sign, and signal quiet NaNs.
size_t ScalableEmitter::extremum(const ColdArgs& args) {
    const bool dbl = s_.size == 3, max = s_.op == Lanes::FMax;
    const Xmm &n = n_, &m = m_;
    const bool masked = s_.inactive != Inactive::None;
    const auto active = [&](const Xbyak::Opmask& k) { return masked ? k | mask_ : k; };
    constexpr uint8_t kEqualQuiet = 0, kUnordered = 3;
    dbl ? as_.vcmppd(active(k2), n, m, kUnordered) : as_.vcmpps(active(k2), n, m, kUnordered);
    as_.kortestw(k2, k2);
    const size_t cold = leave_if_any(args);
    const Xmm r = masked ? result_ | mask_ | T_z : result_;
    if (dbl)
        max ? as_.vmaxpd(r, n, m) : as_.vminpd(r, n, m);
    else
        max ? as_.vmaxps(r, n, m) : as_.vminps(r, n, m);
    // Equal ones differ in the signs of zeros at most.
    dbl ? as_.vcmppd(active(k2), n, m, kEqualQuiet) : as_.vcmpps(active(k2), n, m, kEqualQuiet);
    if (dbl)
        max ? as_.vpandq(result_ | k2, n, m) : as_.vporq(result_ | k2, n, m);
    else
        max ? as_.vpandd(result_ | k2, n, m) : as_.vpord(result_ | k2, n, m);
    return cold;
}

/// Where x86 has the number that stands for all that do not fit and NaNs.
size_t ScalableEmitter::to_integer(const ColdArgs& args) {
    const bool dbl = s_.size == 3, is_signed = s_.op == Lanes::FpToIntS;
    const Xmm &m = m_, r = result_ | mask_ | T_z, t = vector(kTemporary);
    if (is_signed)
        dbl ? as_.vcvttpd2qq(r, m) : as_.vcvttps2dq(r, m);
    else
        dbl ? as_.vcvttpd2uqq(r, m) : as_.vcvttps2udq(r, m);
    const uint64_t none = is_signed ? sign_bits(s_.size) : ~uint64_t{0};
    as_.vpbroadcastq(t, ctx_.constants.address(none, 0));
    dbl ? as_.vpcmpeqq(k2 | mask_, result_, t) : as_.vpcmpeqd(k2 | mask_, result_, t);
    as_.kortestw(k2, k2);
    return leave_if_any(args);
}

}  // namespace arclight::backend
