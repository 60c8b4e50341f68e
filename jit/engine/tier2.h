// Which guest code tier 2 compiles, when, and what becomes of it when guest code changes.
//
// A block that has run often enough (its counter, backend::compile) asks for a region to be made with it as
// the way in. A worker thread, or in the synchronous form the asking one, picks the blocks that ran often
// enough along with it, compiles them as one function and diverts the block's entry there. Everything here
// but the compilation itself happens under the engine's lock.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/llvm/region_compiler.h"
#include "mmu/guest_memory.h"

namespace arclight::jit {

struct Tier2Options {
    bool enabled = false;
    bool synchronous = false;     ///< compile where the counter runs out, and take every region
    uint32_t threshold = 20'000;  ///< runs of a block before it is promoted
    /// Guest instructions that a promoted block must have executed since before its region is compiled: about
    /// as long in tier 1 as the compilation takes, so that at worst the time is spent twice.
    uint64_t heat = 20'000'000;
    unsigned max_insns = 200;       ///< guest instructions of a region
    double budget = 0.5;            ///< compile time as a share of run time
    size_t code_bytes = 64u << 20;  ///< of live regions
    std::string dump_directory;     ///< empty: none
    bool perf_map = false;          ///< /tmp/perf-PID.map
};

struct Tier2Stats {
    uint64_t promoted = 0, compiled = 0, rejected = 0, dropped = 0, guest_insns = 0, code_bytes = 0;
    uint64_t live = 0, live_bytes = 0, compile_ns = 0, compile_p50_ns = 0, compile_p99_ns = 0;
};

struct RegionPage {
    int64_t offset;  ///< from the page that the region is entered in
    uint64_t pa;
};

class Tier2 {
  public:
    Tier2(std::mutex& lock, const mmu::GuestMemory& memory, backend::CodeBuffer& code, BlockCache& cache,
          const Tier2Options& options);
    ~Tier2();

    bool enabled() const { return options_.enabled; }
    /// The counter for a new block; backend::kNoCounter: it has none.
    uint32_t new_counter(uint32_t mode);
    void attach(TranslationBlock& block);

    // ---- With the lock held
    const void* promote(uint32_t counter);
    void forget(TranslationBlock& block);
    void flush();
    /// What must be at which physical page for the region behind this guard to be entered; and where to go on
    /// then, or else.
    struct Guarded {
        std::vector<RegionPage> pages;
        const void* inside = nullptr;
        const void* outside = nullptr;
    };
    Guarded guarded(uint32_t guard) const;

    struct CpuLink {
        const std::atomic<uint64_t>*
            passes;        ///< grows when the CPU enters or leaves translated code; odd inside
        uint32_t* epochs;  ///< GuestState::region_epochs, kGuards of them
    };
    void add_cpu(const CpuLink& cpu) { cpus_.push_back(cpu); }
    Tier2Stats stats() const;
    static constexpr uint32_t kGuards = 4096;

  private:
    struct HotRegion {
        TranslationBlock* entry = nullptr;
        std::vector<TranslationBlock*> members;
        std::vector<RegionPage> pages;
        RegionCode code;
        const uint8_t* stub = nullptr;
        uint32_t guard = backend::kNoCounter;
        bool dead = false, live = false;
        std::vector<uint64_t> passes_at_death;
    };

    uint64_t runs(const TranslationBlock& block) const;
    bool form(TranslationBlock& entry, Region& region, HotRegion& hot);
    bool covered(const TranslationBlock& block) const;
    TranslationBlock* take_hottest();
    bool worthwhile(const Region& region) const;
    void publish(HotRegion& hot);
    void drop(HotRegion& hot);
    void collect();
    bool compile(std::unique_lock<std::mutex>* lock, TranslationBlock& block);
    void work();
    void dump(const Region& region, const RegionDump& text, uint64_t number);

    std::mutex& lock_;
    const mmu::GuestMemory memory_;
    backend::CodeBuffer& code_;
    BlockCache& cache_;
    const Tier2Options options_;
    std::unique_ptr<RegionCompiler> compiler_;

    std::vector<TranslationBlock*> by_counter_;
    std::vector<std::unique_ptr<HotRegion>> regions_;
    std::vector<std::unique_ptr<HotRegion>> graves_;
    std::vector<HotRegion*> by_guard_;
    std::vector<uint32_t> free_guards_;
    std::deque<uint32_t> queue_;  ///< counters
    HotRegion* compiling_ = nullptr;
    uint64_t generation_ = 0;  ///< of the code cache
    std::vector<CpuLink> cpus_;
    std::vector<uint32_t> compile_us_;
    Tier2Stats stats_;

    std::condition_variable wake_;
    bool stop_ = false;
    std::thread worker_;
};

}  // namespace arclight::jit
