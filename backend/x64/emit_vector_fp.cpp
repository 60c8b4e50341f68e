// Vector floating point; see emit_fp.cpp for the plan. All lanes are checked at once, and if one needs it the
// reference function computes all of them. The upper half of a 64-bit vector must not raise flags: it is
// replaced.
#include "backend/x64/simd.h"
#include "backend/x64/vector_fp_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

namespace {
const Xbyak::Zmm kTrial = zmm16;  // of guard_result()
}

void VectorFpEmitter::emit_vfp_sign(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const uint64_t sign = sign_bits(esize);
    const Xmm x = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    if (i.op == Op::VFNeg) {
        as_.vxorps(d, x, constant(sign));
    } else {
        as_.vandps(d, x, constant(~sign));
    }
}

bool VectorFpEmitter::emit_vfcmp_eq(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize < 2) return half_compare(i, kEqQuiet);
    emit_vfp_compare(i, kEqQuiet);
    return true;
}

bool VectorFpEmitter::emit_vfcmp_ge(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize < 2) return half_compare(i, kGeSignals);
    emit_vfp_compare(i, kGeSignals);
    return true;
}

bool VectorFpEmitter::emit_vfcmp_gt(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (esize < 2) return half_compare(i, kGtSignals);
    emit_vfp_compare(i, kGtSignals);
    return true;
}

bool VectorFpEmitter::emit_vfadd(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_binary(i, &Cg::vaddps, &Cg::vaddss, FpRisk::Nan);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_binary(i, &Cg::vaddps, &Cg::vaddpd, FpRisk::Nan);
    return true;
}

bool VectorFpEmitter::emit_vfsub(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_binary(i, &Cg::vsubps, &Cg::vsubss, FpRisk::Nan);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_binary(i, &Cg::vsubps, &Cg::vsubpd, FpRisk::Nan);
    return true;
}

bool VectorFpEmitter::emit_vfmul(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_binary(i, &Cg::vmulps, &Cg::vmulss, FpRisk::NanOrTiny);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_binary(i, &Cg::vmulps, &Cg::vmulpd, FpRisk::NanOrTiny);
    return true;
}

bool VectorFpEmitter::emit_vfdiv(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_binary(i, &Cg::vdivps, &Cg::vdivss, FpRisk::Nan);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_binary(i, &Cg::vdivps, &Cg::vdivpd, FpRisk::Nan);
    return true;
}

bool VectorFpEmitter::emit_vfsqrt(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_sqrt(i);
    if (dbl && !q) return false;  // A64 has no others
    const Xmm x = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    const Xmm quiet = quiet_upper(i, 0, xmm15);
    dbl ? as_.vsqrtpd(d, quiet) : as_.vsqrtps(d, quiet);
    check_vector(d, dbl, FpRisk::Nan, x);
    resume_guard(guard);
    return true;
}

bool VectorFpEmitter::emit_vfmul_add(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_fused(i);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfmuladd(i);
    return true;
}

bool VectorFpEmitter::emit_vfmax(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_extremum(i, true);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_extremum(i, true);
    return true;
}

bool VectorFpEmitter::emit_vfmin(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_extremum(i, false);
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_extremum(i, false);
    return true;
}

bool VectorFpEmitter::emit_vfrecp_step(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_fused(i);
    if (dbl && !q) return false;  // A64 has no others
    const Xmm x = regs_.use_xmm(i.args[0]), y = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t cold = check_infinite(x, y, dbl, d);
    const size_t guard = guard_operands(i);
    const Xmm a = quiet_upper(i, 0, xmm15), b = quiet_upper(i, 1, t);
    as_.vmovaps(d, constant(two(dbl)));
    dbl ? as_.vfnmadd231pd(d, a, b) : as_.vfnmadd231ps(d, a, b);
    if (!q) as_.vmovq(d, d);
    check_vector(d, dbl, FpRisk::Nan, t);
    cold_.resume_here(cold);
    resume_guard(guard);
    return true;
}

bool VectorFpEmitter::emit_vfadd_p(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return false;
    if (dbl && !q) return false;  // A64 has no others
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    if (dbl) {
        as_.vhaddpd(d, a, b);
    } else if (q) {
        as_.vhaddps(d, a, b);
    } else {
        as_.vunpcklpd(xmm15, a, b);
        as_.vhaddps(d, xmm15, xmm15);
        as_.vmovq(d, d);
    }
    flushes() ? check_sum(d, i) : check_vector(d, dbl, FpRisk::Nan, xmm15);
    resume_guard(guard);
    return true;
}

bool VectorFpEmitter::emit_vfmax_p(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return false;
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_pairwise_extremum(i, true);
    return true;
}

bool VectorFpEmitter::emit_vfmin_p(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return false;
    if (dbl && !q) return false;  // A64 has no others
    emit_vfp_pairwise_extremum(i, false);
    return true;
}

bool VectorFpEmitter::emit_vfmax_v(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return false;
    if (dbl && !q) return false;  // A64 has no others
    if (dbl || !q) return false;  // A64 has 4S only
    emit_vfp_extremum_across(i, i.op == Op::VFMaxV || i.op == Op::VFMaxNumV);
    return true;
}

bool VectorFpEmitter::emit_vfrint(const Inst& i) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux), dbl = esize == 3;
    if (esize < 2) return half_round(i);
    if (dbl && !q) return false;  // A64 has no others
    const auto mode = static_cast<ir::RoundMode>(i.imm & 7);
    if (mode == ir::RoundMode::TieAway) return false;
    regs_.use_xmm(i.args[0]);
    const bool guarded = flushes() || keeps_no_payloads();
    const Xmm x = quiet_upper(i, 0, xmm15);
    if (guarded) flags_.clobber();
    const Xmm d = guarded ? regs_.def_xmm(cur()) : regs_.def_xmm_over(cur(), {i.args[0]});
    const size_t guard = guard_operands(i, true);
    dbl ? as_.vroundpd(d, x, round_imm(mode)) : as_.vroundps(d, x, round_imm(mode));
    resume_guard(guard);
    return true;
}

void VectorFpEmitter::emit_vfp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk) {
    const bool is_double = ir::vec_esize(i.aux) == 3;
    const bool extended = i.op == Op::VFMulX;
    const Xmm x = regs_.use_xmm(i.args[0]);
    Xmm b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t cold = extended ? check_infinite(x, b, is_double, d) : 0;
    const bool sum = i.op == Op::VFAdd || i.op == Op::VFSub;
    const VexFp3 compute = is_double ? dbl : single;
    size_t guard = kNoGuard;
    if (flushes() && sum) guard = guard_operands(i);
    if (flushes() && !sum) {
        (as_.*compute)(kTrial, Xbyak::Zmm(x.getIdx()), Xbyak::Zmm(b.getIdx()) | T_rz_sae);
        guard = guard_result(i);
    }
    const Xmm a = quiet_upper(i, 0, xmm15);
    if (i.op == Op::VFDiv && !ir::vec_q(i.aux)) {
        as_.vblendps(t, b, constant(one(false)), 0b1100);  // not 0 / 0
        b = t;
    } else {
        b = quiet_upper(i, 1, t);
    }
    (as_.*compute)(d, a, b);
    // Zero less zero is -0 when rounding down.
    if (i.op == Op::VFSub && !ir::vec_q(i.aux)) as_.vmovq(d, d);
    if (!flushes()) check_vector(d, is_double, risk, t);
    if (flushes() && sum) check_sum(d, i);
    resume_guard(guard);
    if (extended) cold_.resume_here(cold);
}

/// vfmadd231ps or vfmadd231pd zmm16, zmm<n>, zmm<m> {rz-sae}: Xbyak 6 knows no rounding of packed ones (Intel SDM volume 2, 2.7.1).
void VectorFpEmitter::fused_trial(unsigned n, unsigned m, bool is_double) {
    constexpr unsigned kNoX = 0xc0, kMap0f38 = 2, kPrefix66 = 5, kTowardsZero = 0x78, kOpcode = 0xb8;
    for (const unsigned byte :
         {0x62u, kNoX | (m < 8 ? 0x20u : 0u) | kMap0f38,
          (is_double ? 0x80u : 0u) | (~n & 15) << 3 | kPrefix66, kTowardsZero, kOpcode, 0xc0 | (m & 7)})
        as_.db(byte);
}

void VectorFpEmitter::emit_vfmuladd(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    const Xmm acc = regs_.use_xmm(i.args[0]);
    regs_.use_xmm(i.args[1]), regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    size_t guard = kNoGuard;
    if (flushes()) {
        as_.vmovaps(xmm16, acc);
        fused_trial(values_[i.args[1]].reg - 16u, values_[i.args[2]].reg - 16u, dbl);
        guard = guard_result(i);
    }
    ir::vec_q(i.aux) ? as_.vmovaps(d, acc) : as_.vmovq(d, acc);
    const Xmm a = quiet_upper(i, 1, xmm15), b = quiet_upper(i, 2, t);
    dbl ? as_.vfmadd231pd(d, a, b) : as_.vfmadd231ps(d, a, b);
    if (!flushes()) check_vector(d, dbl, FpRisk::NanOrTiny, t);
    resume_guard(guard);
}

/// Exact, flags included: x86 offers quiet and signalling predicates.
void VectorFpEmitter::emit_vfp_compare(const Inst& i, uint8_t predicate) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    if (flushes()) flags_.clobber();
    const Xmm d = flushes() ? regs_.def_xmm(cur()) : regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    const size_t guard = guard_operands(i);
    if (ir::vec_q(i.aux)) {
        dbl ? as_.vcmppd(d, a, b, predicate) : as_.vcmpps(d, a, b, predicate);
        resume_guard(guard);
        return;
    }
    // The upper half compares zero with one, which is always false.
    as_.vmovq(xmm15, a);
    as_.vblendps(t, b, constant(one(dbl)), 0b1100);
    dbl ? as_.vcmppd(d, xmm15, t, predicate) : as_.vcmpps(d, xmm15, t, predicate);
    resume_guard(guard);
}

/// x86 gives the second operand for equal ones, in particular for zeros of different signs: both orders,
/// combined bit by bit, give the zero that ARM wants, and change nothing else.
void VectorFpEmitter::extremum(const Xmm& d, const Xmm& a, const Xmm& b, bool is_double, bool maximum) {
    if (maximum) {
        is_double ? as_.vmaxpd(d, a, b) : as_.vmaxps(d, a, b);
        is_double ? as_.vmaxpd(xmm15, b, a) : as_.vmaxps(xmm15, b, a);
        as_.vandps(d, d, xmm15);
    } else {
        is_double ? as_.vminpd(d, a, b) : as_.vminps(d, a, b);
        is_double ? as_.vminpd(xmm15, b, a) : as_.vminps(xmm15, b, a);
        as_.vorps(d, d, xmm15);
    }
}

void VectorFpEmitter::emit_vfp_extremum(const Inst& i, bool maximum) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    regs_.use_xmm(i.args[0]), regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    const Xmm a = quiet_upper(i, 0, t), b = quiet_upper(i, 1, u);
    dbl ? as_.vcmppd(xmm15, a, b, 3) : as_.vcmpps(xmm15, a, b, 3);
    as_.vmovmskps(eax, xmm15);
    as_.test(eax, eax);
    const size_t cold = cold_if(kNe);
    extremum(d, a, b, dbl, maximum);
    cold_.resume_here(cold);
    resume_guard(guard);
}

void VectorFpEmitter::emit_vfp_pairwise_extremum(const Inst& i, bool maximum) {
    const bool dbl = ir::vec_esize(i.aux) == 3, q = ir::vec_q(i.aux);
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const ScratchXmm even(regs_), odd(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    if (dbl) {
        as_.vunpcklpd(even, a, b);
        as_.vunpckhpd(odd, a, b);
    } else if (q) {
        as_.vshufps(even, a, b, 0x88);
        as_.vshufps(odd, a, b, 0xdd);
    } else {
        as_.vunpcklpd(xmm15, a, b);
        as_.vshufps(even, xmm15, xmm15, 0x88);
        as_.vshufps(odd, xmm15, xmm15, 0xdd);
    }
    dbl ? as_.vcmppd(xmm15, even, odd, 3) : as_.vcmpps(xmm15, even, odd, 3);
    as_.vmovmskps(eax, xmm15);
    as_.test(eax, eax);
    const size_t cold = cold_if(kNe);
    extremum(d, even, odd, dbl, maximum);
    if (!q) as_.vmovq(d, d);
    cold_.resume_here(cold);
    resume_guard(guard);
}

void VectorFpEmitter::emit_vfp_extremum_across(const Inst& i, bool maximum) {
    const Xmm a = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    as_.vcmpps(xmm15, a, a, 3);
    as_.vmovmskps(eax, xmm15);
    as_.test(eax, eax);
    const size_t cold = cold_if(kNe);
    as_.vpshufd(t, a, 0xb1);
    extremum(d, a, t, false, maximum);
    as_.vpshufd(t, d, 0x4e);
    extremum(u, d, t, false, maximum);
    as_.vinsertps(d, u, u, 0x0e);
    cold_.resume_here(cold);
    resume_guard(guard);
}

}  // namespace arclight::backend
