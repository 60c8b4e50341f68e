// Where memory accesses will fall, predicted from registers at the entry of their block. It is left in
// Inst::imm of plain loads and stores; where nothing is known, 0 remains.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit {

RegisterSnapshot take_snapshot(const GuestState& state);

/// The 512 GiB slot of the guest's address space, at the time when the block is translated, which an
/// access predicts to be that of its later executions: sets Inst::imm of accesses whose address is made of
/// registers and constants to address bits 63:39 plus one.
void predict_slots(ir::Block& block, const GuestState& state);

/// The predictions for a block's accesses in their order, and back into the same block translated again.
std::vector<uint32_t> predicted_slots(const ir::Block& block);
void set_predicted_slots(ir::Block& block, std::span<const uint32_t> slots);

/// For accesses to share one look at the soft TLB: those with the same Inst::imm were in one page in all of
/// the last kMaxSnapshots snapshots. Without a snapshot nothing is predicted.
inline constexpr size_t kMaxSnapshots = 2;
void predict_pages(ir::Block& block, std::span<const RegisterSnapshot> snapshots);

}  // namespace arclight::jit
