// All compiled regions, with what leads into them, and their memory once nothing does.
//
// A region that is retired is freed when every virtual CPU has passed a quiescent epoch (quiescent_epochs.h).
// Not synchronised: the engine's lock is held.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "jit/engine/compiled_region.h"

namespace arclight::jit {

/// What must be at which physical page for a region to be entered; and where to go on then, or else.
struct RegionEntryCheck {
    std::vector<RegionPage> pages;
    const void* inside = nullptr;
    const void* outside = nullptr;
};

class RegionTable {
  public:
    static constexpr uint32_t kGuards = 4096;

    struct Hooks {
        /// Frees a region's code: RegionCompiler::unload().
        std::function<void(uint64_t handle)> unload;
        /// The block was a live region's entry, and executes its own translation again.
        std::function<void(TranslationBlock&)> on_unpatched;
    };
    /// `max_bytes`: of live regions' code.
    RegionTable(CodeBuffer& code, uint64_t max_bytes, Hooks hooks);

    /// `guard_epochs`: GuestState::region_epochs, kGuards of them. Both must stay as long as the CPU runs.
    void add_cpu(const std::atomic<uint64_t>* quiescent_epoch, uint32_t* guard_epochs);

    /// Links a region with its blocks, so that it is retired with them. Null: there are too many regions.
    CompiledRegion* admit(std::unique_ptr<CompiledRegion> region);
    /// The region, which may have been retired meanwhile, is loaded. side_exit() finds it from now on.
    void set_code(CompiledRegion& region, const RegionCode& code);
    /// Makes it live, evicting others if need be. Where there is no room for it, it is retired.
    void publish(CompiledRegion& region);
    /// Starts or ends timing of a live region. False: the code cache has no room for that.
    bool set_timed(CompiledRegion& region, bool timed);
    /// A region that is retired already stays so.
    void retire(CompiledRegion& region);
    /// This one is not freed, though it may be retired, until another or none (null) is pinned.
    void pin(const CompiledRegion* region) { pinned_ = region; }
    /// Frees what no virtual CPU can execute any more.
    void reclaim();
    /// The code cache is about to be emptied: no virtual CPU executes translated code.
    void reset();

    /// What `guard` protects. A retired region has its guard until it is freed.
    RegionEntryCheck entry_check(uint32_t guard) const;
    /// Where a virtual CPU goes on after the instruction at `pc`, in one of the regions, has faulted. Null:
    /// it is in none, or must not fault.
    const void* side_exit(const void* pc) const;

    /// Those that are not retired; the newest last.
    const std::vector<std::unique_ptr<CompiledRegion>>& regions() const { return regions_; }
    bool any_live() const { return stats_.live != 0; }
    size_t retired_regions() const { return retired_.size(); }

    struct Stats {
        uint64_t dropped = 0, evicted = 0, live = 0, live_bytes = 0, entered = 0, side_exits = 0;
    };
    Stats stats() const;

  private:
    const uint8_t* emit_stub(const CompiledRegion& region, uint32_t cycles);
    CompiledRegion* least_recently_entered();
    bool make_room(const CompiledRegion& region);
    void free_resources(CompiledRegion& region);

    CodeBuffer& code_;
    const uint64_t max_bytes_;
    const Hooks hooks_;
    std::vector<std::unique_ptr<CompiledRegion>> regions_, retired_;
    std::vector<CompiledRegion*> by_guard_;
    std::map<const void*, const CompiledRegion*> by_entry_;  ///< all that have code, retired ones too
    std::vector<uint32_t> free_guards_, free_entries_;
    std::vector<const uint8_t*> free_stubs_;
    const CompiledRegion* pinned_ = nullptr;
    QuiescentEpochs epochs_;
    std::vector<uint32_t*> guard_epochs_;  ///< by CPU
    uint64_t published_ = 0;
    Stats stats_;  ///< `entered` and `side_exits` of regions that were freed
};

}  // namespace arclight::jit
