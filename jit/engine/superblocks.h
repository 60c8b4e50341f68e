// Superblocks (Hwu et al., "The Superblock", 1993): hot blocks and those that mostly follow them, over jumps, calls and returns and
// several pages, compiled as one block with exits on its sides. Guest registers stay where they are from one block to the next,
// what the next one overwrites is never stored, and accesses share look-ups of the soft TLB.
//
// They are made by tier 1's compiler on the CPU that finds the block hot, in tens of microseconds. By samples: the exits of a block that
// CPU time was spent in are counted for a while, and those of the blocks that it mostly goes on to; after some runs more it gets its
// superblock, if it is the start of one. Else a block counts its runs; after `threshold` of them its exits are counted; after as many runs
// again it gets its superblock. What is linked to the block then leads there, and so does the block's entry. All happens under the
// engine's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/edge_profile.h"
#include "jit/engine/hot_tier.h"
#include "jit/engine/superblock_builder.h"
#include "jit/frontend.h"

namespace arclight::jit {

struct SuperblockOptions {
    bool enabled = false;  ///< not with tier 2
    bool sampled =
        false;  ///< a block is hot when CPU time was spent in it (Engine::sample()), not by its runs
    /// By samples: runs of a hot block for which its exits are counted, and then before it gets its superblock: meanwhile those of what it
    /// goes on to are.
    uint32_t profile_runs = 512, settle_runs = 16384;
    uint32_t threshold = 4000;  ///< else
    SuperblockBuilder::Limits limits{};
};

/// Counted since start, but for `live`.
struct SuperblockStats {
    uint64_t made = 0, dropped = 0, rejected = 0, live = 0;
    uint64_t blocks = 0, sides = 0, guest_insns = 0, host_bytes = 0;  ///< of those made
    uint64_t make_ns = 0;                                             ///< CPU time
};

class Superblocks final : public HotTier {
  public:
    /// `retired` is called for each one that is taken out; a CPU may still be in it.
    Superblocks(const Frontend& frontend, CodeBuffer& code, BlockCache& cache,
                const SuperblockOptions& options, std::function<void(TranslationBlock&)> retired);

    bool enabled() const { return options_.enabled; }
    void set_mark_sites(std::function<void(ir::Block&)> mark);
    uint32_t new_counter(uint32_t translation_flags) override;
    void attach(TranslationBlock& block) override;
    const void* link_target(TranslationBlock& from, size_t exit, const TranslationBlock& to) override {
        return edges_.link_target(from, exit, to);
    }
    const void* promote(uint32_t counter, const GuestState* state) override;
    void sample(TranslationBlock* block, std::chrono::nanoseconds cpu) override;
    void forget(TranslationBlock& block) override;
    void free(const TranslationBlock& block) override;
    void flush() override;
    /// One of its exits that are LinkSlot::split is being taken. True: it has been often, and is not to be linked, since the superblock is
    /// made again without that look-up for several accesses; or that may still be.
    bool is_split_often(TranslationBlock& superblock, size_t exit);
    SuperblockStats stats() const { return stats_; }
    /// The part of the code cache that is for superblocks is: it is to be flushed.
    bool full() const { return full_; }

  private:
    void count_from(TranslationBlock& block, uint32_t n);
    void start_profile(TranslationBlock& block, double visits, unsigned distance);
    void end_profile(TranslationBlock& block);
    uint64_t runs(const TranslationBlock& block) const;
    bool make(TranslationBlock& head);
    bool make_untimed(TranslationBlock& head);
    void drop(TranslationBlock& superblock);
    /// Exits that are linked to the block lead to its entry() from now on.
    void enter_at(TranslationBlock& block);
    void mark_alone(ir::Block& block) const;

    const Frontend& frontend_;
    CodeBuffer& code_;
    BlockCache& cache_;
    const SuperblockOptions options_;
    const std::function<void(TranslationBlock&)> retired_;
    EdgeProfiler edges_;
    SuperblockBuilder builder_;
    std::vector<TranslationBlock*> by_counter_;
    std::unordered_map<uint32_t, unsigned> splits_;  ///< by link slot: how often it was asked for
    std::unordered_set<uint64_t> alone_;  ///< instructions (physical addresses) whose accesses look up alone
    SuperblockStats stats_;
    uint64_t made_before_ = 0;  ///< SuperblockStats::made when the code cache was flushed
    bool full_ = false;
};

}  // namespace arclight::jit
