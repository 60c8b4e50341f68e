#include "jit/engine/superblock_builder.h"

#include <algorithm>
#include <span>

#include "jit/engine/edge_profile.h"
#include "jit/ir/scalable.h"

namespace arclight::jit {

namespace {
/// Calls within calls that are followed.
constexpr size_t kMaxDepth = 12;
/// Of an indirect branch's samples, those that must have gone to one target.
constexpr double kDominant = 0.8;
constexpr uint32_t kMinSamples = 8;
constexpr int64_t kMaxDistance = int64_t{1} << 30;
constexpr unsigned kNotEqual = 1;
constexpr unsigned with_sides(unsigned insns) { return insns + insns / 2; }
constexpr auto kPageOffset = static_cast<int64_t>(kPageMask);

/// Where execution goes on behind a conditional exit that is not taken, if that is an instruction's start.
std::optional<int64_t> behind(const ir::Block& block, ir::Ref exit) {
    for (ir::Ref k = exit + 1; k < block.insts.size(); ++k) {
        const ir::Inst& i = block[k];
        if (i.op == ir::Op::InsnStart || i.op == ir::Op::Exit) return static_cast<int64_t>(i.imm);
        if (i.op != ir::Op::Const) break;
    }
    return std::nullopt;
}

bool usable(const TranslationBlock* block, const TranslationBlock& from) {
    // A loop that copies memory is faster in its own block.
    return block != nullptr && block->valid && !block->stop && !block->spins &&
           block->memory_loop == nullptr && block->translation_flags == from.translation_flags;
}
}  // namespace

bool SuperblockBuilder::follow_direct(const TranslationBlock& block, int64_t target, Next& next) const {
    for (size_t e = 0; e < block.code.exits.size(); ++e) {
        const TranslationBlock* to = block.linked[e];
        if (block.code.exits[e].target != target || !usable(to, block)) continue;
        next.block = cache_.find(to->pa, to->translation_flags);
        next.at = path_.page + target;
        return next.block != nullptr;
    }
    return false;
}

bool SuperblockBuilder::follow_indirect(const TranslationBlock& block, const ir::Inst& exit, Next& next) {
    const auto kind = static_cast<ir::BranchKind>(exit.aux);
    uint64_t pa = 0;
    if (kind == ir::BranchKind::Barrier) return false;
    if (kind == ir::BranchKind::Return && !path_.frames.empty()) {
        next.at = path_.frames.back().return_at;
        const auto page = std::ranges::find(page_offsets_, next.at & kPageOffset);
        if (page == page_offsets_.end()) return false;
        pa = built_->pages[static_cast<size_t>(page - page_offsets_.begin())] |
             (static_cast<uint64_t>(next.at) & ~kPageMask);
    } else {
        const EdgeProfile* profile = block.profile.get();
        if (profile == nullptr || profile->counting || profile->targets.empty() ||
            profile->samples < kMinSamples)
            return false;
        const EdgeProfile::Target& target = profile->targets.front();
        if (target.count < kDominant * profile->samples) return false;
        next.at = path_.page + target.offset;
        next.other_share = next.share * double(profile->samples - target.count) / profile->samples;
        next.share -= next.other_share;
        pa = target.pa;
    }
    next.indirect = true;
    next.block = cache_.find(pa, block.translation_flags);
    return usable(next.block, block);
}

SuperblockBuilder::Next SuperblockBuilder::next_of(const TranslationBlock& block) {
    const EdgeProfile* profile = block.profile.get();
    const bool known = profile != nullptr && !profile->counting && profile->runs != 0 && left_ > 0;
    const auto taken = [&](int64_t target) {
        double sum = 0;
        for (size_t e = 0; e < block.code.exits.size(); ++e)
            if (block.code.exits[e].target == target) sum += profile->taken[e];
        return sum;
    };
    Next next;
    const double runs = known ? profile->runs * left_ : 0;
    double left = runs;
    std::set<int64_t> counted;
    for (ir::Ref k = 0; k + 1 < piece_.insts.size(); ++k) {
        const ir::Inst& i = piece_[k];
        if (i.op != ir::Op::ExitIf) continue;
        if (!known) return {};
        const auto target = static_cast<int64_t>(i.imm);
        if (!counted.insert(target).second) continue;
        const double leaves = std::min(left, taken(target));
        if (leaves * 2 > left) {
            const auto otherwise = behind(piece_, k);
            next.share = leaves / runs;
            if (!otherwise || !follow_direct(block, target, next)) return {};
            next.other_share = (left - leaves) / runs;
            next.end = k;
            next.conditional = true;
            next.otherwise = *otherwise;
            return next;
        }
        ways_.push_back({k, leaves / runs});
        left -= leaves;
    }
    next.end = static_cast<ir::Ref>(piece_.insts.size() - 1);
    if (known) next.share = left / runs;
    const ir::Inst& last = piece_.insts.back();
    const bool follows = last.op == ir::Op::Exit ? follow_direct(block, static_cast<int64_t>(last.imm), next)
                         : last.op == ir::Op::ExitIndirect ? follow_indirect(block, last, next)
                                                           : false;
    if (!follows) return {};
    const auto kind = static_cast<ir::BranchKind>(last.aux);
    if (kind == ir::BranchKind::Call) {
        if (path_.frames.size() == kMaxDepth) return {};
        path_.frames.push_back(
            {path_.page + static_cast<int64_t>(block.pa & ~kPageMask) + block.guest_bytes, path_.frame});
        path_.frame = ++frames_made_;
    } else if (last.op == ir::Op::ExitIndirect && kind == ir::BranchKind::Return) {
        path_.frame = path_.frames.empty() ? ++frames_made_ : path_.frames.back().number;
        if (!path_.frames.empty()) path_.frames.pop_back();
    }
    return next;
}

std::optional<unsigned> SuperblockBuilder::page_number(const Next& next) {
    const int64_t offset = next.at & kPageOffset;
    const uint64_t pa = next.block->pa & kPageMask;
    if (next.at < -kMaxDistance || next.at > kMaxDistance) return std::nullopt;
    const auto found = std::ranges::find(page_offsets_, offset);
    const auto number = static_cast<unsigned>(found - page_offsets_.begin());
    if (found != page_offsets_.end())
        return built_->pages[number] == pa ? std::optional(number) : std::nullopt;
    if (number == ir::kMaxPages) return std::nullopt;
    page_offsets_.push_back(offset);
    built_->pages.push_back(pa);
    return number;
}

/// Copies the instructions of piece_ before `end`. Guest registers that an earlier block has written or read are not read again.
void SuperblockBuilder::append(ir::Builder& builder, ir::Ref end) {
    ir::Block& out = builder.block();
    refs_.assign(piece_.insts.size(), ir::kNoRef);
    double left = 1;
    for (ir::Ref k = 0; k < end; ++k) {
        ir::Inst i = piece_[k];
        for (unsigned a = 0; a < i.nargs; ++a) i.args[a] = refs_[i.args[a]];
        const auto index = static_cast<unsigned>(i.imm);
        switch (i.op) {
            case ir::Op::GetX: refs_[k] = builder.get_x(index); break;
            case ir::Op::GetV: refs_[k] = builder.get_v(i.type, index); break;
            case ir::Op::GetFlags: refs_[k] = builder.get_flags(); break;
            case ir::Op::SetX: builder.set_x(index, i.args[0]); break;
            case ir::Op::SetFlags: builder.set_flags(i.args[0]); break;
            case ir::Op::SetV: {
                // A narrow register may have been replaced by a wider value, and SetV goes by the value's type.
                const ir::Type meant = piece_[piece_[k].args[0]].type;
                if (meant == ir::Type::V128 || out[i.args[0]].type == meant) {
                    builder.set_v(index, i.args[0]);
                } else {
                    const ir::Op narrow = meant == ir::Type::F64 ? ir::Op::VZext64 : ir::Op::VZext32;
                    builder.set_v(index, builder.emit(narrow, ir::Type::V128, {i.args[0]}));
                }
                break;
            }
            case ir::Op::StoreField:
                if (!ir::is_cleared(out, i)) out.insts.push_back(i);
                break;
            case ir::Op::InsnStart: ++out.guest_insns; [[fallthrough]];
            default:
                out.insts.push_back(i);
                refs_[k] = static_cast<ir::Ref>(out.insts.size() - 1);
                if (i.op == ir::Op::CallRuntime && (i.aux & ir::kCallWritesState) != 0) builder.reset();
                if (i.op == ir::Op::Scalable || i.op == ir::Op::ScalableAccess) builder.forget_vectors();
                if (const auto way = std::ranges::find(ways_, k, &Way::exit); way != ways_.end()) {
                    offer_side(builder, static_cast<int64_t>(i.imm), reach_ * way->share);
                    lay_out_exit(reach_ * way->share);
                    lay_out(reach_ * (left -= way->share));
                }
        }
    }
}

/// The exit that is not left by, but where it leads elsewhere.
void SuperblockBuilder::append_exit(ir::Builder& builder, const Next& next) {
    const ir::Inst& exit = piece_[next.end];
    if (next.conditional) {
        const ir::Ref c = refs_[exit.args[0]];
        const ir::Ref inverse = builder.emit(ir::Op::Not1, ir::Type::I1, {c});
        builder.emit(ir::Op::ExitIf, ir::Type::Void, {inverse}, static_cast<uint64_t>(next.otherwise));
        offer_side(builder, next.otherwise, reach_ * next.other_share);
        return lay_out_exit(reach_ * next.other_share);
    }
    if (!next.indirect) return;
    const ir::Ref pc = refs_[exit.args[0]];
    const auto expected = static_cast<uint64_t>(next.at - path_.page);
    const ir::Inst& known = builder.block()[pc];
    if (known.op == ir::Op::PcRel && known.imm == expected) return;
    const ir::Ref target = builder.emit(ir::Op::PcRel, ir::Type::I64, {}, expected);
    const ir::Ref difference = builder.bin_raw(ir::Op::Sub, ir::Type::I64, pc, target);
    const ir::Ref flags = builder.flags_of(difference);
    const ir::Ref other = builder.emit(ir::Op::Cond, ir::Type::I1, {flags}, kNotEqual);
    builder.emit(ir::Op::ExitIndirectIf, ir::Type::Void, {other, pc}, 0, exit.aux);
    lay_out_exit(reach_ * next.other_share);
}

void SuperblockBuilder::enter_page(ir::Builder& builder, const Next& next, unsigned number) {
    const int64_t page = next.at & kPageOffset;
    if (page == path_.page) return;
    const bool known = (path_.entered >> number & 1) != 0;
    builder.emit(ir::Op::EnterPage, ir::Type::Void, {}, static_cast<uint64_t>(next.at - path_.page),
                 number | (known ? ir::kEnterKnown : 0));
    builder.rebase_addresses(page - path_.page);
    path_.entered |= 1u << number;
    path_.page = page;
}

// ---- The layout

void SuperblockBuilder::lay_out(double reach) {
    auto& pieces = built_->layout.pieces;
    const bool frequent = reach >= limits_->frequent;
    if (frequent == (pieces.empty() || pieces.back().frequent)) return;
    const auto here = static_cast<ir::Ref>(built_->ir.insts.size());
    if (!pieces.empty() && pieces.back().from == here)
        pieces.pop_back();
    else
        pieces.push_back({here, frequent});
}

void SuperblockBuilder::lay_out_exit(double reach) {
    if (reach >= limits_->frequent_way_out)
        built_->layout.ways_out.push_back(static_cast<ir::Ref>(built_->ir.insts.size() - 1));
}

// ---- The tree

void SuperblockBuilder::offer_side(const ir::Builder& builder, int64_t target, double reach) {
    if (reach < limits_->min_side_reach) return;
    Side side{.exit = static_cast<ir::Ref>(built_->ir.insts.size() - 1),
              .reach = reach,
              .next = {},
              .start = 0,
              .left = 1,
              .path = before_,
              .seen = {},
              .registers = builder.registers()};
    if (!follow_direct(*block_, target, side.next)) {
        // The block goes on there.
        const int64_t start = target - static_cast<int64_t>(block_->pa & ~kPageMask);
        if (start <= 0 || start >= int64_t{block_->guest_bytes}) return;
        side.next.block = block_;
        side.next.at = path_.page + target;
        side.start = static_cast<uint32_t>(start);
        side.left = left_ * reach / reach_;
    } else if (side.next.block == head_) {
        return;
    }
    if (seen_.contains({before_.frame, side.next.at})) return;
    side.seen = seen_;
    sides_.push_back(std::move(side));
}

/// Appends the block and those that mostly follow it.
void SuperblockBuilder::grow(ir::Builder& builder, TranslationBlock* block, int64_t at, double reach,
                             uint32_t start, double left) {
    ir::Block& out = built_->ir;
    const bool is_side = !out.sides.empty();
    const unsigned limit = is_side ? with_sides(limits_->insns) : limits_->insns;
    const auto head_at = static_cast<int64_t>(head_->pa & ~kPageMask);
    for (;;) {
        ++built_->blocks;
        if (std::ranges::find(built_->members, block) == built_->members.end())
            built_->members.push_back(block);
        seen_.insert({path_.frame, at});
        piece_.clear();
        piece_.pa = block->pa + start;
        piece_.translation_flags = block->translation_flags;
        frontend_.translate(piece_, std::span(block->guest_code).subspan(start),
                            static_cast<uint32_t>(piece_.pa & ~kPageMask), block->translation_flags,
                            block->guest_insns);
        mark_sites(piece_);
        block_ = block;
        before_ = path_;
        reach_ = reach;
        left_ = left;
        ways_.clear();
        Next next;
        if (out.guest_insns + block->guest_insns < limit) next = next_of(*block);
        if (next.block != nullptr) {
            reach *= next.share;
            const bool loop = next.block == head_ && path_.frame == 0 && next.at == head_at;
            const unsigned insns = out.guest_insns + block->guest_insns;
            if (loop && before_.frame == 0 && !is_side && 2 * insns <= limits_->unroll) {
                seen_.clear();
            } else if (reach < (is_side ? limits_->min_side_reach : limits_->min_reach) ||
                       seen_.contains({path_.frame, next.at})) {
                next.block = nullptr;
            }
        }
        const auto number = next.block != nullptr ? page_number(next) : std::nullopt;
        if (!number) return append(builder, static_cast<ir::Ref>(piece_.insts.size()));
        append(builder, next.end);
        append_exit(builder, next);
        lay_out(reach);
        enter_page(builder, next, *number);
        block = next.block;
        at = next.at;
        start = 0;
        left = 1;
    }
}

/// Goes on where the exits lead that are taken most.
void SuperblockBuilder::grow_sides(ir::Builder& builder) {
    ir::Block& out = built_->ir;
    while (!sides_.empty() && out.sides.size() < limits_->sides &&
           out.guest_insns < with_sides(limits_->insns)) {
        const auto best = std::ranges::max_element(sides_, {}, &Side::reach);
        Side side = std::move(*best);
        sides_.erase(best);
        path_ = std::move(side.path);
        const auto number = page_number(side.next);
        if (!number) continue;
        seen_ = std::move(side.seen);
        builder.set_registers(side.registers);
        out.sides.push_back({side.exit, static_cast<ir::Ref>(out.insts.size())});
        lay_out(side.reach);
        enter_page(builder, side.next, *number);
        grow(builder, side.next.block, side.next.at, side.reach, side.start, side.left);
    }
}

SuperblockBuilder::Built SuperblockBuilder::build(TranslationBlock& head, const Limits& limits) {
    Built built;
    built_ = &built;
    limits_ = &limits;
    head_ = &head;
    built.ir.pa = head.pa;
    built.ir.translation_flags = head.translation_flags;
    built.ir.superblock = true;
    built.pages = {head.pa & kPageMask};
    page_offsets_ = {0};
    path_ = {};
    seen_.clear();
    sides_.clear();
    frames_made_ = 0;
    ir::Builder builder(built.ir);
    grow(builder, &head, static_cast<int64_t>(head.pa & ~kPageMask), 1, 0, 1);
    grow_sides(builder);
    built.ir.guest_bytes = head.guest_bytes;
    return built;
}

}  // namespace arclight::jit
