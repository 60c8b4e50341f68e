// Entries of x86-64 page tables (Intel SDM vol. 3, 4.5; AMD APM vol. 2, 5.3).
#pragma once

#include <cstdint>

#include "mmu/host_tables.h"

namespace arclight::backend::page_entry {

inline constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 1 << 5, kDirty = 1 << 6;
inline constexpr uint64_t kLarge = 1 << 7;  ///< of an entry above the lowest level: a page, not a table
inline constexpr uint64_t kNoExecute = uint64_t{1} << 63;
inline constexpr uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
inline constexpr unsigned kTableEntries = mmu::HostPageFormat::kTableEntries;
constexpr unsigned table_index(uint64_t address, unsigned level) {
    return mmu::HostPageFormat::table_index(address, level);
}

inline constexpr mmu::HostPageFormat kFormat{
    .present = kPresent,
    .writable = kWritable,
    .user = kUser,
    .accessed = kAccessed,
    .dirty = kDirty,
    .no_execute = kNoExecute,
    .large = kLarge,
    .address_mask = kAddressMask,
    .software = {1 << 9, 1 << 10, 1 << 11, uint64_t{1} << 52},
    // Bit 47 set and bit 48 clear is neither half of the canonical addresses (Intel SDM vol. 1, 3.3.7.1).
    .non_canonical = uint64_t{1} << 47,
};

}  // namespace arclight::backend::page_entry
