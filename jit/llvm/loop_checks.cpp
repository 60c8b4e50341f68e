// Loops of one block check their accesses for many turns at once.
//
// If all that goes into an address is left alone by the loop or moves by a constant each turn, then how many
// turns its page lasts is known when the page is. The least of these numbers, over all such accesses, is
// counted down in the loop:
//
//     head:   (from outside)
//     refill: for each address: in the page it was in last? else look it up. How many turns?
//             Interrupted? then leave.
//     again:  (and from the loop's end) another turn left? else go to refill
//
// All that is for loops of more than a few turns: the first turns are those of a copy of the block that
// checks each access alone.
//
// So within the loop nothing is known of pages but constants, and interrupts are looked for as often as
// pages.
#include <array>
#include <map>
#include <optional>

#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

namespace {

constexpr unsigned kMaxChecks = 16;
constexpr int64_t kMaxStride = 256;    ///< bytes: with a larger one the page changes too often
constexpr uint64_t kMostInsns = 8192;  ///< until interrupts are looked for again
constexpr uint64_t kFirstTurns = 3;    ///< interrupts are not looked for in between

/// Values that depend on nothing but the registers at the block's start, and are cheap to have twice.
std::vector<bool> known_early(const ir::Block& block) {
    std::vector<bool> early(block.insts.size());
    std::bitset<32> set;
    for (Ref r = 0; r < block.insts.size(); ++r) {
        const Inst& i = block[r];
        switch (i.op) {
            case Op::SetX: set.set(i.imm); break;
            case Op::GetX: early[r] = !set[i.imm]; break;
            case Op::Const: early[r] = i.type == Type::I64 || i.type == Type::I32; break;
            case Op::PcRel:
            case Op::Add:
            case Op::Sub:
            case Op::Shl:
            case Op::SExt32:
            case Op::ZExt32:
                early[r] = true;
                for (unsigned k = 0; k < i.nargs; ++k) early[r] = early[r] && early[i.args[k]];
                break;
            default: break;
        }
    }
    return early;
}

/// By how much each turn of a block's loop, up to `end`, moves a register; nothing: not by a constant.
std::array<std::optional<int64_t>, 32> strides(const ir::Block& block, uint32_t end) {
    std::array<std::optional<int64_t>, 32> stride;
    stride.fill(0);
    for (Ref r = 0; r < end; ++r) {
        if (block[r].op != Op::SetX) continue;
        const auto [from, sum] = ir::displaced(block, block[r].args[0]);
        auto& s = stride[block[r].imm];
        if (block[from].op == Op::GetX && block[from].imm == block[r].imm && std::abs(sum) <= kMaxStride)
            s = sum;
        else
            s.reset();
    }
    return stride;
}

/// The same of a value.
std::optional<int64_t> stride_of(const ir::Block& block, Ref r,
                                 const std::array<std::optional<int64_t>, 32>& strides) {
    const Inst& i = block[r];
    if (i.op == Op::GetX) return strides[i.imm];
    if (i.nargs == 0) return 0;
    const auto a = stride_of(block, i.args[0], strides);
    const auto b = i.nargs > 1 ? stride_of(block, i.args[1], strides) : 0;
    if (!a || !b) return {};
    if (*a == 0 && *b == 0) return 0;
    if (i.type != Type::I64) return {};
    switch (i.op) {
        case Op::Add: return *a + *b;
        case Op::Sub: return *a - *b;
        case Op::Shl:
            if (block[i.args[1]].op != Op::Const || block[i.args[1]].imm > 8) return {};
            return *a << block[i.args[1]].imm;
        default: return {};  // an extension: it may wrap around
    }
}

}  // namespace

/// Where an exit of `from` to block `to` leads.
size_t Lowering::target_of(size_t from, size_t to) const {
    const auto it = further_turns_.find(to);
    return it != further_turns_.end() && (from == to || from == it->second) ? it->second : to;
}

void Lowering::peel_loops() {
    const size_t n = region_.blocks.size();
    for (size_t k = 0; k < n; ++k) {
        if (!plan_loop_checks(k)) continue;
        further_turns_.emplace(k, region_.blocks.size());
        region_.blocks.push_back(RegionBlock(region_.blocks[k]));
    }
    if (further_turns_.empty()) return;
    find_dirty();
    plan_accesses();
    for (const auto& [first, further] : further_turns_)
        info_[further].checks_turns = plan_loop_checks(further);
}

bool Lowering::plan_loop_checks(size_t k) {
    BlockInfo& info = info_[k];
    const RegionBlock& rb = region_.blocks[k];
    uint32_t end = 0;
    unsigned ends = 0;
    for (Ref r = 0; r < rb.ir.insts.size(); ++r) {
        const Inst& i = rb.ir.insts[r];
        if ((i.op != Op::ExitIf && i.op != Op::Exit) || rb.page() + static_cast<int64_t>(i.imm) != rb.offset)
            continue;
        end = r;
        ++ends;
    }
    if (ends != 1) return false;
    const std::vector<bool> early = known_early(rb.ir);
    const auto register_strides = strides(rb.ir, end);
    unsigned checks = 0;
    for (Ref r = 0; r < end && checks < kMaxChecks; ++r) {
        if (info.group_of[r] == kNoGroup) continue;
        Group& g = info.groups[info.group_of[r]];
        if (g.at_head || !early[g.root]) continue;
        const auto stride = stride_of(rb.ir, g.root, register_strides);
        if (!stride || std::abs(*stride) > kMaxStride) continue;
        g.at_head = true;
        g.stride = *stride;
        ++checks;
    }
    return checks != 0;
}

/// From the head of a loop's first turns on.
void Lowering::count_first_turns() {
    BlockInfo& info = info_[current_];
    llvm::IRBuilder<> at(entry_->getTerminator());
    info.first_turns = at.CreateAlloca(b_.getInt64Ty());
    b_.CreateStore(c64(kFirstTurns), info.first_turns);
    b_.CreateBr(info.again);
    b_.SetInsertPoint(info.again);
}

/// Where they go on.
BasicBlock* Lowering::after_first_turn() {
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    const BlockInfo& info = info_[current_];
    BasicBlock* block = new_block();
    b_.SetInsertPoint(block);
    Value* left = b_.CreateSub(b_.CreateLoad(b_.getInt64Ty(), info.first_turns), c64(1));
    b_.CreateStore(left, info.first_turns);
    b_.CreateCondBr(b_.CreateICmpEQ(left, c64(0)), info_[further_turns_.at(current_)].head, info.again);
    return block;
}

/// From the block's head on.
void Lowering::check_at_head() {
    BlockInfo& info = info_[current_];
    if (!info.checks_turns) return;
    const ir::Block& block = *block_;
    llvm::Type* word = b_.getInt64Ty();
    llvm::IRBuilder<> at(entry_->getTerminator());
    llvm::AllocaInst* turns = at.CreateAlloca(word);

    // The addresses are computed twice: in the loop LLVM finds out what of them stays.
    const auto compute = [&](auto& self, Ref r) -> void {
        if (values_[r] != nullptr) return;
        for (unsigned k = 0; k < block[r].nargs; ++k) self(self, block[r].args[k]);
        lower(block[r], r);
    };
    // Where on the host the groups were when they were checked, and how far they have moved since: what each
    // turn counts is one number for all with the same stride.
    std::vector<llvm::AllocaInst*> starts;
    std::map<int64_t, llvm::AllocaInst*> moved_by;
    const auto address = [&](const Group& g) {
        compute(compute, g.root);
        return b_.CreateAdd(i64(g.root), c64(static_cast<uint64_t>(g.lo)));
    };

    BasicBlock* refill = new_block();
    b_.CreateBr(refill);
    b_.SetInsertPoint(refill);
    now_ = {};
    load_known_flags();  // not those of the loop's first turn
    take_checkpoint();
    poll(block_offset());
    Value* left = c64(kMostInsns / block.guest_insns);
    for (const Group& g : info.groups) {
        if (!g.at_head) continue;
        LastPage page;
        declare_page(page);
        const auto span = static_cast<unsigned>(g.hi - g.lo);
        BasicBlock *other = new_block(), *next = new_block();
        Value* start = address(g);
        const auto offset = [&] { return b_.CreateAdd(start, b_.CreateLoad(word, page.minus_tag)); };
        Value* same = b_.CreateICmpULT(offset(), b_.CreateLoad(word, page.limit));
        b_.CreateCondBr(same, next, other, likely_);
        b_.SetInsertPoint(other);
        Value* last_byte = b_.CreateAdd(start, c64(span - 1));
        remember(page,
                 look_up(start, b_.CreateAnd(last_byte, c64(page_mask_)),
                         {.write = g.write, .guessed = guessed(g)}),
                 span);
        b_.CreateBr(next);
        b_.SetInsertPoint(next);
        starts.push_back(at.CreateAlloca(word));
        b_.CreateStore(b_.CreateAdd(start, b_.CreateLoad(word, page.addend)), starts.back());
        if (g.stride == 0) continue;
        if (llvm::AllocaInst*& moved = moved_by[g.stride]; moved == nullptr) moved = at.CreateAlloca(word);
        const auto step = static_cast<uint64_t>(std::abs(g.stride));
        Value* room = g.stride < 0 ? offset() : b_.CreateSub(c64(page_size_ - span), offset());
        Value* lasts = b_.CreateAdd(b_.CreateUDiv(room, c64(step)), c64(1));
        left = b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, left, lasts);
    }
    b_.CreateStore(left, turns);
    for (const auto& [stride, moved] : moved_by) b_.CreateStore(c64(0), moved);
    b_.CreateBr(info.again);

    b_.SetInsertPoint(info.again);
    std::fill(values_.begin(), values_.end(), nullptr);
    now_ = {};
    load_known_flags();
    take_checkpoint();
    effects_ = false;
    BasicBlock* turn = new_block();
    Value* now = b_.CreateLoad(word, turns);
    b_.CreateCondBr(b_.CreateICmpEQ(now, c64(0)), refill, turn, unlikely_);
    b_.SetInsertPoint(turn);
    b_.CreateStore(b_.CreateSub(now, c64(1)), turns);
    size_t n = 0;
    for (Group& g : info.groups) {
        if (!g.at_head) continue;
        Value* host = b_.CreateLoad(word, starts[n++]);
        if (g.stride != 0) host = b_.CreateAdd(host, b_.CreateLoad(word, moved_by.at(g.stride)));
        g.host = b_.CreateIntToPtr(host, b_.getPtrTy());
    }

    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    info.next_turn = new_block();
    b_.SetInsertPoint(info.next_turn);
    for (const auto& [stride, moved] : moved_by)
        b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, moved), c64(static_cast<uint64_t>(stride))), moved);
    b_.CreateBr(info.again);
}

}  // namespace arclight::jit::tier2
