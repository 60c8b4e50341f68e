#pragma once

#include <string>

#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

/// Empty when `block` keeps the rules of jit/ir/ir.h and opcodes.inc, else what is wrong.
std::string check_block(const jit::ir::Block& block);

}  // namespace arclight::frontend::a64
