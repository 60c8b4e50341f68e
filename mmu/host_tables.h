// What fastmem (mmu/fastmem.h) need of the accelerator they are made in: x86-64 page tables that guest accesses go
// through.
#pragma once

#include <cstdint>
#include <span>

namespace arclight::mmu {

/// Entries of x86-64 page tables (Intel SDM vol. 3, 4.5; AMD APM vol. 2, 5.3).
namespace host_entry {
inline constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 1 << 5, kDirty = 1 << 6;
inline constexpr uint64_t kLarge = 1 << 7;  ///< of an entry above the lowest level: a page, not a table
inline constexpr uint64_t kNoExecute = uint64_t{1} << 63;
inline constexpr uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
inline constexpr unsigned kTableEntries = 512;
/// Levels count from the leaf: 0 a page's, 3 the root's.
constexpr unsigned table_index(uint64_t address, unsigned level) { return address >> (12 + 9 * level) & 511; }
}  // namespace host_entry

/// For one virtual CPU; all members run on its thread.
class HostTables {
  public:
    virtual ~HostTables() = default;

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
