// Singles and doubles under FPCR.FZ and DN.
//
// ARM treats subnormal operands as zeros and says so (IDC), and a result that is tiny before rounding becomes zero, which raises
// Underflow alone. x86 has bits in MXCSR for both, but says nothing about operands, raises Inexact too for a result, and looks at
// it after rounding. So MXCSR stays as it is, and x86 computes only where there is nothing to flush:
//
//     vmulss xmm16, xmm1, xmm2 {rz-sae}    raises nothing; what is tiny before rounding is so after rounding towards zero
//     vfpclassss k1, xmm16, ...            a NaN, subnormal or zero
//     vfpclassss k2, xmm1, 0x20            subnormal
//     vfpclassss k3, xmm2, 0x20
//     korb k1, k1, k2
//     kortestb k1, k3
//     jnz cold                             a zero operand: goes on behind the jump; else the reference function
//     vmulss xmm0, xmm1, xmm2
//
// Sums that are tiny are exact and raise nothing: they are looked at afterwards. A NaN that results is the reference function's anyway,
// so that DN concerns only what lets NaNs through.
//
// Only where EmitContext::scalable_vectors says that AVX-512 is there, and nothing in xmm16, xmm17 and k1 to k3; else the reference functions
// do everything under FZ.
#include "backend/x64/simd.h"
#include "backend/x64/simd_emitter.h"
#include "jit/softfloat/environment.h"
#include "jit/translation_flags.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
namespace flag = jit::translation_flag;

namespace {
// Of vfpclass.
constexpr uint8_t kNan = 0x81, kZero = 0x06, kInfinity = 0x18, kSubnormal = 0x20;
const Xmm kTrial = xmm16;

/// Whether the operation computes with halves, not only converts from or to them.
bool computes_halves(const Inst& i) {
    switch (i.op) {
        case Op::FCmp:
        case Op::FCondCompare: return (i.aux & 3) == 1;
        case Op::FToSInt:
        case Op::FToUInt: return (i.aux >> 4 & 3) == 1;
        case Op::SIntToHalf:
        case Op::UIntToHalf:
        case Op::VFMulAddH: return true;
        default: return i.op >= Op::VConst && ir::vec_esize(i.aux) < 2;
    }
}
}  // namespace

bool SimdEmitter::obeys_fpcr(const Inst& i) const {
    const uint32_t special = ctx_.translation_flags & flag::kFpSpecial;
    if (special == 0) return true;
    if ((special & flag::kFpSlow) != 0) return false;
    const auto none_of = [&](uint32_t modes) { return (special & modes) == 0; };
    if (!none_of(flag::kFpFlush) && !ctx_.scalable_vectors) return false;
    switch (i.op) {
        case Op::FCvt16To32:
        case Op::FCvt16To64:
        case Op::FCvt32To16: return none_of(flag::kFpWideHalf);
        case Op::VFCvtL:
        case Op::VFCvtN: return ir::vec_esize(i.aux) != 1 || none_of(flag::kFpWideHalf);
        case Op::VFMulAddH:
        case Op::FCondCompare:
            if (!none_of(flag::kFpFlush)) return false;
            break;
        default: break;
    }
    if (!computes_halves(i)) return true;
    return none_of(flag::kFpFlushHalf | (i.op == Op::VFRint ? flag::kFpDefaultNan : 0));
}

bool SimdEmitter::flushes() const { return (ctx_.translation_flags & flag::kFpFlush) != 0; }

bool SimdEmitter::keeps_no_payloads() const { return (ctx_.translation_flags & flag::kFpDefaultNan) != 0; }

namespace {
/// Of scalar operations. Their operands may be whole vectors (scalars by element), so that it is the operation that tells.
bool computes_doubles(const Inst& i) {
    switch (i.op) {
        case Op::FCvt32To64:
        case Op::FCvt32To16: return false;
        case Op::FCvt64To32:
        case Op::FToJavaScript: return true;
        case Op::FToSInt:
        case Op::FToUInt: return (i.aux >> 4 & 3) == 3;
        default: return i.type == Type::F64;
    }
}
}  // namespace

SimdEmitter::Lanes SimdEmitter::operand_lanes(const Inst& i) const {
    if (i.op < Op::VConst) return {.is_double = computes_doubles(i), .mask = 1, .scalar = true};
    if (i.op == Op::VFCvtN && ir::vec_esize(i.aux) == 1)
        return {.is_double = false, .mask = 15, .scalar = false};
    const bool is_double = ir::vec_esize(i.aux) == 3 || i.op == Op::VFCvtN;
    if (i.op == Op::VFCvtL) return {.is_double = false, .mask = 3, .scalar = false};
    const bool all = ir::vec_q(i.aux) || is_double;
    return {
        .is_double = is_double, .mask = static_cast<uint8_t>(is_double || !all ? 3 : 15), .scalar = false};
}

void SimdEmitter::classify(const Xbyak::Opmask& k, const Xmm& x, const Lanes& lanes, uint8_t classes) {
    if (lanes.scalar) {
        lanes.is_double ? as_.vfpclasssd(k, x, classes) : as_.vfpclassss(k, x, classes);
    } else {
        lanes.is_double ? as_.vfpclasspd(k, x, classes) : as_.vfpclassps(k, x, classes);
    }
}

/// k1 |= the operands that are of these classes; k2 and k3 are clobbered.
void SimdEmitter::classify_operands(const Inst& i, const uint8_t* regs, const Lanes& lanes, uint8_t classes) {
    for (unsigned n = 0; n < i.nargs; ++n) {
        const Xbyak::Opmask& k = n % 2 == 0 ? k2 : k3;
        classify(k, Xmm(regs[n]), lanes, classes);
        as_.korb(k1, k1, k);
    }
}

/// ZF: no lane that takes part is in k1.
void SimdEmitter::test_lanes(const Lanes& lanes) {
    if (lanes.scalar || lanes.is_double || lanes.mask == 15) {
        as_.kortestb(k1, k1);
        return;
    }
    as_.kmovb(eax, k1);
    as_.test(al, lanes.mask);
}

size_t SimdEmitter::guard_operands(const Inst& i, bool lets_nans_through) {
    const auto classes = static_cast<uint8_t>((flushes() ? kSubnormal : 0) |
                                              (lets_nans_through && keeps_no_payloads() ? kNan : 0));
    if (classes == 0) return kNoGuard;
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    const Lanes lanes = operand_lanes(i);
    uint8_t regs[3] = {};
    for (unsigned n = 0; n < i.nargs; ++n) regs[n] = values_[i.args[n]].reg & 15;
    classify(k1, Xmm(regs[0]), lanes, classes);
    if (i.nargs > 1) {
        classify(k2, Xmm(regs[1]), lanes, classes);
        as_.korb(k1, k1, k2);
    }
    test_lanes(lanes);
    return cold_if(kNe);
}

size_t SimdEmitter::guard_result(const Inst& i) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    const Lanes lanes = operand_lanes(i);
    Lanes result = lanes;
    if (i.op == Op::FCvt64To32 || i.op == Op::VFCvtN) result.is_double = false;
    uint8_t regs[3] = {};
    for (unsigned n = 0; n < i.nargs; ++n) regs[n] = values_[i.args[n]].reg & 15;
    classify(k1, kTrial, result, kNan | kSubnormal | kZero);
    classify_operands(i, regs, lanes, kSubnormal);
    test_lanes(result);
    const size_t cold = cold_if(kNe, cold_fn<&SimdEmitter::cold_unless_zero>, result.is_double);
    return cold_.add(Jump{}, cold_fn<&SimdEmitter::cold_reference>, cold_.args(cold));
}

void SimdEmitter::check_sum(const Xmm& d, const Inst& i) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    classify(k1, d, operand_lanes(i), kNan | kSubnormal);
    as_.kortestb(k1, k1);
    cold_if(kNe);
}

void SimdEmitter::check_nan(const Xmm& d, const Lanes& lanes) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    if (lanes.scalar) {
        lanes.is_double ? as_.vucomisd(d, d) : as_.vucomiss(d, d);
        cold_if(kP);
    } else {
        check_vector(d, lanes.is_double, FpRisk::Nan, d);
    }
}

void SimdEmitter::resume_guard(size_t guard) {
    if (guard != kNoGuard) cold_.resume_here(guard);
}

/// Goes on with the next cold path, unless each lane of the trial is a normal number or a zero that an operand made of it.
void SimdEmitter::cold_unless_zero(const ColdArgs& args) {
    const Inst& i = values_.inst(args.inst);
    const Lanes lanes = operand_lanes(i);
    Lanes result = lanes;
    result.is_double = args.flag != 0;
    classify(k1, kTrial, result, kNan | kSubnormal);
    classify_operands(i, args.reg + 1, lanes, kSubnormal);
    test_lanes(result);
    const Jump reference = as_.jump_if(kNe, true);
    const bool quotient = i.op == Op::FDiv || i.op == Op::VFDiv, fused = i.nargs == 3;
    classify(k2, Xmm(args.reg[fused ? 2 : 1]), lanes, kZero);
    if (i.nargs > 1) {
        classify(k3, Xmm(args.reg[fused ? 3 : 2]), lanes, quotient ? kInfinity : kZero);
        as_.korb(k2, k2, k3);
    }
    classify(k1, kTrial, result, kZero);
    as_.kandnb(k1, k2, k1);
    test_lanes(result);
    as_.jump_to_if(kE, args.resume);
    as_.land(reference);
}

/// Subnormal ones of the two numbers in xmm16 and xmm17 become zero.
void SimdEmitter::cold_flush_compared(const ColdArgs& args) {
    const Lanes lanes{.is_double = args.flag != 0, .mask = 1, .scalar = true};
    for (const Xmm& x : {xmm16, xmm17}) {
        classify(k1, x, lanes, kSubnormal);
        as_.knotb(k1, k1);
        as_.vmovapd(x | k1 | T_z, x);
    }
    as_.or_(dword[at(ARCLIGHT_STATE_DISP(fpsr))], jit::softfloat::kIdc);
    jump_back(args);
}

void SimdEmitter::flush_compared(const Xmm& a, const Xmm& b, bool is_double) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    const Lanes lanes{.is_double = is_double, .mask = 1, .scalar = true};
    as_.vmovapd(xmm16, a);
    as_.vmovapd(xmm17, b);
    classify(k1, a, lanes, kSubnormal);
    classify(k2, b, lanes, kSubnormal);
    as_.kortestb(k1, k2);
    ColdArgs args;
    args.inst = cur();
    args.flag = is_double;
    cold_.resume_here(cold_.jump(kNe, cold_fn<&SimdEmitter::cold_flush_compared>, args));
}

}  // namespace arclight::backend
