// Tier 2: hot guest code is compiled once more, several blocks at a time, by an optimising compiler.
//
// A block that has run often enough (promotion_policy.h) asks for a region that is entered at it. A worker
// thread (compile_worker.h), or in the synchronous form the asking one, picks the blocks that ran often
// enough along with it (region_builder.h), compiles them as one function and patches the block's entry to
// lead there (region_table.h). Regions are watched (region_monitor.h), and retired with the guest code that
// they are of. Everything here but the compilation itself and the reading and writing of files happens under
// the engine's lock.
//
// Regions are kept on disk (region_cache.h). A block at which an earlier run has left some asks after a few
// runs already, and if the same guest code is there, they are loaded instead of compiled.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/compile_budget.h"
#include "jit/engine/compile_worker.h"
#include "jit/engine/edge_profile.h"
#include "jit/engine/hot_tier.h"
#include "jit/engine/promotion_policy.h"
#include "jit/engine/region_builder.h"
#include "jit/engine/region_cache.h"
#include "jit/engine/region_monitor.h"
#include "jit/engine/region_table.h"
#include "jit/engine/tier2_options.h"
#include "jit/frontend.h"

namespace arclight::jit {

class Tier2 final : public HotTier {
  public:
    Tier2(const Frontend& frontend, std::mutex& lock, CodeBuffer& code, BlockCache& blocks,
          const Tier2Options& options);
    ~Tier2() override;

    bool enabled() const { return options_.enabled; }
    /// The worker has ended when it returns: the virtual CPUs may go. Without the lock.
    void stop();
    /// Marks the accesses of a block that met a device. With the lock held.
    void set_mark_sites(std::function<void(ir::Block&)> mark) { builder_.mark_sites = std::move(mark); }

    // ---- With the lock held
    uint32_t new_counter(uint32_t translation_flags) override {
        return policy_.new_counter(translation_flags);
    }
    void attach(TranslationBlock& block) override;
    const void* link_target(TranslationBlock& from, size_t exit, const TranslationBlock& to) override {
        return edges_.link_target(from, exit, to);
    }
    const void* promote(uint32_t counter, const GuestState* state) override;
    /// See Engine::sample(). The block whose code that is; null: it is none's.
    void sample(TranslationBlock* block, std::chrono::nanoseconds cpu) override;
    void forget(TranslationBlock& block) override;
    void free(const TranslationBlock& block) override { policy_.free(block); }
    void flush() override;
    /// See RegionTable.
    RegionEntryCheck entry_check(uint32_t guard) const { return table_.entry_check(guard); }
    const void* side_exit(const void* pc) const { return table_.side_exit(pc); }

    struct CpuLink {
        const std::atomic<uint64_t>* quiescent_epoch;     ///< see QuiescentEpochs
        uint32_t* guard_epochs;                           ///< GuestState::region_epochs, kGuards of them
        FailedAssumptions* failed_assumptions = nullptr;  ///< of GuestState; null: there are none
    };
    void add_cpu(const CpuLink& cpu);
    Tier2Stats stats() const;
    static constexpr uint32_t kGuards = RegionTable::kGuards;
    static constexpr uint32_t kEntryCounters = jit::kEntryCounters;

  private:
    using Lock = CompileWorker::Lock;
    using Pause = CompileWorker::Pause;
    Pause step(Lock& lock);
    /// As CompileWorker's.
    bool have_compiler(Lock* lock);
    /// CPU time of the process without compilations, in nanoseconds.
    double guest_ns() const;
    /// What tier 1 has executed of a region's code: guest instructions, and the share (of 1) of the guest's CPU time.
    struct Executed {
        double insns, share;
    };
    Executed executed(const RegionBuilder::Built& built) const;
    bool compile(Lock* lock, TranslationBlock& block);
    bool compile_built(Lock* lock, RegionBuilder::Built built);
    bool warm_start(Lock& lock, uint32_t counter, bool last);
    bool load(Lock& lock, CompiledRegion& region, const RegionCache::Key& key, RegionStore::Stored stored);
    bool finish(CompiledRegion& region, const CompileResult& result, uint64_t pa);
    void count_compiled(const Region& region, const CompileResult& result, bool again);
    void dump(const Region& region, const RegionDump& text, uint64_t number) const;

    const Tier2Options options_;
    CodeBuffer& code_;
    EdgeProfiler edges_;
    PromotionPolicy policy_;
    RegionBuilder builder_;
    RegionCache disk_;
    CompileBudget budget_;
    CompileWorker worker_;
    RegionTable table_;
    RegionMonitor monitor_;
    bool guest_runs_ = false;  ///< a block was translated
    struct CloseFile {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, CloseFile> perf_map_;  ///< null: none is written
    std::vector<uint32_t> compile_us_;
    Tier2Stats stats_;  ///< what the parts do not count
};

}  // namespace arclight::jit
