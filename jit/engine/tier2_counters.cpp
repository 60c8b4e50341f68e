// When a block is promoted: its counter runs out several times, each time for another reason.
#include <algorithm>

#include "jit/engine/predict.h"
#include "jit/engine/tier2.h"

namespace arclight::jit {

namespace {
/// For ever, as good as.
constexpr uint32_t kNever = ~uint32_t{0} >> 1;
/// A block that a live region covers is executed by tier 1 this many thresholds before it gets one of its
/// own.
constexpr uint32_t kCovered = 50;
/// Runs of a promoted block for which its ways out are counted.
constexpr uint32_t kLeastProfile = 64, kMostProfile = 4096;
/// A region is looked at for the first time when its entry alone has executed this part of the heat.
constexpr uint64_t kFirstLook = 4;
constexpr std::chrono::milliseconds kStale{30};
constexpr uint32_t kAskAgain = 64;
/// A store that is still there then has not been undone.
constexpr std::chrono::microseconds kSettled{200};
constexpr uint64_t kMixer = 0x9e37'79b9'7f4a'7c15;
}  // namespace

uint32_t Tier2::new_counter(uint32_t translation_flags) {
    if (!options_.enabled || !frontend_.may_promote(translation_flags)) return kNoCounter;
    constexpr size_t kMost =
        CodeBuffer::kCounters - kEntryCounters - kSideExitCounters - EdgeProfiler::kCounters;
    if (by_counter_.size() >= kMost) return kNoCounter;
    const auto counter = static_cast<uint32_t>(by_counter_.size());
    by_counter_.push_back(nullptr);
    return counter;
}

void Tier2::attach(TranslationBlock& block) {
    if (block.counter == kNoCounter) return;
    by_counter_[block.counter] = &block;
    if (options_.sample > 1 &&
        ((block.pa / frontend_.code_limits().alignment ^ options_.sample_seed) * kMixer >> 32) %
                options_.sample !=
            0) {
        never_again(block);
        return;
    }
    block.warm = store_ != nullptr && !stopped_ && store_->knows(entry_key(block));
    count_from(block, block.warm ? options_.warm_threshold : options_.threshold);
}

// ---- Counters
// --------------------------------------------------------------------------------------------------------------

/// The block asks again after n runs.
void Tier2::count_from(TranslationBlock& block, uint32_t n) {
    if (block.counted_from != 0) block.counted_before = counted(block);
    block.counted_from = n;
    counter(block.counter) = n - 1;
}

uint64_t Tier2::counted(const TranslationBlock& block) const {
    const uint32_t left = counter(block.counter);
    return block.counted_before +
           (left < block.counted_from ? block.counted_from - 1 - left : block.counted_from);
}

TranslationBlock* Tier2::block_of(uint32_t counter) const {
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    return block != nullptr && block->valid ? block : nullptr;
}

bool Tier2::covered(const TranslationBlock& block) const {
    return std::any_of(block.regions.begin(), block.regions.end(),
                       [](const void* r) { return static_cast<const HotRegion*>(r)->live; });
}

/// As count_from(), for as many runs as there are, and while virtual CPUs run the block. One that is just
/// taking one from the counter, which is not atomic, undoes what is stored meanwhile; in a short loop it does
/// so for long, since it sees its own stores before all others. So the worker looks again later.
void Tier2::count_runs(TranslationBlock& block, double n) {
    const auto from = static_cast<uint32_t>(std::clamp(n, 1.0, double(kNever)));
    count_from(block, from);
    if (!options_.synchronous) unsure_.push_back({block.counter, from, std::chrono::steady_clock::now()});
}

void Tier2::make_sure() {
    if (unsure_.empty()) return;
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(unsure_, [&](Unsure& u) {
        const TranslationBlock* block = block_of(u.counter);
        if (block == nullptr || block->counted_from != u.from) return true;
        if (now - u.when < kSettled) return false;
        const uint32_t left = counter(u.counter);
        if (left < u.from || static_cast<int32_t>(left) < 0) return true;
        counter(u.counter) = u.from - 1;
        u.when = now;
        return false;
    });
}

void Tier2::enqueue(TranslationBlock& block) {
    block.stage = TranslationBlock::Stage::Queued;
    block.queued_at = counted(block);
    block.queued_when = std::chrono::steady_clock::now();
    count_from(block, kNever);
    queue_.push_back(block.counter);
    wake_.notify_one();
}

/// One that a region has taken in since it asked may not be executed any more but there.
bool Tier2::postpone(TranslationBlock& block) {
    if (block.covered || !covered(block)) return false;
    block.covered = true;
    block.stage = TranslationBlock::Stage::Waiting;
    count_runs(block, double(kCovered) * options_.threshold);
    return true;
}

const void* Tier2::promote(uint32_t counter, const GuestState* state) {
    using enum TranslationBlock::Stage;
    TranslationBlock* block = counter < by_counter_.size() ? by_counter_[counter] : nullptr;
    if (block == nullptr) return nullptr;
    if (state != nullptr) {
        if (block->seen.size() == kTimesSeen) block->seen.erase(block->seen.begin());
        block->seen.push_back(registers_of(*state));
    }
    const void* body = block->code.body;
    if (!block->valid || stopped_) block->stage = Done;
    if (block->stage == Cold && block->warm) {
        block->warm = false;
        count_from(*block, options_.threshold);
        warm_queue_.push_back(counter);
        wake_.notify_one();
        return body;
    }
    switch (block->stage) {
        case Cold:
        case Waiting:
            if (!options_.synchronous && !block->covered && covered(*block)) {
                block->covered = true;
                block->stage = Cold;
                count_from(*block, kCovered * options_.threshold);
                return body;
            }
            if (block->stage == Waiting) {
                enqueue(*block);
                return body;
            }
            block->promoted_at = counted(*block);
            ++stats_.promoted;
            if (options_.synchronous) {
                block->stage = Done;
                count_from(*block, kNever);
                return compile(nullptr, *block) ? block->code.entry : body;
            }
            if (options_.heat == 0) {
                enqueue(*block);
                return body;
            }
            block->stage = Profiled;
            edges_.start(*block, block->promoted_at);
            count_from(*block, std::clamp(options_.threshold / 4, kLeastProfile, kMostProfile));
            return body;
        case Profiled:
            edges_.finish(*block, counted(*block));
            block->stage = Waiting;
            count_runs(*block, double(options_.heat / kFirstLook) / block->guest_insns);
            return body;
        case Queued:
        case Done: break;
    }
    edges_.finish(*block, counted(*block));
    count_from(*block, kNever);
    return body;
}

/// Back to where it was before anything was known of it.
void Tier2::start_over(TranslationBlock& block) {
    edges_.finish(block, 0);
    block.profile.reset();
    block.counted_from = 0;
    block.counted_before = 0;
    block.covered = false;
    block.stage = TranslationBlock::Stage::Cold;
    std::erase(queue_, block.counter);
    count_runs(block, options_.threshold);
}

/// No region is entered here, whatever may come.
void Tier2::never_again(TranslationBlock& block) {
    block.stage = TranslationBlock::Stage::Done;
    count_from(block, kNever);
}

/// By guest instructions executed since the block was promoted. What has not run while it had to wait asks
/// again when it does: the guest may be doing something else, or nothing, by now.
TranslationBlock* Tier2::take_hottest() {
    const auto now = std::chrono::steady_clock::now();
    TranslationBlock* best = nullptr;
    uint64_t most = 0;
    std::erase_if(queue_, [&](uint32_t counter) {
        TranslationBlock* block = block_of(counter);
        if (block == nullptr) return true;
        if (options_.heat != 0 && now - block->queued_when > kStale && counted(*block) == block->queued_at) {
            block->stage = TranslationBlock::Stage::Waiting;
            count_runs(*block, kAskAgain);
            return true;
        }
        const uint64_t heat = (counted(*block) - block->promoted_at) * block->guest_insns;
        if (best == nullptr || heat > most) best = block, most = heat;
        return false;
    });
    if (best != nullptr) std::erase(queue_, best->counter);
    return best;
}

}  // namespace arclight::jit
