// What is known of a block's SSA values before and while code is emitted: uses, liveness, shared soft-TLB
// look-ups.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "backend/x64/types.h"
#include "jit/memory_access.h"

namespace arclight::backend {

jit::MemoryAccess describe_access(const Inst& i);

/// Accesses that share one look-up of the soft TLB.
struct AccessGroup {
    Ref first;       ///< the first access
    Ref root;        ///< the value that the addresses are made from
    int64_t lo, hi;  ///< bytes accessed, relative to it
    bool write;      ///< one of them is a store
    uint32_t accesses;
};
inline constexpr uint16_t kNoGroup = 0xffff;
struct GroupedAccess {
    uint16_t group = kNoGroup;
    bool folded = false;  ///< its address is not computed: the instructions that use it add `at` to the root
    int32_t at = 0;       ///< where the access begins, as AccessGroup::lo
};

/// What a side path (ir::SidePath) wants of where it begins.
struct SideNeeds {
    struct Need {
        Ref value;
        uint32_t next_use, last_need;  ///< as Value's, in the side path
    };
    std::vector<Need> values;  ///< of the paths before it
    /// By slot: the last instruction of it that may see what the guest register has then; 0: none does.
    std::array<uint32_t, kSlots> observed;
};

class BlockValues {
  public:
    /// One backward pass over the block: which instructions are live, where each value is used next, and how
    /// long each write of a guest register may be seen by somebody. `next_use` and `last_need` are those of the path that is
    /// being emitted: what its side paths need is needed up to the exits that they begin at.
    /// `scalable_vectors`: EmitContext's.
    void analyse(const ir::Block& block, bool group_accesses, bool scalable_vectors);

    const ir::Block& block() const { return *block_; }
    /// The instruction that is being emitted, which is also its result.
    uint32_t cur() const { return cur_; }
    void set_cur(uint32_t index) { cur_ = index; }
    /// Steps the operands of the current instruction on to their next uses.
    void finish_instruction();

    Value& operator[](Ref r) { return values_[r]; }
    const Value& operator[](Ref r) const { return values_[r]; }
    const Inst& inst(Ref r) const { return r < block_->insts.size() ? (*block_)[r] : kGroupInst; }
    bool is_const(Ref r) const { return inst(r).op == Op::Const; }
    /// Constants, also relative to the page: they occupy a register only while it suits.
    bool rematerialisable(Ref r) const;
    /// Whether r is of no use after this instruction.
    bool dies(Ref r) const { return values_[r].last_need <= cur_; }
    /// Whether the operand is a constant that an instruction of this width takes as a sign-extended
    /// immediate.
    bool imm32(Ref r, Type t, int32_t& value) const;
    bool in_memory(Ref r) const { return values_[r].home != kNone || values_[r].spill != kNone; }
    /// The value that an I1 expression tests; I1 values are never materialised but tested where they are
    /// used.
    Ref leaf(Ref r) const;
    /// Whether the second result of the pair load that is being emitted is wanted.
    bool has_second() const;

    const AccessGroup& group(uint16_t index) const { return groups_[index]; }
    GroupedAccess grouped(uint32_t index) const { return grouped_[index]; }
    /// The group's addend is a value like an instruction's result, but that it is dropped, not spilled.
    Ref addend_of(uint16_t group) const { return static_cast<Ref>(block_->insts.size() + group); }
    bool is_addend(Ref r) const { return r != kNoRef && r >= block_->insts.size(); }

    /// The side path that begins at this exit, if one does: an index of ir::Block::sides.
    std::optional<size_t> side_of(Ref exit) const;
    const SideNeeds& needs(size_t side) const { return needs_[side]; }

  private:
    struct Use {
        Ref ref;
        uint32_t after;  ///< next use of ref after this one
    };
    struct Uses {
        Use use[4];
        uint32_t count = 0;
    };
    /// For each write of a guest register above the current point of the backward pass: the last instruction that may see it.
    class Observers {
      public:
        void clear() { slots_.fill({}), everybody_.clear(); }
        void observe_all(uint32_t index) { everybody_.push_back(index); }
        void observe(unsigned slot, uint32_t index) {
            if (!last(slot)) slots_[slot].alone = index;
        }
        void write(unsigned slot) { slots_[slot] = {.since = static_cast<uint32_t>(everybody_.size())}; }
        /// Nothing: it is seen by none.
        std::optional<uint32_t> last(unsigned slot) const {
            const Slot& s = slots_[slot];
            if (s.alone != kNever) return s.alone;
            if (s.since == everybody_.size()) return std::nullopt;
            return everybody_[s.since];
        }

      private:
        struct Slot {
            uint32_t since = 0;       ///< how many of everybody_ there were at the write below
            uint32_t alone = kNever;  ///< one that sees this slot, and comes behind those
        };
        std::array<Slot, kSlots> slots_{};
        std::vector<uint32_t> everybody_;  ///< instructions that see all slots, backwards
    };
    inline static const Inst kGroupInst{.op = Op::Add, .type = Type::I64};

    void mark_use(uint32_t index, Ref ref);
    void observe_read(uint32_t index, const Inst& inst, bool scalable_vectors);
    void mark_grouped(uint32_t index, const Inst& inst);
    void note_outer(Ref ref);
    void begin_side(size_t side);
    void mark_kept(uint32_t exit);
    bool fold_shift(uint32_t index, const Inst& inst);
    bool fold_reversal(uint32_t index, const Inst& inst);
    bool fold_field(uint32_t index, const Inst& inst);
    bool may_defer(uint32_t index) const;
    void keep_compared(uint32_t index, const Inst& inst);
    void group_accesses();

    const ir::Block* block_ = nullptr;
    uint32_t cur_ = 0;
    std::vector<AccessGroup> groups_;
    std::vector<GroupedAccess> grouped_;  ///< by instruction
    std::vector<Value> values_;           ///< by instruction, then by group
    std::vector<Uses> uses_;              ///< by instruction

    // ---- By side path
    std::vector<SideNeeds> needs_;
    std::vector<std::vector<Use>> kept_;  ///< what is used by being needed there, at the exit where it begins
    // In the backward pass
    Ref path_begin_ = 0;      ///< of the path that the pass is in
    std::vector<Ref> outer_;  ///< of the paths before it, what it uses
    Observers observers_;
};

}  // namespace arclight::backend
