// A region's blocks and the edges between them.
#pragma once

#include <bitset>
#include <cstddef>
#include <map>
#include <vector>

#include "jit/llvm/region.h"

namespace arclight::jit::tier2 {

/// Guest registers by number: 0..31 x0..x30 and sp, 32..63 v0..v31, 64 NZCV.
inline constexpr unsigned kVSlot = 32, kFlagsSlot = 64, kSlots = 65;
using Slots = std::bitset<kSlots>;

/// A region, with the loop bodies that loop peeling adds behind its own blocks.
struct RegionGraph {
    explicit RegionGraph(const Region& region);

    Region region;
    std::map<int64_t, size_t> by_offset;  ///< the region's own blocks
    /// By a block that is its loop's peeled iteration: the copy that is the loop's body.
    std::map<size_t, size_t> loop_bodies;

    /// Makes block `k` the peeled iteration of its loop, and a copy of it the loop's body.
    void peel(size_t k);
    /// The block that an exit of block `from` to block `to` leads to: `to` or its loop's body.
    size_t target_of(size_t from, size_t to) const;
    /// Offsets that an ExitIndirect of `block` may lead to.
    const std::vector<int64_t>& targets_of(const RegionBlock& block, const ir::Inst& exit) const;
};

}  // namespace arclight::jit::tier2
