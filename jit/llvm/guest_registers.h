// The guest's registers as variables of the region's function.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "jit/llvm/block_values.h"
#include "jit/llvm/flags.h"
#include "jit/llvm/register_plan.h"

namespace arclight::jit::tier2 {

using SlotValues = std::vector<std::pair<unsigned, Value*>>;

/// The results of an instruction are pending until the next one starts: side exits do not see them.
///
/// A vector register has two variables, one for all of it and one for its lower half (scalar replacement).
/// What is written with zeros above its lower half goes into both; a block reads only the one that fits what
/// it knows, so that LLVM never makes the other one.
class GuestRegisters {
  public:
    GuestRegisters(RegionIrBuilder& b, BlockValues& values, GuestFlags& flags, const RegisterPlan& plan)
        : b_(b), values_(values), flags_(flags), plan_(plan) {}
    const RegisterPlan& plan() const { return plan_; }

    /// Makes the variables, with GuestState's values.
    void declare();
    /// Whether all that is assumed of the registers where the region is entered is true; null: nothing is.
    Value* entry_assumption();
    void begin_block(size_t block);
    /// NZCV becomes what the edges into `block` have in common.
    void load_known_flags(size_t block);

    llvm::AllocaInst* variable(unsigned slot) const { return variable_[slot]; }
    Value* value(unsigned slot);
    /// What a dirty register holds, as region exits are given it: a double for a vector that holds a scalar.
    Value* value_at_exit(unsigned slot);
    SlotValues dirty_values();
    bool flags_dirty() const { return dirty_[kFlagsSlot]; }
    /// NZCV after the instructions committed so far.
    const Flags& flags() const { return now_; }
    /// The same as values that a later jump does not change.
    Flags flags_at_exit() { return now_.kind == Flags::Dynamic ? flags_.read_variables() : now_; }
    void store_flags() { flags_.store(now_); }
    FlagsAtExit flags_operands(const Flags& f, std::vector<Value*>& operands) {
        return flags_.at_exit(f, operands);
    }

    void get_x(ir::Ref index) { values_.def(index, value(static_cast<unsigned>(values_.inst(index).imm))); }
    void get_vector(ir::Ref index);
    void get_flags(ir::Ref index);
    void set_x(const ir::Inst& i);
    void set_vector(const ir::Inst& i);
    void set_flags(const ir::Inst& i);
    void commit();
    void drop_pending() { pending_.clear(); }

  private:
    struct Pending {
        unsigned slot;
        Value* value;
        Flags flags;
        Value* low = nullptr;  ///< of a vector register: the lower half, if zeros are above
    };
    void declare_vector(unsigned slot);
    void set(const Pending& p);
    Value* low_bits(unsigned slot);

    RegionIrBuilder& b_;
    BlockValues& values_;
    GuestFlags& flags_;
    const RegisterPlan& plan_;
    std::array<llvm::AllocaInst*, kFlagsSlot> variable_{};
    std::array<llvm::AllocaInst*, kFlagsSlot> low_variable_{};  ///< of vector registers
    Slots dirty_;
    Slots low_;  ///< vector registers that hold scalars
    Flags now_;
    std::vector<Pending> pending_;
};

}  // namespace arclight::jit::tier2
