// The interpreter as a translator: a block's host code calls it with the block's IR.
#pragma once

#include "jit/ir/ir.h"

namespace arclight::jit {

class InterpreterStubs {
  public:
    /// A block to be compiled in place of `block`: it calls RuntimeEntry::kInterpret with `block`, which must stay as long
    /// as the code. Valid until the next call.
    const ir::Block& make(const ir::Block& block);

  private:
    ir::Block stub_;
};

}  // namespace arclight::jit
