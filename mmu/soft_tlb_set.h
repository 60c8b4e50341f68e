// The soft TLBs of one virtual CPU: which SoftTlb belongs to a translation context, how entries are filled,
// and how TLBI invalidates exactly the entries that it names.
//
// There is one soft TLB per (EL, PAN) and, at EL0, per ASID, so that system calls and context switches flush
// nothing. The two EL1 soft TLBs hold global entries and the non-global ones of one ASID; an EL0 soft TLB
// belongs to its ASID. The other shadow policies (mmu/shadow.h) identify an address space by TTBR0 as well,
// or by TTBR0 alone: where TLBI does nothing, the guest may give an ASID other tables at any time.
//
// Entries are of 4 KiB, whatever the guest's pages and blocks are like. An invalidation of any address of a mapping
// takes all entries of it: a page's are looked for one by one; of blocks a filter says which there may be.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mmu/fastmem.h"
#include "mmu/guest_memory.h"
#include "mmu/page_set.h"
#include "mmu/shadow.h"
#include "mmu/soft_tlb.h"
#include "mmu/tlbi.h"
#include "mmu/victim_tlb.h"
#include "mmu/writer_map.h"

namespace arclight::mmu {

/// All members run on the owning virtual CPU's thread.
class SoftTlbSet {
  public:
    /// With `host_tables`, pages are entered into fastmem too. The policies that protect tables need `memory`. Throws
    /// std::system_error if the host cannot map the soft TLBs.
    explicit SoftTlbSet(HostTables* host_tables = nullptr, const ShadowOptions& options = {},
                        const GuestMemory* memory = nullptr);
    ~SoftTlbSet();
    SoftTlbSet(const SoftTlbSet&) = delete;
    SoftTlbSet& operator=(const SoftTlbSet&) = delete;

    /// The soft TLB for code that runs at `el` with this PSTATE.PAN and ASID. Pointers stay valid, but a
    /// later call may give an EL0 soft TLB to another ASID: select again after the EL, PAN or the root
    /// changed. LDTR and STTR at EL1 (unprivileged accesses) use select(0, false, root).
    SoftTlb* select(unsigned el, bool pan, const Root& root);
    SoftTlb* select(unsigned el, bool pan, uint16_t asid) { return select(el, pan, Root{.asid = asid}); }
    /// The EL0 soft TLB for unprivileged accesses of EL1. Between its writes of TTBR0 and of the ASID a kernel has roots
    /// that EL0 never runs with, so that one of another first table but the same ASID will do.
    SoftTlb* select_unprivileged(const Root& root) { return el0_slot(key_of(root), root, false).tlb; }
    /// EL0 runs in this soft TLB from now on: counts a switch of address spaces if it ran in another one
    /// last, or with another root. True if that is a ShadowExit.
    bool note_user(const SoftTlb* tlb) {
        return (tlb != running_ || (fresh_tlbs_ >> (tlb - tlbs_) & 1) != 0) && count_switch(tlb);
    }

    struct Mapping {
        uint64_t va = 0;                ///< as accessed, with any tag
        uint64_t pa = 0;                ///< of va
        uint8_t* host = nullptr;        ///< of va; null if pa is not RAM: then nothing is entered
        uint8_t page_bits = kPageBits;  ///< WalkResult::page_bits
        bool readable = false;          ///< by the EL of this soft TLB, PAN applied
        bool writable = false;
        bool non_global = false;
        bool may_cache = true;     ///< WalkResult::may_cache()
        bool intercepted = false;  ///< by the page overlay
        bool large = false;        ///< all of the 2 MiB around pa is RAM
        bool checked = false;      ///< kCheckedMark: not for fastmem
    };
    /// Enters the 4 KiB page around va. False if nothing was entered.
    bool fill(SoftTlb* tlb, const Mapping& mapping);

    /// Where translated code finds allocation tags (TagMemory::bias()). Before it is told, or with 0, Mapping::checked is for no page.
    void set_tag_bias(uint64_t bias);
    uint64_t tag_bias() const { return tag_bias_; }

    /// Looks va up in the victim TLB. On a hit, moves the entry back into the soft TLB and returns the host
    /// address of va, or null if the page is a checked one. On a miss, returns null.
    uint8_t* victim_hit(SoftTlb* tlb, uint64_t va, bool write);

    /// Enters a page into the soft TLB's fastmem alone: prefetch of a page next to one that was accessed.
    void fill_fastmem(SoftTlb* tlb, const Mapping& mapping);
    /// As fill_fastmem(), but by FastmemSet::add(). False if nothing was entered.
    bool add_to_fastmem(SoftTlb* tlb, const Mapping& mapping);
    /// The guest virtual address that the soft TLB's fastmem maps at `host_address`, if it maps one.
    std::optional<uint64_t> fastmem_address(SoftTlb* tlb, uint64_t host_address) {
        return fastmem_->guest_address(slot_of(tlb).number, host_address);
    }
    /// Completes the invalidations so far in the host processor's TLB. Call it before guest code may rely on
    /// a TLBI (DSB), and before it runs in a soft TLB that was given to another ASID.
    void finish_invalidation() {
        if (fastmem_ != nullptr) fastmem_->finish();
    }
    /// Null without host tables.
    const FastmemSet* fastmem() const { return fastmem_.get(); }
    /// FastmemSet::complete()
    void complete_fastmem() {
        if (fastmem_ != nullptr) fastmem_->complete();
    }

    // ---- Fastmem on demand (HostTables::on_demand()): at first no soft TLB uses it
    bool has_fastmem_on_demand() const { return fastmem_ != nullptr && fastmem_->on_demand(); }
    bool uses_fastmem(SoftTlb* tlb) { return slot_of(tlb).uses_fastmem; }
    void use_fastmem(SoftTlb* tlb, bool use);
    /// Of an EL0 soft TLB: below kMaxRoots + 2, and how often it was given to another address space until now.
    unsigned number_of(SoftTlb* tlb) { return slot_of(tlb).number; }
    uint64_t owners_of(SoftTlb* tlb) { return slot_of(tlb).owners; }

    /// Remembers that code was fetched through this page in this soft TLB. Until it is called, invalidating
    /// the page does not change the soft TLB's epoch.
    void note_code_page(SoftTlb* tlb, uint64_t va, uint8_t page_bits, bool non_global);
    /// Enters a jump-cache line. The page of pc must have been noted.
    void fill_jump(SoftTlb* tlb, uint64_t pc, const void* code);
    /// Sets the translation flags (GuestState::translation_flags) of the code that runs in this soft TLB from
    /// now on. Code translated with other flags is dropped, because jump cache and epoch know addresses only.
    void use_for_flags(SoftTlb* tlb, uint32_t translation_flags) {
        if (Slot& slot = slot_of(tlb); slot.translation_flags != translation_flags)
            change_translation_flags(slot, translation_flags);
    }
    /// Empties the jump caches of all soft TLBs: the code cache is about to be flushed or a block removed.
    void clear_jump_caches();
    /// The same of the lines that lead to code at these offsets in a page of 4 KiB, first to last, whatever the page: blocks that begin there
    /// are about to be removed.
    void clear_jumps_within_pages(uint32_t first, uint32_t last);
    /// Gives every soft TLB that ran code a new epoch: cross-page jumps are looked up again.
    void renew_epochs();

    /// log2 of the bytes of the guest's pages in the lower and the upper half: 12, 14 or 16. flush_all() comes next.
    void use_page_sizes(uint8_t lower, uint8_t upper) { page_bits_ = {lower, upper}; }

    /// Invalidates what the TLBI names, in all soft TLBs.
    void apply(TlbiRequest request);

    // ---- Synchronisation: what was invalidated is walked again, and rewritten if it is there
    struct Leaf {
        SoftTlb* tlb = nullptr;
        uint64_t va = 0;      ///< of its page, as it was accessed
        unsigned el = 0;      ///< of the soft TLB
        bool pan = false;     ///< likewise
        bool lost = true;     ///< counted as dropped
        bool wasted = false;  ///< and as wasted
    };
    /// The entries that TLBIs of an address have invalidated since the last call. Not under ShadowPolicy::Tsp.
    std::span<const Leaf> take_dropped_leaves() {
        taken_leaves_.clear();
        taken_leaves_.swap(dropped_leaves_);
        return taken_leaves_;
    }
    /// What this EL0 soft TLB held before a TLBI of an ASID that it shares with other first tables; until it is taken.
    std::span<const Leaf> take_unsynchronised_leaves(SoftTlb* tlb) {
        Slot& slot = slot_of(tlb);
        if (slot.unsynchronised.empty()) [[likely]]
            return {};
        taken_leaves_.clear();
        taken_leaves_.swap(slot.unsynchronised);
        return taken_leaves_;
    }
    /// Whether the soft TLB's non-global entries were found by these tables.
    bool is_of(SoftTlb* tlb, const Root& root) const;
    void rewrite(const Leaf& leaf, const Mapping& mapping);

    /// ShadowPolicy::Asp: whether the shadow has a table for the 2 MiB around va; it has one from now on.
    bool enter_table(SoftTlb* tlb, uint64_t va) {
        Slot& slot = slot_of(tlb);
        const uint64_t key = PageSet::key(va, 21);
        if (slot.tables.contains(key)) return true;
        slot.tables.insert(key, (va >> 55 & 1) == 0);
        return false;
    }

    // ---- Traditional shadow paging (protects_tables())
    /// Invalidates translations that were derived from a table entry which has changed.
    void drop(const Derived& derived);
    /// Write-protects every translation of the page of RAM at pa.
    void write_protect(uint64_t pa);

    const ShadowStats& shadow_stats() const { return stats_; }
    /// Invalidates the translations that lead to these pages of `memory` (physical addresses in ascending order), whatever their
    /// virtual addresses are, and no others of the soft TLBs; of fastmem those of all intercepted pages.
    void forget_pages(std::span<const uint64_t> pages, const GuestMemory& memory);
    /// Invalidates everything, for changes of SCTLR, TCR or MAIR.
    void flush_all() { apply({.kind = TlbiRequest::Kind::All}); }

  private:
    // Bitmaps say which entries are filled, so that the cost of a flush follows the fills, not the TLB's
    // size.
    static constexpr unsigned kSlots = 2 + kMaxRoots;  // EL1 PAN=0, EL1 PAN=1, EL0...
    static constexpr unsigned kTlbWords = kTlbEntries / 64;
    static constexpr unsigned kJumpWords = kJumpCacheLines / 64;
    static constexpr unsigned kBlockFilterLog2 = 12;                          // as block_hash()
    using BlockFilter = std::array<uint64_t, (1u << kBlockFilterLog2) / 64>;  // of block numbers, hashed

    struct Slot {
        uint32_t translation_flags = 0;  // of the code in the jump cache and behind the epoch
        SoftTlb* tlb = nullptr;
        uint64_t last_used = 0;
        unsigned number = 0;
        bool initialised = false;
        bool uses_fastmem = false;
        uint64_t owners = 0;       // address spaces that it was of
        uint64_t owner_table = 0;  // the first table of the last one
        bool has_entries = false;  // this and the flags below: since the last flush
        bool has_global = false;
        bool has_non_global = false;
        bool has_jumps = false;
        bool has_global_code = false;
        bool has_non_global_code = false;
        uint64_t block_sizes = 0;  // bit n: there may be entries of blocks of 2^n bytes, which `blocks` has
        uint64_t code_sizes = 0;   // bit n: code was fetched through mappings of 2^n bytes
        std::array<uint64_t, kTlbWords> valid{};
        std::array<uint64_t, kTlbWords> non_global{};
        std::array<uint64_t, kTlbWords> block{};  // the entry comes from a block
        std::array<uint64_t, kTlbWords / 64> non_global_summary{};
        std::array<uint64_t, kTlbWords> recent{};  // filled during switch `recent_since`
        uint64_t recent_since = 0;
        PageSet code;
        std::array<uint64_t, kJumpWords> jumps{};
        BlockFilter blocks{};
        std::unique_ptr<VictimTlb> victim_tlb;
        bool has_victim_tlb = false;
        PageSet tables;  // ShadowPolicy::Asp
        std::vector<Leaf> unsynchronised;

        bool has_code() const { return has_global_code || has_non_global_code; }
    };

    /// Addresses without their tags.
    struct Span {
        uint64_t first, last;
        bool contains(uint64_t va) const;
        uint64_t pages() const { return ((last - first) >> kPageBits) + 1; }
    };

    Slot& slot_of(SoftTlb* tlb);
    uint64_t key_of(const Root& root) const;
    /// `running`: EL0 does.
    Slot& el0_slot(uint64_t key, const Root& root, bool running);
    bool tells_tables_apart() const {
        return options_.policy == ShadowPolicy::Ssp || options_.policy == ShadowPolicy::Asp;
    }
    void keep_leaves(Slot& slot);
    void change_owner(Slot& slot);
    bool count_switch(const SoftTlb* tlb);
    bool enter_fastmem(Slot& slot, const Mapping& mapping, bool only_add = false);
    uint32_t slots_of_key(uint64_t key) const;
    void note_writer(unsigned number, const Mapping& mapping);
    bool is_writer(WriterMap::Place place, const Mapping& mapping, bool large);
    static void note_block(Slot& slot, const Mapping& mapping);
    void protect_everywhere(uint64_t pa);
    void initialise(Slot& slot);
    void evict(Slot& slot, unsigned index);
    void put(Slot& slot, unsigned index, const VictimTlb::Entry& entry);
    static void drop_victim_tlb(Slot& slot);
    void mark(Slot& slot, bool non_global);
    void flush(Slot& slot);
    void drop_non_global(Slot& slot);
    void drop_address(Slot& slot, uint64_t va, bool globals, bool non_globals);
    void drop_page(Slot& slot, uint64_t va, bool globals, bool non_globals);
    void drop_block(Slot& slot, uint64_t va, unsigned block_bits, bool globals, bool non_globals);
    Span whole_mappings(const Slot& slot, Span span) const;
    void drop_span(Slot& slot, Span span, bool globals, bool non_globals);
    void drop_entries(Slot& slot, Span span, bool globals, bool non_globals);
    void drop_entry(Slot& slot, unsigned index);
    void drop_leaf(Slot& slot, unsigned index);
    void drop_code(Slot& slot, Span span);
    void clear_jumps(Slot& slot);
    void change_translation_flags(Slot& slot, uint32_t translation_flags);
    void renew_epoch(Slot& slot);
    uint32_t slots_of_asid(uint16_t asid);
    void set_asid(const Slot& slot, uint16_t asid);

    const ShadowOptions options_;
    uint64_t tag_bias_ = 0;
    std::array<uint8_t, 2> page_bits_{kPageBits, kPageBits};
    const unsigned slots_used_;
    std::unique_ptr<FastmemSet> fastmem_;
    struct Writers {
        uint64_t base;
        WriterMap pages, blocks;
    };
    std::optional<Writers> writers_;  // traditional shadow paging only
    uint64_t table1_ = 0;             // traditional shadow paging: the root of the upper half
    const SoftTlb* running_ = nullptr;
    uint32_t fresh_tlbs_ = 0;  // bit n: soft TLB n was given to another root and EL0 has not run in it since
    uint64_t switches_ = 1;    // of address spaces
    ShadowStats stats_;
    std::vector<Leaf> dropped_leaves_, taken_leaves_;  // their memory is used again

    // One anonymous mapping holds all soft TLBs in slot order: a soft TLB's address gives its slot.
    void* mapping_ = nullptr;
    SoftTlb* tlbs_ = nullptr;

    // What TLBI reads first, close together: one bit or element per slot.
    uint32_t filled_ = 0;         // the slot has entries or ran code
    uint32_t filled_global_ = 0;  // the slot has global entries or code
    std::array<uint16_t, kSlots> asids_{};
    // What slots_of_asid() found last: a run of invalidations names one ASID.
    std::optional<uint16_t> sought_asid_;
    uint32_t slots_of_sought_ = 0;
    std::array<uint64_t, kSlots> keys_{};          // key_of() the root
    std::array<uint64_t, kSlots> first_tables_{};  // Root::table0 of EL0's
    unsigned last_el0_ = 2;
    uint64_t clock_ = 0;
    std::array<Slot, kSlots> slots_;
};

}  // namespace arclight::mmu
