// What fastmem (mmu/fastmem.h) need of the accelerator that it is made in: host page tables that guest accesses go
// through.
#pragma once

#include <cstdint>
#include <span>

namespace arclight::mmu {

/// The host's page tables, as far as fastmem has to know them: four levels of 512 entries of 64 bits, whose bits
/// the backend names.
struct HostPageFormat {
    uint64_t present, writable, user, accessed, dirty, no_execute;
    uint64_t large;         ///< of an entry above the lowest level: a page, not a table
    uint64_t address_mask;  ///< where the physical address is
    /// Bits of an entry that the processor leaves to software.
    uint64_t software[3];
    /// Added to an address below 2^49, as the sum's only part above it: an address that no access may have.
    uint64_t non_canonical;

    static constexpr unsigned kTableEntries = 512;
    /// Levels count from the leaf: 0 a page's, 3 the root's.
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
    /// Root entries that may be used for fastmem: those below 256 that are nobody else's, with room between
    /// them.
    virtual bool may_use_root_entry(unsigned index) = 0;
    /// A zeroed page of 512 entries; null if none is left.
    virtual uint64_t* take_table() = 0;
    virtual void give_back_table(uint64_t* table) = 0;
    /// The bits of an entry that lead to a table, or to a page of guest RAM at this host address.
    virtual uint64_t physical_of_table(const uint64_t* table) = 0;
    virtual uint64_t* table_at(uint64_t physical) = 0;
    virtual uint64_t physical_of_page(const uint8_t* host) = 0;
    /// Can physical_of_page() tell without leaving the machine?
    virtual bool knows_page(const uint8_t* host) = 0;
    /// Forgets what the processor remembers of these host addresses (of all, if there are none). Entries that
    /// were not present need no such call.
    virtual void invalidate(std::span<const uint64_t> addresses) = 0;
};

}  // namespace arclight::mmu
