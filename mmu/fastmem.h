// Fastmem: guest virtual addresses mapped by the host processor's own page tables.
//
// The 512 GiB slots of a guest's 49-bit address space are mapped on demand onto free host slots. For each
// guest slot, SoftTlb::fastmem_offset holds the host address minus the guest address, or a poison value that
// makes the sum non-canonical. An access to an unmapped page faults; the slow path completes the access and
// maps the page. A page is mapped at its first access and unmapped by TLBI, as in Swift Shadow Paging: guest
// tables are not write-protected.
//
// Why a sum never reaches foreign memory:
//   - A mapped slot takes its own canonical addresses to host addresses below 2^47. The index ignores bits
//     63:49, but an address that differs there gives a sum whose bits 63:47 are neither all zero nor all one:
//     non-canonical.
//   - A poison value gives a sum with bit 47 set and bit 48 clear for every address: non-canonical.
//   - The first and the last page of a slot are never mapped. An access that crosses into the next slot
//     faults on the last page. An access that uses the offset of a nearby address in the neighbouring slot
//     faults on one of the two.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mmu/host_tables.h"
#include "mmu/soft_tlb.h"

namespace arclight::mmu {

struct FastmemStats {
    uint64_t fills = 0, large_fills = 0;
    uint64_t root_entries = 0;   ///< host slots taken
    uint64_t evictions = 0;      ///< soft TLBs unmapped to free host slots or tables
    uint64_t dropped_pages = 0;  ///< by TLBI
    uint64_t invalidations = 0;  ///< calls of HostTables::invalidate
};

/// The fastmem of one virtual CPU's soft TLBs; all members run on its thread. The host processor may still
/// use a dropped translation until finish(). `number` is the index of a soft TLB, below kMaxTlbs.
class FastmemSet {
  public:
    static constexpr unsigned kMaxTlbs = 32;

    explicit FastmemSet(HostTables& host);

    /// Poisons all offsets of the soft TLB. Call it before the soft TLB is used.
    void initialise(unsigned number, SoftTlb* tlb);

    struct Page {
        uint64_t va = 0;          ///< any address in it, tag and all
        uint8_t* host = nullptr;  ///< of va
        uint8_t page_bits = 12;   ///< of the guest's mapping: WalkResult::page_bits
        bool writable = false;    ///< it is readable
        bool non_global = false;
        bool intercepted = false;  ///< by the page overlay
        bool large = false;        ///< the 2 MiB around va are one mapping, all of it RAM
    };
    /// Maps the page. False if it was not mapped: fastmem cannot map it, or there is no room.
    bool fill(unsigned number, const Page& page);
    /// As fill(), for the middle of a region: changes unmapped entries only, never SoftTlb::fastmem_offset.
    /// False if the page needs another change.
    bool add(unsigned number, const Page& page);
    /// The guest virtual address that this soft TLB's fastmem maps at `host_address`.
    std::optional<uint64_t> guest_address(unsigned number, uint64_t host_address) const;

    /// Unmaps the guest's page of 2^page_bits bytes at va, 4, 16 or 64 KiB, if it is of one of these kinds, and a block of 2 MiB
    /// or 1 GiB. Blocks of other sizes are the caller's to know: drop_span().
    void drop_address(unsigned number, uint64_t va, bool globals, bool non_globals, unsigned page_bits = 12);
    /// Unmaps all pages of these kinds between two addresses of one half, and blocks of 2 MiB or 1 GiB that are partly in
    /// between.
    void drop_span(unsigned number, uint64_t first_va, uint64_t last_va, bool globals, bool non_globals);
    /// Makes the mapping at va read-only, or unmaps it.
    void write_protect(unsigned number, uint64_t va);
    /// Whether va maps the page of RAM at `host` writable.
    bool is_writable(unsigned number, uint64_t va, const uint8_t* host);
    /// Unmaps these pages of RAM (physical addresses of the host tables, in ascending order) and all intercepted pages.
    void drop_pages(unsigned number, std::span<const uint64_t> pages);
    /// What drop_pages() wants for the page of RAM at `host`; nothing: no fastmem can map it.
    std::optional<uint64_t> physical_of_page(const uint8_t* host) {
        return host_.knows_page(host) ? host_.physical_of_page(host) : std::nullopt;
    }
    void drop_non_global(unsigned number);
    void drop_all(unsigned number);
    /// Invalidates what was dropped in the processor's TLB, and frees its tables.
    void finish() {
        if (pending_) invalidate();
        host_.complete();
    }
    /// What was filled can be accessed. Call it when no more pages are to be entered now: neighbours are cheaper together.
    void complete() { host_.complete(); }
    /// HostTables::on_demand()
    bool on_demand() const { return host_.on_demand(); }

    const FastmemStats& stats() const { return stats_; }

  private:
    struct Slot {
        uint16_t guest = 0;  ///< guest slot
        uint16_t entry = 0;  ///< root entry
        uint64_t* level2 = nullptr;
    };
    struct Leaves {  ///< a table that may hold non-global leaves
        uint64_t* table;
        uint64_t* parent;       ///< the entry that leads to the table, marked listed()
        uint64_t host_address;  ///< of its first entry
        unsigned level;
    };
    struct Fastmem {
        SoftTlb* tlb = nullptr;
        std::vector<Slot> slots;
        std::vector<Leaves> non_global;
        uint64_t last_used = 0;
    };

    Slot* find_slot(Fastmem& w, unsigned guest);
    Slot* take_slot(Fastmem& w, unsigned guest);
    uint64_t* descend(uint64_t& entry, uint64_t mark);
    enum class Change : bool { Anything, OnlyAdd };
    bool try_fill(Fastmem& w, const Page& page, uint64_t page_physical, Change allowed);
    const Fastmem* evict(const Fastmem* spared);
    void drop_tree(uint64_t* table, unsigned level);
    struct Span;
    void clear_leaves(uint64_t* table, unsigned level, const Span& span);
    bool is_of(uint64_t leaf, bool globals, bool non_globals) const {
        return (leaf & non_global()) != 0 ? non_globals : globals;
    }
    void clear_pages(uint64_t& entry, unsigned level, uint64_t host_address, std::span<const uint64_t> pages);
    uint64_t* leaf(Fastmem& w, uint64_t va, unsigned& level, uint64_t& host_va);
    void drop_entry(uint64_t& entry, unsigned level, uint64_t host_address);
    void pend(uint64_t host_address);
    void invalidate();

    // ---- Software bits of an entry

    /// Of a leaf: the guest's mapping is non-global.
    uint64_t non_global() const { return format_.software[0]; }
    /// Of an entry that leads to a table: leaves below are parts of one larger guest mapping.
    uint64_t block() const { return format_.software[1]; }
    /// Of an entry that leads to a table: Fastmem::non_global lists the
    /// table.
    uint64_t listed() const { return format_.software[2]; }
    /// Of a leaf: the page overlay intercepts the page, so that it may be backed by other memory.
    uint64_t intercepted() const { return format_.software[3]; }

    HostTables& host_;
    const HostPageFormat format_;
    std::array<Fastmem, kMaxTlbs> tlbs_;
    std::array<bool, 256> taken_{};
    bool pending_ = false, pending_all_ = false, pending_roots_ = false;
    std::vector<uint64_t> addresses_;
    std::vector<uint64_t*> old_tables_;
    std::vector<uint16_t> old_entries_;
    uint64_t clock_ = 0;
    FastmemStats stats_;
};

}  // namespace arclight::mmu
