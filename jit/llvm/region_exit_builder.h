// Region exits as LLVM sees them, and the checkpoints that side exits go back to.
#pragma once

#include <utility>
#include <vector>

#include "jit/llvm/guest_registers.h"
#include "jit/llvm/region_ir_builder.h"
#include "jit/region_abi.h"
#include "jit/region_exit_code.h"

namespace arclight::jit::tier2 {

/// A side exit (a deoptimization exit) leaves the region at the last checkpoint: tier 1 executes again what
/// came since, which has no effects but on registers.
class RegionExitBuilder {
  public:
    /// `entry`: the offset at which the region is entered.
    RegionExitBuilder(RegionIrBuilder& b, GuestRegisters& registers, int64_t entry)
        : b_(b), registers_(registers), entry_(entry) {}

    /// By the numbers of the function's statepoints.
    const std::vector<RegionExit>& exits() const { return exits_; }

    /// Leaves with the guest's registers as they are now, to continue at `pc`, or at `offset` if that is
    /// null.
    void emit_exit(Value* pc, int64_t offset = 0);
    /// A block that does that.
    BasicBlock* exit_to(int64_t offset);
    /// Leaves with GuestState as it is, where the region may not be entered.
    void refuse_entry();
    /// Goes on unless interrupted, else leaves to continue at `offset`.
    void poll(int64_t offset);

    void forget_checkpoint() { side_exit_ = nullptr; }
    /// Puts the checkpoint before the instruction at `offset`, with the registers as they are now.
    void take_checkpoint(int64_t offset);
    /// Counts an instruction; returns how many have passed since the checkpoint.
    unsigned next_instruction() { return ++checkpoint_.age; }
    BasicBlock* side_exit();
    /// Goes on if `ok`, else takes the side exit.
    void guard(Value* ok);

    /// Records in GuestState that `which` were wrong, `how_many` times.
    void count_failed_assumptions(Value* how_many, Assumptions which);

  private:
    /// A region exit with these registers. `how`: region_exit::kStuck and the like.
    void leave(const SlotValues& slots, bool flags_dirty, const Flags& flags, Value* pc, int64_t offset,
               uint64_t how);

    struct Checkpoint {
        int64_t offset = 0;
        unsigned age = 0;  ///< in instructions
        SlotValues dirty;
        Flags flags;
        bool flags_dirty = false;
    };

    RegionIrBuilder& b_;
    GuestRegisters& registers_;
    const int64_t entry_;
    std::vector<RegionExit> exits_;
    Checkpoint checkpoint_;
    BasicBlock* side_exit_ = nullptr;  ///< of the checkpoint, once it is needed
};

}  // namespace arclight::jit::tier2
