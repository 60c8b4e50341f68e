// NZCV: computed where it is read, from the operands of what set it.
#pragma once

#include <vector>

#include "jit/ir/ir.h"
#include "jit/llvm/flags_kind.h"
#include "jit/llvm/region_ir_builder.h"
#include "jit/region_exit_code.h"

namespace arclight::jit::tier2 {

class BlockValues;

/// NZCV as the operation that sets it and that operation's operands.
struct Flags {
    using enum FlagsKind;
    FlagsKind kind = Dynamic;
    bool wide = true, add = false;  ///< CondCompare, CondFCmp: the comparison
    Value* a = nullptr;
    Value* b = nullptr;
    Value* c = nullptr;  ///< Carry, CondCompare, CondFCmp; Dynamic: the kind, if the variables have been read
    unsigned imm = 0;    ///< CondCompare, CondFCmp: NZCV if c is false
};

/// The function's flags: three variables hold them from block to block, as (kind, a, b).
class GuestFlags {
  public:
    struct Bits {
        Value *n, *z, *c, *v;
    };

    explicit GuestFlags(RegionIrBuilder& b) : b_(b) {}
    /// Makes the variables and loads GuestState's flags.
    void declare();

    /// What a FlagsOf of `arg` stands for.
    Flags flags_of(BlockValues& values, ir::Ref arg);
    Bits bits(const Flags& f);
    /// An A64 condition code, 0..15.
    Value* condition(const Flags& f, unsigned cc);
    Value* carry(const Flags& f) { return condition(f, 2); }
    /// As in GuestState::flags.
    Value* pack(const Flags& f);

    /// The variables' values, now.
    Flags read_variables();
    Value* load_a() { return b_.CreateLoad(b_.getInt64Ty(), operand_a_); }
    Value* load_b() { return b_.CreateLoad(b_.getInt64Ty(), operand_b_); }
    Flags packed_variables() { return pack_dynamic(read_variables()); }
    /// To the variables, before a jump to another block of the region.
    void store(const Flags& f);
    /// Appends what a region exit needs to store `f`. The rare kinds are packed here, the others in the stub.
    FlagsAtExit at_exit(const Flags& f, std::vector<Value*>& operands);

  private:
    Flags pack_dynamic(const Flags& read);
    llvm::Function* pack_function();

    RegionIrBuilder& b_;
    llvm::AllocaInst *kind_ = nullptr, *operand_a_ = nullptr, *operand_b_ = nullptr;
};

}  // namespace arclight::jit::tier2
