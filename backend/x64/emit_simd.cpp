// What the floating point and vector emitters share: checks of results, and the cold paths of those that
// fail.
#include "backend/x64/simd.h"
#include "backend/x64/simd_emitter.h"
#include "jit/softfloat/environment.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool SimdEmitter::upper_is_zero(Ref r) const {
    const Inst& i = values_.inst(r);
    if (i.type != Type::V128) return false;
    switch (i.op) {
        case Op::VZext8:
        case Op::VZext16:
        case Op::VZext32:
        case Op::VZext64:
        case Op::VHighToLow:
        case Op::VXtn:
        case Op::VQXtnS:
        case Op::VQXtnU:
        case Op::VQXtun:
        case Op::VFCvtN:
        case Op::VFCvtXN:
        case Op::VBfCvtN:
        case Op::SIntToHalf:
        case Op::UIntToHalf:
        case Op::VAddV:
        case Op::VMaxVS:
        case Op::VMaxVU:
        case Op::VMinVS:
        case Op::VMinVU:
        case Op::VAddlVS:
        case Op::VAddlVU: return true;
        case Op::LoadV: return ir::mem_size_log2(i.aux) <= 3;
        // Whatever may raise flags, and the permutations, clear the upper half of a 64-bit result.
        case Op::VConst:
        case Op::VDup:
        case Op::VZip1:
        case Op::VZip2:
        case Op::VUzp1:
        case Op::VUzp2:
        case Op::VTrn1:
        case Op::VTrn2:
        case Op::VExt:
        case Op::VAddP:
        case Op::VMaxPS:
        case Op::VMaxPU:
        case Op::VMinPS:
        case Op::VMinPU:
        case Op::VQAddS:
        case Op::VQAddU:
        case Op::VQSubS:
        case Op::VQSubU:
        case Op::VQDMulH:
        case Op::VQRDMulH:
        case Op::VFAdd:
        case Op::VFSub:
        case Op::VFMul:
        case Op::VFDiv:
        case Op::VFMulAdd:
        case Op::VFMulAddH:
        case Op::VFRecpExp:
        case Op::VFMax:
        case Op::VFMin:
        case Op::VFMaxNum:
        case Op::VFMinNum:
        case Op::VFCmpEq:
        case Op::VFCmpGe:
        case Op::VFCmpGt:
        case Op::VFRint:
        case Op::VFRintWithin:
        case Op::VFToSInt:
        case Op::VFToUInt:
        case Op::VSIntToF:
        case Op::VUIntToF: return !ir::vec_q(i.aux);
        default: return false;
    }
}

size_t SimdEmitter::cold_if(Cc cc, ColdFn fn, uint16_t flag) {
    ColdArgs args;
    args.inst = cur();
    args.flag = flag;
    args.reg[0] = values_[cur()].reg & 15;
    const Inst& i = values_.inst(cur());
    for (unsigned k = 0; k < i.nargs; ++k) args.reg[k + 1] = values_[i.args[k]].reg & 15;
    const size_t cold = cold_.jump(cc, fn, args);
    cold_.resume_here(cold);
    return cold;
}

void SimdEmitter::cold_reference(const ColdArgs& args) {
    constexpr int kOperands[3] = {ARCLIGHT_STATE_DISP(vector_call.a), ARCLIGHT_STATE_DISP(vector_call.b),
                                  ARCLIGHT_STATE_DISP(vector_call.c)};
    const Inst& i = values_.inst(args.inst);
    for (unsigned k = 0; k < i.nargs; ++k) as_.vmovaps(ptr[at(kOperands[k])], Xmm(args.reg[k + 1]));
    call_reference(i);
    if (is_vec(i.type)) {
        as_.vmovaps(Xmm(args.reg[0]), ptr[at(ARCLIGHT_STATE_DISP(vector_call.out))]);
    } else {
        as_.mov(Reg64(args.reg[0]), at(ARCLIGHT_STATE_DISP(vector_call.out)));
    }
    jump_back(args);
}

void SimdEmitter::cold_saturated(const ColdArgs& args) {
    as_.or_(dword[at(ARCLIGHT_STATE_DISP(fpsr))], jit::softfloat::kQc);
    jump_back(args);
}

// A result's upper 32 bits without the sign, doubled, that is, the position of a number's magnitude: zero and
// subnormals lie below kSmallest, the smallest normal number (of a double: it and its next neighbours) at it,
// NaNs above kInfinite.
namespace {
struct Range {
    uint32_t smallest, infinite;
};
constexpr Range range_of(bool is_double) {
    return is_double ? Range{0x0020'0000, 0xffe0'0000} : Range{0x0100'0000, 0xff00'0000};
}
}  // namespace

/// x86 detects underflow after rounding, ARM before: they differ when an inexact result was rounded up to the
/// smallest normal number. Zeros and subnormals are caught by the same comparison and sorted out later. eax
/// is the magnitude less (smallest + 2), all in one unsigned comparison.
void SimdEmitter::check_scalar(const Xmm& d, bool is_double, FpRisk risk) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    if (risk == FpRisk::Nan) {
        is_double ? as_.vucomisd(d, d) : as_.vucomiss(d, d);
        cold_if(kP);
        return;
    }
    const Range range = range_of(is_double);
    if (is_double) {
        as_.vmovq(rax, d);
        as_.shr(rax, 32);
    } else {
        as_.vmovd(eax, d);
    }
    as_.lea(eax, ptr[rax + rax - (range.smallest + 2)]);
    as_.cmp(eax, range.infinite - (range.smallest + 2));
    cold_if(kA, cold_fn<&SimdEmitter::cold_unless_subnormal>, is_double);
}

void SimdEmitter::cold_unless_subnormal(const ColdArgs& args) {
    const Range range = range_of(args.flag != 0);
    as_.add(eax, range.smallest + 2);
    as_.cmp(eax, range.smallest);
    as_.jump_to_if(kB, args.resume);
    cold_reference(args);
}

void SimdEmitter::check_vector(const Xmm& d, bool is_double, FpRisk risk, const Xmm& t) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    is_double ? as_.vcmppd(xmm15, d, d, 3) : as_.vcmpps(xmm15, d, d, 3);
    if (risk == FpRisk::NanOrTiny) {
        if (is_double) {
            as_.vpaddq(t, d, d);
            as_.vpcmpeqq(t, t, constant(0x0020'0000'0000'0000));
        } else {
            as_.vpaddd(t, d, d);
            as_.vpcmpeqd(t, t, constant(words(0x0100'0000)));
        }
        as_.vorps(xmm15, xmm15, t);
    }
    is_double ? as_.vmovmskpd(eax, xmm15) : as_.vmovmskps(eax, xmm15);
    as_.test(eax, eax);
    cold_if(kNe);
}

/// Where zero times infinity is defined it must not signal Invalid, as the multiplication would: operands
/// that are infinite go the slow way. Integer instructions do not care about the neighbouring lanes.
size_t SimdEmitter::check_infinite(const Xmm& a, const Xmm& b, bool is_double, const Xmm& t) {
    const ClassScope scope(as_, jit::HostClass::FpCheck);
    if (is_double) {
        as_.vpaddq(xmm15, a, a);
        as_.vpaddq(t, b, b);
        as_.vpcmpeqq(xmm15, xmm15, constant(0xffe0'0000'0000'0000));
        as_.vpcmpeqq(t, t, constant(0xffe0'0000'0000'0000));
    } else {
        as_.vpaddd(xmm15, a, a);
        as_.vpaddd(t, b, b);
        as_.vpcmpeqd(xmm15, xmm15, constant(words(0xff00'0000)));
        as_.vpcmpeqd(t, t, constant(words(0xff00'0000)));
    }
    as_.vpor(xmm15, xmm15, t);
    as_.vmovmskps(eax, xmm15);
    as_.test(eax, eax);
    return cold_if(kNe);
}

Xmm SimdEmitter::quiet_upper(const Inst& i, unsigned arg, const Xmm& t) {
    const Ref r = i.args[arg];
    const Xmm x(values_[r].reg - 16);
    if (ir::vec_q(i.aux) || upper_is_zero(r)) return x;
    as_.vmovq(t, x);
    return t;
}

void SimdEmitter::emit_vex(const Inst& i, Vex3 op) {
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Operand& b = regs_.use_xmm_rm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    (as_.*op)(d, a, b);
}

}  // namespace arclight::backend
