// Keeps work that only ways out need off the way that is taken.
#pragma once

namespace llvm {
class Function;
}

namespace arclight::jit::tier2 {

/// A way out stores what guest registers should hold. Where that has to be computed from what is there anyway
/// (an address a step further, a number with zeros above), it is computed there.
void sink_to_exits(llvm::Function& f);

}  // namespace arclight::jit::tier2
