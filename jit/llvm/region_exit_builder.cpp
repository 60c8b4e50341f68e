#include "jit/llvm/region_exit_builder.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Statepoint.h>

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

void RegionExitBuilder::leave(const SlotValues& slots, bool flags_dirty, const Flags& flags, Value* pc,
                              int64_t offset, uint64_t how) {
    RegionExit exit;
    std::vector<Value*> operands{b_.state()};
    for (const auto& [slot, value] : slots) {
        exit.slots.push_back(static_cast<uint8_t>(slot));
        operands.push_back(value);
        if (slot < kVSlot || value->getType() == b_.v128()) continue;
        exit.low |= 1u << (slot - kVSlot);
        if (!registers_.plan().assumed_low[slot]) exit.clear |= 1u << (slot - kVSlot);
    }
    if (flags_dirty) exit.flags = registers_.flags_operands(flags, operands);
    const auto result = static_cast<int64_t>(static_cast<uint64_t>(offset) | how);
    exit.pc_known = pc == nullptr && result == static_cast<int32_t>(result);
    if (exit.pc_known) {
        exit.offset = static_cast<int32_t>(result);
    } else {
        operands.push_back(
            pc != nullptr ? pc : b_.CreateAdd(b_.page_base(), b_.c64(static_cast<uint64_t>(result))));
    }

    llvm::Module& module = b_.module();
    auto* nothing = llvm::FunctionType::get(b_.getVoidTy(), false);
    llvm::Function* statepoint = llvm::Intrinsic::getDeclaration(
        &module, llvm::Intrinsic::experimental_gc_statepoint, {b_.getPtrTy()});
    Value* outside = module.getOrInsertFunction("outside", nothing).getCallee();
    constexpr auto kLiveIn = static_cast<uint32_t>(llvm::StatepointFlags::DeoptLiveIn);
    llvm::CallInst* call =
        b_.CreateCall(statepoint,
                      {b_.c64(exits_.size()), b_.getInt32(kExitSiteBytes), outside, b_.getInt32(0),
                       b_.getInt32(kLiveIn), b_.getInt32(0), b_.getInt32(0)},
                      {llvm::OperandBundleDef("deopt", operands)});
    call->addParamAttr(2, llvm::Attribute::get(b_.getContext(), llvm::Attribute::ElementType, nothing));
    call->setDoesNotThrow();
    call->setDoesNotReturn();
    b_.CreateUnreachable();
    exits_.push_back(std::move(exit));
}

void RegionExitBuilder::emit_exit(Value* pc, int64_t offset) {
    const bool flags_dirty = registers_.flags_dirty();
    const Flags flags = flags_dirty ? registers_.flags_at_exit() : registers_.flags();
    leave(registers_.dirty_values(), flags_dirty, flags, pc, offset, 0);
}

BasicBlock* RegionExitBuilder::exit_to(int64_t offset) {
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = b_.new_block();
    b_.SetInsertPoint(block);
    emit_exit(nullptr, offset);
    return block;
}

void RegionExitBuilder::refuse_entry() {
    count_failed_assumptions(b_.getInt32(kFailedAtEntry), kAssumptionAtEntry);
    leave({}, false, {}, nullptr, entry_, region_exit::kStuck | region_exit::kSideExit);
}

void RegionExitBuilder::poll(int64_t offset) {
    // What guest code waits for in a loop must be read again in each iteration. As an atomic one, LLVM would
    // keep the load apart from the comparison.
    auto* flag = b_.CreateAlignedLoad(b_.getInt32Ty(), b_.state_field(offsetof(GuestState, interrupt)),
                                      llvm::Align(4), /*isVolatile=*/true);
    b_.CreateFence(llvm::AtomicOrdering::Acquire, llvm::SyncScope::SingleThread);
    BasicBlock* next = b_.new_block();
    b_.CreateCondBr(b_.CreateICmpEQ(flag, b_.getInt32(0)), next, exit_to(offset), b_.likely());
    b_.SetInsertPoint(next);
}

void RegionExitBuilder::take_checkpoint(int64_t offset) {
    checkpoint_ = {};
    checkpoint_.offset = offset;
    checkpoint_.dirty = registers_.dirty_values();
    checkpoint_.flags_dirty = registers_.flags_dirty();
    // The variables change at the next jump; the side exit must be given what they are now.
    if (checkpoint_.flags_dirty) checkpoint_.flags = registers_.flags_at_exit();
    side_exit_ = nullptr;
}

BasicBlock* RegionExitBuilder::side_exit() {
    if (side_exit_ != nullptr) return side_exit_;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    side_exit_ = b_.new_block();
    b_.SetInsertPoint(side_exit_);
    const bool stuck = checkpoint_.offset == entry_;
    leave(checkpoint_.dirty, checkpoint_.flags_dirty, checkpoint_.flags, nullptr, checkpoint_.offset,
          region_exit::kSideExit | (stuck ? region_exit::kStuck : 0));
    return side_exit_;
}

void RegionExitBuilder::guard(Value* ok) {
    BasicBlock* next = b_.new_block();
    b_.CreateCondBr(ok, next, side_exit(), b_.likely());
    b_.SetInsertPoint(next);
}

void RegionExitBuilder::count_failed_assumptions(Value* how_many, Assumptions which) {
    const size_t count = offsetof(GuestState, failed_assumptions.count);
    b_.store_state(count, b_.CreateAdd(b_.load_state(count, b_.getInt32Ty(), 4), how_many), 4);
    const size_t names = offsetof(GuestState, failed_assumptions.which);
    Value* chosen = b_.CreateSelect(b_.CreateICmpNE(how_many, b_.getInt32(0)), b_.c64(which), b_.c64(0));
    b_.store_state(names, b_.CreateOr(b_.load_state(names, b_.getInt64Ty()), chosen));
}

}  // namespace arclight::jit::tier2
