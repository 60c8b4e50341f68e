// Check coalescing: which accesses of a block share one look-up in the soft TLB.
//
// Accesses at small displacements from one value lie in one page nearly always: they are a group, checked
// once as the span from the lowest byte to the highest one. A group that the end of a page cuts, or of which
// a part may not be written, leaves the region, though each of its accesses alone might have gone on. So a
// group's span is small, and it ends at a conditional exit, behind which a write may never come. Where that
// happens too often all the same, as with a structure on the stack across two pages, the region is compiled
// again: each access that was in such a group is a group of its own, and one of more than 8 bytes is several.
#pragma once

#include <map>
#include <vector>

#include "jit/llvm/region_graph.h"

namespace arclight::jit::tier2 {

inline constexpr unsigned kNoPage = ~0u;
inline constexpr uint32_t kNoGroup = ~uint32_t{0};
/// What is taken to lie in one page where nothing may be assumed.
inline constexpr unsigned kPartBytes = 8;

/// Accesses at root + lo .. root + hi - 1 that are checked together.
struct AccessGroup {
    ir::Ref root = ir::kNoRef;
    int64_t lo = 0, hi = 0;
    bool write = false;
    unsigned page = kNoPage;      ///< in AccessPlan::pages
    Assumptions assumptions = 0;  ///< of the accesses, unless they are disabled
    uint64_t predicted = 0;       ///< Inst::imm of an access (jit/engine/predict.h)

    unsigned span() const { return static_cast<unsigned>(hi - lo); }
    /// The assumptions that it lies in one page; 0: that is certain enough.
    Assumptions assumed() const { return hi - lo > int64_t{kPartBytes} ? assumptions : 0; }
};

/// A page that is remembered from one group to the next.
struct AccessPage {
    bool stable = false;  ///< worth comparing with in a block that did not look it up itself
    bool shared = false;  ///< by groups of several bases, which may read and write
    unsigned span = 0;    ///< bytes of the widest group that uses it
};

/// The accesses of a block.
struct BlockAccesses {
    std::vector<AccessGroup> groups;
    std::vector<uint32_t> group_of;                  ///< by instruction, or kNoGroup
    std::map<ir::Ref, std::vector<uint32_t>> parts;  ///< groups of the accesses that have several
};

struct AccessPlan {
    std::vector<BlockAccesses> blocks;
    std::vector<AccessPage> pages;
    bool spectre = false;  ///< as Region::spectre: no page is remembered
};

/// Groups the plain accesses of every block. Where the region uses fastmem, a group is never split.
AccessPlan plan_accesses(const RegionGraph& graph);

}  // namespace arclight::jit::tier2
