// From a region's IR to one LLVM function.
//
// The plans say what to do where (register_plan.h, access_plan.h, loop_versioning.h); IrLowering makes the
// function block by block, with a helper for each kind of instruction.
#pragma once

#include <memory>
#include <vector>

#include "jit/llvm/address_lowering.h"
#include "jit/llvm/fastmem_lowering.h"
#include "jit/llvm/fp_lowering.h"
#include "jit/llvm/integer_lowering.h"
#include "jit/llvm/loop_versioning.h"
#include "jit/llvm/memory_lowering.h"
#include "jit/llvm/register_plan.h"
#include "jit/llvm/vector_lowering.h"

namespace arclight::jit::tier2 {

class IrLowering {
  public:
    IrLowering(llvm::Module& module, const Region& region);
    IrLowering(const IrLowering&) = delete;
    IrLowering& operator=(const IrLowering&) = delete;

    /// Makes the function `region`. Null: the entry's first instruction is not supported.
    llvm::Function* run();
    /// By the numbers of the function's statepoints.
    const std::vector<RegionExit>& exits() const { return exits_.exits(); }

  private:
    // ---- ir_lowering.cpp
    const RegionBlock& region_block() const { return versions_.graph.region.blocks[current_]; }
    const ir::Block& block() const { return region_block().ir; }
    void enter();
    void lower_block(size_t index);
    void lower(const ir::Inst& i, ir::Ref index);
    void lower_pointer(const ir::Inst& i, ir::Ref index);
    void start_instruction(ir::Ref index);
    void take_checkpoint();

    // ---- lower_exits.cpp
    void lower_exit(const ir::Inst& i);
    void lower_conditional_exit(const ir::Inst& i);
    void lower_indirect_exit(const ir::Inst& i);
    BasicBlock* edge_to(int64_t offset);
    BasicBlock* checked_edge_to(int64_t offset);
    uint32_t taken(int64_t offset) const;
    void jump_to_one_of(const std::vector<int64_t>& offsets, Value* pc);

    // ---- lower_loops.cpp
    BasicBlock* after_peeled_iteration();
    void hoist_checks();

    const LoopVersioning versions_;
    const RegisterPlan register_plan_;
    const bool uses_fastmem_;

    RegionIrBuilder b_;
    llvm::MDBuilder md_;
    BlockValues values_;
    GuestFlags flags_;
    GuestRegisters registers_;
    RegionExitBuilder exits_;
    FastmemLowering fastmem_;
    AddressLowering addresses_;
    MemoryLowering memory_;
    IntegerLowering integers_;
    VectorLowering vectors_;
    FpLowering fp_;

    std::vector<BasicBlock*> heads_;           ///< by block
    std::vector<BasicBlock*> next_iteration_;  ///< by block with hoisted checks: where its loop goes on

    // The block that is being lowered
    size_t current_ = 0;
    int64_t insn_offset_ = 0;  ///< as RegionBlock::offset
    bool effects_ = true;      ///< something since the checkpoint may not be done twice
};

}  // namespace arclight::jit::tier2
