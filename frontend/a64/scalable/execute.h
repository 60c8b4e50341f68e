// Reference implementation of the scalable operations, on the state of the CPU.
#pragma once

#include "frontend/a64/scalable/memory.h"
#include "frontend/a64/scalable/operation.h"
#include "jit/guest_state.h"

namespace arclight::frontend::a64::scalable {

/// `memory` may be null for operations without accesses.
void execute(jit::GuestState& state, Memory* memory, const Operation& operation);

}  // namespace arclight::frontend::a64::scalable
