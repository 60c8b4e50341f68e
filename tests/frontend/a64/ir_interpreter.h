// Runs a block's IR, for comparing with a simulator. Guest addresses are host addresses. Knows what the base
// instruction set is translated to; check unsupported() first.
#pragma once

#include <array>
#include <cstdint>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

struct MachineState {
    std::array<uint64_t, 32> x{};  ///< x[31] is SP
    std::array<jit::V128, 32> v{};
    uint32_t nzcv = 0;  ///< bits 31:28
    uint64_t pc = 0;

    bool operator==(const MachineState&) const = default;
};

/// True when the block has an operation that the interpreter does not know, such as a call or an exception.
bool unsupported(const jit::ir::Block& block);
/// Runs the block, which starts at state.pc, up to the exit that is taken.
void interpret(const jit::ir::Block& block, MachineState& state);

}  // namespace arclight::frontend::a64
