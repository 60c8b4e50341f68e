// A region's blocks and the edges between them.
#pragma once

#include <bitset>
#include <cstddef>
#include <map>
#include <vector>

#include "jit/ir/register_slots.h"
#include "jit/llvm/region.h"

namespace arclight::jit::tier2 {

using ir::kFlagsSlot;
using ir::kSlots;
using ir::kVSlot;
using ir::slot_of;
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
