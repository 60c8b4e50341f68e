// Which guest code tier 2 compiles, when, and what becomes of it when guest code changes.
//
// A block that has run often enough (its counter, compile) asks for a region to be made with it as
// the way in. A worker thread, or in the synchronous form the asking one, picks the blocks that ran often
// enough along with it, compiles them as one function and diverts the block's entry there. Everything here
// but the compilation itself and the reading and writing of files happens under the engine's lock.
//
// Regions are kept on disk (region_store.h). A block at which an earlier run has left some asks after a few
// runs already, and if the same guest code is there, they are loaded instead of compiled.
//
// Nothing here can fail the guest: what cannot be compiled stays in tier 1, and if nothing can, tier 2 stops.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/engine/edge_profile.h"
#include "jit/engine/region_shape.h"
#include "jit/engine/region_store.h"
#include "jit/frontend.h"
#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

struct Tier2Options {
    bool enabled = false;
    bool synchronous = false;     ///< compile where the counter runs out, and take every region
    uint32_t threshold = 20'000;  ///< runs of a block before it is promoted
    /// Guest instructions that a promoted block must have executed since before its region is compiled: about
    /// as long in tier 1 as the compilation takes, so that at worst the time is spent twice.
    uint64_t heat = 80'000'000;
    double least_stay =
        1000;  ///< guest instructions from a region's entry to its end, to be worth the way in
    unsigned max_insns = 200;       ///< guest instructions of a region
    double budget = 0.5;            ///< compile time as a share of run time
    size_t code_bytes = 64u << 20;  ///< of live regions
    std::string dump_directory;     ///< empty: none
    /// Regions that are often left after fewer host cycles than this are given up.
    uint32_t least_cycles = 250;
    bool perf_map = false;        ///< /tmp/perf-PID.map
    std::string cache_directory;  ///< of compiled regions; empty: none
    uint64_t cache_bytes = uint64_t{256} << 20;
    uint32_t warm_threshold =
        64;  ///< runs of a block that has regions in the cache before they are looked at
    /// For tests: each so manyth compilation fails, or takes long; 0: none.
    unsigned faults = 0;
    /// For tests: only about one block in so many is ever promoted, which ones by the seed.
    unsigned sample = 1;
    uint64_t sample_seed = 0;
    /// For tests: called again and again while a region is made, with the lock held. The guest may store to
    /// its code there.
    std::function<void()> while_making = [] {};
    std::function<std::unique_ptr<RegionCompiler>()> make_compiler = [] { return make_region_compiler(); };
    /// Of make_compiler's regions; 0: not known, and none are kept.
    std::function<uint64_t()> compiler_build = [] { return region_build(); };
};

struct Tier2Stats {
    uint64_t promoted = 0, compiled = 0, rejected = 0, dropped = 0, guest_insns = 0, code_bytes = 0;
    uint64_t live = 0, live_bytes = 0, compile_ns = 0, compile_p50_ns = 0, compile_p99_ns = 0;
    uint64_t failed = 0;       ///< compilations that threw, or whose result did not load
    uint64_t deoptimised = 0;  ///< left too soon, and dropped for it
    uint64_t recompiled = 0;   ///< compiled where one was given up, or not worth while, before
    uint64_t evicted = 0;      ///< for Tier2Options::code_bytes
    uint64_t entered = 0;      ///< how often guest code went from tier 1 into a region, about
    uint64_t side_exits = 0;   ///< and back because the region could not go on
    /// Regions loaded instead of compiled, and how long that took; blocks for which the cache had regions of
    /// other code; files that were damaged or stale; files written.
    uint64_t cache_hits = 0, cache_ns = 0, cache_misses = 0, cache_rejects = 0, cache_saved = 0;
    uint64_t cache_withdrawn = 0;  ///< files of regions that were given up
    bool stopped = false;
};

struct RegionPage {
    int64_t offset;  ///< from the page that the region is entered in
    uint64_t pa;
};

class Tier2 {
  public:
    Tier2(const Frontend& frontend, std::mutex& lock, CodeBuffer& code, BlockCache& cache,
          const Tier2Options& options);
    ~Tier2();

    bool enabled() const { return options_.enabled; }
    /// The worker has ended when it returns: the virtual CPUs may go.
    void quit();
    /// The counter for a new block; kNoCounter: it has none.
    uint32_t new_counter(uint32_t translation_flags);
    void attach(TranslationBlock& block);
    /// Marks the accesses of a block that met a device. With the lock held.
    std::function<void(ir::Block&)> mark_devices = [](ir::Block&) {};

    // ---- With the lock held
    /// Where an exit is to lead that is being linked.
    const void* way(TranslationBlock& from, size_t exit, const TranslationBlock& to) {
        return edges_.way(from, exit, to);
    }
    /// `state`, if given, is of the CPU that is about to run the block: see predict_pages().
    const void* promote(uint32_t counter, const GuestState* state);
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
    /// Where a virtual CPU goes on after the instruction at `pc`, in one of the regions, has faulted.
    const void* side_exit(const void* pc) const;

    struct CpuLink {
        const std::atomic<uint64_t>*
            passes;        ///< grows when the CPU enters or leaves translated code; odd inside
        uint32_t* epochs;  ///< GuestState::region_epochs, kGuards of them
        WrongGuesses* wrong_guesses = nullptr;  ///< of GuestState; null: there are none
    };
    void add_cpu(const CpuLink& cpu) { cpus_.push_back(cpu); }
    Tier2Stats stats() const;
    static constexpr uint32_t kGuards = 4096;
    static constexpr uint32_t kEntryCounters = 4096;               ///< the last of CodeBuffer::counters()
    static constexpr uint32_t kSideExitCounters = kEntryCounters;  ///< those before them, one for each

  private:
    struct InStore {
        RegionStore::Key entry, whole;
    };
    struct HotRegion {
        TranslationBlock* entry = nullptr;
        std::vector<TranslationBlock*> members;
        std::vector<RegionPage> pages;
        RegionCode code;
        const uint8_t* stub = nullptr;
        uint32_t guard = kNoCounter;
        uint32_t entries = kNoCounter;  ///< counter, see RegionStub
        uint32_t cycles() const { return entries == kNoCounter ? entries : entries + 1; }
        /// Counts how often it was left because it could not go on, not because the guest went elsewhere.
        uint32_t side_exits() const { return entries == kNoCounter ? entries : entries - kEntryCounters; }
        uint32_t entered = 0;  ///< what it was last
        uint64_t used = 0;     ///< when that was
        // tier2_watch.cpp
        const uint8_t* timed_stub = nullptr;
        bool timed = false;
        uint32_t watched_entries = 0;  ///< at the last look
        uint32_t watched_exits = 0;    ///< side exits, likewise
        uint32_t looked_entries = 0;   ///< watched_entries, also while it is timed
        Guesses distrusted = 0;        ///< as Region::distrusted
        unsigned looks = 0, rest = 0;  ///< until it is timed again
        double heat = 0;               ///< guest instructions of the region for each run of its entry
        double stay = 0;  ///< guest instructions from the way in to a way out, as the profiles say
        std::optional<InStore> in_store;
        bool dead = false, live = false;
        std::vector<uint64_t> passes_at_death;
    };
    /// What comes of a region outside the lock.
    struct Made {
        std::optional<RegionCode> code;
        std::string object, failure;
        uint64_t ns = 0;
        bool useless = false;  ///< the object file does not load
    };
    enum class Fit : uint8_t { Yes, NotYet, Never };

    // ---- tier2_form.cpp
    uint64_t runs(const TranslationBlock& block) const;
    /// A block that goes on to another one, in so many of its runs (of 1).
    struct Way {
        int64_t offset;  ///< as RegionBlock::offset
        TranslationBlock* to;
        double share;
        bool counted;   ///< by a profile
        bool indirect;  ///< by its last branch, whose target varies
    };
    struct Node;
    struct Forming;
    std::vector<Way> ways_of(const Forming& forming, const Node& node) const;
    void form(TranslationBlock& entry, Region& region, HotRegion& hot);
    static double count_visits(std::vector<Node>& nodes, double most = 0);
    static void describe_edges(const Forming& forming, Region& region);
    Fit form_as(const RegionShape& shape, TranslationBlock& entry, HotRegion& hot) const;
    bool worthwhile(const HotRegion& hot) const;
    RegionShape shape_of(const Region& region, const HotRegion& hot) const;
    RegionStore::Key entry_key(const TranslationBlock& block) const;

    // ---- tier2_counters.cpp
    /// Translated code counts meanwhile, each CPU as if it were alone.
    std::atomic_ref<uint32_t> counter(uint32_t k) const { return std::atomic_ref(code_.counters()[k]); }
    void count_from(TranslationBlock& block, uint32_t n);
    void count_runs(TranslationBlock& block, double n);
    void make_sure();
    void enqueue(TranslationBlock& block);
    void start_over(TranslationBlock& block);
    void never_again(TranslationBlock& block);
    uint64_t counted(const TranslationBlock& block) const;
    bool covered(const TranslationBlock& block) const;
    bool postpone(TranslationBlock& block);
    TranslationBlock* block_of(uint32_t counter) const;
    TranslationBlock* take_hottest();

    // ---- tier2_watch.cpp
    void watch();
    void watch(HotRegion& hot, double seconds, Guesses wrong);
    WrongGuesses wrong_guesses() const;
    void give_up_guesses(HotRegion& hot, Guesses wrong);
    void make_again(HotRegion& hot);
    void set_timed(HotRegion& hot, bool timed);
    void give_up(HotRegion& hot);
    void give_up_for_now(TranslationBlock& block);
    static constexpr std::chrono::milliseconds kWatch{50};

    // ---- tier2.cpp
    HotRegion* admit(std::unique_ptr<HotRegion> hot);
    bool finish(HotRegion& hot, Made& made, uint64_t pa);
    const uint8_t* make_stub(const HotRegion& hot, uint32_t cycles);
    void publish(HotRegion& hot);
    bool make_room(const HotRegion& hot);
    void drop(HotRegion& hot);
    void collect();
    void free_parts(HotRegion& hot);
    bool compile(std::unique_lock<std::mutex>* lock, TranslationBlock& block);
    bool has_region(const TranslationBlock& block) const;
    bool warm_start(std::unique_lock<std::mutex>& lock, uint32_t counter, bool last);
    bool have_compiler(std::unique_lock<std::mutex>* lock);
    void make(const Region* region, RegionDump* text, Made& made);
    void fault();
    void note_failure(const std::string& why);
    void withdraw(std::unique_lock<std::mutex>& lock);
    void stop(const std::string& why);
    void work();
    void dump(const Region& region, const RegionDump& text, uint64_t number);

    const Frontend& frontend_;
    std::mutex& lock_;
    CodeBuffer& code_;
    BlockCache& cache_;
    const Tier2Options options_;
    std::unique_ptr<RegionCompiler> compiler_;
    std::unique_ptr<RegionStore> store_;  ///< null: none

    EdgeProfiler edges_;

    std::vector<TranslationBlock*> by_counter_;
    std::vector<std::unique_ptr<HotRegion>> regions_;
    std::vector<std::unique_ptr<HotRegion>> graves_;
    std::vector<HotRegion*> by_guard_;
    std::map<const void*, const HotRegion*> by_entry_;  ///< all that have code, the dead ones too
    std::vector<uint32_t> free_guards_;
    std::vector<uint32_t> free_entries_;
    std::vector<const uint8_t*> free_stubs_;
    std::deque<uint32_t> queue_, warm_queue_;  ///< counters
    struct Candidate {
        RegionShape shape;
        RegionStore::Stored stored;
    };
    /// Of blocks that have asked once, until their regions are made.
    std::map<RegionStore::Key, std::vector<Candidate>> candidates_;
    struct Unsure {
        uint32_t counter, from;
        std::chrono::steady_clock::time_point when;
    };
    std::vector<Unsure> unsure_;      ///< counters that were set, perhaps in vain
    std::vector<InStore> withdrawn_;  ///< files that are to go
    HotRegion* compiling_ = nullptr;
    std::chrono::steady_clock::time_point watched_{};
    uint32_t wrong_guesses_ = 0;  ///< at the last look
    uint64_t clock_ = 0;          ///< grows with every region that is published
    unsigned failures_in_a_row_ = 0, attempts_ = 0;
    bool stopped_ = false;
    std::vector<CpuLink> cpus_;
    std::vector<uint32_t> compile_us_;
    Tier2Stats stats_;

    std::condition_variable wake_;
    bool quit_ = false;
    std::thread worker_;
};

}  // namespace arclight::jit
