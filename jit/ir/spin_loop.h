// Loops that wait for memory to change.
#pragma once

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

/// Whether an exit of the block leads back to its start after nothing was changed that the next turn reads: it has loaded
/// from memory, and stored at most by an exchange or a compare and swap, as locks are taken; no guest register that it
/// read has got another value. Such a loop goes on until somebody else stores to that memory, or an interrupt comes.
bool spins(const Block& block);

}  // namespace arclight::jit::ir
