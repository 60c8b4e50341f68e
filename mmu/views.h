// The soft TLBs of one virtual CPU: which jit::View belongs to a translation context, how entries get in, and
// how TLBI takes exactly the right ones out again.
//
// Views are per (EL, PAN) and, at EL0, per ASID, so that system calls and context switches flush nothing. The
// two EL1 views hold global entries and the non-global ones of one ASID; an EL0 view belongs to its ASID.
#pragma once

#include <array>
#include <cstdint>

#include "jit/guest_state.h"
#include "mmu/tlbi.h"

namespace arclight::mmu {

/// All members run on the owning virtual CPU's thread.
class ViewSet {
  public:
    static constexpr unsigned kEl0Views = 16;

    ViewSet();
    ~ViewSet();
    ViewSet(const ViewSet&) = delete;
    ViewSet& operator=(const ViewSet&) = delete;

    /// The view for code that runs at `el` with this PSTATE.PAN and ASID. Pointers stay valid, but a later
    /// call may give an EL0 view to another ASID: select again after the EL, PAN or the ASID changed. LDTR
    /// and STTR at EL1 use select(0, false, asid).
    jit::View* select(unsigned el, bool pan, uint16_t asid);

    struct Mapping {
        uint64_t va = 0;          ///< as accessed, with any tag
        uint64_t pa = 0;          ///< of va
        uint8_t* host = nullptr;  ///< of va; null: not RAM, nothing is entered
        uint8_t page_bits = 12;   ///< WalkResult::page_bits
        bool readable = false;    ///< by the EL of this view, PAN applied
        bool writable = false;
        bool non_global = false;
        bool may_cache = true;  ///< WalkResult::may_cache()
    };
    /// Enters the 4 KiB page around va. False if nothing was entered.
    bool fill(jit::View* view, const Mapping& mapping);

    /// Remembers that code was fetched through this page in this view. Until it is called, invalidating the
    /// page does not change the view's epoch.
    void note_code_page(jit::View* view, uint64_t va, uint8_t page_bits, bool non_global);
    /// Enters a jump-cache line. The page of pc must have been noted.
    void fill_jump(jit::View* view, uint64_t pc, const void* code);
    /// Forgets all host code addresses, in all views (the code cache is about to be emptied or a block
    /// removed).
    void clear_jump_caches();
    /// Gives every view that ever ran code a new epoch: cross-page jumps are looked up again.
    void renew_epochs();

    void apply(const TlbiRequest& request);
    /// Everything, for changes of SCTLR, TCR or MAIR.
    void flush_all() { apply({.kind = TlbiRequest::Kind::All}); }

  private:
    // Bitmaps say what a view holds, so that emptying it costs what was filled, not its size.
    static constexpr unsigned kTlbWords = jit::kTlbEntries / 64;
    static constexpr unsigned kJumpWords = jit::kJumpCacheEntries / 64;
    static constexpr unsigned kBlockFilterBits = 512;

    struct Slot {
        jit::View* view = nullptr;
        uint64_t last_used = 0;
        uint16_t asid = 0;
        bool in_use = false;       // an EL0 view that has an ASID
        bool has_entries = false;  // since the last flush
        bool has_global = false;
        bool has_non_global = false;
        bool has_code = false;
        bool has_non_global_code = false;
        bool has_giant_code = false;  // code was fetched through a 2 MiB or 1 GiB block
        bool has_jumps = false;
        bool has_1g = false;
        bool has_2m = false;
        std::array<uint64_t, kTlbWords> valid{};
        std::array<uint64_t, kTlbWords> non_global{};
        std::array<uint64_t, kTlbWords> block{};  // entry comes from a 2 MiB or 1 GiB block
        std::array<uint64_t, kTlbWords / 64> non_global_summary{};
        std::array<uint64_t, kTlbWords> code_pages{};  // hashed
        std::array<uint64_t, kJumpWords> jumps{};
        std::array<uint64_t, kBlockFilterBits / 64> blocks_2m{};  // hashed
    };

    Slot& slot_of(jit::View* view);
    Slot& el0_slot(uint16_t asid);
    void set_el1_asid(Slot& slot, uint16_t asid);
    void flush(Slot& slot);
    void drop_non_global(Slot& slot);
    void drop_page(Slot& slot, uint64_t va, bool globals, bool non_globals);
    void drop_block(Slot& slot, uint64_t va, unsigned block_bits, bool globals, bool non_globals);
    void drop_entry(Slot& slot, unsigned index);
    void drop_jumps(Slot& slot, uint64_t va, unsigned range_bits);
    void clear_jumps(Slot& slot);
    void renew_epoch(Slot& slot);

    // One anonymous mapping holds all views in slot order: a view's address gives its slot.
    void* region_ = nullptr;
    std::array<Slot, 2 + kEl0Views> slots_;  // EL1 PAN=0, EL1 PAN=1, EL0...
    Slot* last_el0_ = nullptr;
    uint64_t clock_ = 0;
};

}  // namespace arclight::mmu
