#include "jit/engine/tier2.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

namespace arclight::jit {

namespace {
/// After so many failures in a row there is no reason to expect another end.
constexpr unsigned kFailuresToStop = 5;
/// How often a block asks for its regions from the cache, each time after four times as many runs.
constexpr unsigned kWarmTries = 5;
/// Guest instructions of a region for which Tier2Options::heat is right.
constexpr unsigned kUsualRegion = 30;
constexpr size_t kMaxCandidates = 1024;
constexpr size_t kMaxTimes = 65536;

uint64_t thread_cpu_ns() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

/// It cannot even be destroyed, see RegionCompiler::broken(). It stays, where a search for leaks finds it.
void keep_for_good(std::unique_ptr<RegionCompiler> broken) {
    static std::mutex lock;
    static auto& kept = *new std::vector<std::unique_ptr<RegionCompiler>>;
    const std::lock_guard guard(lock);
    kept.push_back(std::move(broken));
}

/// What a region's code takes of memory: whole pages, one for the constants.
uint64_t footprint(const RegionCode& code) { return ((code.bytes + kPageSize - 1) & kPageMask) + kPageSize; }
}  // namespace

Tier2::Tier2(const Frontend& frontend, std::mutex& lock, CodeBuffer& code, BlockCache& cache,
             const Tier2Options& options)
    : frontend_(frontend),
      lock_(lock),
      code_(code),
      cache_(cache),
      options_(options),
      edges_(code, cache, kEntryCounters + kSideExitCounters) {
    if (!options_.enabled) return;
    by_guard_.resize(kGuards);
    for (uint32_t k = kGuards; k-- > 0;) free_guards_.push_back(k);
    for (uint32_t k = 2; k <= kEntryCounters; k += 2) free_entries_.push_back(CodeBuffer::kCounters - k);
    if (options_.synchronous) return;
    const uint64_t build = options_.cache_directory.empty() ? 0 : options_.compiler_build();
    if (build != 0) {
        std::string why;
        store_ = RegionStore::open(
            {.directory = options_.cache_directory, .max_bytes = options_.cache_bytes, .build = build}, why);
        if (store_ == nullptr) fmt::print(stderr, "arclight: no compiled regions are kept: {}\n", why);
    }
    try {
        worker_ = std::thread([this] { work(); });
        pthread_setname_np(worker_.native_handle(), "tier 2");
    } catch (const std::system_error& e) {
        stop(fmt::format("no thread for it: {}", e.what()));
    }
}

void Tier2::quit() {
    if (!worker_.joinable()) return;
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
    }
    wake_.notify_all();
    worker_.join();
}

Tier2::~Tier2() {
    quit();
    if (compiler_ != nullptr && compiler_->broken()) keep_for_good(std::move(compiler_));
}

// ---- Life of a region
// --------------------------------------------------------------------------------------------

/// Links it with its blocks, so that it goes with them. Null: there are too many.
Tier2::HotRegion* Tier2::admit(std::unique_ptr<HotRegion> owned) {
    HotRegion& hot = *owned;
    if (!hot.pages.empty()) {
        if (free_guards_.empty()) return nullptr;
        hot.guard = free_guards_.back();
        free_guards_.pop_back();
        by_guard_[hot.guard] = &hot;
        for (const CpuLink& cpu : cpus_)
            std::atomic_ref(cpu.epochs[hot.guard]).store(kUnlinkedEpoch, std::memory_order_relaxed);
    }
    if (!free_entries_.empty()) {
        hot.entries = free_entries_.back();
        free_entries_.pop_back();
        counter(hot.entries) = 0;
        counter(hot.side_exits()) = 0;
    }
    for (TranslationBlock* m : hot.members) m->regions.push_back(&hot);
    regions_.push_back(std::move(owned));
    return &hot;
}

/// Drops regions until this one has room, those first that were entered least recently.
bool Tier2::make_room(const HotRegion& hot) {
    collect();
    const uint64_t needed = footprint(hot.code);
    if (needed > options_.code_bytes) return false;
    while (stats_.live_bytes + needed > options_.code_bytes) {
        HotRegion* oldest = nullptr;
        for (const auto& r : regions_) {
            if (!r->live) continue;
            if (r->entries != kNoCounter) {
                const uint32_t now = counter(r->entries);
                if (now != r->entered) r->entered = now, r->used = clock_;
            }
            if (oldest == nullptr || r->used < oldest->used) oldest = r.get();
        }
        if (oldest == nullptr) return false;
        ++stats_.evicted;
        drop(*oldest);
    }
    collect();
    return true;
}

/// Null: the code cache is full.
const uint8_t* Tier2::make_stub(const HotRegion& hot, uint32_t cycles) {
    const uint8_t* reuse = free_stubs_.empty() ? nullptr : free_stubs_.back();
    const uint8_t* stub = emit_region_stub(
        code_, {hot.code.entry, hot.entry->code.body, hot.guard, hot.entries, hot.side_exits(), cycles},
        reuse);
    if (stub != nullptr && reuse != nullptr) free_stubs_.pop_back();
    return stub;
}

void Tier2::publish(HotRegion& hot) {
    if (make_room(hot)) hot.stub = make_stub(hot, kNoCounter);
    if (hot.stub == nullptr) {
        drop(hot);
        return;
    }
    hot.live = true;
    hot.used = ++clock_;
    divert(hot.entry->code, hot.stub);
    ++stats_.live;
    stats_.live_bytes += footprint(hot.code);
}

void Tier2::drop(HotRegion& hot) {
    if (hot.dead) return;
    hot.dead = true;
    ++stats_.dropped;
    for (TranslationBlock* m : hot.members) std::erase(m->regions, static_cast<void*>(&hot));
    if (hot.live) {
        restore(hot.entry->code, code_, hot.entry->counter);
        start_over(*hot.entry);
        --stats_.live;
        stats_.live_bytes -= footprint(hot.code);
    }
    for (const CpuLink& cpu : cpus_) hot.passes_at_death.push_back(cpu.passes->load());
    const auto it =
        std::find_if(regions_.begin(), regions_.end(), [&](const auto& r) { return r.get() == &hot; });
    if (it != regions_.end()) {
        graves_.push_back(std::move(*it));
        regions_.erase(it);
    }
}

void Tier2::free_parts(HotRegion& hot) {
    if (const auto it = by_entry_.find(hot.code.entry); it != by_entry_.end() && it->second == &hot)
        by_entry_.erase(it);
    if (hot.code.handle != 0 && !compiler_->broken()) compiler_->unload(hot.code.handle);
    if (hot.guard != kNoCounter) {
        by_guard_[hot.guard] = nullptr;
        free_guards_.push_back(hot.guard);
    }
    if (hot.entries != kNoCounter) {
        stats_.entered += counter(hot.entries);
        stats_.side_exits += counter(hot.side_exits());
        free_entries_.push_back(hot.entries);
    }
    for (const uint8_t* stub : {hot.stub, hot.timed_stub})
        if (stub != nullptr) free_stubs_.push_back(stub);
}

/// Frees what no virtual CPU can be in any more: it was outside since, or is outside.
void Tier2::collect() {
    std::erase_if(graves_, [&](const std::unique_ptr<HotRegion>& hot) {
        if (hot.get() == compiling_) return false;
        for (size_t k = 0; k < hot->passes_at_death.size(); ++k) {
            const uint64_t then = hot->passes_at_death[k];
            if ((then & 1) != 0 && cpus_[k].passes->load() == then) return false;
        }
        free_parts(*hot);
        return true;
    });
}

void Tier2::forget(TranslationBlock& block) {
    edges_.finish(block, 0);
    while (!block.regions.empty()) drop(*static_cast<HotRegion*>(block.regions.back()));
    collect();
}

/// The code cache is about to be emptied: no virtual CPU is inside.
void Tier2::flush() {
    if (!options_.enabled) return;
    while (!regions_.empty()) {
        regions_.back()->live = false;  // the block is gone: nothing to restore
        regions_.back()->members.clear();
        drop(*regions_.back());
    }
    stats_.live = stats_.live_bytes = 0;
    by_counter_.clear();
    edges_.reset();
    queue_.clear();
    warm_queue_.clear();
    unsure_.clear();
    for (auto& grave : graves_) grave->passes_at_death.clear();
    collect();
    free_stubs_.clear();
}

Tier2::Guarded Tier2::guarded(uint32_t guard) const {
    // A dead one has its guard until no virtual CPU can be on the way in.
    const HotRegion& hot = *by_guard_[guard];
    const void* body = hot.entry->code.body;
    return {hot.pages, hot.dead ? body : after_guard(hot.stub), body};
}

/// It cannot be gone: a virtual CPU is in it.
const void* Tier2::side_exit(const void* pc) const {
    const auto after = by_entry_.upper_bound(pc);
    if (after == by_entry_.begin()) return nullptr;
    const RegionCode& code = std::prev(after)->second->code;
    return code.contains(pc) ? code.side_exit(pc) : nullptr;
}

// ---- Making one
// --------------------------------------------------------------------------------------------

void Tier2::stop(const std::string& why) {
    if (stopped_) return;
    stopped_ = stats_.stopped = true;
    queue_.clear();
    warm_queue_.clear();
    candidates_.clear();
    fmt::print(stderr, "arclight: tier 2 has stopped, the guest goes on in tier 1: {}\n", why);
}

void Tier2::note_failure(const std::string& why) {
    ++stats_.failed;
    ++failures_in_a_row_;
    if (compiler_ != nullptr && compiler_->broken())
        stop(why);
    else if (failures_in_a_row_ >= kFailuresToStop)
        stop(fmt::format("{} failures in a row, the last: {}", failures_in_a_row_, why));
}

/// LLVM is loaded when it is needed first.
bool Tier2::have_compiler(std::unique_lock<std::mutex>* lock) {
    if (compiler_ != nullptr) return true;
    if (lock != nullptr) lock->unlock();
    std::unique_ptr<RegionCompiler> made;
    std::string why;
    try {
        made = options_.make_compiler();
        made->place_code(code_.regions());
        if (store_ != nullptr) store_->set_fingerprint(made->fingerprint());
    } catch (const std::exception& e) {
        why = e.what();
    }
    if (lock != nullptr) lock->lock();
    if (made == nullptr)
        stop(why);
    else
        compiler_ = std::move(made);
    return compiler_ != nullptr;
}

void Tier2::fault() {
    if (options_.faults == 0 || ++attempts_ % options_.faults != 0) return;
    if (attempts_ / options_.faults % 2 == 0) throw std::runtime_error("as asked for");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

/// Without a lock. `region`: to be compiled; null: made.object is loaded.
void Tier2::make(const Region* region, RegionDump* text, Made& made) {
    const uint64_t start = thread_cpu_ns();
    try {
        fault();
        if (region != nullptr) made.object = compiler_->compile(*region, text);
        if (!made.object.empty()) {
            made.code = compiler_->load(made.object);
            made.useless = !made.code;
            if (made.useless) made.failure = "a region's object file does not load";
        }
    } catch (const std::exception& e) {
        made.failure = e.what();
    }
    made.ns = thread_cpu_ns() - start;
}

/// With the lock again: the guest may have changed its code meanwhile.
bool Tier2::finish(HotRegion& hot, Made& made, uint64_t pa) {
    if (made.failure.empty())
        failures_in_a_row_ = 0;
    else
        note_failure(made.failure);
    if (!made.code) {
        if (!hot.dead) never_again(*hot.entry);
        drop(hot);
        return false;
    }
    hot.code = *made.code;
    by_entry_.emplace(hot.code.entry, &hot);
    if (hot.dead) return false;  // collect() frees it
    if (options_.perf_map) {
        if (std::FILE* map = std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "a")) {
            fmt::print(map, "{:x} {:x} guest_pa_{:x}\n", reinterpret_cast<uintptr_t>(hot.code.entry),
                       hot.code.bytes, pa);
            std::fclose(map);
        }
    }
    publish(hot);
    return hot.live;
}

bool Tier2::compile(std::unique_lock<std::mutex>* lock, TranslationBlock& block) {
    const uint32_t counter = block.counter;
    if (!have_compiler(lock) || block_of(counter) != &block) return false;
    Region region;
    auto owned = std::make_unique<HotRegion>();
    owned->entry = &block;
    form(block, region, *owned);
    if (!worthwhile(*owned)) {
        ++stats_.rejected;
        give_up_for_now(block);
        return false;
    }
    // The longer it takes to compile, the more it must have been executed.
    const double needed = double(options_.heat) / kUsualRegion * region.guest_insns();
    const double done = double(counted(block) - block.promoted_at) * owned->heat;
    if (!options_.synchronous && done < needed) {
        block.stage = TranslationBlock::Stage::Waiting;
        count_runs(block, (needed - done) / owned->heat);
        return false;
    }
    RegionStore::Stored stored;
    RegionStore::Key key{};
    const bool stores = store_ != nullptr && region.distrusted == 0;
    if (stores) {
        stored.shape = shape_of(region, *owned).bytes();
        key = entry_key(block);
    }
    HotRegion* hot = admit(std::move(owned));
    if (hot == nullptr) return false;

    const uint64_t number = stats_.compiled;
    const bool again = block.tries != 0;
    compiling_ = hot;
    if (lock != nullptr) lock->unlock();  // the block may go meanwhile
    RegionDump text;
    const bool wants_text = !options_.dump_directory.empty();
    Made made;
    make(&region, wants_text ? &text : nullptr, made);
    if (wants_text) dump(region, text, number);
    if (lock != nullptr) lock->lock();

    stats_.compile_ns += made.ns;
    if (made.code) {
        ++stats_.compiled;
        if (again) ++stats_.recompiled;
        stats_.guest_insns += region.guest_insns();
        stats_.code_bytes += made.code->bytes;
        if (compile_us_.size() == kMaxTimes)
            compile_us_.erase(compile_us_.begin(), compile_us_.begin() + kMaxTimes / 2);
        compile_us_.push_back(static_cast<uint32_t>(made.ns / 1000));
    } else if (made.failure.empty()) {
        ++stats_.rejected;
    }
    const bool live = finish(*hot, made, region.pa);
    // Nothing is filed of what the guest has changed meanwhile, nor of what found no room.
    if (stores && live) {
        stored.object = std::move(made.object);
        lock->unlock();
        const RegionStore::Key whole = store_->save(key, stored);
        lock->lock();
        hot->in_store = InStore{key, whole};
    }
    compiling_ = nullptr;
    return live;
}

bool Tier2::has_region(const TranslationBlock& block) const {
    return std::any_of(block.regions.begin(), block.regions.end(),
                       [&](const void* r) { return static_cast<const HotRegion*>(r)->entry == &block; });
}

/// A block has asked that had regions in an earlier run; `last`: or else it is compiled now. False: nothing
/// came of it.
bool Tier2::warm_start(std::unique_lock<std::mutex>& lock, uint32_t counter, bool last) {
    TranslationBlock* block = block_of(counter);
    if (block == nullptr || has_region(*block) || !have_compiler(&lock)) return false;
    if (block_of(counter) != block) return false;
    const RegionStore::Key key = entry_key(*block);
    if (!candidates_.contains(key)) {
        lock.unlock();
        std::vector<Candidate> read;
        for (RegionStore::Stored& stored : store_->load(key)) {
            if (auto shape = RegionShape::parse(stored.shape))
                read.push_back({std::move(*shape), std::move(stored)});
            else
                store_->remove(key, stored);
        }
        lock.lock();
        if (candidates_.size() >= kMaxCandidates) candidates_.clear();
        candidates_[key] = std::move(read);
        if (block_of(counter) != block) return false;
    }
    bool later = false;
    for (Candidate& c : candidates_[key]) {
        auto owned = std::make_unique<HotRegion>();
        const Fit fit = form_as(c.shape, *block, *owned);
        later |= fit == Fit::NotYet;
        if (fit != Fit::Yes) continue;
        HotRegion* hot = admit(std::move(owned));
        if (hot == nullptr) return false;
        const RegionStore::Stored stored = std::move(c.stored);
        hot->in_store = InStore{key, store_->name_of(stored)};
        const uint64_t pa = block->pa;
        candidates_.erase(key);
        block->stage = TranslationBlock::Stage::Done;
        std::erase(queue_, counter);
        compiling_ = hot;
        lock.unlock();
        Made made;
        made.object = stored.object;
        make(nullptr, nullptr, made);
        if (made.useless) store_->remove(key, stored);
        lock.lock();
        compiling_ = nullptr;
        stats_.cache_ns += made.ns;
        if (made.code) ++stats_.cache_hits;
        return finish(*hot, made, pa);
    }
    // It is looked at once more when its turn to be compiled comes.
    if (later && block->stage != TranslationBlock::Stage::Cold && !last) return false;
    if (later && !last && ++block->warm_tries < kWarmTries) {
        block->warm = true;
        count_runs(*block, std::min(options_.warm_threshold << 2 * block->warm_tries, options_.threshold));
        return false;
    }
    ++stats_.cache_misses;
    candidates_.erase(key);
    return false;
}

void Tier2::withdraw(std::unique_lock<std::mutex>& lock) {
    const std::vector<InStore> files = std::exchange(withdrawn_, {});
    lock.unlock();
    for (const InStore& file : files) store_->withdraw(file.entry, file.whole);
    lock.lock();
}

void Tier2::work() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(lock_);
    if (store_ != nullptr && !store_->empty()) have_compiler(&lock);  // it will be needed soon
    while (!quit_ && !stopped_) {
        collect();
        make_sure();
        if (!warm_queue_.empty()) {
            const uint32_t counter = warm_queue_.front();
            warm_queue_.pop_front();
            warm_start(lock, counter, false);
            continue;
        }
        watch();
        if (!withdrawn_.empty()) {
            withdraw(lock);
            continue;
        }
        if (queue_.empty()) {
            // Regions are watched; where there are none, nothing is to be done.
            if (!unsure_.empty())
                wake_.wait_for(lock, std::chrono::milliseconds(1));
            else if (stats_.live != 0)
                wake_.wait_for(lock, kWatch);
            else
                wake_.wait(lock);
            continue;
        }
        const double elapsed =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (double(stats_.compile_ns) / 1e9 > options_.budget * elapsed + 0.05) {
            wake_.wait_for(lock, std::chrono::milliseconds(2));
            continue;
        }
        if (TranslationBlock* block = take_hottest()) {
            if (postpone(*block)) continue;
            const uint32_t counter = block->counter;
            if (store_ != nullptr && block->distrusted == 0 && store_->knows(entry_key(*block)) &&
                warm_start(lock, counter, true))
                continue;
            block = block_of(counter);
            if (block != nullptr && !stopped_) compile(&lock, *block);
        }
    }
}

void Tier2::dump(const Region& region, const RegionDump& text, uint64_t number) {
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
    for (const auto& r : regions_) {
        if (!r->live || r->entries == kNoCounter) continue;
        s.entered += counter(r->entries);
        s.side_exits += counter(r->side_exits());
    }
    if (store_ != nullptr) {
        const RegionStore::Stats kept = store_->stats();
        s.cache_rejects = kept.rejected;
        s.cache_saved = kept.saved;
        s.cache_withdrawn = kept.withdrawn;
    }
    return s;
}

}  // namespace arclight::jit
