// Operations by calls of their reference functions (jit/reference).
#include <cstring>

#include "backend/x64/simd_emitter.h"
#include "jit/reference/reference.h"

namespace arclight::backend {

using namespace Xbyak::util;

/// Any operation, slowly: operands and result through GuestState::vector_call.
void SimdEmitter::emit_reference_call(const Inst& i) {
    constexpr int kOperands[3] = {ARCLIGHT_STATE_DISP(vector_call.a), ARCLIGHT_STATE_DISP(vector_call.b),
                                  ARCLIGHT_STATE_DISP(vector_call.c)};
    if (jit::reference_function(i.op) == nullptr) throw TooComplex{};
    ctx_.copies.clobber();
    for (unsigned k = 0; k < i.nargs; ++k) {
        const Ref r = i.args[k];
        const Type t = values_.inst(r).type;
        if (is_vec(t)) {
            as_.vmovaps(ptr[at(kOperands[k])], regs_.use_xmm(r));
        } else if (t == Type::I1) {
            as_.set_if(flags_.test_condition(r), al);
            as_.movzx(eax, al);
            as_.mov(at(kOperands[k]), rax);
        } else {
            as_.mov(at(kOperands[k]), regs_.use(r));
        }
    }
    flags_.clobber();
    const ClassScope scope(as_, jit::HostClass::Call);
    call_reference(i);
    const int out = ARCLIGHT_STATE_DISP(vector_call.out);
    if (is_vec(i.type)) {
        as_.vmovaps(regs_.def_xmm(cur()), ptr[at(out)]);
    } else if (i.type == Type::Flags) {
        flags_.load_from(word[at(out)]);
        flags_.set(cur(), Sense::Add);
    } else {
        as_.mov(regs_.def(cur()), at(out));
    }
}

/// Describes the operation in vector_call and calls its reference function; all registers but rax and xmm15
/// and EFLAGS are kept.
void SimdEmitter::call_reference(const Inst& i) {
    jit::VectorCall call{};
    jit::describe(call, i);
    const auto store64 = [&](int disp, uint64_t value) {
        if (static_cast<int64_t>(value) == static_cast<int32_t>(value)) {
            as_.mov(at(disp), static_cast<int32_t>(value));
        } else {
            as_.mov(rax, value);
            as_.mov(at(disp), rax);
        }
    };
    store64(ARCLIGHT_STATE_DISP(vector_call.imm), call.imm);
    // esize, q, reserved and aux are one doubleword each half
    uint64_t shape = 0;
    static_assert(offsetof(jit::VectorCall, aux) == offsetof(jit::VectorCall, esize) + 4);
    std::memcpy(&shape, reinterpret_cast<const char*>(&call) + offsetof(jit::VectorCall, esize), 8);
    store64(ARCLIGHT_STATE_DISP(vector_call.esize), shape);
    as_.mov(eax, static_cast<uint32_t>(i.op));
    as_.call_stub(ctx_.stubs->vector_call);
}

}  // namespace arclight::backend
