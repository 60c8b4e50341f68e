// The interpreter as a translator: a block's host code calls it with the block's IR.
#pragma once

#include <deque>

#include "jit/ir/ir.h"

namespace arclight::jit {

class InterpretedBlocks {
  public:
    /// A block to be compiled in place of `block`: it calls RuntimeEntry::kInterpret with a copy of it, which
    /// stays until clear(). Valid until the next call.
    const ir::Block& stub_for(const ir::Block& block);
    /// No virtual CPU may be in translated code.
    void clear() { blocks_.clear(); }

  private:
    std::deque<ir::Block> blocks_;
    ir::Block stub_;
};

}  // namespace arclight::jit
