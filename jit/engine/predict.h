// Which 512 GiB slot of the guest's address space an access will fall in, guessed from the registers at the
// time when its block is translated (design.md, "Memory accesses": a site predicts its slot).
#pragma once

#include <cstdint>
#include <vector>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit {

/// Sets Inst::imm of plain loads and stores whose address is made of registers of the block's entry and
/// constants to address bits 63:39 plus one. Other accesses keep 0: no guess.
void predict_slots(ir::Block& block, const GuestState& state);

/// The guesses of a block's accesses in their order, and back into the same block translated again.
std::vector<uint32_t> predicted_slots(const ir::Block& block);
void set_predicted_slots(ir::Block& block, const std::vector<uint32_t>& slots);

}  // namespace arclight::jit
