// How cached translations follow the guest's tables: the shadow policies of `--mmu`.
//
//   ssp          Swift Shadow Paging: tables are not watched; a translation goes when the guest says so
//   (TLBI).
//                The soft TLBs of the last address spaces are kept, so that a switch between them costs nothing.
//   ssp-nocache  the same with one user soft TLB, which every switch of TTBR0 or ASID empties.
//   tsp          traditional shadow paging: pages that hold tables cannot be written but through the slow
//                path, which drops at once what was derived from the entry. TLBI has nothing left to do.
#pragma once

#include <cstdint>

namespace arclight::mmu {

enum class ShadowPolicy : uint8_t { ssp, ssp_nocache, tsp };

inline constexpr unsigned kMostRoots = 30;  ///< the fastmem of 32 soft TLBs, two of them EL1's

struct ShadowOptions {
    ShadowPolicy policy = ShadowPolicy::ssp;
    unsigned roots = 16;  ///< EL0 soft TLBs that are kept, 1 to kMostRoots

    unsigned el0_views() const { return policy == ShadowPolicy::ssp_nocache ? 1 : roots; }
};

/// What a soft TLB's translations belong to.
struct Root {
    uint16_t asid = 0;
    uint64_t table0 = 0, table1 = 0;  ///< physical addresses of the first tables of both halves
};

/// Translations that no longer hold, for whoever has them: those of an aligned range of addresses.
struct Derived {
    static constexpr uint64_t kAnyRoot = ~uint64_t{0};
    uint64_t va = 0;
    uint64_t root = kAnyRoot;  ///< TTBR0's table for addresses of the lower half; or whatever root
    uint8_t bits = 56;         ///< log2 of the range; 56: all addresses
};

struct ShadowStats {
    uint64_t fills = 0;
    uint64_t dropped = 0;       ///< entries, by invalidation
    uint64_t wasted_fills = 0;  ///< of them, those filled since the last switch of address spaces
    uint64_t root_hits = 0, root_misses = 0;  ///< at switches of address spaces, once EL0 runs in the new one
};

}  // namespace arclight::mmu
