// Fastmem: guest virtual addresses mapped by the host processor's own page tables.
//
// The 512 GiB slots of a guest's 49-bit address space are mapped on demand onto free host slots. SoftTlb::fastmem_offset
// holds, for each guest slot, what has to be added to a guest address to get the host's, or a poison that
// makes the sum non-canonical; an access that is not mapped faults, and the slow path finishes it and fills
// the page in. Pages are entered when they are touched and leave at TLBI, as Swift Shadow Paging does: guest
// tables are not write-protected.
//
// Why a sum never leads astray: a mapped slot's fastmem gives a host address below 2^47 for its own canonical
// addresses, so with other bits 63:49, which the table's index ignores, bits 63:47 of the sum are neither all
// zero nor all one; a poisoned one gives a sum with bit 47 set and bit 48 clear whatever the address. Neither
// is canonical. The first and the last page of a slot are never mapped: what begins in a slot and ends in the
// next one meets the last, and what is a little way from an address in another slot, but is added to that
// slot's fastmem, meets one of them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "mmu/host_tables.h"
#include "mmu/soft_tlb.h"

namespace arclight::mmu {

struct FastmemStats {
    uint64_t fills = 0, large_fills = 0;
    uint64_t root_entries = 0;   ///< host slots taken
    uint64_t evictions = 0;      ///< soft TLBs emptied for want of host slots or tables
    uint64_t dropped_pages = 0;  ///< by TLBI
    uint64_t invalidations = 0;  ///< calls of HostTables::invalidate
};

/// The fastmem of one virtual CPU's soft TLBs; all members run on its thread. What is dropped may still be used
/// by the processor until finish().
class FastmemSet {
  public:
    static constexpr unsigned kViews = 32;

    explicit FastmemSet(HostTables& host);

    /// Poisons all of the soft TLB's fastmem. Before it is used, and when it starts again as another.
    void initialise(unsigned number, SoftTlb* tlb);

    struct Page {
        uint64_t va = 0;          ///< any address in it, tag and all
        uint8_t* host = nullptr;  ///< of va
        uint8_t page_bits = 12;   ///< of the guest's mapping: 12, 21 or 30
        bool writable = false;    ///< it is readable
        bool non_global = false;
        bool large = false;  ///< the 2 MiB around va are one mapping, all of it RAM
    };
    /// False: not entered, because it cannot be or there is no room.
    bool fill(unsigned number, const Page& page);
    /// The same where translated code stands in the middle of something: false too if anything but what is
    /// not mapped would have to change. Leaves SoftTlb::fastmem_offset alone.
    bool add(unsigned number, const Page& page);
    /// The guest address of a host address in this soft TLB's fastmem.
    std::optional<uint64_t> guest_address(unsigned number, uint64_t host_address) const;

    void drop_address(unsigned number, uint64_t va, bool globals, bool non_globals);
    /// All pages of an aligned range of 2^bits addresses, 21 or more.
    void drop_range(unsigned number, uint64_t va, unsigned bits);
    /// What is mapped at va can be read only from now on, or is not mapped.
    void write_protect(unsigned number, uint64_t va);
    /// Is the page of RAM at `host` mapped writable at va?
    bool is_writable(unsigned number, uint64_t va, const uint8_t* host);
    void drop_non_global(unsigned number);
    void drop_all(unsigned number);
    /// Makes the processor forget what was dropped.
    void finish() {
        if (pending_) invalidate();
    }

    const FastmemStats& stats() const { return stats_; }

  private:
    struct Slot {
        uint16_t guest = 0;  ///< guest slot
        uint16_t entry = 0;  ///< root entry
        uint64_t* level2 = nullptr;
    };
    struct Leaves {  ///< a table with non-global leaves
        uint64_t* table;
        uint64_t* parent;       ///< the entry that leads to it, marked as listed
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
    bool try_fill(Fastmem& w, const Page& page, Change allowed);
    const Fastmem* evict();
    void drop_tree(uint64_t* table, unsigned level);
    void clear_leaves(uint64_t& entry, unsigned level, uint64_t host_address);
    uint64_t* leaf(Fastmem& w, uint64_t va, unsigned& level, uint64_t& host_va);
    void drop_entry(uint64_t& entry, unsigned level, uint64_t host_address);
    void pend(uint64_t host_address);
    void invalidate();

    // The bits that the processor leaves to software.
    uint64_t non_global() const { return format_.software[0]; }  ///< of a leaf: the guest's mapping is an ASID's
    /// Of a table's entry: leaves below are parts of one larger guest mapping.
    uint64_t block() const { return format_.software[1]; }
    uint64_t listed() const { return format_.software[2]; }  ///< of a table's entry: in Fastmem::non_global

    HostTables& host_;
    const HostPageFormat format_;
    std::array<Fastmem, kViews> tlbs_;
    std::array<bool, 256> taken_{};
    bool pending_ = false, pending_all_ = false;
    std::vector<uint64_t> addresses_;
    std::vector<uint64_t*> old_tables_;
    std::vector<uint16_t> old_entries_;
    uint64_t clock_ = 0;
    FastmemStats stats_;
};

}  // namespace arclight::mmu
