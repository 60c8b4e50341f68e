#include "backend/process_world.h"

#include "jit/reference/reference.h"

namespace arclight::backend {

jit::ExitReason ProcessWorld::run(jit::GuestState& state, const void* code) {
    state.page_base = state.pc & jit::kPageMask;
    return static_cast<jit::ExitReason>(enter_(&state, code));
}

void vector_call(jit::GuestState& state, uint64_t op) {
    jit::reference_function(static_cast<jit::ir::Op>(op))(state, state.vector_call);
}

}  // namespace arclight::backend
