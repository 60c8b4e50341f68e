// Vector operations, inline. What is not here goes to the reference functions.
#include "backend/x64/emitter.h"
#include "jit/reference/reference.h"

namespace arclight::backend {

using namespace Xbyak::util;

bool BlockEmitter::emit_vector(const Inst& i) {
    return emit_vector_logic(i) || emit_vector_arithmetic(i) || emit_vector_compare(i) ||
           emit_vector_shift(i) || emit_vector_lanes(i) || emit_vector_permute(i) || emit_vector_widen(i) ||
           emit_vector_reduce(i) || emit_vector_saturate(i) || emit_vector_fp(i) || emit_vector_convert(i) ||
           emit_vector_crypto(i);
}

/// Any operation, slowly: operands and result through GuestState::vector_call.
void BlockEmitter::emit_reference_call(const Inst& i) {
    constexpr int kOperands[3] = {ARCLIGHT_STATE_DISP(vector_call.a), ARCLIGHT_STATE_DISP(vector_call.b),
                                  ARCLIGHT_STATE_DISP(vector_call.c)};
    if (jit::reference_function(i.op) == nullptr) throw TooComplex{};
    for (unsigned k = 0; k < i.nargs; ++k) {
        const Ref r = i.args[k];
        const Type t = inst(r).type;
        if (is_vec(t)) {
            vmovaps(ptr[at(kOperands[k])], use_xmm(r));
        } else if (t == Type::I1) {
            set_if(test_condition(r), al);
            movzx(eax, al);
            mov(qword[at(kOperands[k])], rax);
        } else {
            mov(qword[at(kOperands[k])], use(r));
        }
    }
    clobber_flags();
    call_reference(i);
    const int out = ARCLIGHT_STATE_DISP(vector_call.out);
    if (is_vec(i.type)) {
        vmovaps(def_xmm(cur_), ptr[at(out)]);
    } else if (i.type == Type::Flags) {
        load_eflags_from(word[at(out)]);
        set_eflags(cur_, Sense::Add);
    } else {
        mov(def(cur_), qword[at(out)]);
    }
}

/// Describes the operation in vector_call and calls its reference function; all registers but rax and xmm15
/// and EFLAGS are kept.
void BlockEmitter::call_reference(const Inst& i) {
    jit::VectorCall call{};
    jit::describe(call, i);
    const auto store64 = [&](int disp, uint64_t value) {
        if (static_cast<int64_t>(value) == static_cast<int32_t>(value)) {
            mov(qword[at(disp)], static_cast<int32_t>(value));
        } else {
            mov(rax, value);
            mov(qword[at(disp)], rax);
        }
    };
    store64(ARCLIGHT_STATE_DISP(vector_call.imm), call.imm);
    // esize, q, reserved and aux are one doubleword each half
    uint64_t shape = 0;
    static_assert(offsetof(jit::VectorCall, aux) == offsetof(jit::VectorCall, esize) + 4);
    std::memcpy(&shape, reinterpret_cast<const char*>(&call) + offsetof(jit::VectorCall, esize), 8);
    store64(ARCLIGHT_STATE_DISP(vector_call.esize), shape);
    mov(eax, static_cast<uint32_t>(i.op));
    call_thunk(thunks_->vector_call);
}

}  // namespace arclight::backend
