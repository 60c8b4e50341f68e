// When a block is promoted to tier 2: its counter runs out several times, each time for another reason.
//
//   Cold --threshold--> Profiled --profile--> Waiting --heat--> Queued --compiled--> Done
//
// Counters cost as much as they are executed, so usually it is a sampling profile that says when (Tier2Options::sampled): time in a
// block stands for its runs. A block executes its counter then only in Profiled, and for its first runs where there are regions on
// disk. What a profiled block mostly goes on to is profiled after it, since a region is built from profiles.
//
// With counters alone, a block's counter begins at `threshold`. The first time that it runs out, what its exits lead to is counted
// for a short while; then the block waits until it has executed enough instructions to pay for a compilation,
// and is queued. A block with regions on disk asks for them sooner. Not synchronised: the engine's lock is
// held.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/counters.h"
#include "jit/engine/edge_profile.h"
#include "jit/engine/tier2_options.h"
#include "jit/frontend.h"

namespace arclight::jit {

class PromotionPolicy {
  public:
    PromotionPolicy(const Frontend& frontend, CodeBuffer& code, EdgeProfiler& edges,
                    const Tier2Options& options);

    // ---- What translated code asks
    /// The counter for a new block; kNoCounter: it has none.
    uint32_t new_counter(uint32_t translation_flags);
    /// Starts the counter of a block that has one. `stored`: an earlier run has left regions entered at it.
    void attach(TranslationBlock& block, bool stored);
    /// The block is about to be freed. Its counter is no other block's until reset().
    void free(const TranslationBlock& block) {
        if (block.counter != kNoCounter) by_counter_[block.counter] = nullptr;
    }
    enum class Next : uint8_t {
        Run,         ///< its own translation
        WakeWorker,  ///< the same, and there is something in a queue
        CompileNow,  ///< Tier2Options::synchronous
    };
    struct Decision {
        TranslationBlock* block;  ///< null: the counter is none's
        Next next;
    };
    /// A counter ran out. `state`, if given, is of the CPU that is about to run the block. `stopped`: nothing
    /// is compiled any more.
    Decision on_counter(uint32_t counter, const GuestState* state, bool stopped);
    /// Tier2Options::sampled: so much more CPU time was spent, in this block's code; null: elsewhere.
    Next on_sample(TranslationBlock* block, std::chrono::nanoseconds cpu);

    // ---- Queues
    /// The block that executed most since it was promoted, out of the queue; null: none.
    TranslationBlock* take_hottest();
    /// A counter whose block may have regions on disk.
    std::optional<uint32_t> take_warm();
    bool queue_empty() const { return queue_.empty(); }
    /// Nothing of the block is to be compiled: it has its region.
    void done(TranslationBlock& block);
    void clear_queues();
    /// The code cache was emptied.
    void reset();

    // ---- What becomes of a block
    /// Back to where it was before anything was known of it.
    void restart(TranslationBlock& block);
    /// No region is entered here any more.
    void disable(TranslationBlock& block);
    /// Its region was not profitable: it may be later, a few times.
    void discard(TranslationBlock& block);
    /// A region that was entered here has not kept what it promised: after a few of them none is entered
    /// here.
    void count_failure(TranslationBlock& block);
    /// It is queued again when it has run `runs` times more.
    void wait(TranslationBlock& block, double runs);
    /// Puts off a block that a region of another one has taken in since it asked: it may not be executed any
    /// more but there. False: compile it.
    bool postpone_covered(TranslationBlock& block);
    /// Has it ask for its regions on disk once more, later. False: it has asked often enough.
    bool ask_disk_again(TranslationBlock& block);

    // ---- What is known of a block
    /// Null: the block is gone.
    TranslationBlock* block_of(uint32_t counter) const;
    /// How often it has run.
    uint64_t runs(const TranslationBlock& block) const;
    /// Likewise, since it was promoted.
    uint64_t runs_since_promotion(const TranslationBlock& block) const {
        return runs(block) - block.promotion.hot().promoted_at;
    }
    /// The CPU time that was sampled in these blocks, and in all since the first of them was first sampled.
    struct Sampled {
        std::chrono::nanoseconds inside{}, all{};
    };
    Sampled sampled_in(std::span<TranslationBlock* const> blocks) const;
    uint64_t promoted() const { return promoted_; }

    // ---- Counters that were set while CPUs ran
    /// Sets those again that a CPU has overwritten.
    void confirm_counters();
    bool has_unconfirmed() const { return !unconfirmed_.empty(); }

  private:
    using Clock = std::chrono::steady_clock;
    void count_from(TranslationBlock& block, uint32_t n);
    void count_runs(TranslationBlock& block, double n);
    void ask_after(TranslationBlock& block, double runs);
    void start_counting(TranslationBlock& block, uint32_t n);
    void stop_counting(TranslationBlock& block);
    void enqueue(TranslationBlock& block);
    Next advance(TranslationBlock& block);
    Next promote(TranslationBlock& block);
    void start_profile(TranslationBlock& block, double visits, unsigned distance);
    void end_profile(TranslationBlock& block);
    void profile_successors(const TranslationBlock& block);
    uint64_t heat_of(const TranslationBlock& block) const;

    const Frontend& frontend_;
    CodeBuffer& code_;
    EdgeProfiler& edges_;
    const Tier2Options& options_;
    std::vector<TranslationBlock*> by_counter_;
    std::deque<uint32_t> queue_, warm_queue_;  ///< counters
    struct Unconfirmed {
        uint32_t counter, from;
        Clock::time_point when;
    };
    std::vector<Unconfirmed> unconfirmed_;
    uint64_t promoted_ = 0;
    std::chrono::nanoseconds sampled_{};  ///< of all samples
};

}  // namespace arclight::jit
