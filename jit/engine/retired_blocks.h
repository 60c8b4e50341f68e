// Blocks that were taken out and that a virtual CPU may still execute.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/quiescent_epochs.h"

namespace arclight::jit {

/// Whoever takes blocks out clears the jump caches that may lead to them next: a virtual CPU does so before it leaves
/// translated code, anybody else under hold(). So a block goes after two quiescent epochs: when the first has passed, the
/// jump caches have been cleared, or their owners will do so before they enter translated code again; when the second
/// has, every CPU that was still in the block has left it.
///
/// Not synchronised: the engine's lock is held.
class RetiredBlocks {
  public:
    /// As QuiescentEpochs::add_cpu(). A CPU's epoch is odd from before it looks its interrupt flag over and its code up.
    void add_cpu(const std::atomic<uint64_t>* epoch) { epochs_.add_cpu(epoch); }

    void add(TranslationBlock& block) { newest_.push_back(&block); }
    size_t size() const { return newest_.size() + waiting_.size(); }
    /// Those that nobody can execute any more: they are the caller's to free.
    std::vector<TranslationBlock*> reclaim() {
        if (holds_ != 0) return {};
        if (waiting_.empty() && !newest_.empty()) {
            waiting_.swap(newest_);
            first_epoch_ = true;
            snapshot_ = epochs_.now();
        }
        if (waiting_.empty() || !epochs_.passed(snapshot_)) return {};
        if (std::exchange(first_epoch_, false)) {
            snapshot_ = epochs_.now();
            if (!epochs_.passed(snapshot_)) return {};
        }
        return std::exchange(waiting_, {});
    }
    /// No virtual CPU executes translated code: the blocks are freed.
    void clear() {
        newest_.clear();
        waiting_.clear();
    }

    /// Between the two nothing is reclaimed.
    void hold() { ++holds_; }
    void release() { --holds_; }

  private:
    QuiescentEpochs epochs_;
    std::vector<TranslationBlock*> newest_, waiting_;
    QuiescentEpochs::Snapshot snapshot_;
    bool first_epoch_ = false;
    unsigned holds_ = 0;
};

}  // namespace arclight::jit
