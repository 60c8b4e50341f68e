#include "jit/engine/promotion_policy.h"

#include <algorithm>

#include "host/process_time.h"
#include "jit/engine/compiled_region.h"
#include "jit/engine/predict.h"
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

bool in_live_region(const TranslationBlock& block) {
    return std::ranges::any_of(block.regions, [](const CompiledRegion* r) { return r->life.live(); });
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
    count_from(block, from);
    if (!options_.synchronous) unconfirmed_.push_back({block.counter, from, Clock::now()});
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
        if (block->promotion.snapshots.size() == kMaxSnapshots)
            block->promotion.snapshots.erase(block->promotion.snapshots.begin());
        block->promotion.snapshots.push_back(take_snapshot(*state));
    }
    if (!block->valid || stopped) block->promotion.stage = Stage::Done;
    switch (block->promotion.stage) {
        case Stage::Cold:
            if (block->promotion.warm) {
                block->promotion.warm = false;
                count_from(*block, options_.threshold);
                warm_queue_.push_back(counter);
                return {block, Next::WakeWorker};
            }
            [[fallthrough]];
        case Stage::Waiting:
            if (!options_.synchronous && !block->promotion.covered && in_live_region(*block)) {
                block->promotion.covered = true;
                block->promotion.stage = Stage::Cold;
                count_from(*block, kCovered * options_.threshold);
                return {block, Next::Run};
            }
            if (block->promotion.stage == Stage::Cold) return {block, promote(*block)};
            enqueue(*block);
            return {block, Next::WakeWorker};
        case Stage::Profiled:
            edges_.finish(*block, runs(*block));
            wait(*block, double(options_.heat / kFirstLook) / block->guest_insns);
            return {block, Next::Run};
        case Stage::Queued:
        case Stage::Done: break;
    }
    edges_.finish(*block, runs(*block));
    count_from(*block, kNever);
    return {block, Next::Run};
}

PromotionPolicy::Next PromotionPolicy::promote(TranslationBlock& block) {
    block.promotion.promoted_at = runs(block);
    ++promoted_;
    if (options_.synchronous) {
        disable(block);
        return Next::CompileNow;
    }
    if (options_.heat == 0) {
        enqueue(block);
        return Next::WakeWorker;
    }
    block.promotion.promoted_cpu = host::process_time().cpu;
    block.promotion.stage = Stage::Profiled;
    edges_.start(block, block.promotion.promoted_at);
    count_from(block, std::clamp(options_.threshold / 4, kMinProfile, kMaxProfile));
    return Next::Run;
}

void PromotionPolicy::wait(TranslationBlock& block, double n) {
    block.promotion.stage = Stage::Waiting;
    count_runs(block, n);
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
    count_runs(block, options_.threshold);
}

void PromotionPolicy::disable(TranslationBlock& block) {
    block.promotion.stage = Stage::Done;
    count_from(block, kNever);
}

void PromotionPolicy::discard(TranslationBlock& block) {
    restart(block);
    count_failure(block);
    if (block.promotion.failures < kMaxFailures) count_runs(block, kAgain * options_.threshold);
}

void PromotionPolicy::count_failure(TranslationBlock& block) {
    if (++block.promotion.failures >= kMaxFailures) disable(block);
}

// ---- Queues

void PromotionPolicy::enqueue(TranslationBlock& block) {
    block.promotion.stage = Stage::Queued;
    block.promotion.queued_at = runs(block);
    block.promotion.queued_when = Clock::now();
    count_from(block, kNever);
    queue_.push_back(block.counter);
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
        if (options_.heat != 0 && now - block->promotion.queued_when > kStale &&
            runs(*block) == block->promotion.queued_at) {
            wait(*block, kAskAgain);
            return true;
        }
        const uint64_t heat = runs_since_promotion(*block) * block->guest_insns;
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
