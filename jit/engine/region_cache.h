// Tier 2's use of the regions that earlier runs have left on disk (region_store.h).
//
// A block at which an earlier run has left some asks after a few runs already. The candidates are read once,
// and kept until a region is made of one of them or none fits. Where a lock is passed, it is the engine's,
// held before and after, and let go while files are read or written. All else: with the lock held.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "jit/engine/compiled_region.h"
#include "jit/engine/region_shape.h"
#include "jit/engine/region_store.h"
#include "jit/engine/tier2_options.h"
#include "jit/frontend.h"

namespace arclight::jit {

class RegionCache {
  public:
    /// Opens the directory, if one is asked for; says so where it cannot be used.
    RegionCache(const Frontend& frontend, const Tier2Options& options);

    /// False: nothing is found or kept. Nothing else is to be called then but read-only questions.
    bool enabled() const { return store_ != nullptr; }
    bool empty() const { return store_ == nullptr || store_->empty(); }
    /// RegionCompiler::fingerprint(). Any thread.
    void set_fingerprint(const std::string& fingerprint) {
        if (store_ != nullptr) store_->set_fingerprint(fingerprint);
    }

    using Lock = std::unique_lock<std::mutex>;
    using Key = RegionStore::Key;
    /// Of the regions that are entered at this block. Those that are compiled with Tier2Options::spectre are others.
    Key entry_key(const TranslationBlock& block) const;
    /// Whether an earlier run has left regions that are entered here.
    bool knows(const TranslationBlock& block) const { return enabled() && store_->knows(entry_key(block)); }

    struct Candidate {
        RegionShape shape;
        RegionStore::Stored stored;
    };
    /// Reads them from disk unless they were. The block may be gone afterwards.
    void read_candidates(Lock& lock, const Key& entry);
    std::vector<Candidate>& candidates(const Key& entry) { return candidates_[entry]; }
    void forget_candidates(const Key& entry) { candidates_.erase(entry); }
    void clear_candidates() { candidates_.clear(); }
    StoredRegion name_of(const Key& entry, const RegionStore::Stored& stored) const {
        return {entry, store_->name_of(stored)};
    }

    /// Keeps a region.
    StoredRegion save(Lock& lock, const Key& entry, const RegionStore::Stored& stored);
    /// A file that does not load is removed. Without the lock.
    void remove(const Key& entry, const RegionStore::Stored& stored) { store_->remove(entry, stored); }
    /// A region turned out not to be profitable: its file goes at the next evict().
    void evict_later(const StoredRegion& region) { evictions_.push_back(region); }
    bool has_evictions() const { return !evictions_.empty(); }
    void evict(Lock& lock);

    RegionStore::Stats stats() const { return store_ != nullptr ? store_->stats() : RegionStore::Stats{}; }

  private:
    const bool spectre_;
    const uint64_t frontend_variant_;
    std::unique_ptr<RegionStore> store_;  ///< null: disabled
    std::map<Key, std::vector<Candidate>> candidates_;
    std::vector<StoredRegion> evictions_;
};

}  // namespace arclight::jit
