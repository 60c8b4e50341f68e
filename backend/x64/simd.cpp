// What the floating point and vector emitters share: constants, and the ways out of line.
#include "backend/x64/simd.h"

#include "jit/softfloat/environment.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

Address BlockEmitter::constant(uint64_t low, uint64_t high) {
    const auto [it, is_new] = constants_.try_emplace({low, high}, static_cast<unsigned>(constants_.size()));
    uint8_t* where = buffer_.base() + 16 * size_t{it->second};
    if (is_new) {
        if (it->second >= kConstants) {
            constants_.erase(it);
            throw TooComplex{};
        }
        std::memcpy(where, &low, 8);
        std::memcpy(where + 8, &high, 8);
    }
    return ptr[Xbyak::util::rip + static_cast<const void*>(where)];
}

bool BlockEmitter::upper_is_zero(Ref r) const {
    const Inst& i = inst(r);
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
        case Op::VFMax:
        case Op::VFMin:
        case Op::VFMaxNum:
        case Op::VFMinNum:
        case Op::VFCmpEq:
        case Op::VFCmpGe:
        case Op::VFCmpGt:
        case Op::VFRint:
        case Op::VFToSInt:
        case Op::VFToUInt:
        case Op::VSIntToF:
        case Op::VUIntToF: return !ir::vec_q(i.aux);
        default: return false;
    }
}

size_t BlockEmitter::cold_if(Cc cc, ColdFn fn, uint16_t flag) {
    ColdArgs args;
    args.inst = cur_;
    args.flag = flag;
    args.reg[0] = values_[cur_].reg & 15;
    const Inst& i = inst(cur_);
    for (unsigned k = 0; k < i.nargs; ++k) args.reg[k + 1] = values_[i.args[k]].reg & 15;
    const size_t cold = jump_cold(cc, fn, args);
    resume_here(cold);
    return cold;
}

void BlockEmitter::cold_reference(const ColdArgs& args) {
    constexpr int kOperands[3] = {ARCLIGHT_STATE_DISP(vector_call.a), ARCLIGHT_STATE_DISP(vector_call.b),
                                  ARCLIGHT_STATE_DISP(vector_call.c)};
    const Inst& i = inst(args.inst);
    for (unsigned k = 0; k < i.nargs; ++k) vmovaps(ptr[at(kOperands[k])], Xmm(args.reg[k + 1]));
    call_reference(i);
    if (is_vec(i.type)) {
        vmovaps(Xmm(args.reg[0]), ptr[at(ARCLIGHT_STATE_DISP(vector_call.out))]);
    } else {
        mov(Reg64(args.reg[0]), qword[at(ARCLIGHT_STATE_DISP(vector_call.out))]);
    }
    jump_back(args);
}

void BlockEmitter::cold_saturated(const ColdArgs& args) {
    or_(dword[at(ARCLIGHT_STATE_DISP(fpsr))], jit::softfloat::kQc);
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
void BlockEmitter::check_scalar(const Xmm& d, bool is_double, FpRisk risk) {
    if (risk == FpRisk::Nan) {
        is_double ? vucomisd(d, d) : vucomiss(d, d);
        cold_if(kP);
        return;
    }
    const Range range = range_of(is_double);
    if (is_double) {
        vmovq(rax, d);
        shr(rax, 32);
    } else {
        vmovd(eax, d);
    }
    lea(eax, ptr[rax + rax - (range.smallest + 2)]);
    cmp(eax, range.infinite - (range.smallest + 2));
    cold_if(kA, &BlockEmitter::cold_unless_subnormal, is_double);
}

void BlockEmitter::cold_unless_subnormal(const ColdArgs& args) {
    const Range range = range_of(args.flag != 0);
    add(eax, range.smallest + 2);
    cmp(eax, range.smallest);
    jump_to_if(kB, args.resume);
    cold_reference(args);
}

void BlockEmitter::check_vector(const Xmm& d, bool is_double, FpRisk risk, const Xmm& t) {
    is_double ? vcmppd(xmm15, d, d, 3) : vcmpps(xmm15, d, d, 3);
    if (risk == FpRisk::NanOrTiny) {
        if (is_double) {
            vpaddq(t, d, d);
            vpcmpeqq(t, t, constant(0x0020'0000'0000'0000));
        } else {
            vpaddd(t, d, d);
            vpcmpeqd(t, t, constant(words(0x0100'0000)));
        }
        vorps(xmm15, xmm15, t);
    }
    is_double ? vmovmskpd(eax, xmm15) : vmovmskps(eax, xmm15);
    test(eax, eax);
    cold_if(kNe);
}

/// Where zero times infinity is defined it must not signal Invalid, as the multiplication would: operands
/// that are infinite go the slow way. Integer instructions do not care about the neighbouring lanes.
size_t BlockEmitter::check_infinite(const Xmm& a, const Xmm& b, bool is_double, const Xmm& t) {
    if (is_double) {
        vpaddq(xmm15, a, a);
        vpaddq(t, b, b);
        vpcmpeqq(xmm15, xmm15, constant(0xffe0'0000'0000'0000));
        vpcmpeqq(t, t, constant(0xffe0'0000'0000'0000));
    } else {
        vpaddd(xmm15, a, a);
        vpaddd(t, b, b);
        vpcmpeqd(xmm15, xmm15, constant(words(0xff00'0000)));
        vpcmpeqd(t, t, constant(words(0xff00'0000)));
    }
    vpor(xmm15, xmm15, t);
    vmovmskps(eax, xmm15);
    test(eax, eax);
    return cold_if(kNe);
}

Xmm BlockEmitter::quiet_upper(const Inst& i, unsigned arg, const Xmm& t) {
    const Ref r = i.args[arg];
    const Xmm x(values_[r].reg - 16);
    if (ir::vec_q(i.aux) || upper_is_zero(r)) return x;
    vmovq(t, x);
    return t;
}

void BlockEmitter::emit_vex(const Inst& i, Vex3 op) {
    const Xmm a = use_xmm(i.args[0]);
    const Operand& b = use_xmm_rm(i.args[1]);
    const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
    (this->*op)(d, a, b);
}

}  // namespace arclight::backend
