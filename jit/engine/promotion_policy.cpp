#include "jit/engine/promotion_policy.h"

#include <algorithm>
#include <utility>

#include "host/process_time.h"
#include "jit/engine/compile_budget.h"
#include "jit/engine/compiled_region.h"
#include "jit/engine/predict.h"
#include "jit/entry_counter.h"
#include "mmu/bits.h"

namespace arclight::jit {

using Stage = Promotion::Stage;

namespace {
/// Runs that no counter counts down in practice.
constexpr uint32_t kNever = ~uint32_t{0} >> 1;
/// Thresholds that tier 1 executes a block which a live region covers before the block gets its own.
constexpr uint32_t kCovered = 50;
/// Runs of a promoted block for which its exits are counted.
constexpr uint32_t kMinProfile = 64, kMaxProfile = 4096;
/// A block is queued for the first time when it alone has executed this part of the heat.
constexpr uint64_t kFirstLook = 4;
/// A queued block that has not run for so long asks again when it has run kAskAgain times.
constexpr std::chrono::milliseconds kStale{30};
constexpr uint32_t kAskAgain = 64;
/// A CPU overwrites a counter that was set meanwhile, if at all, within this time.
constexpr std::chrono::microseconds kSettled{200};
/// A block asks the disk so often, each time after four times as many runs.
constexpr unsigned kMaxDiskTries = 5;
/// Regions that came to nothing after which none is entered there any more.
constexpr unsigned kMaxFailures = 3;
/// Thresholds that a block runs before it may be tried again.
constexpr double kAgain = 1000;
/// By samples: CPU time in a block before it is profiled.
constexpr std::chrono::milliseconds kBeforeProfile{16};
/// What is gone to less often in a run of the block that was sampled is not profiled along with it, nor what is farther from it.
constexpr double kLeastVisits = 1.0 / 256;
constexpr unsigned kFarthest = 64;

bool in_live_region(const TranslationBlock& block) {
    return std::ranges::any_of(block.regions, [](const CompiledRegion* r) { return r->life.live(); });
}

/// Its entry leads into the region.
bool enters_live_region(const TranslationBlock& block) {
    return std::ranges::any_of(block.regions,
                               [&](const CompiledRegion* r) { return r->entry == &block && r->life.live(); });
}
}  // namespace

PromotionPolicy::PromotionPolicy(const Frontend& frontend, CodeBuffer& code, EdgeProfiler& edges,
                                 const Tier2Options& options)
    : frontend_(frontend), code_(code), edges_(edges), options_(options) {}

uint32_t PromotionPolicy::new_counter(uint32_t translation_flags) {
    if (!options_.enabled || !frontend_.may_promote(translation_flags)) return kNoCounter;
    if (by_counter_.size() >= kBlockCounters) return kNoCounter;
    const auto counter = static_cast<uint32_t>(by_counter_.size());
    by_counter_.push_back(nullptr);
    return counter;
}

void PromotionPolicy::attach(TranslationBlock& block, bool stored) {
    by_counter_[block.counter] = &block;
    const uint64_t place = block.pa / frontend_.code_limits().alignment;
    if (options_.sample > 1 && hash_bits(place ^ options_.sample_seed, 32) % options_.sample != 0) {
        disable(block);
        return;
    }
    block.promotion.warm = stored;
    block.promotion.ask_at = kBeforeProfile;
    if (options_.sampled && !stored) return stop_counting(block);
    count_from(block, block.promotion.warm ? options_.warm_threshold : options_.threshold);
}

// ---- Counters

/// The block asks again after n runs.
void PromotionPolicy::count_from(TranslationBlock& block, uint32_t n) {
    if (block.promotion.counted_from != 0) block.promotion.counted_before = runs(block);
    block.promotion.counted_from = n;
    counter_at(code_, block.counter) = n - 1;
}

/// The same while virtual CPUs run the block. One that is just taking one from the counter, which is not
/// atomic, undoes what is stored meanwhile; in a short loop it does so for long, since it sees its own stores
/// before all others. So the worker looks again later.
void PromotionPolicy::count_runs(TranslationBlock& block, double n) {
    const auto from = static_cast<uint32_t>(std::clamp(n, 1.0, double(kNever)));
    start_counting(block, from);
    if (!options_.synchronous) unconfirmed_.push_back({block.counter, from, Clock::now()});
}

void PromotionPolicy::start_counting(TranslationBlock& block, uint32_t n) {
    count_from(block, n);
    if (options_.sampled && !enters_live_region(block)) unpatch_entry(code_, block.code, block.counter);
}

void PromotionPolicy::stop_counting(TranslationBlock& block) {
    if (!enters_live_region(block)) skip_counter(code_, block.code);
}

/// It asks again when it has run so often.
void PromotionPolicy::ask_after(TranslationBlock& block, double runs) {
    if (!options_.sampled) return count_runs(block, runs);
    const double ns = runs * block.guest_insns * CompileBudget::kTier1Ns;
    block.promotion.ask_at =
        block.promotion.sampled + std::chrono::nanoseconds(static_cast<int64_t>(std::clamp(ns, 1.0, 1e15)));
}

void PromotionPolicy::confirm_counters() {
    if (unconfirmed_.empty()) return;
    const auto now = Clock::now();
    std::erase_if(unconfirmed_, [&](Unconfirmed& u) {
        const TranslationBlock* block = block_of(u.counter);
        if (block == nullptr || block->promotion.counted_from != u.from) return true;
        if (now - u.when < kSettled) return false;
        const auto counter = counter_at(code_, u.counter);
        const uint32_t left = counter;
        if (left < u.from || static_cast<int32_t>(left) < 0) return true;
        counter = u.from - 1;
        u.when = now;
        return false;
    });
}

uint64_t PromotionPolicy::runs(const TranslationBlock& block) const {
    if (block.counter == kNoCounter) return 0;
    const uint32_t left = counter_at(code_, block.counter);
    return block.promotion.counted_before + (left < block.promotion.counted_from
                                                 ? block.promotion.counted_from - 1 - left
                                                 : block.promotion.counted_from);
}

TranslationBlock* PromotionPolicy::block_of(uint32_t counter) const {
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    return block != nullptr && block->valid ? block : nullptr;
}

// ---- Stages

PromotionPolicy::Decision PromotionPolicy::on_counter(uint32_t counter, const GuestState* state,
                                                      bool stopped) {
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    if (block == nullptr) return {nullptr, Next::Run};
    if (state != nullptr) {
        if (block->promotion.hot().snapshots.size() == kMaxSnapshots)
            block->promotion.hot().snapshots.erase(block->promotion.hot().snapshots.begin());
        block->promotion.hot().snapshots.push_back(take_snapshot(*state));
    }
    if (!block->valid || stopped) block->promotion.stage = Stage::Done;
    switch (block->promotion.stage) {
        case Stage::Cold:
            if (block->promotion.warm) {
                block->promotion.warm = false;
                count_from(*block, options_.threshold);
                if (options_.sampled) stop_counting(*block);
                warm_queue_.push_back(counter);
                return {block, Next::WakeWorker};
            }
            [[fallthrough]];
        case Stage::Waiting:
            if (!options_.sampled) return {block, advance(*block)};
            break;
        case Stage::Profiled:
            if (options_.sampled &&
                runs(*block) - block->promotion.hot().promoted_at < block->promotion.hot().profile_runs)
                count_from(*block, block->promotion.hot().profile_runs / 2);
            else
                end_profile(*block);
            return {block, Next::Run};
        case Stage::Queued:
        case Stage::Done: break;
    }
    edges_.finish(*block, runs(*block));
    count_from(*block, kNever);
    if (options_.sampled) stop_counting(*block);
    return {block, Next::Run};
}

PromotionPolicy::Next PromotionPolicy::on_sample(TranslationBlock* block, std::chrono::nanoseconds cpu) {
    const auto before = std::exchange(sampled_, sampled_ + cpu);
    if (block == nullptr || !block->valid || block->counter == kNoCounter) return Next::Run;
    Promotion& p = block->promotion;
    if (p.sampled.count() == 0) p.hot().sampling = before;
    p.sampled += cpu;
    // A CPU may have overwritten the counter when it was set.
    if (p.stage == Stage::Profiled && runs(*block) - p.hot().promoted_at >= p.hot().profile_runs)
        end_profile(*block);
    if ((p.stage != Stage::Cold && p.stage != Stage::Waiting) || p.sampled < p.ask_at ||
        enters_live_region(*block))
        return Next::Run;
    return advance(*block);
}

PromotionPolicy::Sampled PromotionPolicy::sampled_in(std::span<TranslationBlock* const> blocks) const {
    Sampled sum;
    auto first = sampled_;
    for (const TranslationBlock* block : blocks) {
        if (block->promotion.sampled.count() == 0) continue;
        sum.inside += block->promotion.sampled;
        first = std::min(first, block->promotion.hot().sampling);
    }
    sum.all = sampled_ - first;
    return sum;
}

/// What is cold or waits has executed enough.
PromotionPolicy::Next PromotionPolicy::advance(TranslationBlock& block) {
    if (!options_.synchronous && !block.promotion.covered && in_live_region(block)) {
        block.promotion.covered = true;
        block.promotion.stage = Stage::Cold;
        if (options_.sampled)
            ask_after(block, double(kCovered) * options_.threshold);
        else
            count_from(block, kCovered * options_.threshold);
        return Next::Run;
    }
    if (block.promotion.stage == Stage::Cold) return promote(block);
    enqueue(block);
    return Next::WakeWorker;
}

PromotionPolicy::Next PromotionPolicy::promote(TranslationBlock& block) {
    block.promotion.hot().promoted_at = runs(block);
    ++promoted_;
    if (options_.synchronous) {
        disable(block);
        return Next::CompileNow;
    }
    if (options_.heat == 0) {
        enqueue(block);
        return Next::WakeWorker;
    }
    if (options_.sampled) {
        start_profile(block, 1, 0);
        return Next::Run;
    }
    block.promotion.hot().promoted_cpu = host::process_time().cpu;
    block.promotion.stage = Stage::Profiled;
    edges_.start(block, block.promotion.hot().promoted_at);
    count_from(block, std::clamp(options_.threshold / 4, kMinProfile, kMaxProfile));
    return Next::Run;
}

/// By samples: of a block that is executed so often for each run of the one that was sampled, which is so many blocks away.
void PromotionPolicy::start_profile(TranslationBlock& block, double visits, unsigned distance) {
    Promotion& p = block.promotion;
    p.hot().visits = static_cast<float>(visits);
    p.hot().distance = static_cast<uint8_t>(distance);
    // The counter runs out twice, for the registers to be seen twice.
    const auto half = std::clamp(static_cast<uint32_t>(visits * kMaxProfile), kMinProfile, kMaxProfile) / 2;
    p.hot().profile_runs = static_cast<uint16_t>(2 * half);
    p.hot().promoted_at = runs(block);
    p.stage = Stage::Profiled;
    edges_.start(block, p.hot().promoted_at);
    start_counting(block, half);
}

void PromotionPolicy::end_profile(TranslationBlock& block) {
    edges_.finish(block, runs(block));
    if (options_.sampled) {
        count_from(block, kNever);
        stop_counting(block);
        profile_successors(block);
    }
    wait(block, double(options_.heat / kFirstLook) / block.guest_insns);
}

void PromotionPolicy::profile_successors(const TranslationBlock& block) {
    const Promotion& p = block.promotion;
    if (p.hot().distance == kFarthest) return;
    for (const auto& [to, share] : edges_.successors(block)) {
        const double visits = p.hot().visits * std::min(share, 1.0);
        if (visits < kLeastVisits || !to->valid || to->counter == kNoCounter ||
            to->promotion.stage != Stage::Cold || enters_live_region(*to))
            continue;
        start_profile(*to, visits, p.hot().distance + 1u);
    }
}

void PromotionPolicy::wait(TranslationBlock& block, double n) {
    block.promotion.stage = Stage::Waiting;
    ask_after(block, n);
}

bool PromotionPolicy::postpone_covered(TranslationBlock& block) {
    if (block.promotion.covered || !in_live_region(block)) return false;
    block.promotion.covered = true;
    wait(block, double(kCovered) * options_.threshold);
    return true;
}

bool PromotionPolicy::ask_disk_again(TranslationBlock& block) {
    if (++block.promotion.disk_tries >= kMaxDiskTries) return false;
    block.promotion.warm = true;
    count_runs(block,
               std::min(options_.warm_threshold << 2 * block.promotion.disk_tries, options_.threshold));
    return true;
}

void PromotionPolicy::restart(TranslationBlock& block) {
    edges_.finish(block, 0);
    block.profile.reset();
    block.promotion.counted_from = 0;
    block.promotion.counted_before = 0;
    block.promotion.covered = false;
    block.promotion.stage = Stage::Cold;
    std::erase(queue_, block.counter);
    if (!options_.sampled) return count_runs(block, options_.threshold);
    block.promotion.sampled = {};
    block.promotion.ask_at = kBeforeProfile;
    stop_counting(block);
}

void PromotionPolicy::disable(TranslationBlock& block) {
    block.promotion.stage = Stage::Done;
    count_from(block, kNever);
    if (options_.sampled) stop_counting(block);
}

void PromotionPolicy::discard(TranslationBlock& block) {
    restart(block);
    count_failure(block);
    if (block.promotion.failures < kMaxFailures) ask_after(block, kAgain * options_.threshold);
}

void PromotionPolicy::count_failure(TranslationBlock& block) {
    if (++block.promotion.failures >= kMaxFailures) disable(block);
}

// ---- Queues

void PromotionPolicy::enqueue(TranslationBlock& block) {
    block.promotion.stage = Stage::Queued;
    block.promotion.hot().queued_at = heat_of(block);
    block.promotion.hot().queued_when = Clock::now();
    if (!options_.sampled) count_from(block, kNever);
    queue_.push_back(block.counter);
}

/// What it has executed since it was promoted, in a unit that is the same for all blocks.
uint64_t PromotionPolicy::heat_of(const TranslationBlock& block) const {
    return options_.sampled ? static_cast<uint64_t>(block.promotion.sampled.count())
                            : runs_since_promotion(block) * block.guest_insns;
}

/// What has not run while it had to wait asks again when it does: the guest may be doing something else, or
/// nothing, by now.
TranslationBlock* PromotionPolicy::take_hottest() {
    const auto now = Clock::now();
    TranslationBlock* best = nullptr;
    uint64_t most = 0;
    std::erase_if(queue_, [&](uint32_t counter) {
        TranslationBlock* block = block_of(counter);
        if (block == nullptr) return true;
        if (options_.heat != 0 && now - block->promotion.hot().queued_when > kStale &&
            heat_of(*block) == block->promotion.hot().queued_at) {
            wait(*block, kAskAgain);
            return true;
        }
        const uint64_t heat = heat_of(*block);
        if (best == nullptr || heat > most) best = block, most = heat;
        return false;
    });
    if (best != nullptr) std::erase(queue_, best->counter);
    return best;
}

std::optional<uint32_t> PromotionPolicy::take_warm() {
    if (warm_queue_.empty()) return std::nullopt;
    const uint32_t counter = warm_queue_.front();
    warm_queue_.pop_front();
    return counter;
}

void PromotionPolicy::done(TranslationBlock& block) {
    block.promotion.stage = Stage::Done;
    std::erase(queue_, block.counter);
}

void PromotionPolicy::clear_queues() {
    queue_.clear();
    warm_queue_.clear();
}

void PromotionPolicy::reset() {
    by_counter_.clear();
    clear_queues();
    unconfirmed_.clear();
}

}  // namespace arclight::jit
