#include "jit/engine/tier2.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <queue>
#include <set>

#include "frontend/a64/translate/translator.h"

namespace arclight::jit {

namespace a64 = frontend::a64;

namespace {
/// What the counter starts at again when a block was promoted: what is gone from it says how hot the block
/// is.
constexpr uint32_t kPromoted = ~uint32_t{0} >> 1;
/// A block that a live region covers is executed by tier 1 this many thresholds before it gets one of its
/// own.
constexpr uint32_t kCovered = 50;
constexpr unsigned kMaxBlocks = 64, kMaxPages = 8;

uint64_t thread_cpu_ns() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}
}  // namespace

Tier2::Tier2(std::mutex& lock, const mmu::GuestMemory& memory, backend::CodeBuffer& code, BlockCache& cache,
             const Tier2Options& options)
    : lock_(lock), memory_(memory), code_(code), cache_(cache), options_(options) {
    if (!options_.enabled) return;
    compiler_ = make_region_compiler();
    by_guard_.resize(kGuards);
    for (uint32_t k = kGuards; k-- > 0;) free_guards_.push_back(k);
    if (!options_.synchronous) worker_ = std::thread([this] { work(); });
}

Tier2::~Tier2() {
    if (!worker_.joinable()) return;
    {
        const std::lock_guard guard(lock_);
        stop_ = true;
    }
    wake_.notify_all();
    worker_.join();
}

uint32_t Tier2::new_counter(uint32_t mode) {
    // Regions look addresses up in the soft TLB, which code that uses windows does not fill.
    constexpr uint32_t kNot = a64::mode::kSingleStep | a64::mode::kCount | a64::mode::kIllegal |
                              a64::mode::kWindows | a64::mode::kBreakpoints;
    if (!options_.enabled || (mode & kNot) != 0) return backend::kNoCounter;
    if (by_counter_.size() >= backend::CodeBuffer::kCounters) return backend::kNoCounter;
    const auto counter = static_cast<uint32_t>(by_counter_.size());
    by_counter_.push_back(nullptr);
    code_.counters()[counter] = options_.threshold - 1;
    return counter;
}

void Tier2::attach(TranslationBlock& block) {
    if (block.counter != backend::kNoCounter) by_counter_[block.counter] = &block;
}

uint64_t Tier2::runs(const TranslationBlock& block) const {
    if (block.counter == backend::kNoCounter) return 0;
    if (block.tripped || block.covered) return block.runs_when_tripped;
    const uint32_t left = std::atomic_ref(code_.counters()[block.counter]).load(std::memory_order_relaxed);
    return left < options_.threshold ? options_.threshold - 1 - left : 0;
}

// ---- Formation
// ---------------------------------------------------------------------------------------------------

/// From the entry along whatever ran at least a small share as often, the most frequent first.
bool Tier2::form(TranslationBlock& entry, Region& region, HotRegion& hot) {
    const uint64_t enough = options_.synchronous ? 1 : std::max<uint64_t>(options_.threshold / 32, 1);
    region.pa = entry.pa;
    region.mode = entry.mode;
    std::map<int64_t, uint64_t> pages{{0, entry.pa & kPageMask}};  // by offset
    std::set<int64_t> known;
    struct Candidate {
        uint64_t runs;
        int64_t offset;
        TranslationBlock* block;
        bool operator<(const Candidate& o) const { return runs < o.runs; }
    };
    std::priority_queue<Candidate> open;
    std::vector<std::pair<int64_t, int64_t>> calls;  // target, return site
    std::set<int64_t> return_sites, indirect;
    const auto offer = [&](int64_t offset, TranslationBlock* block) {
        if (block == nullptr || !block->valid || block->mode != entry.mode || known.contains(offset)) return;
        const uint64_t n = runs(*block);
        if (n < enough) return;
        const int64_t page = offset & ~int64_t{4095};
        const auto [it, is_new] = pages.try_emplace(page, block->pa & kPageMask);
        if (it->second != (block->pa & kPageMask)) return;
        known.insert(offset);
        open.push({n, offset, block});
    };
    const auto find = [&](int64_t offset) -> TranslationBlock* {
        const auto it = pages.find(offset & ~int64_t{4095});
        if (it == pages.end()) return nullptr;
        return cache_.find(it->second | (static_cast<uint64_t>(offset) & 4095), entry.mode);
    };
    const auto first_offset = static_cast<int64_t>(entry.pa & ~kPageMask);
    known.insert(first_offset);
    open.push({~uint64_t{0}, first_offset, &entry});
    unsigned insns = 0;
    bool returns = false;
    while (!open.empty() && region.blocks.size() < kMaxBlocks) {
        const Candidate c = open.top();
        open.pop();
        TranslationBlock& block = *c.block;
        if (insns + block.guest_insns > options_.max_insns && !region.blocks.empty()) continue;
        insns += block.guest_insns;
        RegionBlock& rb = region.blocks.emplace_back();
        rb.offset = c.offset;
        rb.ir.pa = block.pa;
        rb.ir.mode = block.mode;
        const uint64_t room = kPageSize - (block.pa & ~kPageMask);
        const auto* words = reinterpret_cast<const uint32_t*>(memory_.host(block.pa, room));
        a64::translate_block(rb.ir, {words, room / 4}, static_cast<uint32_t>(block.pa & ~kPageMask),
                             block.mode, block.guest_insns);
        hot.members.push_back(&block);
        const int64_t page = rb.page(), end = rb.offset + block.guest_bytes;
        for (const ir::Inst& i : rb.ir.insts) {
            if (i.op == ir::Op::Exit || i.op == ir::Op::ExitIf) {
                const int64_t target = page + static_cast<int64_t>(i.imm);
                TranslationBlock* to = find(target);
                if (to == nullptr) {  // another page: known if it was gone to
                    for (size_t k = 0; k < block.code.exits.size(); ++k)
                        if (block.code.exits[k].cross_page && block.linked[k] != nullptr &&
                            block.code.exits[k].target == static_cast<int64_t>(i.imm) &&
                            pages.size() < kMaxPages)
                            to = const_cast<TranslationBlock*>(block.linked[k]);
                }
                offer(target, to);
                if (i.op == ir::Op::Exit && i.aux == static_cast<uint32_t>(ir::BranchKind::Call) &&
                    known.contains(target)) {
                    return_sites.insert(end);
                    if (returns) offer(end, find(end));
                }
            } else if (i.op == ir::Op::ExitIndirect) {
                if (i.aux == static_cast<uint32_t>(ir::BranchKind::Return)) {
                    returns = true;
                    for (const int64_t site : return_sites) offer(site, find(site));
                } else {
                    for (const TranslationBlock* t = cache_.blocks_of(block.pa); t != nullptr;
                         t = t->next_in_page) {
                        if (!t->indirect || t->mode != entry.mode) continue;
                        const int64_t offset = page + static_cast<int64_t>(t->pa & ~kPageMask);
                        offer(offset, const_cast<TranslationBlock*>(t));
                        if (known.contains(offset)) indirect.insert(offset);
                    }
                }
            }
        }
    }
    std::set<int64_t> inside;
    for (const RegionBlock& b : region.blocks) inside.insert(b.offset);
    for (const int64_t o : return_sites)
        if (inside.contains(o)) region.return_sites.push_back(o);
    for (const int64_t o : indirect)
        if (inside.contains(o)) region.indirect_targets.push_back(o);
    std::set<int64_t> used_pages;
    for (const RegionBlock& b : region.blocks) used_pages.insert(b.page());
    for (const int64_t page : used_pages)
        if (page != 0) hot.pages.push_back({page, pages[page]});
    return true;
}

/// Going in and out costs about as much as a few blocks: a region should be a loop, or long.
bool Tier2::worthwhile(const Region& region) const {
    if (options_.synchronous) return true;
    const int64_t entry = region.blocks[0].offset;
    for (const RegionBlock& b : region.blocks)
        for (const ir::Inst& i : b.ir.insts)
            if ((i.op == ir::Op::Exit || i.op == ir::Op::ExitIf) &&
                b.page() + static_cast<int64_t>(i.imm) == entry)
                return true;
    return region.blocks.size() >= 4 && region.guest_insns() >= 32;
}

// ---- Life of a region
// --------------------------------------------------------------------------------------------

void Tier2::publish(HotRegion& hot) {
    hot.stub = backend::emit_region_stub(code_, {hot.code.entry, hot.entry->code.body, hot.guard});
    if (hot.stub == nullptr) {
        drop(hot);
        return;
    }
    hot.live = true;
    backend::divert(hot.entry->code, hot.stub);
    ++stats_.live;
    stats_.live_bytes += hot.code.bytes;
}

void Tier2::drop(HotRegion& hot) {
    if (hot.dead) return;
    hot.dead = true;
    ++stats_.dropped;
    for (TranslationBlock* m : hot.members) std::erase(m->regions, static_cast<void*>(&hot));
    if (hot.live) {
        backend::restore(hot.entry->code, code_, hot.entry->counter);
        std::atomic_ref(code_.counters()[hot.entry->counter]).store(options_.threshold - 1);
        hot.entry->tripped = hot.entry->covered = false;
        --stats_.live;
        stats_.live_bytes -= hot.code.bytes;
    }
    for (const CpuLink& cpu : cpus_) hot.passes_at_death.push_back(cpu.passes->load());
    const auto it =
        std::find_if(regions_.begin(), regions_.end(), [&](const auto& r) { return r.get() == &hot; });
    if (it != regions_.end()) {
        graves_.push_back(std::move(*it));
        regions_.erase(it);
    }
}

/// Frees what no virtual CPU can be in any more: it was outside since, or is outside.
void Tier2::collect() {
    std::erase_if(graves_, [&](const std::unique_ptr<HotRegion>& hot) {
        if (hot.get() == compiling_) return false;
        for (size_t k = 0; k < hot->passes_at_death.size(); ++k) {
            const uint64_t then = hot->passes_at_death[k];
            if ((then & 1) != 0 && cpus_[k].passes->load() == then) return false;
        }
        if (hot->code.handle != 0) compiler_->unload(hot->code.handle);
        if (hot->guard != backend::kNoCounter) {
            by_guard_[hot->guard] = nullptr;
            free_guards_.push_back(hot->guard);
        }
        return true;
    });
}

void Tier2::forget(TranslationBlock& block) {
    while (!block.regions.empty()) drop(*static_cast<HotRegion*>(block.regions.back()));
    collect();
}

/// The code cache is about to be emptied: no virtual CPU is inside.
void Tier2::flush() {
    if (!options_.enabled) return;
    ++generation_;
    while (!regions_.empty()) {
        regions_.back()->live = false;  // the block is gone: nothing to restore
        regions_.back()->members.clear();
        drop(*regions_.back());
    }
    stats_.live = stats_.live_bytes = 0;
    by_counter_.clear();
    queue_.clear();
    for (auto& grave : graves_) grave->passes_at_death.clear();
    collect();
}

Tier2::Guarded Tier2::guarded(uint32_t guard) const {
    // A dead one has its guard until no virtual CPU can be on the way in.
    const HotRegion& hot = *by_guard_[guard];
    const void* body = hot.entry->code.body;
    return {hot.pages, hot.dead ? body : backend::after_guard(hot.stub), body};
}

const void* Tier2::promote(uint32_t counter) {
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    const auto count_from = [&](uint32_t n) { std::atomic_ref(code_.counters()[counter]).store(n); };
    if (block == nullptr) return nullptr;
    const void* body = block->code.body;
    block->runs_when_tripped = options_.threshold;
    if (!block->valid || block->tripped) {
        count_from(kPromoted);
        return body;
    }
    if (!options_.synchronous && !block->covered && covered(*block)) {
        block->covered = true;
        count_from(kCovered * options_.threshold);
        return body;
    }
    count_from(kPromoted);
    block->tripped = true;
    ++stats_.promoted;
    if (options_.synchronous) return compile(nullptr, *block) ? block->code.entry : body;
    queue_.push_back(counter);
    wake_.notify_one();
    return body;
}

bool Tier2::compile(std::unique_lock<std::mutex>* lock, TranslationBlock& block) {
    Region region;
    auto owned = std::make_unique<HotRegion>();
    HotRegion& hot = *owned;
    hot.entry = &block;
    form(block, region, hot);
    if (!worthwhile(region)) {
        ++stats_.rejected;
        return false;
    }
    if (!hot.pages.empty()) {
        if (free_guards_.empty()) return false;
        hot.guard = free_guards_.back();
        free_guards_.pop_back();
        by_guard_[hot.guard] = &hot;
        for (const CpuLink& cpu : cpus_)
            std::atomic_ref(cpu.epochs[hot.guard]).store(backend::kUnlinkedEpoch, std::memory_order_relaxed);
    }
    for (TranslationBlock* m : hot.members) m->regions.push_back(&hot);
    regions_.push_back(std::move(owned));

    const uint64_t number = stats_.compiled;
    compiling_ = &hot;
    if (lock != nullptr) lock->unlock();
    const uint64_t start = thread_cpu_ns();
    RegionDump text;
    const bool wants_text = !options_.dump_directory.empty();
    std::optional<RegionCode> code;
    const std::string object = compiler_->compile(region, wants_text ? &text : nullptr);
    if (!object.empty()) code = compiler_->load(object);
    const uint64_t spent = thread_cpu_ns() - start;
    if (wants_text) dump(region, text, number);
    if (lock != nullptr) lock->lock();
    compiling_ = nullptr;

    stats_.compile_ns += spent;
    if (!code) {
        ++stats_.rejected;
        drop(hot);
        block.tripped = true;
        return false;
    }
    hot.code = *code;
    ++stats_.compiled;
    stats_.guest_insns += region.guest_insns();
    stats_.code_bytes += code->bytes;
    compile_us_.push_back(static_cast<uint32_t>(spent / 1000));
    if (hot.dead) return false;  // the guest changed its code meanwhile; collect() frees it
    if (options_.perf_map) {
        if (std::FILE* map = std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "a")) {
            fmt::print(map, "{:x} {:x} guest_pa_{:x}\n", reinterpret_cast<uintptr_t>(code->entry),
                       code->bytes, region.pa);
            std::fclose(map);
        }
    }
    publish(hot);
    return hot.live;
}

bool Tier2::covered(const TranslationBlock& block) const {
    return std::any_of(block.regions.begin(), block.regions.end(),
                       [](const void* r) { return static_cast<const HotRegion*>(r)->live; });
}

/// By guest instructions executed since the block was promoted.
TranslationBlock* Tier2::take_hottest() {
    TranslationBlock* best = nullptr;
    uint64_t most = options_.heat;
    std::erase_if(queue_, [&](uint32_t counter) {
        TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
        if (block == nullptr || !block->valid) return true;
        if (!block->covered && covered(*block)) {
            block->covered = true;
            block->tripped = false;
            std::atomic_ref(code_.counters()[counter]).store(kCovered * options_.threshold);
            return true;
        }
        const uint64_t left = std::atomic_ref(code_.counters()[counter]).load(std::memory_order_relaxed);
        const uint64_t heat = (left < kPromoted ? kPromoted - left : 0) * block->guest_insns;
        if (heat >= most) best = block, most = heat;
        return false;
    });
    if (best != nullptr) std::erase(queue_, best->counter);
    return best;
}

void Tier2::work() {
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(lock_);
    while (!stop_) {
        if (queue_.empty()) {
            wake_.wait(lock);
            continue;
        }
        const double elapsed =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (double(stats_.compile_ns) / 1e9 > options_.budget * elapsed + 0.05) {
            wake_.wait_for(lock, std::chrono::milliseconds(2));
            continue;
        }
        if (TranslationBlock* block = take_hottest())
            compile(&lock, *block);
        else
            wake_.wait_for(lock, std::chrono::milliseconds(3));
        collect();
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
    return s;
}

}  // namespace arclight::jit
