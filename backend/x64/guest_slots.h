// Where the newest value of each guest register is, and writing it back to GuestState.
#pragma once

#include <array>
#include <optional>

#include "backend/x64/assembler.h"
#include "backend/x64/block_values.h"

namespace arclight::backend {

class FaultMapBuilder;
class HostFlags;
class RegisterAllocator;

/// Invariants: the newest value of a dirty slot is in a register or can be rematerialised (NZCV: in EFLAGS or
/// a spill slot), and no value has a dirty slot as its home.
class GuestSlots {
  public:
    /// `in_vectors`: some slots are not in memory but where vector_homes.h says.
    GuestSlots(Assembler& as, BlockValues& values, RegisterAllocator& regs, HostFlags& flags,
               FaultMapBuilder& faults, bool in_vectors);
    void start_block();

    /// What guest registers' memory holds, and what is newer.
    struct Newest {
        std::array<Ref, kSlots> slot;           ///< value of a dirty slot
        std::array<Ref, kSlots> home_head;      ///< values that the slot's memory holds
        std::array<uint32_t, kSlots> observed;  ///< last instruction that may need a dirty slot in memory
        uint64_t dirty = 0;
        bool flags_dirty = false;
        bool deferred = false;  ///< while NZCV is dirty: it is made again for who wants it
    };
    const Newest& newest() const { return newest_; }
    /// Of a side path: at the exit where it begins. `observed` is what it says of that. The values must be as they were then.
    void begin_side(const Newest& newest, const std::array<uint32_t, kSlots>& observed);

    void get_slot(unsigned slot, Ref result);
    void set_slot(unsigned slot, Ref value);
    /// Writes all guest registers back that this instruction or a later one needs in memory. Keeps EFLAGS'
    /// meaning.
    void write_back();
    /// Writes NZCV back likewise. Keeps EFLAGS' meaning but where flags_deferred().
    void write_back_flags();
    /// Of the newest NZCV, in EFLAGS: whether it is a comparison's that nobody uses any more but who looks at guest registers
    /// (deferred_flags.cpp).
    bool can_defer(Ref flags) const;
    /// If it is, and pending, EFLAGS are free: it is made again where it is written back. Else writes it back.
    void defer_or_write_flags();
    /// Writes back what a snapshot recorded. Clobbers EFLAGS.
    void write_back_snapshot(uint32_t first, unsigned count);
    /// Records where the dirty guest registers are now: FaultMap::locations[first .. first + count).
    void snapshot(uint32_t& first, uint16_t& count);

    /// Writes back the slots whose newest value is r, which is about to lose its register.
    void write_back_value(Ref r);
    /// A helper is about to write guest state: values that live in slots' memory move elsewhere.
    void drop_all_homes();
    /// The slot's memory is about to change: values that live there alone move elsewhere.
    void drop_home(unsigned slot);
    /// Writes a slot back, but NZCV's, that this instruction needs in memory.
    void store(unsigned slot);

    /// The vector register that the slot lives in, if it does in one; kNone is no slot.
    std::optional<Xmm> vector_home(unsigned slot) const;

    /// Whether NZCV in memory is stale.
    bool flags_dirty() const { return newest_.flags_dirty; }
    /// Whether it is and this instruction or a later one needs it there.
    bool flags_pending() const { return !newest_.deferred && flags_needed(); }
    /// Whether it is to be made again for that.
    bool flags_deferred() const { return newest_.deferred && flags_needed(); }
    /// The newest NZCV, while dirty.
    Ref flags_value() const { return newest_.slot[kFlagsSlot]; }
    /// NZCV has been stored in its slot.
    void flags_stored();

  private:
    bool flags_needed() const { return newest_.flags_dirty && newest_.observed[kFlagsSlot] >= values_.cur(); }
    bool can_be_found(Ref operand) const;
    SavedLocation operand_location(Ref operand, bool second) const;
    std::array<SavedLocation, 3> flags_recipe() const;
    void make_flags(const SavedLocation& a, const SavedLocation& b, int64_t recipe);
    /// Of what NZCV was made, while deferred.
    std::array<Ref, 2> compared() const;
    bool slot_dirty(unsigned s) const {
        return s == kFlagsSlot ? newest_.flags_dirty : (newest_.dirty >> s & 1) != 0;
    }
    void add_home(Ref r, unsigned slot);
    void store_slot(unsigned slot, const SavedLocation& from);
    void store_in_vector(const Xmm& home, const SavedLocation& from);
    void store_other(const Mem& where, const SavedLocation& from);
    SavedLocation location_of(unsigned slot) const;

    Assembler& as_;
    BlockValues& values_;
    RegisterAllocator& regs_;
    HostFlags& flags_;
    FaultMapBuilder& faults_;
    Newest newest_;
    const bool in_vectors_;
};

}  // namespace arclight::backend
