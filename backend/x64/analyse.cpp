// The backward pass over a block, and what is asked of its values: which instructions are live, where each
// value is used next, and how long each write of a guest register may be seen by somebody.
#include <algorithm>
#include <array>
#include <cstring>
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

/// What the backward pass asks of an operation.
enum Trait : uint8_t {
    kBool = 1 << 0,     ///< is_bool_expression()
    kWrites = 1 << 1,   ///< a guest register
    kIfUsed = 1 << 2,   ///< dead when unused
    kReads = 1 << 3,    ///< guest registers that it names
    kSeesAll = 1 << 4,  ///< guest registers
    kFolds = 1 << 5,    ///< perhaps what makes its operand
    kGroups = 1 << 6,   ///< may be in an AccessGroup
};
constexpr auto kTraits = [] {
    std::array<uint8_t, static_cast<size_t>(Op::Count)> table{};
    for (size_t k = 0; k < table.size(); ++k) {
        const Op op = static_cast<Op>(k);
        const char effects = kEffects[k];
        unsigned traits = 0;
        if (is_bool_expression(op)) traits |= kBool;
        if (op == Op::SetX || op == Op::SetV || op == Op::SetFlags) traits |= kWrites;
        if (effects == 'P' || is_read(op)) traits |= kIfUsed;
        if (op == Op::GetX || op == Op::GetV || op == Op::GetFlags || op == Op::Scalable) traits |= kReads;
        if (effects == 'M' || effects == 'X') traits |= kSeesAll;
        if (op == Op::Add || op == Op::Clz || op == Op::PairSecond || op == Op::CheckZero) traits |= kFolds;
        if (ir::is_plain_access(op)) traits |= kGroups;
        table[k] = static_cast<uint8_t>(traits);
    }
    return table;
}();
constexpr unsigned traits_of(Op op) { return kTraits[static_cast<size_t>(op)]; }

constexpr Value kFresh{
    .next_use = kNever, .last_need = 0, .home_next = kNoRef, .reg = kNone, .home = kNone, .spill = kNone};
static_assert(sizeof(Value) == 16);
}  // namespace

Ref BlockValues::leaf(Ref r) const {
    while ((traits_of(inst(r).op) & kBool) != 0) {
        const bool last = inst(r).op != Op::Not1;
        r = inst(r).args[0];
        if (last) break;
    }
    return r;
}

[[gnu::always_inline]] inline void BlockValues::mark_use(uint32_t index, Ref ref) {
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
    values_.resize(count + groups_.size());
    for (Value& v : values_) std::memcpy(&v, &kFresh, sizeof v);  // at once: it has bit-fields
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
        const unsigned traits = traits_of(i.op);
        if ((traits & kBool) != 0) continue;
        Value& v = values_[index];
        if ((traits & kWrites) != 0) {
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
        if (i.op == Op::InsnStart) {
            v.live = true;
            continue;
        }
        if (i.op == Op::FlagsOf) {
            if (v.next_use == kNever) continue;
            if (i.args[0] + 1 != index) throw std::logic_error("IR: FlagsOf does not follow its operation");
            v.live = true;
            values_[i.args[0]].flags_live = true;
            continue;
        }
        if ((traits & kIfUsed) != 0 && v.next_use == kNever && !v.flags_live) continue;
        v.live = true;
        if ((traits & kReads) != 0) observe_read(index, i, scalable_vectors);
        if ((traits & kSeesAll) != 0) observers_.observe_all(index);
        if ((traits & kFolds) != 0 && (i.op == Op::PairSecond || fold_shift(index, i) ||
                                       fold_reversal(index, i) || fold_field(index, i)))
            continue;
        if ((traits & kGroups) != 0 && grouped_[index].group != kNoGroup) {
            mark_grouped(index, i);
        } else {
            for (unsigned k = 0; k < i.nargs; ++k) mark_use(index, leaf(i.args[k]));
        }
        if (i.op == Op::ExitIf && !block.sides.empty()) mark_kept(index);
        if (v.flags_live && v.next_use == kNever && may_defer(index)) keep_compared(index, i);
    }
}

/// Of what names guest registers that it reads.
void BlockValues::observe_read(uint32_t index, const Inst& i, bool scalable_vectors) {
    if (i.op != Op::Scalable) return observers_.observe(slot_of(i), index);
    const auto scalable = ir::Scalable::unpack(i.imm);
    if (!scalable_vectors || !is_emitted(scalable)) observers_.observe_all(index);
    for (uint32_t left = vector_registers_of(scalable); left != 0; left &= left - 1)
        observers_.observe(ir::kVSlot + static_cast<unsigned>(__builtin_ctz(left)), index);
}

/// Of an access that belongs to a group.
void BlockValues::mark_grouped(uint32_t index, const Inst& i) {
    GroupedAccess& access = grouped_[index];
    const AccessGroup& group = groups_[access.group];
    const bool shared = group.accesses > 1;
    access.folded = shared && i.args[0] != group.root && values_[i.args[0]].next_use == kNever;
    mark_use(index, access.folded ? group.root : i.args[0]);
    for (unsigned k = 1; k < i.nargs; ++k) mark_use(index, leaf(i.args[k]));
    if (shared) mark_use(index, addend_of(access.group));
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
