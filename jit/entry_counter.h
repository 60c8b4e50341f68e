// A block's counter (compile() in jit/host_code.h), switched off while nobody wants it.
#pragma once

#include "jit/host_code.h"

namespace arclight::jit {

/// Makes a block that has a counter run without it, until patch_entry() or unpatch_entry(), by which it counts again. Other threads
/// may be executing it. It costs one instruction that does nothing.
void skip_counter(CodeBuffer& buffer, const CompiledBlock& block);

}  // namespace arclight::jit
