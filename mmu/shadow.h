// How cached translations follow the guest's tables: the shadow policies of `--mmu`.
//
//   ssp          Swift Shadow Paging: tables are not write-protected; TLBI alone invalidates translations. The
//                soft TLBs of the last address spaces are kept, so that a switch between them costs nothing.
//                A TLBI of an address synchronises its leaf: the tables are walked again, and what is there is
//                entered in place of what was. One of an ASID that several first tables have (a guest without
//                ASIDs) synchronises the other address spaces when they run again.
//   ssp-nocache  the same with one EL0 soft TLB, which every change of TTBR0 or ASID flushes.
//   asp          ssp, whose faults are told apart: a fault that misses the leaf alone, in a 2 MiB region that
//                has been entered before, is resolved inside the virtual machine.
//   tsp          traditional shadow paging: pages that hold tables are write-protected. A store to one takes
//                the slow path, which invalidates at once what was derived from the entry. TLBI does nothing.
//   tsp-unsync   the same as KVM does it: a store to a last-level table takes the slow path once. Then the table
//                can be written to, and what was derived from it stays as it was, until a TLBI of an address
//                synchronises that leaf, or another TLBI all such tables, which are write-protected again.
#pragma once

#include <cstdint>

namespace arclight::mmu {

enum class ShadowPolicy : uint8_t { Ssp, SspNoCache, Asp, Tsp, TspUnsync };

constexpr bool protects_tables(ShadowPolicy policy) {
    return policy == ShadowPolicy::Tsp || policy == ShadowPolicy::TspUnsync;
}

/// What a hypervisor without help from the guest would be entered for, under a policy.
enum class ShadowExit : uint8_t { Translation, Invalidation, TableStore, Switch };
inline constexpr unsigned kShadowExits = 4;

inline constexpr unsigned kMaxRoots = 30;  ///< 32 soft TLBs in all, two of them for EL1

struct ShadowOptions {
    ShadowPolicy policy = ShadowPolicy::Ssp;
    unsigned roots = 16;  ///< number of EL0 soft TLBs that are kept, 1 to kMaxRoots

    bool real_exits = false;  ///< leave the virtual machine for each ShadowExit

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
    uint64_t dropped = 0;  ///< entries invalidated
    uint64_t rewritten =
        0;  ///< entries that an invalidation found there again, which are in none of the others
    uint64_t wasted_fills = 0;  ///< entries invalidated before the next switch of address spaces
    uint64_t root_hits = 0, root_misses = 0;  ///< per switch of address spaces, counted when EL0 runs
};

}  // namespace arclight::mmu
