// The backward pass over a block, and what is asked of its values: which instructions are live, where each
// value is used next, and how long each write of a guest register may be seen by somebody.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "backend/x64/block_values.h"
#include "backend/x64/scalable_emitter.h"

namespace arclight::backend {

namespace {
constexpr bool is_bool_expression(Op op) {
    return op == Op::Cond || op == Op::IsZero || op == Op::IsNotZero || op == Op::TestBit || op == Op::Not1;
}
/// State that is only read: dead when unused.
constexpr bool is_read(Op op) {
    return op == Op::GetX || op == Op::GetFlags || op == Op::GetV || op == Op::LoadField ||
           op == Op::PairSecond;
}
/// ir::OpInfo::effects, by operation.
constexpr char kEffects[] = {
#define OP(name, result, args, effects) #effects[0],
#include "jit/ir/opcodes.inc"
#undef OP
};
}  // namespace

Ref BlockValues::leaf(Ref r) const {
    while (is_bool_expression(inst(r).op)) {
        const bool last = inst(r).op != Op::Not1;
        r = inst(r).args[0];
        if (last) break;
    }
    return r;
}

void BlockValues::mark_use(uint32_t index, Ref ref) {
    Uses& uses = uses_[index];
    Value& v = values_[ref];
    if (path_begin_ != 0) note_outer(ref);
    uint32_t after = v.next_use;
    if (after == index) {  // used twice by this instruction
        for (unsigned k = 0; k < uses.count; ++k)
            if (uses.use[k].ref == ref) after = uses.use[k].after;
    }
    uses.use[uses.count++] = {ref, after};
    v.next_use = index;
    v.last_need = std::max(v.last_need, index);
}

// ---- Side paths

/// Before a use of it is noted.
void BlockValues::note_outer(Ref ref) {
    const Ref made = is_addend(ref) ? groups_[ref - block_->insts.size()].first : ref;
    if (made < path_begin_ && values_[ref].next_use == kNever) outer_.push_back(ref);
}

/// The backward pass has come to where it begins, and goes on at the end of the path before it.
void BlockValues::begin_side(size_t side) {
    SideNeeds& needs = needs_[side];
    needs.values.clear();
    for (const Ref r : outer_) {
        Value& v = values_[r];
        needs.values.push_back({r, v.next_use, v.last_need});
        v.next_use = kNever;
        v.last_need = 0;
    }
    outer_.clear();
    for (unsigned s = 0; s < kSlots; ++s) needs.observed[s] = observers_.last(s).value_or(0);
    observers_.clear();
    path_begin_ = side == 0 ? 0 : block_->sides[side - 1].begin;
}

std::optional<size_t> BlockValues::side_of(Ref exit) const {
    const auto it = std::ranges::find(block_->sides, exit, &ir::SidePath::exit);
    if (it == block_->sides.end()) return std::nullopt;
    return static_cast<size_t>(it - block_->sides.begin());
}

/// The exit uses what the side path that begins at it needs, up to its end.
void BlockValues::mark_kept(uint32_t exit) {
    const auto side = side_of(exit);
    if (!side) return;
    kept_[*side].clear();
    for (const SideNeeds::Need& need : needs_[*side].values) {
        if (rematerialisable(need.value)) continue;
        note_outer(need.value);
        Value& v = values_[need.value];
        v.last_need = std::max(v.last_need, exit + 1);
        if (v.next_use == exit) continue;  // its condition uses it, too
        kept_[*side].push_back({need.value, v.next_use});
        v.next_use = exit;
    }
}

// ---- The backward pass

/// a + (b << 1..3) is one lea. The shift stays a value of its own if somebody else uses it.
bool BlockValues::fold_shift(uint32_t index, const Inst& i) {
    if (i.op != Op::Add || values_[index].flags_live) return false;
    Ref base = i.args[0], shifted = i.args[1];
    if (inst(shifted).op != Op::Shl) std::swap(base, shifted);
    const Inst& shift = inst(shifted);
    if (shift.op != Op::Shl || !is_const(shift.args[1]) || is_const(base)) return false;
    const uint64_t count = inst(shift.args[1]).imm;
    // An address relative to the page, made again where it is used: the page may be another one by now.
    if (inst(shift.args[0]).op == Op::PcRel) return false;
    // A 32-bit shift drops bits that a 64-bit lea would keep.
    if (count == 0 || count > 3 || (i.type == Type::I64 && shift.type == Type::I32)) return false;
    values_[index].folded = true;
    mark_use(index, base);
    mark_use(index, shift.args[0]);
    return true;
}

/// Leading zeros of reversed bits are trailing zeros. Whoever else uses the reversed ones has them made.
bool BlockValues::fold_reversal(uint32_t index, const Inst& i) {
    if (i.op != Op::Clz || inst(i.args[0]).op != Op::Rbit || inst(i.args[0]).type != i.type) return false;
    values_[index].folded = true;
    mark_use(index, inst(i.args[0]).args[0]);
    return true;
}

/// What has just been read of GuestState is compared there. Whoever else uses it has it read.
bool BlockValues::fold_field(uint32_t index, const Inst& i) {
    if (i.op != Op::CheckZero || i.args[0] + 1 != index || inst(i.args[0]).op != Op::LoadField) return false;
    values_[index].folded = true;
    return true;
}

/// Whether NZCV of the comparison may be left to those who look at guest registers: always in a superblock, which is left on its sides.
/// A block that ends with it would make it again each time.
bool BlockValues::may_defer(uint32_t index) const {
    if (block_->superblock) return true;
    const Ref set = index + 2;
    return set < block_->insts.size() && inst(set).op == Op::SetFlags && inst(set).args[0] == index + 1 &&
           values_[set].live && values_[set].last_need + 1 < block_->insts.size();
}

/// NZCV of a comparison may be made again from its operands for whoever looks at guest registers
/// (GuestSlots::defer_or_write_flags()).
void BlockValues::keep_compared(uint32_t index, const Inst& i) {
    if (i.op != Op::Sub && i.op != Op::Add && i.op != Op::And) return;
    for (unsigned k = 0; k < 2; ++k) {
        Value& operand = values_[i.args[k]];
        operand.last_need = std::max(operand.last_need, values_[index + 1].last_need);
    }
}

void BlockValues::analyse(const ir::Block& block, bool with_groups, bool scalable_vectors) {
    block_ = &block;
    const auto& insts = block.insts;
    const uint32_t count = static_cast<uint32_t>(insts.size());
    groups_.clear();
    grouped_.assign(insts.size(), GroupedAccess{});
    if (with_groups) group_accesses();
    values_.assign(count + groups_.size(),
                   Value{kNever, 0, kNoRef, kNone, kNone, kNone, false, false, false, false, false});
    uses_.resize(count);

    size_t side = block.sides.size();
    needs_.resize(side);
    kept_.resize(side);
    outer_.clear();
    path_begin_ = side == 0 ? 0 : block.sides.back().begin;
    observers_.clear();
    for (uint32_t index = count; index-- > 0;) {
        if (side != 0 && index + 1 == path_begin_) {
            begin_side(--side);
        }
        const Inst& i = insts[index];
        uses_[index].count = 0;
        Value& v = values_[index];
        const char effects = kEffects[static_cast<size_t>(i.op)];
        if (is_bool_expression(i.op)) continue;
        switch (i.op) {
            case Op::SetX:
            case Op::SetV:
            case Op::SetFlags: {
                const unsigned slot = slot_of(i);
                const auto seen = observers_.last(slot);
                observers_.write(slot);
                if (!seen) continue;
                v.live = true;
                mark_use(index, i.args[0]);
                v.last_need = *seen;
                Value& source = values_[i.args[0]];
                source.last_need = std::max(source.last_need, *seen);
                continue;
            }
            case Op::FlagsOf:
                if (v.next_use == kNever) continue;
                if (i.args[0] + 1 != index)
                    throw std::logic_error("IR: FlagsOf does not follow its operation");
                v.live = true;
                values_[i.args[0]].flags_live = true;
                continue;
            case Op::InsnStart: v.live = true; continue;
            default: break;
        }
        const bool wanted = v.next_use != kNever || v.flags_live;
        if ((effects == 'P' || is_read(i.op)) && !wanted) continue;
        v.live = true;
        if (i.op == Op::GetX || i.op == Op::GetV || i.op == Op::GetFlags)
            observers_.observe(slot_of(i), index);
        if (i.op == Op::Scalable) {
            const auto scalable = ir::Scalable::unpack(i.imm);
            if (!scalable_vectors || !is_emitted(scalable)) observers_.observe_all(index);
            for (uint32_t left = vector_registers_of(scalable); left != 0; left &= left - 1)
                observers_.observe(ir::kVSlot + static_cast<unsigned>(__builtin_ctz(left)), index);
        }
        if (effects == 'M' || effects == 'X') observers_.observe_all(index);
        if (i.op == Op::PairSecond || fold_shift(index, i) || fold_reversal(index, i) || fold_field(index, i))
            continue;
        const uint16_t g = grouped_[index].group;
        const bool in_group = g != kNoGroup && groups_[g].accesses > 1;
        const bool fold = in_group && i.args[0] != groups_[g].root && values_[i.args[0]].next_use == kNever;
        grouped_[index].folded = fold;
        for (unsigned k = 0; k < i.nargs; ++k)
            mark_use(index, fold && k == 0 ? groups_[g].root : leaf(i.args[k]));
        if (in_group) mark_use(index, addend_of(g));
        if (i.op == Op::ExitIf && !block.sides.empty()) mark_kept(index);
        if (v.flags_live && v.next_use == kNever && may_defer(index)) keep_compared(index, i);
    }
}

bool BlockValues::rematerialisable(Ref r) const {
    const Inst& i = inst(r);
    return i.op == Op::Const ||
           (i.op == Op::PcRel && static_cast<int64_t>(i.imm) == static_cast<int32_t>(i.imm));
}

bool BlockValues::imm32(Ref r, Type t, int32_t& value) const {
    if (!is_const(r)) return false;
    const uint64_t imm = inst(r).imm;
    value = static_cast<int32_t>(imm);
    return t == Type::I32 || static_cast<int64_t>(imm) == value;
}

bool BlockValues::has_second() const {
    return cur_ + 1 < block_->insts.size() && inst(cur_ + 1).op == Op::PairSecond && values_[cur_ + 1].live;
}

void BlockValues::finish_instruction() {
    const Uses& uses = uses_[cur_];
    for (uint32_t k = 0; k < uses.count; ++k) values_[uses.use[k].ref].next_use = uses.use[k].after;
    if (block_->sides.empty() || inst(cur_).op != Op::ExitIf) return;
    if (const auto side = side_of(cur_))
        for (const Use& use : kept_[*side]) values_[use.ref].next_use = use.after;
}

}  // namespace arclight::backend
