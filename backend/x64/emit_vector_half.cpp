// Half precision, lanes and scalars (ir::kVecScalar). F16C converts only, so halves are computed as singles.
//
// A single has twice a half's precision and two bits more. Sums, products, quotients and square roots that are rounded to
// it first are therefore those that one rounding gives (Figueroa, "When is double rounding innocuous?", 1995; in directed
// modes two roundings are one anyway), and nothing overflows or is tiny on the way: products are exact, a sum that is
// tiny is exact, and so the flags are ARM's too, but for what check_halves() looks for. A fused product and sum is
// computed as doubles: what is lost there is less than 2^-53 of it, but its distance from the middle between two halves, where it
// is not 0, is more than 2^-36 of it. It becomes a single by rounding to odd, from which the next rounding is right again
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
#include "backend/x64/simd.h"
#include "backend/x64/vector_fp_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using Xbyak::Ymm;

namespace {
constexpr uint8_t kUnordered = 0x03;
constexpr uint8_t kRoundAsMxcsr = 4;
constexpr uint64_t kSignOfSingle = sign_of(false);
}  // namespace

Xmm VectorFpEmitter::wide(const Xmm& x, const Inst& i) {
    if (ir::vec_q(i.aux)) return Ymm(x.getIdx());
    return x;
}

/// The lanes that take part, as singles; all others are zero. The conversion signals signalling NaNs, as ARM does.
Xmm VectorFpEmitter::widen(const Inst& i, unsigned arg, const Xmm& t) {
    const Xmm x(values_[i.args[arg]].reg - 16), w = wide(t, i);
    if (ir::vec_scalar(i.aux)) {
        as_.vpand(t, x, constant(0xffff, 0));
        as_.vcvtph2ps(w, t);
    } else {
        as_.vcvtph2ps(w, x);
    }
    return w;
}

/// As check_vector(): goes to the reference function for NaNs, and for what rounded up to the smallest normal number.
void VectorFpEmitter::check_halves(const Xmm& d, FpRisk risk, const Xmm& t) {
    as_.vpaddw(t, d, d);
    as_.vpmaxuw(xmm15, t, constant(halves(0xf802)));
    as_.vpcmpeqw(xmm15, xmm15, t);
    if (risk == FpRisk::NanOrTiny) {
        as_.vpcmpeqw(t, t, constant(halves(0x0800)));
        as_.vpor(xmm15, xmm15, t);
    }
    as_.vptest(xmm15, xmm15);
    cold_if(kNe);
}

/// See check_infinite().
size_t VectorFpEmitter::check_infinite_halves(const Inst& i, const Xmm& t) {
    const Xmm a(values_[i.args[0]].reg - 16), b(values_[i.args[1]].reg - 16);
    as_.vpaddw(xmm15, a, a);
    as_.vpaddw(t, b, b);
    as_.vpcmpeqw(xmm15, xmm15, constant(halves(0xf800)));
    as_.vpcmpeqw(t, t, constant(halves(0xf800)));
    as_.vpor(xmm15, xmm15, t);
    as_.vptest(xmm15, xmm15);
    return cold_if(kNe);
}

bool VectorFpEmitter::half_binary(const Inst& i, VexFp3 packed, VexFp3 scalar, FpRisk risk) {
    const bool extended = i.op == Op::VFMulX;
    regs_.use_xmm(i.args[0]), regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t cold = extended ? check_infinite_halves(i, d) : 0;
    const Xmm a = widen(i, 0, t), b = widen(i, 1, xmm15);
    // Scalar instructions keep the zeros above lane 0: 0 / 0 would signal, 0 - 0 may be -0.
    (as_.*(ir::vec_scalar(i.aux) ? scalar : packed))(a, a, b);
    as_.vcvtps2ph(d, a, kRoundAsMxcsr);
    check_halves(d, risk, t);
    if (extended) cold_.resume_here(cold);
    return true;
}

bool VectorFpEmitter::half_sqrt(const Inst& i) {
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const Xmm x = widen(i, 0, t);
    as_.vsqrtps(x, x);
    as_.vcvtps2ph(d, x, kRoundAsMxcsr);
    check_halves(d, FpRisk::Nan, t);
    return true;
}

/// FMulAdd: a + b c; FRecpStep: 2 - a b, which is exact where it is tiny.
bool VectorFpEmitter::half_fused(const Inst& i) {
    const bool step = i.op == Op::VFRecpStep, scalar = ir::vec_scalar(i.aux);
    for (unsigned k = 0; k < i.nargs; ++k) regs_.use_xmm(i.args[k]);
    const ScratchXmm t(regs_), u(regs_), lost(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t cold = step ? check_infinite_halves(i, d) : 0;
    const Ymm sum(xmm15.getIdx()), b(t.getIdx()), c(u.getIdx()), mask(lost.getIdx());
    const auto widen_to_double = [&](const Xmm& to, unsigned arg, bool upper) {
        Xmm x(values_[i.args[arg]].reg - 16);
        if (scalar) as_.vpand(to, x, constant(0xffff, 0));
        if (upper) as_.vpunpckhqdq(to, x, x);
        as_.vcvtph2ps(to, scalar || upper ? to : x);
        as_.vcvtps2pd(Ymm(to.getIdx()), to);
    };
    as_.vpbroadcastq(mask, constant((uint64_t{1} << 29) - 1));  // of a double's fraction that a single lacks
    const auto compute = [&](const Xmm& to, bool upper) {
        if (step) {
            as_.vbroadcastsd(sum, constant(two(true)));
        } else {
            widen_to_double(xmm15, 0, upper);
        }
        widen_to_double(t, step ? 0 : 1, upper);
        widen_to_double(u, step ? 1 : 2, upper);
        if (scalar) {
            step ? as_.vfnmadd231sd(xmm15, t, u) : as_.vfmadd231sd(xmm15, t, u);
        } else {
            step ? as_.vfnmadd231pd(sum, b, c) : as_.vfmadd231pd(sum, b, c);
        }
        // To odd: the lowest bit that stays is set if any that goes is.
        as_.vpand(b, sum, mask);
        as_.vpaddq(b, b, mask);
        as_.vpor(sum, sum, b);
        as_.vpandn(sum, mask, sum);
        as_.vcvtpd2ps(xmm15, sum);
        as_.vcvtps2ph(to, xmm15, kRoundAsMxcsr);
    };
    compute(d, false);
    if (ir::vec_q(i.aux)) {
        compute(t, true);
        as_.vpunpcklqdq(d, d, t);
    } else if (scalar && step) {
        as_.vpand(d, d, constant(0xffff, 0));  // 2 in the others
    }
    check_halves(d, step ? FpRisk::Nan : FpRisk::NanOrTiny, t);
    if (step) cold_.resume_here(cold);
    return true;
}

/// See emit_fp_extremum() and extremum().
bool VectorFpEmitter::half_extremum(const Inst& i, bool maximum) {
    regs_.use_xmm(i.args[0]), regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const Xmm a = widen(i, 0, t), b = widen(i, 1, u), other = wide(xmm15, i);
    as_.vcmpps(other, a, b, kUnordered);
    as_.vptest(other, other);
    const size_t cold = cold_if(kNe);
    if (maximum) {
        as_.vmaxps(other, a, b);
        as_.vmaxps(a, b, a);
        as_.vandps(a, a, other);
    } else {
        as_.vminps(other, a, b);
        as_.vminps(a, b, a);
        as_.vorps(a, a, other);
    }
    as_.vcvtps2ph(d, a, kRoundAsMxcsr);
    cold_.resume_here(cold);
    return true;
}

bool VectorFpEmitter::half_compare(const Inst& i, uint8_t predicate) {
    regs_.use_xmm(i.args[0]), regs_.use_xmm(i.args[1]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const Xmm a = widen(i, 0, t), b = widen(i, 1, xmm15);
    ir::vec_scalar(i.aux) ? as_.vcmpss(a, a, b, predicate) : as_.vcmpps(a, a, b, predicate);
    if (ir::vec_q(i.aux)) {
        as_.vextracti128(xmm15, Ymm(t.getIdx()), 1);
    } else {
        as_.vpxor(xmm15, xmm15, xmm15);
    }
    as_.vpackssdw(d, t, xmm15);
    return true;
}

/// Ties away from zero: half of one added to the magnitude, which is exact for halves, then towards zero. `d` is not `x`.
void VectorFpEmitter::round_halves(const Xmm& d, const Xmm& x, const Inst& i, ir::RoundMode mode) {
    if (mode != ir::RoundMode::TieAway) {
        as_.vroundps(d, x, round_imm(mode));
        return;
    }
    const Xmm bits = wide(xmm15, i);
    as_.vbroadcastss(bits, constant(kSignOfSingle));
    as_.vandps(d, x, bits);
    as_.vbroadcastss(bits, constant(half(false)));
    as_.vorps(d, d, bits);
    as_.vaddps(d, d, x);
    as_.vroundps(d, d, round_imm(ir::RoundMode::Zero));
}

bool VectorFpEmitter::half_round(const Inst& i) {
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const Xmm x = widen(i, 0, t), rounded = wide(u, i);
    round_halves(rounded, x, i, static_cast<ir::RoundMode>(i.imm & 7));
    as_.vcvtps2ph(d, rounded, kRoundAsMxcsr);
    return true;
}

/// See FpEmitter::emit_f_to_int(). A half times a power of two is a single.
bool VectorFpEmitter::half_to_int(const Inst& i) {
    const bool q = ir::vec_q(i.aux), is_signed = i.op == Op::VFToSInt;
    const int fraction_bits = static_cast<int>(i.imm >> 8 & 0xff);
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const Xmm x = widen(i, 0, t), rounded = wide(u, i), other = wide(xmm15, i), in_range = wide(d, i);
    const auto bound = [&](int exp, bool negative) {
        as_.vbroadcastss(other, constant(power(false, exp) | (negative ? kSignOfSingle : 0)));
    };
    if (fraction_bits != 0) {
        bound(fraction_bits, false);
        as_.vmulps(x, x, other);
    }
    round_halves(rounded, x, i, static_cast<ir::RoundMode>(i.imm & 7));
    bound(is_signed ? 15 : 16, false);
    as_.vcmpps(in_range, rounded, other, kLtQuiet);
    if (is_signed) {
        bound(15, true);
    } else {
        as_.vxorps(other, other, other);
    }
    as_.vcmpps(other, rounded, other, kGeQuiet);
    as_.vandps(other, other, in_range);
    as_.vmovmskps(eax, other);
    as_.cmp(eax, q ? 0xff : 0x0f);
    const size_t cold = cold_if(kNe);
    as_.vcvttps2dq(rounded, rounded);
    if (q) {
        as_.vextracti128(xmm15, Ymm(u.getIdx()), 1);
    } else {
        as_.vpxor(xmm15, xmm15, xmm15);
    }
    is_signed ? as_.vpackssdw(d, u, xmm15) : as_.vpackusdw(d, u, xmm15);
    as_.vroundps(x, x, 3);  // signals Inexact
    cold_.resume_here(cold);
    return true;
}

/// Integers of 16 bits are singles, divided by a power of two as well.
bool VectorFpEmitter::int_to_half(const Inst& i) {
    const int fraction_bits = static_cast<int>(i.imm & 0xff);
    Xmm x = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    const Xmm d = regs_.def_xmm(cur());
    const Xmm w = wide(t, i);
    if (ir::vec_scalar(i.aux)) {
        as_.vpand(t, x, constant(0xffff, 0));
        x = t;
    }
    i.op == Op::VSIntToF ? as_.vpmovsxwd(w, x) : as_.vpmovzxwd(w, x);
    as_.vcvtdq2ps(w, w);
    if (fraction_bits != 0) {
        as_.vbroadcastss(wide(xmm15, i), constant(power(false, -fraction_bits)));
        as_.vmulps(w, w, wide(xmm15, i));
    }
    as_.vcvtps2ph(d, w, kRoundAsMxcsr);
    return true;
}

/// Products of halves are exact as singles, so that one rounding is left.
void VectorFpEmitter::emit_vfmul_add_halves(const Inst& i) {
    const bool q = ir::vec_q(i.aux);
    const Xmm acc = regs_.use_xmm(i.args[0]), a = regs_.use_xmm(i.args[1]), b = regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const auto widen_factor = [&](const Xmm& to, const Xmm& x) {
        if (!q) as_.vinsertps(to, x, x, 0x0e);  // two of them
        as_.vcvtph2ps(to, q ? x : to);
    };
    q ? as_.vmovaps(d, acc) : as_.vmovq(d, acc);
    widen_factor(t, a);
    widen_factor(xmm15, b);
    as_.vfmadd231ps(d, t, xmm15);
    check_vector(d, false, FpRisk::NanOrTiny, t);
}

/// See FpEmitter::emit_frint_within().
bool VectorFpEmitter::emit_vfrint_within(const Inst& i) {
    const bool dbl = ir::vec_esize(i.aux) == 3;
    const bool current = static_cast<ir::RoundMode>(i.imm & 7) == ir::RoundMode::Current;
    regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i);
    const Xmm x = quiet_upper(i, 0, t);
    const auto round = [&](const Xmm& to, int mode) {
        dbl ? as_.vroundpd(to, x, static_cast<uint8_t>(mode))
            : as_.vroundps(to, x, static_cast<uint8_t>(mode));
    };
    round(d, current ? 8 | 4 : 8 | 3);
    as_.vandps(xmm15, d, constant(~sign_of(dbl)));
    const Address limit = constant(power(dbl, static_cast<int>(i.imm >> 8) - 1));
    dbl ? as_.vcmppd(xmm15, xmm15, limit, kLtQuiet) : as_.vcmpps(xmm15, xmm15, limit, kLtQuiet);
    as_.vmovmskps(eax, xmm15);
    as_.cmp(eax, 15);
    const size_t cold = cold_if(kNe);
    round(xmm15, current ? 4 : 3);
    cold_.resume_here(cold);
    resume_guard(guard);
    return true;
}

}  // namespace arclight::backend
