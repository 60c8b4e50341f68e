// Translated code in the host process.
#pragma once

#include "backend/accelerator.h"

namespace arclight::backend {

/// Runs each virtual CPU on its thread of this process.
class ProcessAccelerator final : public Accelerator {
  public:
    using Accelerator::Accelerator;
    const char* name() const override { return "process"; }
};

/// RuntimeEntry kVectorCall for code that runs in this process: the reference function of an IR operation.
void vector_call(jit::GuestState& state, uint64_t op);

}  // namespace arclight::backend
