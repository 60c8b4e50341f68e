// Moves work that only region exits need off the path that is taken.
#pragma once

namespace llvm {
class Function;
}

namespace arclight::jit::tier2 {

/// A region exit stores the guest's registers. A value that is cheap to compute from what is kept anyway (an
/// address one step further, a number with zeros above) is computed in the exit.
void sink_to_exits(llvm::Function& f);

}  // namespace arclight::jit::tier2
