// The A64 instruction set as the engine sees it.
#pragma once

#include "jit/frontend.h"

namespace arclight::frontend::a64 {

/// Has no state: one for all engines and threads.
const jit::Frontend& frontend();

}  // namespace arclight::frontend::a64
