// Which blocks make a region.
//
// Not synchronised: the engine's lock is held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/compiled_region.h"
#include "jit/engine/promotion_policy.h"
#include "jit/engine/region_shape.h"
#include "jit/engine/tier2_options.h"
#include "jit/frontend.h"
#include "jit/llvm/region.h"

namespace arclight::jit {

class RegionBuilder {
  public:
    RegionBuilder(const Frontend& frontend, const BlockCache& blocks, const PromotionPolicy& policy,
                  EdgeProfiler& edges, const Tier2Options& options);
    /// Marks the accesses of a block that met a device.
    std::function<void(ir::Block&)> mark_sites = [](ir::Block&) {};

    struct Built {
        Region region;                             ///< for the compiler
        std::unique_ptr<CompiledRegion> compiled;  ///< with its members and pages
        double insns_per_run = 1;   ///< guest instructions of the region for each run of its entry block
        double expected_insns = 0;  ///< likewise from an entry of the region to its exit, as the profiles say
    };
    /// From the entry along whatever is gone to often enough, the most frequent first.
    Built build(TranslationBlock& entry);
    /// Entering and leaving a region moves all registers, and leaves what the block's own translation kept in
    /// host registers: a region is to execute enough in between.
    bool profitable(const Built& built) const;

    /// What another run makes the same region of.
    RegionShape shape_of(const Built& built) const;
    enum class Fit : uint8_t { Yes, NotYet, Never };
    /// Fills in the entry, members and pages of a region of this shape: all its blocks must have been
    /// translated since, and from the same code.
    Fit build_as(const RegionShape& shape, TranslationBlock& entry, CompiledRegion& region) const;

  private:
    struct SuccessorEdge;
    struct Node;
    struct Draft;
    void add_block(Draft& draft, Built& built, int64_t offset, TranslationBlock& block);
    void translate(const TranslationBlock& block, ir::Block& ir) const;
    std::vector<SuccessorEdge> successors_of(const Draft& draft, const Node& node) const;
    bool may_be_added(const Draft& draft, const SuccessorEdge& edge) const;
    /// Of the blocks that may be added, the one that is gone to most; and where. Null: none is worth it.
    TranslationBlock* best_successor(const Draft& draft, double executed, int64_t& offset) const;
    static double count_visits(std::vector<Node>& nodes, double enough = 0);
    static void describe_edges(const Draft& draft, Region& region);

    const Frontend& frontend_;
    const BlockCache& blocks_;
    const PromotionPolicy& policy_;
    EdgeProfiler& edges_;
    const Tier2Options& options_;
};

}  // namespace arclight::jit
