#include "jit/engine/tier2.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "host/process_time.h"

namespace arclight::jit {

namespace {
constexpr size_t kMaxTimes = 65536;

/// Accesses of which nothing may be assumed are done in parts: they cost as much as twice the instructions.
CompileBudget::Work work_of(const Region& region, bool loads_compiler = false) {
    return {.guest_insns = region.guest_insns() * (region.disabled_assumptions != 0 ? 2u : 1u),
            .loads_compiler = loads_compiler};
}

/// Where perf looks for it. Everybody may write to that directory, so the file must be a new one.
std::FILE* open_perf_map() {
    const std::string name = fmt::format("/tmp/perf-{}.map", getpid());
    ::unlink(name.c_str());
    const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        fmt::print(stderr, "arclight: no --perf-map: cannot make '{}': {}\n", name, std::strerror(errno));
        return nullptr;
    }
    return fdopen(fd, "w");
}
}  // namespace

Tier2::Tier2(const Frontend& frontend, std::mutex& lock, CodeBuffer& code, BlockCache& blocks,
             const Tier2Options& options)
    : options_(options),
      code_(code),
      edges_(code, blocks, kEntryCounters + kSideExitCounters),
      policy_(frontend, code, edges_, options_),
      builder_(frontend, blocks, policy_, edges_, options_),
      disk_(frontend, options_),
      budget_(options_),
      worker_(lock, options_),
      table_(code, options_.code_bytes,
             {.unload = [this](uint64_t handle) { worker_.unload(handle); },
              .on_unpatched = [this](TranslationBlock& block) { policy_.restart(block); }}),
      monitor_(code, table_, policy_, disk_, budget_, options_) {
    worker_.on_compiler = [this](RegionCompiler& compiler) {
        compiler.place_code(code_.regions());
        disk_.set_fingerprint(compiler.fingerprint());
    };
    worker_.on_disabled = [this] {
        policy_.clear_queues();
        disk_.clear_candidates();
    };
    if (options_.enabled && options_.perf_map) perf_map_.reset(open_perf_map());
    if (!options_.enabled || options_.synchronous) return;
    worker_.start([this](Lock& l) { return step(l); });
}

Tier2::~Tier2() { stop(); }

void Tier2::stop() { worker_.stop(); }

void Tier2::attach(TranslationBlock& block) {
    if (!guest_runs_) {
        guest_runs_ = true;
        worker_.wake();
    }
    if (block.counter != kNoCounter) policy_.attach(block, !worker_.disabled() && disk_.knows(block));
}

void Tier2::add_cpu(const CpuLink& cpu) {
    table_.add_cpu(cpu.quiescent_epoch, cpu.guard_epochs);
    if (cpu.failed_assumptions != nullptr) monitor_.add_cpu(cpu.failed_assumptions);
}

const void* Tier2::promote(uint32_t counter, const GuestState* state) {
    const auto [block, next] = policy_.on_counter(counter, state, worker_.disabled());
    if (block == nullptr) return nullptr;
    switch (next) {
        case PromotionPolicy::Next::Run: break;
        case PromotionPolicy::Next::WakeWorker: worker_.wake(); break;
        case PromotionPolicy::Next::CompileNow:
            if (compile(nullptr, *block)) return block->code.entry;
            break;
    }
    return block->code.body;
}

void Tier2::sample(TranslationBlock* block, std::chrono::nanoseconds cpu) {
    if (!options_.sampled || worker_.disabled()) return;
    if (policy_.on_sample(block, cpu) == PromotionPolicy::Next::WakeWorker) worker_.wake();
}

void Tier2::forget(TranslationBlock& block) {
    if (!options_.enabled) return;
    edges_.finish(block, 0);
    while (!block.regions.empty()) table_.retire(*block.regions.back());
    table_.reclaim();
}

void Tier2::flush() {
    if (!options_.enabled) return;
    table_.reset();
    policy_.reset();
    edges_.reset();
}

// ---- The worker

Tier2::Pause Tier2::step(Lock& lock) {
    // It will be needed soon. Loading it sooner would delay the guest's first instruction: it takes longer than all else before that.
    if (guest_runs_ && !disk_.empty() && !have_compiler(&lock)) return CompileWorker::kUntilWoken;
    table_.reclaim();
    policy_.confirm_counters();
    if (const auto counter = policy_.take_warm()) {
        warm_start(lock, *counter, false);
        return CompileWorker::kGoOn;
    }
    monitor_.look(guest_ns());
    if (disk_.has_evictions()) {
        disk_.evict(lock);
        return CompileWorker::kGoOn;
    }
    if (policy_.queue_empty()) {
        if (policy_.has_unconfirmed()) return {std::chrono::milliseconds(1)};
        // Regions are watched; where there are none, nothing is to be done.
        return table_.any_live() ? Pause{RegionMonitor::kPeriod} : CompileWorker::kUntilWoken;
    }
    TranslationBlock* block = policy_.take_hottest();
    if (block == nullptr || policy_.postpone_covered(*block)) return CompileWorker::kGoOn;
    const uint32_t counter = block->counter;
    if (block->disabled_assumptions == 0 && disk_.knows(*block) && warm_start(lock, counter, true))
        return CompileWorker::kGoOn;
    block = policy_.block_of(counter);
    if (block == nullptr || worker_.disabled()) return CompileWorker::kGoOn;
    if (budget_.exhausted(guest_ns()))
        policy_.wait(*block, budget_.pause() / block->guest_insns);
    else
        compile(&lock, *block);
    return CompileWorker::kGoOn;
}

bool Tier2::have_compiler(Lock* lock) {
    const uint64_t before = worker_.load_ns();
    const bool have = worker_.have_compiler(lock);
    budget_.loaded(double(worker_.load_ns() - before));
    return have;
}

double Tier2::guest_ns() const { return double(host::process_time().cpu.count()) - budget_.spent(); }

// ---- Compiling a region

Tier2::Executed Tier2::executed(const RegionBuilder::Built& built) const {
    const TranslationBlock& entry = *built.compiled->entry;
    if (options_.sampled) {
        const auto [inside, all] = policy_.sampled_in(built.compiled->members);
        const double ns = double(inside.count());
        return {ns / CompileBudget::kTier1Ns, ns / std::max(double(all.count()), 1.0)};
    }
    const double insns = double(policy_.runs_since_promotion(entry)) * built.insns_per_run;
    const auto since = host::process_time().cpu - entry.promotion.hot().promoted_cpu;
    return {insns, CompileBudget::share_of_time(insns, double(since.count()))};
}

/// `lock` is null where the caller keeps it. Whether the block is now the entry of a live region.
bool Tier2::compile(Lock* lock, TranslationBlock& block) {
    const uint32_t counter = block.counter;
    for (;;) {
        RegionBuilder::Built built = builder_.build(block);
        if (!builder_.profitable(built)) {
            ++stats_.rejected;
            policy_.discard(block);
            return false;
        }
        const CompileBudget::Work work = work_of(built.region, !worker_.has_compiler());
        const Executed done = executed(built);
        if (!options_.synchronous && done.insns < budget_.needed(work)) {
            policy_.wait(block, budget_.next_look(work, done.insns) / built.insns_per_run);
            return false;
        }
        built.compiled->share = done.share;
        if (worker_.has_compiler()) return compile_built(lock, std::move(built));
        // A program without a region worth compiling never pays for loading LLVM. That is done without the lock, so all is looked at
        // again after it.
        if (!have_compiler(lock) || policy_.block_of(counter) != &block) return false;
    }
}

bool Tier2::compile_built(Lock* lock, RegionBuilder::Built built) {
    const TranslationBlock& block = *built.compiled->entry;
    RegionStore::Stored stored;
    RegionCache::Key key{};
    const bool stores = disk_.enabled() && built.region.disabled_assumptions == 0;
    if (stores) {
        stored.shape = builder_.shape_of(built).bytes();
        key = disk_.entry_key(block);
    }
    const bool again = block.promotion.failures != 0;
    CompiledRegion* region = table_.admit(std::move(built.compiled));
    if (region == nullptr) return false;

    const uint64_t number = stats_.compiled;
    table_.pin(region);
    if (lock != nullptr) lock->unlock();  // the block may go meanwhile
    RegionDump text;
    const bool wants_text = !options_.dump_directory.empty();
    CompileResult result = worker_.compile(built.region, wants_text ? &text : nullptr);
    if (wants_text) dump(built.region, text, number);
    if (lock != nullptr) lock->lock();

    count_compiled(built.region, result, again);
    const bool live = finish(*region, result, built.region.pa);
    // Nothing is filed of what the guest has changed meanwhile, nor of what found no room.
    if (stores && live) {
        stored.object = std::move(result.object);
        region->stored = disk_.save(*lock, key, stored);
    }
    table_.pin(nullptr);
    return live;
}

void Tier2::count_compiled(const Region& region, const CompileResult& result, bool again) {
    stats_.compile_ns += result.ns;
    budget_.compiled(work_of(region), double(result.ns));
    if (!result.code) {
        if (result.failure.empty()) ++stats_.rejected;
        return;
    }
    ++stats_.compiled;
    if (again) ++stats_.recompiled;
    stats_.guest_insns += region.guest_insns();
    stats_.code_bytes += result.code->bytes;
    if (compile_us_.size() == kMaxTimes)
        compile_us_.erase(compile_us_.begin(), compile_us_.begin() + kMaxTimes / 2);
    compile_us_.push_back(static_cast<uint32_t>(result.ns / 1000));
}

/// With the lock again: the guest may have changed its code meanwhile. Whether the region is live.
bool Tier2::finish(CompiledRegion& region, const CompileResult& result, uint64_t pa) {
    worker_.note(result);
    if (!result.code) {
        if (!region.life.retired()) policy_.disable(*region.entry);
        table_.retire(region);
        return false;
    }
    table_.set_code(region, *result.code);
    if (region.life.retired()) return false;  // reclaim() frees it
    if (perf_map_ != nullptr) {
        fmt::print(perf_map_.get(), "{:x} {:x} guest_pa_{:x}\n",
                   reinterpret_cast<uintptr_t>(region.code.entry), region.code.bytes, pa);
        std::fflush(perf_map_.get());
    }
    table_.publish(region);
    return region.life.live();
}

// ---- Loading one that an earlier run has left

/// A block has asked that had regions in an earlier run; `last`: or else it is compiled now. False: nothing
/// came of it.
bool Tier2::warm_start(Lock& lock, uint32_t counter, bool last) {
    TranslationBlock* block = policy_.block_of(counter);
    if (block == nullptr || is_entry_of_region(*block) || !have_compiler(&lock)) return false;
    if (policy_.block_of(counter) != block) return false;
    const RegionCache::Key key = disk_.entry_key(*block);
    disk_.read_candidates(lock, key);
    if (policy_.block_of(counter) != block) return false;
    bool later = false;
    for (RegionCache::Candidate& c : disk_.candidates(key)) {
        auto owned = std::make_unique<CompiledRegion>();
        const RegionBuilder::Fit fit = builder_.build_as(c.shape, *block, *owned);
        later |= fit == RegionBuilder::Fit::NotYet;
        if (fit != RegionBuilder::Fit::Yes) continue;
        CompiledRegion* region = table_.admit(std::move(owned));
        return region != nullptr && load(lock, *region, key, std::move(c.stored));
    }
    // It is looked at once more when its turn to be compiled comes.
    if (later && block->promotion.stage != Promotion::Stage::Cold && !last) return false;
    if (later && !last && policy_.ask_disk_again(*block)) return false;
    ++stats_.cache_misses;
    disk_.forget_candidates(key);
    return false;
}

bool Tier2::load(Lock& lock, CompiledRegion& region, const RegionCache::Key& key,
                 RegionStore::Stored stored) {
    region.stored = disk_.name_of(key, stored);
    const uint64_t pa = region.entry->pa;
    disk_.forget_candidates(key);
    policy_.done(*region.entry);
    table_.pin(&region);
    lock.unlock();
    const CompileResult result = worker_.load(stored.object);
    if (result.unloadable) disk_.remove(key, stored);
    lock.lock();
    table_.pin(nullptr);
    stats_.cache_ns += result.ns;
    if (result.code) ++stats_.cache_hits;
    return finish(region, result, pa);
}

// ---- What can be seen of it

void Tier2::dump(const Region& region, const RegionDump& text, uint64_t number) const {
    const auto write = [&](const char* ending, const std::string& what) {
        const std::string name =
            fmt::format("{}/{:05}-{:x}.{}", options_.dump_directory, number, region.pa, ending);
        if (std::FILE* f = std::fopen(name.c_str(), "w")) {
            std::fwrite(what.data(), 1, what.size(), f);
            std::fclose(f);
        }
    };
    write("ir", text.ir);
    write("ll", text.llvm);
    write("s", text.assembly);
}

Tier2Stats Tier2::stats() const {
    Tier2Stats s = stats_;
    std::vector<uint32_t> times = compile_us_;
    if (!times.empty()) {
        std::sort(times.begin(), times.end());
        s.compile_p50_ns = uint64_t{times[times.size() / 2]} * 1000;
        s.compile_p99_ns = uint64_t{times[times.size() * 99 / 100]} * 1000;
    }
    s.promoted = policy_.promoted();
    s.failed = worker_.failed();
    s.compile_ns += worker_.load_ns();
    s.stopped = worker_.disabled();
    s.deoptimised = monitor_.deoptimised();
    const RegionTable::Stats regions = table_.stats();
    s.dropped = regions.dropped;
    s.evicted = regions.evicted;
    s.live = regions.live;
    s.live_bytes = regions.live_bytes;
    s.entered = regions.entered;
    s.side_exits = regions.side_exits;
    const RegionStore::Stats kept = disk_.stats();
    s.cache_rejects = kept.rejected;
    s.cache_saved = kept.saved;
    s.cache_withdrawn = kept.discarded;
    return s;
}

}  // namespace arclight::jit
