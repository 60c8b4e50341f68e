// How cached translations follow the guest's tables: the shadow policies of `--mmu`.
//
//   ssp          Swift Shadow Paging: tables are not write-protected; TLBI alone invalidates translations. The
//                soft TLBs of the last address spaces are kept, so that a switch between them costs nothing.
//   ssp-nocache  the same with one EL0 soft TLB, which every change of TTBR0 or ASID flushes.
//   tsp          traditional shadow paging: pages that hold tables are write-protected. A store to one takes
//                the slow path, which invalidates at once what was derived from the entry. TLBI does nothing.
#pragma once

#include <cstdint>

namespace arclight::mmu {

enum class ShadowPolicy : uint8_t { Ssp, SspNoCache, Tsp };

inline constexpr unsigned kMaxRoots = 30;  ///< 32 soft TLBs in all, two of them for EL1

struct ShadowOptions {
    ShadowPolicy policy = ShadowPolicy::Ssp;
    unsigned roots = 16;  ///< number of EL0 soft TLBs that are kept, 1 to kMaxRoots

    unsigned el0_tlbs() const { return policy == ShadowPolicy::SspNoCache ? 1 : roots; }
};

/// An address space: what the translations of a soft TLB belong to.
struct Root {
    uint16_t asid = 0;
    uint64_t table0 = 0, table1 = 0;  ///< physical addresses of the first tables of both halves
};

/// An aligned range of guest virtual addresses whose translations no longer hold.
struct Derived {
    static constexpr uint64_t kAnyRoot = ~uint64_t{0};
    uint64_t va = 0;
    uint64_t root = kAnyRoot;  ///< for the lower half: TTBR0's table, or any
    uint8_t bits = 56;         ///< log2 of the range; 56: all addresses
};

struct ShadowStats {
    uint64_t fills = 0;
    uint64_t dropped = 0;       ///< entries invalidated
    uint64_t wasted_fills = 0;  ///< entries invalidated before the next switch of address spaces
    uint64_t root_hits = 0, root_misses = 0;  ///< per switch of address spaces, counted when EL0 runs
};

}  // namespace arclight::mmu
