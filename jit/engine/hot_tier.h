// What the engine asks of a tier that hot blocks get better code from: tier 2 (tier2.h), or superblocks (superblocks.h).
//
// A block counts its runs in a counter of the tier's; when that runs out, the tier says where the block goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "jit/engine/block_cache.h"

namespace arclight::jit {

/// All is called with the engine's lock held.
class HotTier {
  public:
    HotTier() = default;
    HotTier(const HotTier&) = delete;
    HotTier& operator=(const HotTier&) = delete;
    virtual ~HotTier() = default;

    /// The counter for a new block; kNoCounter: it has none.
    virtual uint32_t new_counter(uint32_t translation_flags) = 0;
    /// The block is in the cache, with its counter.
    virtual void attach(TranslationBlock& block) = 0;
    /// Where an exit is to lead that is being linked.
    virtual const void* link_target(TranslationBlock& from, size_t exit, const TranslationBlock& to) = 0;
    /// A counter ran out: where to go on; null: its block is not there any more. `state`, if given, is of the CPU that is about to
    /// run the block.
    virtual const void* promote(uint32_t counter, const GuestState* state) = 0;
    /// So much more CPU time was spent in this block's code; null: in none's. Where time says what is hot.
    virtual void sample(TranslationBlock* block, std::chrono::nanoseconds cpu) = 0;
    /// The block is being invalidated.
    virtual void forget(TranslationBlock& block) = 0;
    /// It is about to be freed.
    virtual void free(const TranslationBlock& block) = 0;
    /// The code cache is about to be emptied: no virtual CPU is inside.
    virtual void flush() = 0;
};

}  // namespace arclight::jit
