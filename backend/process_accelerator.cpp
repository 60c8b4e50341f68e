#include "backend/process_accelerator.h"

#include "jit/reference/reference.h"

namespace arclight::backend {

void vector_call(jit::GuestState& state, uint64_t op) {
    jit::reference_function(static_cast<jit::ir::Op>(op))(state, state.vector_call);
}

}  // namespace arclight::backend
