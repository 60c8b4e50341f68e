// From block to block, and out of the region.
#include <algorithm>
#include <set>

#include "jit/guest_state.h"
#include "jit/llvm/ir_lowering.h"

namespace arclight::jit::tier2 {

using ir::Inst;

void IrLowering::lower_exit(const Inst& i) {
    registers_.commit();
    const int64_t target = region_block().page() + static_cast<int64_t>(i.imm);
    if (versions_.graph.by_offset.contains(target)) registers_.store_flags();
    b_.CreateBr(edge_to(target));
}

void IrLowering::lower_conditional_exit(const Inst& i) {
    registers_.commit();
    const int64_t target = region_block().page() + static_cast<int64_t>(i.imm);
    const bool inside = versions_.graph.by_offset.contains(target);
    if (inside) registers_.store_flags();
    BasicBlock* next = b_.new_block();
    llvm::MDNode* weights = inside ? nullptr : b_.unlikely();
    if (const uint32_t runs = region_block().runs; runs != 0) {
        const uint32_t times = std::min(taken(target), runs);
        weights = md_.createBranchWeights(times + 1, runs - times + 1);
    }
    b_.CreateCondBr(values_.boolean(i.args[0]),
                    fp_.has_unchecked() ? checked_edge_to(target) : edge_to(target), next, weights);
    b_.SetInsertPoint(next);
}

void IrLowering::lower_indirect_exit(const Inst& i) {
    registers_.commit();
    Value* pc = values_.i64(i.args[0]);
    const auto& targets = versions_.graph.targets_of(region_block(), i);
    // A tagged or misaligned address is no block's; the region entry sorts it out, but not region_exit::kStuck.
    exits_.guard(b_.CreateICmpEQ(b_.CreateAnd(pc, b_.c64(3)), b_.c64(0)));
    if (!targets.empty()) {
        registers_.store_flags();
        jump_to_one_of(targets, pc);
    }
    // Beside state.pc, which the exit stub stores: SharedStubs::lookup_region.
    b_.store_state(offsetof(GuestState, exit_info), b_.getInt32(kIndirectExit | i.aux), 4);
    exits_.emit_exit(pc);
}

/// How often the current block went to `offset`, in its `runs` runs.
uint32_t IrLowering::taken(int64_t offset) const {
    uint32_t n = 0;
    for (const RegionBlock::Edge& e : region_block().edges)
        if (e.offset == offset) n += e.count;
    return n;
}

/// The block to jump to for `offset`, in the region or of a region exit. NZCV must have been stored.
BasicBlock* IrLowering::edge_to(int64_t offset) {
    const RegionGraph& graph = versions_.graph;
    const auto it = graph.by_offset.find(offset);
    if (it == graph.by_offset.end()) return exits_.exit_to(offset);
    const size_t to = graph.target_of(current_, it->second);
    if (to == current_ && versions_.loops[to].any()) return next_iteration_[to];
    if (it->second == current_ && to != current_) return after_peeled_iteration();
    if (!register_plan_.back_edges[current_][to]) return heads_[to];
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = b_.new_block();
    b_.SetInsertPoint(block);
    exits_.poll(offset);
    b_.CreateBr(heads_[to]);
    return block;
}

/// The same in the middle of a block. Floating-point results are checked on this edge only: going on, there
/// will be more to check together.
BasicBlock* IrLowering::checked_edge_to(int64_t offset) {
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = b_.new_block();
    b_.SetInsertPoint(block);
    FpLowering::Results results = fp_.results();
    fp_.check_results();
    b_.CreateBr(edge_to(offset));
    fp_.restore(std::move(results));
    return block;
}

/// Goes on where none of them is in the region.
void IrLowering::jump_to_one_of(const std::vector<int64_t>& offsets, Value* pc) {
    std::set<int64_t> inside;
    for (const int64_t o : offsets)
        if (versions_.graph.by_offset.contains(o)) inside.insert(o);
    BasicBlock* out = b_.new_block();
    if (inside.empty()) {
        b_.CreateBr(out);
    } else {
        // In words from the first one, so that LLVM finds a table dense enough. A misaligned pc becomes a
        // large number.
        const int64_t first = *inside.begin();
        Value* offset = b_.CreateSub(b_.CreateSub(pc, b_.page_base()), b_.c64(static_cast<uint64_t>(first)));
        offset = b_.CreateIntrinsic(llvm::Intrinsic::fshr, {b_.getInt64Ty()}, {offset, offset, b_.c64(2)});
        auto* choice = b_.CreateSwitch(offset, out, static_cast<unsigned>(inside.size()));
        std::vector<uint32_t> weights{1};
        for (const int64_t o : inside) {
            choice->addCase(b_.getInt64(static_cast<uint64_t>(o - first) / 4), edge_to(o));
            weights.push_back(taken(o) + 1);
        }
        if (const RegionBlock& rb = region_block(); rb.runs != 0) {
            uint64_t known = 0;
            for (const RegionBlock::Edge& e : rb.edges) known += e.count;
            weights[0] += rb.runs - static_cast<uint32_t>(std::min<uint64_t>(known, rb.runs));
            choice->setMetadata(llvm::LLVMContext::MD_prof, md_.createBranchWeights(weights));
        }
    }
    b_.SetInsertPoint(out);
}

}  // namespace arclight::jit::tier2
