// Translated code in the host process.
#pragma once

#include "backend/world.h"

namespace arclight::backend {

class ProcessWorld final : public World {
  public:
    using World::World;
    const char* name() const override { return "process"; }
};

/// RuntimeEntry kVectorCall for code that runs in this process: the reference function of an IR operation.
void vector_call(jit::GuestState& state, uint64_t op);

}  // namespace arclight::backend
