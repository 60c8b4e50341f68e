// What fastmem (mmu/fastmem.h) needs of the accelerator: host page tables that the accesses of translated
// code go through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace arclight::mmu {

/// The format of the host's page tables: four levels of 512 entries of 64 bits. The backend names the bits.
struct HostPageFormat {
    uint64_t present, writable, user, accessed, dirty, no_execute;
    uint64_t large;         ///< of an entry above the lowest level: it maps a page, not a table
    uint64_t address_mask;  ///< the bits of the physical address
    /// Bits of an entry that the processor leaves to software.
    uint64_t software[4];
    /// Added to an address below 2^49 it gives a non-canonical address, on which every access faults.
    uint64_t non_canonical;

    static constexpr unsigned kTableEntries = 512;
    /// Levels count from the leaf: 0 for 4 KiB pages, 3 for the root.
    static constexpr unsigned table_index(uint64_t address, unsigned level) {
        return address >> (12 + 9 * level) & (kTableEntries - 1);
    }
};

/// For one virtual CPU; all members run on its thread.
class HostTables {
  public:
    virtual ~HostTables() = default;

    virtual const HostPageFormat& format() const = 0;

    /// The root: 512 entries, 512 GiB of host addresses each.
    virtual uint64_t* root() = 0;
    /// Whether fastmem may use this root entry: below 256, and the process maps nothing there for as long as it lives.
    virtual bool may_use_root_entry(unsigned index) = 0;
    /// A zeroed table of 512 entries; null if none is left.
    virtual uint64_t* take_table() = 0;
    virtual void give_back_table(uint64_t* table) = 0;
    /// The physical address to write into an entry that leads to this table.
    virtual uint64_t physical_of_table(const uint64_t* table) = 0;
    virtual uint64_t* table_at(uint64_t physical) = 0;
    /// The physical address of the page of guest RAM at `host`; nothing if the host processor cannot reach
    /// it. May leave the virtual machine.
    virtual std::optional<uint64_t> physical_of_page(const uint8_t* host) = 0;
    /// Whether physical_of_page() returns an address without leaving the virtual machine.
    virtual bool knows_page(const uint8_t* host) = 0;
    /// Invalidates these host addresses in the processor's TLB; an empty list stands for all. An entry that
    /// was not present needs no invalidation (Intel SDM vol. 3, 4.10.4.3).
    virtual void invalidate(std::span<const uint64_t> addresses) = 0;
    /// How many addresses invalidate() is better told than that all are meant.
    virtual size_t max_addresses() const { return 32; }

    // ---- Tables that no processor reads: who carries out what they say
    /// Whether fastmem is of those soft TLBs alone that ask for it, and of no others.
    virtual bool on_demand() const { return false; }
    /// `entry` was written for the page at `host_address`, of level 0 or 1. It may be there after complete() only.
    virtual void entered(uint64_t host_address, unsigned level, uint64_t entry) {
        (void)host_address, (void)level, (void)entry;
    }
    virtual void complete() {}
    /// The root entry is empty, and all below it is to go: invalidate() is not told.
    virtual void release_root_entry(unsigned index) { (void)index; }
};

}  // namespace arclight::mmu
