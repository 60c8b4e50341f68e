// Pages in a soft TLB whose accesses are checked for allocation tags (FEAT_MTE).
#pragma once

#include <cstdint>

#include "mmu/soft_tlb.h"

namespace arclight::mmu {

/// The tags of such an entry have this bit, which no access compares with, so that each access misses, and what is behind the miss finds
/// it. It serves addresses with any bits 63:56, and its addend is that of the address without them.
inline constexpr uint64_t kCheckedMark = uint64_t{1} << 11;
inline constexpr unsigned kAddressTagShift = 56;
constexpr uint64_t without_address_tag(uint64_t va) { return va & ((uint64_t{1} << kAddressTagShift) - 1); }
constexpr uint64_t checked_tag(uint64_t va) { return (without_address_tag(va) & kPageMask) | kCheckedMark; }

}  // namespace arclight::mmu
