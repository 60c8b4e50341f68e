// Scalar floating point, inline. What is not here goes to the reference functions.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr bool is_double(Type t) { return t == Type::F64; }
}  // namespace

bool BlockEmitter::emit_fp(const Inst& i) {
    switch (i.op) {
        case Op::FAdd: return emit_fadd(i);
        case Op::FCmp:
            if ((block_->mode & kModeFpSlow) != 0) return false;
            emit_fcmp(i);
            return true;
        case Op::IntToF:
            if (i.type == Type::F32) {
                vmovd(def_xmm(cur_), use(i.args[0]).cvt32());
            } else {
                vmovq(def_xmm(cur_), use(i.args[0]));
            }
            return true;
        case Op::FToInt: {
            const Xmm x = use_xmm(i.args[0]);
            if (i.type == Type::I32) {
                vmovd(def(cur_).cvt32(), x);
            } else {
                vmovq(def(cur_), x);
            }
            return true;
        }
        default: return false;
    }
}

/// The worked example with a rare path. x86 and ARM agree on everything but the choice of the NaN when an
/// operand is one, and on the sign of the default NaN, so any NaN result is done again by the reference
/// function. The flags that the first attempt raised in MXCSR (invalid, if anything) are then raised rightly
/// as well.
bool BlockEmitter::emit_fadd(const Inst& i) {
    if ((block_->mode & kModeFpSlow) != 0) return false;
    const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);  // 1. operands, pinned
    clobber_flags();                                           // 3. vucomis writes EFLAGS
    const Xmm d = def_xmm(cur_);  // 4. not one of the operands: the cold path needs them
    if (is_double(i.type)) {
        vaddsd(d, a, b);
        vucomisd(d, d);
    } else {
        vaddss(d, a, b);
        vucomiss(d, d);
    }
    ColdArgs args;
    args.inst = cur_;
    args.reg[0] = static_cast<uint8_t>(d.getIdx());
    args.reg[1] = static_cast<uint8_t>(a.getIdx());
    args.reg[2] = static_cast<uint8_t>(b.getIdx());
    const size_t cold = jump_cold(kP, &BlockEmitter::cold_fp_binary, args);
    resume_here(cold);
    return true;
}

/// reg = result, operand a, operand b.
void BlockEmitter::cold_fp_binary(const ColdArgs& args) {
    vmovaps(ptr[at(ARCLIGHT_STATE_DISP(vector_call.a))], Xmm(args.reg[1]));
    vmovaps(ptr[at(ARCLIGHT_STATE_DISP(vector_call.b))], Xmm(args.reg[2]));
    call_reference(inst(args.inst));
    vmovaps(Xmm(args.reg[0]), ptr[at(ARCLIGHT_STATE_DISP(vector_call.out))]);
    jump_back(args);
}

/// ARM: less N, equal ZC, greater C, unordered CV. ucomis gives CF, ZF, none, ZF PF CF. Some ARM conditions
/// are one x86 condition only with the operands exchanged.
void BlockEmitter::emit_fcmp(const Inst& i) {
    const bool reversed = prefers_reversed_fcmp();
    const Xmm a = use_xmm(i.args[reversed ? 1 : 0]);
    const Operand& b = use_xmm_rm(i.args[reversed ? 0 : 1]);
    clobber_flags();
    const bool is_double = (i.aux & 3) == 3, signalling = (i.aux & 16) != 0;
    if (is_double) {
        signalling ? vcomisd(a, b) : vucomisd(a, b);
    } else {
        signalling ? vcomiss(a, b) : vucomiss(a, b);
    }
    set_eflags(cur_, reversed ? Sense::FCmpRev : Sense::FCmp);
}

bool BlockEmitter::prefers_reversed_fcmp() const {
    // b.cond or fcsel comes next, if anything: MI, PL, CS, CC, LS and HI want it reversed.
    const uint32_t end = std::min<uint32_t>(cur_ + 8, static_cast<uint32_t>(block_->insts.size()));
    for (uint32_t k = cur_ + 1; k < end; ++k) {
        const Inst& i = inst(k);
        if (i.op == Op::Cond && i.args[0] == cur_)
            return (i.imm >= 2 && i.imm <= 5) || i.imm == 8 || i.imm == 9;
    }
    return false;
}

}  // namespace arclight::backend
