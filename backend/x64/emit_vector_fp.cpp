// Vector floating point; see emit_fp.cpp for the plan. All lanes are checked at once, and if one needs it the
// reference function computes all of them. The upper half of a 64-bit vector must not raise flags: it is
// replaced.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_fp(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    switch (i.op) {
        case Op::VFNeg:
        case Op::VFAbs: {
            const Xmm x = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            if (i.op == Op::VFNeg) {
                vxorps(d, x, constant(sign_of(dbl)));
            } else {
                vandps(d, x, constant(~sign_of(dbl)));
            }
            return true;
        }
        default: break;
    }
    if (fp_slow() || esize < 2) return false;
    switch (i.op) {
        case Op::VFCmpEq: emit_vfp_compare(i, kEqQuiet); return true;
        case Op::VFCmpGe: emit_vfp_compare(i, kGeSignals); return true;
        case Op::VFCmpGt: emit_vfp_compare(i, kGtSignals); return true;
        default: break;
    }
    if (dbl && !q) return false;  // A64 has no others
    switch (i.op) {
        case Op::VFAdd: emit_vfp_binary(i, &Cg::vaddps, &Cg::vaddpd, FpRisk::Nan); return true;
        case Op::VFSub: emit_vfp_binary(i, &Cg::vsubps, &Cg::vsubpd, FpRisk::Nan); return true;
        case Op::VFMul:
        case Op::VFMulX: emit_vfp_binary(i, &Cg::vmulps, &Cg::vmulpd, FpRisk::NanOrTiny); return true;
        case Op::VFDiv: emit_vfp_binary(i, &Cg::vdivps, &Cg::vdivpd, FpRisk::Nan); return true;
        case Op::VFSqrt: {
            const Xmm x = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            const Xmm quiet = quiet_upper(i, 0, xmm15);
            dbl ? vsqrtpd(d, quiet) : vsqrtps(d, quiet);
            check_vector(d, dbl, FpRisk::Nan, x);
            return true;
        }
        case Op::VFMulAdd: emit_vfmuladd(i); return true;
        case Op::VFMax:
        case Op::VFMaxNum: emit_vfp_extremum(i, true); return true;
        case Op::VFMin:
        case Op::VFMinNum: emit_vfp_extremum(i, false); return true;
        case Op::VFRecpStep: {
            const Xmm x = use_xmm(i.args[0]), y = use_xmm(i.args[1]);
            const ScratchXmm t(*this);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            const size_t cold = check_infinite(x, y, dbl, d);
            const Xmm a = quiet_upper(i, 0, xmm15), b = quiet_upper(i, 1, t);
            vmovaps(d, constant(two(dbl)));
            dbl ? vfnmadd231pd(d, a, b) : vfnmadd231ps(d, a, b);
            if (!q) vmovq(d, d);
            check_vector(d, dbl, FpRisk::Nan, t);
            resume_here(cold);
            return true;
        }
        case Op::VFAddP: {
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            if (dbl) {
                vhaddpd(d, a, b);
            } else if (q) {
                vhaddps(d, a, b);
            } else {
                vunpcklpd(xmm15, a, b);
                vhaddps(d, xmm15, xmm15);
                vmovq(d, d);
            }
            check_vector(d, dbl, FpRisk::Nan, xmm15);
            return true;
        }
        case Op::VFMaxP:
        case Op::VFMaxNumP: emit_vfp_pairwise_extremum(i, true); return true;
        case Op::VFMinP:
        case Op::VFMinNumP: emit_vfp_pairwise_extremum(i, false); return true;
        case Op::VFMaxV:
        case Op::VFMaxNumV:
        case Op::VFMinV:
        case Op::VFMinNumV:
            if (dbl || !q) return false;  // A64 has 4S only
            emit_vfp_extremum_across(i, i.op == Op::VFMaxV || i.op == Op::VFMaxNumV);
            return true;
        case Op::VFRint: {
            const auto mode = static_cast<ir::RoundMode>(i.imm & 7);
            if (mode == ir::RoundMode::TieAway) return false;
            use_xmm(i.args[0]);
            const Xmm x = quiet_upper(i, 0, xmm15);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            dbl ? vroundpd(d, x, round_imm(mode)) : vroundps(d, x, round_imm(mode));
            return true;
        }
        default: return false;
    }
}

void BlockEmitter::emit_vfp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk) {
    const bool is_double = ir::vec_esize(i.aux) == 3;
    const bool extended = i.op == Op::VFMulX;
    const Xmm x = use_xmm(i.args[0]);
    Xmm b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    const size_t cold = extended ? check_infinite(x, b, is_double, d) : 0;
    const Xmm a = quiet_upper(i, 0, xmm15);
    if (i.op == Op::VFDiv && !ir::vec_q(i.aux)) {
        vblendps(t, b, constant(one(false)), 0b1100);  // not 0 / 0
        b = t;
    } else {
        b = quiet_upper(i, 1, t);
    }
    (this->*(is_double ? dbl : single))(d, a, b);
    // Zero less zero is -0 when rounding down.
    if (i.op == Op::VFSub && !ir::vec_q(i.aux)) vmovq(d, d);
    check_vector(d, is_double, risk, t);
    if (extended) resume_here(cold);
}

void BlockEmitter::emit_vfmuladd(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    const Xmm acc = use_xmm(i.args[0]);
    use_xmm(i.args[1]), use_xmm(i.args[2]);
    const ScratchXmm t(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    ir::vec_q(i.aux) ? vmovaps(d, acc) : vmovq(d, acc);
    const Xmm a = quiet_upper(i, 1, xmm15), b = quiet_upper(i, 2, t);
    dbl ? vfmadd231pd(d, a, b) : vfmadd231ps(d, a, b);
    check_vector(d, dbl, FpRisk::NanOrTiny, t);
}

/// Exact, flags included: x86 offers quiet and signalling predicates.
void BlockEmitter::emit_vfp_compare(const Inst& i, uint8_t predicate) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm t(*this);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    if (ir::vec_q(i.aux)) {
        dbl ? vcmppd(d, a, b, predicate) : vcmpps(d, a, b, predicate);
        return;
    }
    // The upper half compares zero with one, which is always false.
    vmovq(xmm15, a);
    vblendps(t, b, constant(one(dbl)), 0b1100);
    dbl ? vcmppd(d, xmm15, t, predicate) : vcmpps(d, xmm15, t, predicate);
}

void BlockEmitter::emit_vfp_extremum(const Inst& i, bool maximum) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    use_xmm(i.args[0]), use_xmm(i.args[1]);
    const ScratchXmm t(*this), u(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    const Xmm a = quiet_upper(i, 0, t), b = quiet_upper(i, 1, u);
    dbl ? vcmppd(xmm15, a, b, 3) : vcmpps(xmm15, a, b, 3);
    vmovmskps(eax, xmm15);
    test(eax, eax);
    const size_t cold = cold_if(kNe);
    extremum(d, a, b, dbl, maximum);
    resume_here(cold);
}

void BlockEmitter::emit_vfp_pairwise_extremum(const Inst& i, bool maximum) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux);
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
    const ScratchXmm even(*this), odd(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    if (dbl) {
        vunpcklpd(even, a, b);
        vunpckhpd(odd, a, b);
    } else if (q) {
        vshufps(even, a, b, 0x88);
        vshufps(odd, a, b, 0xdd);
    } else {
        vunpcklpd(xmm15, a, b);
        vshufps(even, xmm15, xmm15, 0x88);
        vshufps(odd, xmm15, xmm15, 0xdd);
    }
    dbl ? vcmppd(xmm15, even, odd, 3) : vcmpps(xmm15, even, odd, 3);
    vmovmskps(eax, xmm15);
    test(eax, eax);
    const size_t cold = cold_if(kNe);
    extremum(d, even, odd, dbl, maximum);
    if (!q) vmovq(d, d);
    resume_here(cold);
}

void BlockEmitter::emit_vfp_extremum_across(const Inst& i, bool maximum) {
    const Xmm a = use_xmm(i.args[0]);
    const ScratchXmm t(*this), u(*this);
    clobber_flags();
    const Xmm d = def_xmm(cur_);
    vcmpps(xmm15, a, a, 3);
    vmovmskps(eax, xmm15);
    test(eax, eax);
    const size_t cold = cold_if(kNe);
    vpshufd(t, a, 0xb1);
    extremum(d, a, t, false, maximum);
    vpshufd(t, d, 0x4e);
    extremum(u, d, t, false, maximum);
    vinsertps(d, u, u, 0x0e);
    resume_here(cold);
}

}  // namespace arclight::backend
