// Where translated code runs: a host process or a virtual machine (design.md, "One contract, two worlds").
#pragma once

#include "jit/guest_state.h"

namespace arclight::backend {

class World {
  public:
    virtual ~World() = default;
    /// Runs from `code` (translated for state.pc) until it leaves. Sets page_base from state.pc. Returns
    /// state.exit_reason; state.pc and exit_info are as the reason says.
    virtual jit::ExitReason run(jit::GuestState& state, const void* code) = 0;
    virtual const char* name() const = 0;
};

}  // namespace arclight::backend
