// Loop peeling and range-check hoisting: loops of one block check their accesses for many iterations at once.
//
// If every operand of an address is left alone by the loop or moves by a constant each iteration, then the
// number of iterations that its page lasts is known when the page is. The least of these numbers, over all
// such accesses, is counted down in the loop:
//
//     head:    (from outside)
//     refill:  if interrupted: leave.
//              For each address: unless it is in the page of last time, look it up. How many iterations?
//     again:   one iteration. Another one left: go to again, else to refill.
//
// The peeled iteration is that of a copy of the block, which checks each access alone: many loops have no
// second one. So are the next ones while the loop's own condition says that only few are left.
//
// Where a register says by how much an address moves, it often moves from page to page, as down a column of a
// matrix: such an access is looked up in each iteration, which costs less than to remember a page in vain.
//
// So within the loop nothing is known of pages but constants, and interrupts are polled as often as pages.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "jit/llvm/access_plan.h"
#include "jit/llvm/region_graph.h"

namespace arclight::jit::tier2 {

/// What hoisting does to a block that is a loop of its own.
struct HoistedChecks {
    /// The groups whose checks move to the block's head, by number, with the bytes that they move each
    /// iteration. Empty: the block is no loop, or has nothing to hoist.
    std::map<uint32_t, int64_t> strides;
    std::map<unsigned, int64_t> steps;  ///< registers, and by how much each iteration moves them
    std::vector<uint32_t> far;          ///< groups whose page is not worth remembering
    bool any() const { return !strides.empty(); }
};

HoistedChecks hoist_checks(const RegionBlock& block, const BlockAccesses& accesses);

struct LoopVersioning {
    RegionGraph graph;  ///< with loop bodies
    AccessPlan accesses;
    std::vector<HoistedChecks> loops;  ///< by block; nothing for peeled iterations
};

/// Peels the loops of `region` that have checks to hoist, and plans the accesses of the result.
LoopVersioning version_loops(const Region& region);

/// A register that moves by `stride` bytes when shifted left by `shift`.
struct Carrier {
    unsigned x, shift;
};

/// The register, of those that the loop moves, to tell by where a group is that moves by `stride`. It is one
/// that a comparison needs in each iteration anyway, if there is one.
std::optional<Carrier> carrier_of(const ir::Block& block, const HoistedChecks& loop, int64_t stride);

/// A loop goes on while `from`, which each iteration moves by `step`, has not come to `to`.
struct LoopCondition {
    ir::Ref from, to;
    int64_t step;
};

/// The condition on which `block`, a loop of its own, goes on, if it has that form.
std::optional<LoopCondition> loop_condition(const RegionBlock& block);

}  // namespace arclight::jit::tier2
