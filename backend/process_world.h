// Translated code in the host process.
#pragma once

#include "backend/tier1.h"
#include "backend/world.h"

namespace arclight::backend {

class ProcessWorld final : public World {
  public:
    explicit ProcessWorld(const CodeBuffer& code) : enter_(code.thunks().enter) {}
    jit::ExitReason run(jit::GuestState& state, const void* code) override;
    const char* name() const override { return "process"; }

  private:
    EnterFn enter_;
};

/// RuntimeEntry kVectorCall for code that runs in this process: the reference function of an IR operation.
void vector_call(jit::GuestState& state, uint64_t op);

}  // namespace arclight::backend
