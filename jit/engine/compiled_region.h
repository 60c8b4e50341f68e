// A region of tier 2: several blocks compiled as one function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/counters.h"
#include "jit/engine/quiescent_epochs.h"
#include "jit/engine/region_state.h"
#include "jit/engine/region_store.h"
#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

/// What must be mapped where for a region to be entered.
struct RegionPage {
    int64_t offset;  ///< from the page that the region is entered in, in virtual addresses
    uint64_t pa;
};

/// Names a region's file in the cache on disk.
struct StoredRegion {
    RegionStore::Key entry, whole;
};

struct CompiledRegion {
    TranslationBlock* entry = nullptr;       ///< null once it is retired
    std::vector<TranslationBlock*> members;  ///< with the entry; likewise empty
    std::vector<RegionPage> pages;           ///< other than the entry's
    RegionCode code;
    RegionLife life;
    Assumptions disabled_assumptions = 0;  ///< as Region::disabled_assumptions
    std::optional<StoredRegion> stored;    ///< its file, if it has one

    // ---- Given by RegionTable
    const void* body = nullptr;           ///< of the entry block
    const uint8_t* stub = nullptr;        ///< leads from the entry block into the code
    const uint8_t* timed_stub = nullptr;  ///< the same, and adds up cycles; null until it is needed
    uint32_t guard = kNoCounter;          ///< index in GuestState::region_epochs, if there are `pages`
    uint32_t entries = kNoCounter;        ///< counts how often it was entered, see RegionStub
    uint32_t cycles() const { return entries == kNoCounter ? entries : entries + 1; }
    /// Counts how often it was left because it could not go on, not because the guest went elsewhere.
    uint32_t side_exits() const { return entries == kNoCounter ? entries : entries - kEntryCounters; }
    /// Of the guest's CPU time, that tier 1 needed for the same code before (0 to 1).
    double share = 0;
    uint32_t last_entries = 0;  ///< `entries` when it was last found to be in use
    uint64_t last_used = 0;     ///< when that was, in regions published
    QuiescentEpochs::Snapshot retire_epochs;

    /// Of RegionMonitor.
    struct Watch {
        uint32_t entries = 0;  ///< at the last look; while it is timed, when that began
        uint32_t entries_at_last_look = 0;
        uint32_t side_exits = 0;  ///< at the last look
        unsigned looks_while_timed = 0;
        unsigned rest = 0;  ///< looks until it may be timed again
        double rate = 0;    ///< the most entries in a second of the guest's CPU time between two looks
    } watch;
};

inline bool is_entry_of_region(const TranslationBlock& block) {
    return std::ranges::any_of(block.regions, [&](const CompiledRegion* r) { return r->entry == &block; });
}

}  // namespace arclight::jit
