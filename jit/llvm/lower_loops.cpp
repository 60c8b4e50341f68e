// Loops with hoisted checks (loop_versioning.h): the block's head, and the edge from the peeled iteration.
#include <cstdlib>
#include <map>

#include "jit/llvm/ir_lowering.h"

namespace arclight::jit::tier2 {

using ir::Ref;

namespace {
constexpr uint64_t kMaxInsns = 8192;   ///< until interrupts are polled again
constexpr int64_t kFewIterations = 3;  ///< that cost less than to check addresses for many
}  // namespace

/// Where the loop of a block goes on whose peeled iteration this was.
BasicBlock* IrLowering::after_peeled_iteration() {
    BasicBlock* many = heads_[versions_.graph.loop_bodies.at(current_)];
    const auto loop = loop_condition(region_block());
    if (!loop) return many;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = b_.new_block();
    b_.SetInsertPoint(block);
    Value* left = loop->step > 0 ? b_.CreateSub(values_.i64(loop->to), values_.i64(loop->from))
                                 : b_.CreateSub(values_.i64(loop->from), values_.i64(loop->to));
    Value* few = b_.CreateICmpULE(left, b_.c64(static_cast<uint64_t>(kFewIterations * std::abs(loop->step))));
    b_.CreateCondBr(few, heads_[current_], many, b_.unlikely());
    return block;
}

/// From the block's head on.
void IrLowering::hoist_checks() {
    const HoistedChecks& loop = versions_.loops[current_];
    if (!loop.any()) return;
    const ir::Block& block = this->block();
    const std::vector<AccessGroup>& groups = versions_.accesses.blocks[current_].groups;
    llvm::Type* word = b_.getInt64Ty();
    llvm::IRBuilder<> at(b_.entry()->getTerminator());

    // The addresses are computed twice: in the loop LLVM finds out what of them stays.
    const auto compute = [&](auto& self, Ref r) -> void {
        if (values_.get(r) != nullptr) return;
        for (unsigned k = 0; k < block[r].nargs; ++k) self(self, block[r].args[k]);
        lower(block[r], r);
    };
    const auto address = [&](const AccessGroup& g) {
        compute(compute, g.root);
        return b_.CreateAdd(values_.i64(g.root), b_.c64(static_cast<uint64_t>(g.lo)));
    };

    BasicBlock *refill = b_.new_block(), *again = b_.new_block();
    b_.CreateBr(refill);
    b_.SetInsertPoint(refill);
    registers_.load_known_flags(current_);  // not those of the peeled iteration
    take_checkpoint();
    exits_.poll(region_block().offset);

    // How far something has moved: by a register, or counted from here on.
    std::map<int64_t, llvm::AllocaInst*> counted;
    const auto moved = [&](int64_t stride) -> Value* {
        if (const auto carrier = carrier_of(block, loop, stride))
            return b_.CreateShl(registers_.value(carrier->x), b_.c64(carrier->shift));
        return b_.CreateLoad(word, counted.at(stride));
    };
    const auto count = [&](int64_t stride) {
        const auto [it, is_new] = counted.try_emplace(stride);
        if (!is_new) return;
        it->second = at.CreateAlloca(word);
        b_.CreateStore(b_.c64(0), it->second);
    };
    std::map<uint32_t, llvm::AllocaInst*>
        origins;  // where the groups would be on the host if nothing had moved
    Value* left = b_.c64(kMaxInsns / block.guest_insns);
    for (const auto& [number, stride] : loop.strides) {
        const AccessGroup& g = groups[number];
        const auto [host, iterations] = addresses_.check_hoisted(g, address(g), stride);
        llvm::AllocaInst* origin = origins[number] = at.CreateAlloca(word);
        if (stride == 0) {
            b_.CreateStore(host, origin);
            continue;
        }
        if (!carrier_of(block, loop, stride)) count(stride);
        b_.CreateStore(b_.CreateSub(host, moved(stride)), origin);
        left = b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, left, iterations);
    }
    // The iterations are told by a register or a count, too.
    if (loop.steps.empty() && counted.empty()) count(1);
    const auto counter = [&]() -> std::pair<int64_t, llvm::AllocaInst*> {
        for (const auto& [number, stride] : loop.strides)
            if (const auto carrier = carrier_of(block, loop, stride))
                return {loop.steps.at(carrier->x), registers_.variable(carrier->x)};
        if (!counted.empty()) return *counted.begin();
        const auto [x, step] = *loop.steps.begin();
        return {step, registers_.variable(x)};
    };
    const auto [step, counted_by] = counter();
    llvm::AllocaInst* end = at.CreateAlloca(word);
    b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, counted_by),
                                b_.CreateMul(left, b_.c64(static_cast<uint64_t>(step)))),
                   end);
    // Of registers that move alike one is enough: the others' values are seldom needed.
    std::map<unsigned, llvm::AllocaInst*> ahead_by;
    for (const auto& [x, stride] : loop.steps) {
        const auto carrier = carrier_of(block, loop, stride);
        if (!carrier || carrier->x == x) continue;
        ahead_by[x] = at.CreateAlloca(word);
        b_.CreateStore(b_.CreateSub(registers_.value(x), moved(stride)), ahead_by[x]);
    }
    b_.CreateBr(again);

    b_.SetInsertPoint(again);
    for (const auto& [x, by] : ahead_by)
        b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, by), moved(loop.steps.at(x))),
                       registers_.variable(x));
    values_.forget();
    registers_.load_known_flags(current_);
    take_checkpoint();
    effects_ = false;
    for (const auto& [number, stride] : loop.strides) {
        Value* host = b_.CreateLoad(word, origins.at(number));
        if (stride != 0) host = b_.CreateAdd(host, moved(stride));
        addresses_.set_host(number, b_.CreateIntToPtr(host, b_.getPtrTy()));
    }

    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    next_iteration_[current_] = b_.new_block();
    b_.SetInsertPoint(next_iteration_[current_]);
    for (const auto& [stride, v] : counted)
        b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, v), b_.c64(static_cast<uint64_t>(stride))), v);
    Value* over = b_.CreateICmpEQ(b_.CreateLoad(word, counted_by), b_.CreateLoad(word, end));
    b_.CreateCondBr(over, refill, again, b_.unlikely());
}

}  // namespace arclight::jit::tier2
