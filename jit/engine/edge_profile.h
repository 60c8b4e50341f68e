// Edge profiles: how often each exit of a block is taken, and where its indirect branch goes. They are
// counted for a short time in the block's own translation, once it is known to be hot. Cold code pays nothing
// for it.
//
// The engine's lock is held, but for what translated code itself does.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/engine/block_cache.h"

namespace arclight::jit {

struct EdgeProfile {
    uint32_t runs = 0;            ///< of the block, while the rest was counted
    std::vector<uint32_t> taken;  ///< by exit
    struct Target {
        int64_t offset;  ///< of the block gone to, from the start of this one's page, in virtual addresses
        uint64_t pa;     ///< of it
        uint32_t count;
    };
    /// Of the indirect branch, the most frequent first. The blocks may not be there any more.
    std::vector<Target> targets;
    uint32_t samples = 0;  ///< of the indirect branch that `targets` were counted in

    // While it is being counted
    bool counting = false;
    uint64_t first_run = 0;
    std::vector<uint32_t> counters;  ///< by exit
    uint32_t ring = kNoCounter;
};

class EdgeProfiler {
  public:
    /// Counters that are no blocks', at the end of CodeBuffer::counters() but for `kept` of them.
    EdgeProfiler(CodeBuffer& code, BlockCache& cache, uint32_t kept);
    static constexpr uint32_t kEdges = 32768, kRings = 64;
    static constexpr uint32_t kCounters = kEdges + kRings * kRingWords;

    /// Begins to count; the block has run `runs` times until now.
    void start(TranslationBlock& block, uint64_t runs);
    /// Ends it: block.profile says what was found.
    void finish(TranslationBlock& block, uint64_t runs);
    /// After finish(): the blocks that it went on to, each with its share (of 1) of the runs.
    struct Successor {
        TranslationBlock* block;
        double share;
    };
    std::vector<Successor> successors(const TranslationBlock& block) const;
    /// Where a block's exit is to lead that is linked to `to`.
    const void* link_target(TranslationBlock& from, size_t exit, const TranslationBlock& to);
    /// The code cache was emptied.
    void reset();

  private:
    void read_ring(EdgeProfile& profile);

    CodeBuffer& code_;
    BlockCache& cache_;
    const uint32_t first_;
    std::vector<uint32_t> free_edges_, free_rings_;
};

}  // namespace arclight::jit
