// What can be chosen of tier 2, and what it counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "jit/llvm/region_compiler.h"

namespace arclight::jit {

class CacheKey;

struct Tier2Options {
    bool enabled = false;
    bool synchronous = false;     ///< compile where the counter runs out, and take every region
    uint32_t threshold = 20'000;  ///< runs of a block before it is promoted
    /// Blocks are promoted by a sampling profile (Engine::sample()), and count only while they are profiled: times in
    /// guest instructions and runs are converted by what tier 1 needs for them. Not with `synchronous`.
    bool sampled = false;
    /// Guest instructions that a promoted block must have executed since before its region is compiled: about
    /// as long in tier 1 as the compilation takes, so that at worst the time is spent twice.
    uint64_t heat = 80'000'000;
    /// So many times as long it waits where no earlier region has saved what the compilation costs (compile_budget.h).
    double patience = 6;
    /// Guest instructions that a region is expected to execute each time it is entered; with fewer, entering
    /// and leaving it costs more than it gains.
    double min_expected_insns = 1000;
    unsigned max_insns = 200;       ///< guest instructions of a region
    double budget = 0.25;           ///< compile time as a share of the guest's CPU time
    size_t code_bytes = 64u << 20;  ///< of live regions
    bool spectre = false;           ///< as EngineOptions::spectre
    std::string dump_directory;     ///< empty: none
    /// Host cycles: regions that are entered often and left after fewer are discarded.
    uint32_t min_cycles = 250;
    bool perf_map = false;                      ///< /tmp/perf-PID.map
    std::string cache_directory;                ///< of compiled regions; empty: none
    std::string cache_key_file;                 ///< authenticates them (cache_key.h)
    std::shared_ptr<const CacheKey> cache_key;  ///< opened before, instead
    uint64_t cache_bytes = uint64_t{256} << 20;
    uint32_t warm_threshold = 64;  ///< runs of a block with regions in the cache before they are looked at
    /// For tests: every Nth compilation fails, or takes long; 0: none.
    unsigned faults = 0;
    /// For tests: only about one block in `sample` is ever promoted, which ones by the seed.
    unsigned sample = 1;
    uint64_t sample_seed = 0;
    /// For tests: called several times while a region is built, with the lock held. The guest may store to
    /// its code there.
    std::function<void()> while_building = [] {};
    std::function<std::unique_ptr<RegionCompiler>()> make_compiler = [] { return make_region_compiler(); };
    /// Of make_compiler's regions; 0: not known, and none are kept on disk.
    std::function<uint64_t()> compiler_build = [] { return region_build(); };
};

/// Counted since start.
struct Tier2Stats {
    uint64_t promoted = 0, compiled = 0, rejected = 0, dropped = 0, guest_insns = 0, code_bytes = 0;
    uint64_t live = 0, live_bytes = 0, compile_p50_ns = 0, compile_p99_ns = 0;
    uint64_t compile_ns = 0;   ///< CPU time, with what loading the compiler took
    uint64_t failed = 0;       ///< compilations that threw, or whose result did not load
    uint64_t deoptimised = 0;  ///< discarded since they were left too soon, or assumed something wrong
    uint64_t recompiled = 0;   ///< compiled where one was discarded, or not profitable, before
    uint64_t evicted = 0;      ///< for Tier2Options::code_bytes
    uint64_t entered = 0;      ///< how often guest code went from tier 1 into a region, about
    uint64_t side_exits = 0;   ///< and back because the region could not go on
    /// Regions loaded instead of compiled, and how long that took; blocks for which the cache had regions of
    /// other code; files that were damaged or stale; files written.
    uint64_t cache_hits = 0, cache_ns = 0, cache_misses = 0, cache_rejects = 0, cache_saved = 0;
    uint64_t cache_withdrawn = 0;  ///< files of regions that were discarded
    bool stopped = false;
};

}  // namespace arclight::jit
