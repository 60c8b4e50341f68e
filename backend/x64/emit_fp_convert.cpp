// Scalar conversions between floating point formats and integers.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_fp_convert(const Inst& i) {
    switch (i.op) {
        // Widening is exact, and narrowing a NaN keeps the upper end of its payload in both architectures.
        case Op::FCvt32To64: {
            const Xmm x = use_xmm(i.args[0]);
            vcvtss2sd(def_xmm_over(cur_, {i.args[0]}), x, x);
            return true;
        }
        case Op::FCvt64To32: {
            const Xmm x = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            vcvtsd2ss(d, x, x);
            vmovd(eax, d);
            add(eax, eax);
            cmp(eax, 0x0100'0000);  // perhaps tiny, see check_scalar()
            cold_if(kE);
            return true;
        }
        case Op::FCvt16To32:
        case Op::FCvt16To64: {
            const Xmm x = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            vpand(d, x, constant(0xffff, 0));  // its neighbours may be signalling NaNs
            vcvtph2ps(d, d);
            if (i.op == Op::FCvt16To64) vcvtss2sd(d, d, d);
            return true;
        }
        case Op::FCvt32To16: {
            const Xmm x = use_xmm(i.args[0]);
            clobber_flags();
            const Xmm d = def_xmm(cur_);
            vinsertps(d, x, x, 0x0e);
            vcvtps2ph(d, d, 4);
            vmovd(eax, d);
            and_(eax, 0x7fff);
            cmp(eax, 0x0400);
            cold_if(kE);
            return true;
        }
        case Op::FToSInt:
        case Op::FToUInt:
            // Scaling by a power of two could overflow.
            if ((i.imm & 0xff) != 0) return false;
            emit_f_to_int(i);
            return true;
        case Op::SIntToF:
        case Op::UIntToF: emit_int_to_f(i); return true;
        default: return false;  // double to half rounds twice by way of single; to odd has no x86 instruction
    }
}

/// x86 answers with the smallest integer whatever does not fit. Out of range ARM raises Invalid alone, so no
/// instruction that could raise Inexact may come before that is excluded: explicit rounding does not signal,
/// and the exception is made up for afterwards.
void BlockEmitter::emit_f_to_int(const Inst& i) {
    const auto mode = static_cast<ir::RoundMode>(i.aux & 7);
    const bool dbl = (i.aux >> 4 & 3) == 3, wide = i.type == Type::I64, is_signed = i.op == Op::FToSInt;
    const bool current = mode == ir::RoundMode::Current, zero = mode == ir::RoundMode::Zero;
    const auto truncate = [&](const Reg64& r, const Xmm& x, bool wide_result) {
        if (wide_result) {
            dbl ? vcvttsd2si(r, x) : vcvttss2si(r, x);
        } else {
            dbl ? vcvttsd2si(r.cvt32(), x) : vcvttss2si(r.cvt32(), x);
        }
    };
    const Xmm x = use_xmm(i.args[0]);
    const ScratchXmm t(*this), u(*this);
    clobber_flags();
    const Reg64 d = def(cur_);
    const size_t first_cold = cold_.size();

    Xmm rounded = x;
    if (!zero && !(current && is_signed)) {
        round_scalar(t, x, dbl, mode, u);
        rounded = t;
    }
    if (is_signed) {
        if (current && wide) {
            dbl ? vcvtsd2si(d, x) : vcvtss2si(d, x);
        } else if (current) {
            dbl ? vcvtsd2si(d.cvt32(), x) : vcvtss2si(d.cvt32(), x);
        } else {
            truncate(d, rounded, wide);
        }
        cmp(sized(d, i.type), 1);  // overflows for the smallest integer only
        cold_if(kO);
    } else {
        const uint64_t limit = power(dbl, wide ? 63 : 32), minus_one = one(dbl) | sign_of(dbl);
        dbl ? vucomisd(rounded, constant(minus_one)) : vucomiss(rounded, constant(minus_one));
        cold_if(kBe, &BlockEmitter::cold_join);
        if (dbl) {
            vmovsd(u, constant(limit));
            vucomisd(u, rounded);
        } else {
            vmovss(u, constant(limit));
            vucomiss(u, rounded);
        }
        cold_if(kBe);
        truncate(d, rounded, true);
    }
    if (rounded.getIdx() != x.getIdx()) truncate(rax, x, true);
    for (size_t k = first_cold; k < cold_.size(); ++k) resume_here(k);
}

void BlockEmitter::emit_int_to_f(const Inst& i) {
    const bool dbl = i.type == Type::F64, wide = i.aux == 64;
    const Reg64 r = use(i.args[0]);
    if (i.op == Op::UIntToF && wide) clobber_flags();
    const Xmm d = def_xmm(cur_);
    vxorps(d, d, d);  // what is merged into must not be waited for
    const auto convert = [&](const Operand& from) { dbl ? vcvtsi2sd(d, d, from) : vcvtsi2ss(d, d, from); };
    if (i.op == Op::SIntToF) {
        convert(sized(r, wide ? Type::I64 : Type::I32));
    } else if (!wide) {
        mov(eax, r.cvt32());
        convert(rax);
    } else {
        test(r, r);
        const size_t cold = cold_if(kS, &BlockEmitter::cold_large_unsigned, dbl);
        convert(r);
        resume_here(cold);
    }
    const int fraction_bits = static_cast<int>(i.imm & 0xff);
    if (fraction_bits == 0) return;
    // exact
    const Address scale = constant(power(dbl, -fraction_bits));
    dbl ? vmulsd(d, d, scale) : vmulss(d, d, scale);
}

/// Halved with the lost bit kept as a sticky one, then doubled.
void BlockEmitter::cold_large_unsigned(const ColdArgs& args) {
    const Xmm d(args.reg[0]);
    mov(rax, Reg64(args.reg[1]));
    shr(rax, 1);
    const Jump even = jump_if(kAe, true);
    or_(rax, 1);
    land(even);
    if (args.flag != 0) {
        vcvtsi2sd(d, d, rax);
        vaddsd(d, d, d);
    } else {
        vcvtsi2ss(d, d, rax);
        vaddss(d, d, d);
    }
    jump_back(args);
}

}  // namespace arclight::backend
