// A piece of hot guest code that tier 2 compiles as one function.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/ir/ir.h"
#include "jit/region_abi.h"

namespace arclight::jit {

struct RegionBlock {
    /// Of the first instruction, from the start of the page that the region is entered in: addresses are
    /// virtual, so a block of another page has an offset outside 0..4095.
    int64_t offset = 0;
    ir::Block ir;
    /// How often it went where while that was counted, in `runs` runs; 0: not known.
    struct Edge {
        int64_t offset;
        uint32_t count;
    };
    std::vector<Edge> edges;
    uint32_t runs = 0;
    /// Blocks that its indirect branch may go to, the most frequent first. Empty: as the region says.
    std::vector<int64_t> targets;

    /// Of the block's page, likewise.
    int64_t page() const { return offset & ~int64_t{4095}; }
};

/// blocks[0] is the entry. Control may go from block to block wherever the IR's exits name another one's
/// offset.
struct Region {
    uint64_t pa = 0;
    uint32_t translation_flags = 0;
    std::vector<RegionBlock> blocks;
    /// By vector register: where the region is entered, its upper half was zero each time it was looked at.
    uint32_t narrow = 0;
    /// Earlier regions with this entry were left again and again since these were wrong: not to be made.
    Assumptions disabled_assumptions = 0;
    /// Addresses are masked by the outcome of their checks, as with CodeBuffer::spectre().
    bool spectre = false;
    std::vector<int64_t> return_sites;      ///< blocks that a RET may go to, by offset
    std::vector<int64_t> indirect_targets;  ///< blocks that BR and BLR may go to

    uint32_t guest_insns() const {
        uint32_t n = 0;
        for (const RegionBlock& b : blocks) n += b.ir.guest_insns;
        return n;
    }
};

}  // namespace arclight::jit
