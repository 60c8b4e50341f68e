// Scalar conversions between floating point formats and integers.
#include <optional>

#include "backend/x64/fp_emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

/// Widening is exact, and narrowing a NaN keeps the upper end of its payload in both architectures.
void FpEmitter::emit_fcvt32_to64(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    if (flushes() || keeps_no_payloads()) {
        flags_.clobber();
        const Xmm d = regs_.def_xmm(cur());
        const size_t guard = guard_operands(i, true);
        as_.vcvtss2sd(d, x, x);
        resume_guard(guard);
        return;
    }
    as_.vcvtss2sd(regs_.def_xmm_over(cur(), {i.args[0]}), x, x);
}

void FpEmitter::emit_fcvt64_to32(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    if (flushes()) {
        as_.vcvtsd2ss(xmm16, x, x | T_rz_sae);
        const size_t guard = guard_result(i);
        as_.vcvtsd2ss(d, x, x);
        resume_guard(guard);
        return;
    }
    const size_t guard = guard_operands(i, true);
    as_.vcvtsd2ss(d, x, x);
    as_.vmovd(eax, d);
    as_.add(eax, eax);
    as_.cmp(eax, 0x0100'0000);  // perhaps tiny, see check_scalar()
    cold_if(kE);
    resume_guard(guard);
}

void FpEmitter::emit_fcvt_from_half(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    const bool guarded = keeps_no_payloads();
    if (guarded) flags_.clobber();
    const Xmm d = guarded ? regs_.def_xmm(cur()) : regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpand(d, x, constant(0xffff, 0));  // its neighbours may be signalling NaNs
    as_.vcvtph2ps(d, d);
    if (i.op == Op::FCvt16To64) as_.vcvtss2sd(d, d, d);
    if (guarded) check_nan(d, {.is_double = i.op == Op::FCvt16To64, .mask = 1, .scalar = true});
}

void FpEmitter::emit_fcvt32_to16(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    const size_t guard = guard_operands(i, true);
    as_.vinsertps(d, x, x, 0x0e);
    as_.vcvtps2ph(d, d, 4);
    as_.vmovd(eax, d);
    as_.and_(eax, 0x7fff);
    as_.cmp(eax, 0x0400);
    cold_if(kE);
    resume_guard(guard);
}

bool FpEmitter::emit_fto_s_int(const Inst& i) {
    // Scaling by a power of two could overflow.
    if ((i.imm & 0xff) != 0) return false;
    emit_f_to_int(i);
    return true;
}

/// x86 answers with the smallest integer whatever does not fit. Out of range ARM raises Invalid alone, so no
/// instruction that could raise Inexact may come before that is excluded: explicit rounding does not signal,
/// and the exception is made up for afterwards.
void FpEmitter::emit_f_to_int(const Inst& i) {
    const auto mode = static_cast<ir::RoundMode>(i.aux & 7);
    const bool dbl = (i.aux >> 4 & 3) == 3, wide = i.type == Type::I64, is_signed = i.op == Op::FToSInt;
    const bool current = mode == ir::RoundMode::Current, zero = mode == ir::RoundMode::Zero;
    const auto truncate = [&](const Reg64& r, const Xmm& x, bool wide_result) {
        if (wide_result) {
            dbl ? as_.vcvttsd2si(r, x) : as_.vcvttss2si(r, x);
        } else {
            dbl ? as_.vcvttsd2si(r.cvt32(), x) : as_.vcvttss2si(r.cvt32(), x);
        }
    };
    Xmm x = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_), u(regs_);
    std::optional<ScratchXmm> single;  // that is the half
    if ((i.aux >> 4 & 3) == 1) {
        single.emplace(regs_);
        as_.vpand(*single, x, constant(0xffff, 0));  // as in emit_fcvt_from_half()
        as_.vcvtph2ps(*single, *single);
        x = *single;
    }
    flags_.clobber();
    const Reg64 d = regs_.def(cur());
    const size_t first_cold = cold_.size();
    if (!single) guard_operands(i);

    Xmm rounded = x;
    if (!zero && !(current && is_signed)) {
        round_scalar(t, x, dbl, mode, u);
        rounded = t;
    }
    if (is_signed) {
        if (current && wide) {
            dbl ? as_.vcvtsd2si(d, x) : as_.vcvtss2si(d, x);
        } else if (current) {
            dbl ? as_.vcvtsd2si(d.cvt32(), x) : as_.vcvtss2si(d.cvt32(), x);
        } else {
            truncate(d, rounded, wide);
        }
        as_.cmp(sized(d, i.type), 1);  // overflows for the smallest integer only
        cold_if(kO);
    } else {
        const uint64_t limit = power(dbl, wide ? 63 : 32), minus_one = one(dbl) | sign_of(dbl);
        dbl ? as_.vucomisd(rounded, constant(minus_one)) : as_.vucomiss(rounded, constant(minus_one));
        cold_if(kBe, cold_fn<&SimdEmitter::cold_join>);
        if (dbl) {
            as_.vmovsd(u, constant(limit));
            as_.vucomisd(u, rounded);
        } else {
            as_.vmovss(u, constant(limit));
            as_.vucomiss(u, rounded);
        }
        cold_if(kBe);
        truncate(d, rounded, true);
    }
    if (rounded.getIdx() != x.getIdx()) truncate(rax, x, true);
    for (size_t k = first_cold; k < cold_.size(); ++k) cold_.resume_here(k);
}

/// Exact conversion, and an integer equals a number only where their bits do: -0 is not what 0 becomes.
void FpEmitter::emit_fto_javascript(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    const ScratchXmm t(regs_);
    flags_.clobber();
    const Reg64 d = regs_.def(cur());
    const size_t guard = guard_operands(i);
    as_.vcvttsd2si(d.cvt32(), x);
    as_.cmp(d.cvt32(), 1);  // overflows for the smallest integer only
    const size_t cold = cold_if(kO);
    as_.vxorps(t, t, t);
    as_.vcvtsi2sd(t, t, d.cvt32());
    as_.vpcmpeqq(t, t, x);
    as_.vmovq(rax, t);
    as_.shr(rax, 63);
    as_.shl(rax, 32);
    as_.or_(d, rax);
    cold_.resume_here(cold);
    resume_guard(guard);
}

void FpEmitter::emit_int_to_f(const Inst& i) {
    const bool dbl = i.type == Type::F64;
    const Reg64 r = regs_.use(i.args[0]);
    if (i.op == Op::UIntToF && i.aux == 64) flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    convert_int(i, d, r, dbl);
    const int fraction_bits = static_cast<int>(i.imm & 0xff);
    if (fraction_bits == 0) return;
    // exact
    const Address scale = constant(power(dbl, -fraction_bits));
    dbl ? as_.vmulsd(d, d, scale) : as_.vmulss(d, d, scale);
}

/// What a single cannot hold exactly is too large for a half, too.
bool FpEmitter::emit_int_to_half(const Inst& i) {
    if ((i.imm & 0xff) != 0) return false;
    const Reg64 r = regs_.use(i.args[0]);
    if (i.op == Op::UIntToHalf && i.aux == 64) flags_.clobber();
    const Xmm d = regs_.def_xmm(cur());
    convert_int(i, d, r, false);
    as_.vcvtps2ph(d, d, 4);
    return true;
}

void FpEmitter::convert_int(const Inst& i, const Xmm& d, const Reg64& r, bool dbl) {
    const bool wide = i.aux == 64;
    as_.vxorps(d, d, d);  // what is merged into must not be waited for
    const auto convert = [&](const Operand& from) {
        dbl ? as_.vcvtsi2sd(d, d, from) : as_.vcvtsi2ss(d, d, from);
    };
    if (i.op == Op::SIntToF || i.op == Op::SIntToHalf) {
        convert(sized(r, wide ? Type::I64 : Type::I32));
    } else if (!wide) {
        as_.mov(eax, r.cvt32());
        convert(rax);
    } else {
        as_.test(r, r);
        const size_t cold = cold_if(kS, cold_fn<&FpEmitter::cold_large_unsigned>, dbl);
        convert(r);
        cold_.resume_here(cold);
    }
}

/// Halved with the lost bit kept as a sticky one, then doubled.
void FpEmitter::cold_large_unsigned(const ColdArgs& args) {
    const Xmm d(args.reg[0]);
    as_.mov(rax, Reg64(args.reg[1]));
    as_.shr(rax, 1);
    const Jump even = as_.jump_if(kAe, true);
    as_.or_(rax, 1);
    as_.land(even);
    if (args.flag != 0) {
        as_.vcvtsi2sd(d, d, rax);
        as_.vaddsd(d, d, d);
    } else {
        as_.vcvtsi2ss(d, d, rax);
        as_.vaddss(d, d, d);
    }
    jump_back(args);
}

}  // namespace arclight::backend
