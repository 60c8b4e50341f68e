// Loops of one block check their accesses for many turns at once.
//
// If all that goes into an address is left alone by the loop or moves by a constant each turn, then how many
// turns its page lasts is known when the page is. The least of these numbers, over all such accesses, is
// counted down in the loop:
//
//     head:   (from outside)
//     refill: Interrupted? then leave.
//             For each address: in the page it was in last? else look it up. How many turns?
//     again:  a turn; another one left? then go to again, else to refill
//
// The first turn is that of a copy of the block, which checks each access alone: many loops have no second
// one. So are the next ones while the loop's own condition says that only few are left.
//
// Where a register says by how much an address moves, it often moves from page to page, as down a matrix's
// column: such an access is looked up each turn, which costs less than to remember a page in vain.
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
constexpr int64_t kFewTurns = 3;       ///< that cost less than to look at addresses for many

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

/// How each turn of a block's loop moves a value.
struct Stride {
    enum Kind : uint8_t {
        Known,
        Far,     ///< by much, or by what a register says
        Unknown  ///< not from where it was, or it may wrap around
    } kind = Unknown;
    int64_t bytes = 0;

    static Stride by(int64_t bytes) { return {std::abs(bytes) <= kMaxStride ? Known : Far, bytes}; }
    bool stays() const { return kind == Known && bytes == 0; }
};

using Strides = std::array<Stride, 32>;

/// Of the registers, in the loop that ends at `end`.
Strides register_strides(const ir::Block& block, uint32_t end) {
    Strides strides;
    strides.fill(Stride::by(0));
    for (Ref r = 0; r < end; ++r) {
        if (block[r].op != Op::SetX) continue;
        const auto is_itself = [&](Ref v) { return block[v].op == Op::GetX && block[v].imm == block[r].imm; };
        const Inst& i = block[block[r].args[0]];
        const auto [from, sum] = ir::displaced(block, block[r].args[0]);
        Stride& s = strides[block[r].imm];
        if (is_itself(from))
            s = Stride::by(sum);
        else if (i.op == Op::Add || i.op == Op::Sub)
            s.kind = is_itself(i.args[0]) || is_itself(i.args[1]) ? Stride::Far : Stride::Unknown;
        else
            s.kind = Stride::Unknown;
    }
    return strides;
}

Stride stride_of(const ir::Block& block, Ref r, const Strides& registers) {
    const Inst& i = block[r];
    if (i.op == Op::GetX) return registers[i.imm];
    if (i.nargs == 0) return Stride::by(0);
    const Stride a = stride_of(block, i.args[0], registers);
    const Stride b = i.nargs > 1 ? stride_of(block, i.args[1], registers) : Stride::by(0);
    if (a.kind == Stride::Unknown || b.kind == Stride::Unknown) return {};
    if (a.stays() && b.stays()) return a;
    if (a.kind == Stride::Far || b.kind == Stride::Far) return {Stride::Far};
    if (i.type != Type::I64) return {};
    switch (i.op) {
        case Op::Add: return Stride::by(a.bytes + b.bytes);
        case Op::Sub: return Stride::by(a.bytes - b.bytes);
        case Op::Shl:
            if (block[i.args[1]].op != Op::Const || block[i.args[1]].imm > 8) return {};
            return Stride::by(a.bytes << block[i.args[1]].imm);
        default: return {};
    }
}

/// The only exit that leads back to the block's own start, or kNoRef.
Ref back_edge(const RegionBlock& rb) {
    Ref found = ir::kNoRef;
    for (Ref r = 0; r < rb.ir.insts.size(); ++r) {
        const Inst& i = rb.ir.insts[r];
        if ((i.op != Op::ExitIf && i.op != Op::Exit) || rb.page() + static_cast<int64_t>(i.imm) != rb.offset)
            continue;
        if (found != ir::kNoRef) return ir::kNoRef;
        found = r;
    }
    return found;
}

/// A loop goes on while `from`, which each turn moves by `step`, has not come to `to`.
struct Approach {
    Ref from, to;
    int64_t step;
};

std::optional<Approach> approach(const ir::Block& block, Ref end) {
    if (block[end].op != Op::ExitIf) return {};
    const Inst& condition = block[block[end].args[0]];
    if (condition.op != Op::Cond || block[condition.args[0]].op != Op::FlagsOf) return {};
    const Inst& difference = block[block[condition.args[0]].args[0]];
    if (difference.op != Op::Sub || difference.type != Type::I64) return {};
    const Strides registers = register_strides(block, end);
    const auto [a, b] = std::pair{difference.args[0], difference.args[1]};
    const Stride of_a = stride_of(block, a, registers), of_b = stride_of(block, b, registers);
    if (of_a.kind != Stride::Known || of_b.kind != Stride::Known || of_a.stays() == of_b.stays()) return {};
    return of_a.stays() ? Approach{b, a, of_b.bytes} : Approach{a, b, of_a.bytes};
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
    for (size_t k = 0; k < region_.blocks.size(); ++k)
        if (!further_turns_.contains(k)) info_[k].checks_turns = plan_loop_checks(k);
}

bool Lowering::plan_loop_checks(size_t k) {
    BlockInfo& info = info_[k];
    const RegionBlock& rb = region_.blocks[k];
    const Ref end = back_edge(rb);
    if (end == ir::kNoRef) return false;
    const std::vector<bool> early = known_early(rb.ir);
    const Strides registers = register_strides(rb.ir, end);
    unsigned checks = 0;
    for (Ref r = 0; r < end && checks < kMaxChecks; ++r) {
        if (info.group_of[r] == kNoGroup) continue;
        Group& g = info.groups[info.group_of[r]];
        if (g.at_head || !early[g.root]) continue;
        const Stride stride = stride_of(rb.ir, g.root, registers);
        if (stride.kind == Stride::Far) g.page = kNoPage;
        if (stride.kind != Stride::Known) continue;
        g.at_head = true;
        g.stride = stride.bytes;
        ++checks;
    }
    for (unsigned x = 0; x < registers.size(); ++x)
        if (registers[x].kind == Stride::Known && !registers[x].stays()) info.moving[x] = registers[x].bytes;
    return checks != 0;
}

/// Where the loop of a block goes on whose first turn this was.
BasicBlock* Lowering::after_first_turn() {
    BasicBlock* many = info_[further_turns_.at(current_)].head;
    const auto loop = approach(*block_, back_edge(region_.blocks[current_]));
    if (!loop) return many;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    BasicBlock* block = new_block();
    b_.SetInsertPoint(block);
    Value* left = loop->step > 0 ? b_.CreateSub(i64(loop->to), i64(loop->from))
                                 : b_.CreateSub(i64(loop->from), i64(loop->to));
    Value* few = b_.CreateICmpULE(left, c64(static_cast<uint64_t>(kFewTurns * std::abs(loop->step))));
    b_.CreateCondBr(few, info_[current_].head, many, unlikely_);
    return block;
}

/// Which register, of those that the loop moves, to tell a group's place by.
///
/// What a comparison needs each turn is there anyway.
std::optional<Lowering::Carrier> Lowering::carrier_of(int64_t stride) const {
    const auto uses = [&](unsigned x) {
        unsigned n = 0;
        for (const Inst& i : block_->insts) {
            if (i.op != Op::Sub && i.op != Op::And && i.op != Op::FlagsOf) continue;
            for (unsigned k = 0; k < i.nargs; ++k) {
                const Inst& from = (*block_)[ir::displaced(*block_, i.args[k]).root];
                n += from.op == Op::GetX && from.imm == x;
            }
        }
        return n;
    };
    constexpr unsigned kMostShift = 3;  // what an x86 address has for nothing
    std::optional<Carrier> best;
    unsigned most = 0;
    for (unsigned shift = 0; shift <= kMostShift; ++shift) {
        for (const auto& [x, by] : info_[current_].moving) {
            if (by << shift != stride) continue;
            if (const unsigned n = uses(x) + 1; n > most) {
                most = n;
                best = {x, shift};
            }
        }
    }
    return best;
}

/// Where on the host a group is that begins at `start`, and for how many turns its page lasts if it moves.
Lowering::Placed Lowering::place(const Group& g, Value* start) {
    llvm::Type* word = b_.getInt64Ty();
    LastPage page;
    declare_page(page);
    const auto span = static_cast<unsigned>(g.hi - g.lo);
    BasicBlock *other = new_block(), *next = new_block();
    const auto offset = [&] { return b_.CreateAdd(start, b_.CreateLoad(word, page.minus_tag)); };
    Value* same = b_.CreateICmpULT(offset(), b_.CreateLoad(word, page.limit));
    b_.CreateCondBr(same, next, other, likely_);
    b_.SetInsertPoint(other);
    Value* last_byte = b_.CreateAdd(start, c64(span - 1));
    remember(
        page,
        look_up(start, b_.CreateAnd(last_byte, c64(page_mask_)), {.write = g.write, .guessed = guessed(g)}),
        span);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
    Value* host = b_.CreateAdd(start, b_.CreateLoad(word, page.addend));
    if (g.stride == 0) return {host, nullptr};
    const auto step = static_cast<uint64_t>(std::abs(g.stride));
    Value* room = g.stride < 0 ? offset() : b_.CreateSub(c64(page_size_ - span), offset());
    return {host, b_.CreateAdd(b_.CreateUDiv(room, c64(step)), c64(1))};
}

/// From the block's head on.
void Lowering::check_at_head() {
    BlockInfo& info = info_[current_];
    if (!info.checks_turns) return;
    const ir::Block& block = *block_;
    llvm::Type* word = b_.getInt64Ty();
    llvm::IRBuilder<> at(entry_->getTerminator());

    // The addresses are computed twice: in the loop LLVM finds out what of them stays.
    const auto compute = [&](auto& self, Ref r) -> void {
        if (values_[r] != nullptr) return;
        for (unsigned k = 0; k < block[r].nargs; ++k) self(self, block[r].args[k]);
        lower(block[r], r);
    };
    const auto address = [&](const Group& g) {
        compute(compute, g.root);
        return b_.CreateAdd(i64(g.root), c64(static_cast<uint64_t>(g.lo)));
    };

    BasicBlock *refill = new_block(), *again = new_block();
    b_.CreateBr(refill);
    b_.SetInsertPoint(refill);
    now_ = {};
    load_known_flags();  // not those of the loop's first turn
    take_checkpoint();
    poll(block_offset());

    // How far something has moved: by a register, or counted from here on.
    std::map<int64_t, llvm::AllocaInst*> counted;
    const auto moved = [&](int64_t stride) -> Value* {
        if (const auto carrier = carrier_of(stride))
            return b_.CreateShl(slot_value(carrier->x), c64(carrier->shift));
        return b_.CreateLoad(word, counted.at(stride));
    };
    const auto count = [&](int64_t stride) {
        const auto [it, is_new] = counted.try_emplace(stride);
        if (!is_new) return;
        it->second = at.CreateAlloca(word);
        b_.CreateStore(c64(0), it->second);
    };
    std::vector<llvm::AllocaInst*> origins;  // where the groups would be on the host if nothing had moved
    Value* left = c64(kMostInsns / block.guest_insns);
    for (const Group& g : info.groups) {
        if (!g.at_head) continue;
        const auto [host, turns] = place(g, address(g));
        origins.push_back(at.CreateAlloca(word));
        if (g.stride == 0) {
            b_.CreateStore(host, origins.back());
            continue;
        }
        if (!carrier_of(g.stride)) count(g.stride);
        b_.CreateStore(b_.CreateSub(host, moved(g.stride)), origins.back());
        left = b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, left, turns);
    }
    // So are the turns.
    if (info.moving.empty() && counted.empty()) count(1);
    const auto counter = [&]() -> std::pair<int64_t, llvm::AllocaInst*> {
        for (const Group& g : info.groups)
            if (const auto carrier = carrier_of(g.stride); carrier && g.at_head)
                return {info.moving.at(carrier->x), variable_[carrier->x]};
        if (!counted.empty()) return *counted.begin();
        const auto [x, stride] = *info.moving.begin();
        return {stride, variable_[x]};
    };
    const auto [step, counted_by] = counter();
    llvm::AllocaInst* end = at.CreateAlloca(word);
    b_.CreateStore(
        b_.CreateAdd(b_.CreateLoad(word, counted_by), b_.CreateMul(left, c64(static_cast<uint64_t>(step)))),
        end);
    // Of registers that move alike one is enough: what the others are is seldom asked.
    std::map<unsigned, llvm::AllocaInst*> ahead_by;
    for (const auto& [x, stride] : info.moving) {
        const auto carrier = carrier_of(stride);
        if (!carrier || carrier->x == x) continue;
        ahead_by[x] = at.CreateAlloca(word);
        b_.CreateStore(b_.CreateSub(slot_value(x), moved(stride)), ahead_by[x]);
    }
    b_.CreateBr(again);

    b_.SetInsertPoint(again);
    for (const auto& [x, by] : ahead_by)
        b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, by), moved(info.moving.at(x))), variable_[x]);
    std::fill(values_.begin(), values_.end(), nullptr);
    now_ = {};
    load_known_flags();
    take_checkpoint();
    effects_ = false;
    size_t n = 0;
    for (Group& g : info.groups) {
        if (!g.at_head) continue;
        Value* host = b_.CreateLoad(word, origins[n++]);
        if (g.stride != 0) host = b_.CreateAdd(host, moved(g.stride));
        g.host = b_.CreateIntToPtr(host, b_.getPtrTy());
    }

    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    info.next_turn = new_block();
    b_.SetInsertPoint(info.next_turn);
    for (const auto& [stride, v] : counted)
        b_.CreateStore(b_.CreateAdd(b_.CreateLoad(word, v), c64(static_cast<uint64_t>(stride))), v);
    Value* over = b_.CreateICmpEQ(b_.CreateLoad(word, counted_by), b_.CreateLoad(word, end));
    b_.CreateCondBr(over, refill, again, unlikely_);
}

}  // namespace arclight::jit::tier2
