// Whether a region keeps what its profile promised. One that is entered often is timed for a while, from the
// way in to the way out: a guest that has changed its ways leaves it at once, and pays for moving all
// registers each time. It is dropped then, and its blocks are counted afresh. One that is left often because
// the compiler guessed wrong, such as that a structure lies in one page, is made again without those guesses.
#include <algorithm>
#include <bit>

#include "jit/engine/tier2.h"

namespace arclight::jit {

namespace {
/// Entries or ways out a second below which they do not matter.
constexpr double kOften = 100'000;
constexpr uint32_t kEnoughEntries = 500;
/// Wrong ones of a region after which it makes none any more.
constexpr int kManyGuesses = 24;
/// Looks between one timing and the next of a region that was found good.
constexpr unsigned kRest = 20;
/// After so many regions that came to nothing none is entered there any more.
constexpr unsigned kTries = 3;
/// Thresholds that a block runs before it may be tried again.
constexpr double kAgain = 1000;
}  // namespace

void Tier2::watch() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - watched_).count();
    if (now - watched_ < kWatch) return;
    watched_ = now;
    const WrongGuesses wrong = wrong_guesses();
    const bool often = wrong.count - wrong_guesses_ > kOften * seconds;
    wrong_guesses_ = wrong.count;
    for (size_t k = regions_.size(); k-- > 0;)  // it may be dropped
        if (HotRegion& hot = *regions_[k]; hot.live && hot.entries != kNoCounter)
            watch(hot, seconds, often ? wrong.which : 0);
}

/// The count of all of them, and which were wrong since the last look.
WrongGuesses Tier2::wrong_guesses() const {
    WrongGuesses all{};
    for (const CpuLink& cpu : cpus_) {
        if (cpu.wrong_guesses == nullptr) continue;
        all.count += __atomic_load_n(&cpu.wrong_guesses->count, __ATOMIC_RELAXED);
        // Code that the CPU executes may write it back: then it is seen twice.
        all.which |= __atomic_exchange_n(&cpu.wrong_guesses->which, 0, __ATOMIC_RELAXED);
    }
    return all;
}

void Tier2::watch(HotRegion& hot, double seconds, Guesses wrong) {
    const uint32_t exits = counter(hot.side_exits());
    const uint32_t entries = counter(hot.entries);
    const uint32_t left = exits - hot.watched_exits;
    const bool at_entry = left > (entries - hot.looked_entries) / 2;
    hot.watched_exits = exits;
    hot.looked_entries = entries;
    if (wrong != 0 && (at_entry || left > kOften * seconds) && hot.distrusted != kEveryGuess) {
        give_up_guesses(hot, wrong);
        return;
    }
    const uint32_t since = entries - hot.watched_entries;
    if (hot.timed) {
        if (since < kEnoughEntries) {
            if (++hot.looks < kRest) return;
        } else if (counter(hot.cycles()) / since < options_.least_cycles) {
            give_up(hot);
            return;
        }
        set_timed(hot, false);
        hot.rest = kRest;
    } else if (hot.rest != 0) {
        --hot.rest;
    } else if (since > kOften * seconds) {
        hot.looks = 0;
        counter(hot.cycles()) = 0;
        set_timed(hot, true);
    }
    hot.watched_entries = counter(hot.entries);
}

void Tier2::set_timed(HotRegion& hot, bool timed) {
    if (timed && hot.timed_stub == nullptr) {
        hot.timed_stub = make_stub(hot, hot.cycles());
        if (hot.timed_stub == nullptr) return;
    }
    hot.timed = timed;
    divert(hot.entry->code, timed ? hot.timed_stub : hot.stub);
}

/// The next one is made of what its blocks do from now on.
void Tier2::give_up(HotRegion& hot) {
    if (hot.in_store) withdrawn_.push_back(*hot.in_store);
    TranslationBlock& entry = *hot.entry;
    make_again(hot);
    if (++entry.tries >= kTries) never_again(entry);
}

/// In another run of the guest they may be right: what the cache on disk has stays there.
void Tier2::give_up_guesses(HotRegion& hot, Guesses wrong) {
    Guesses distrusted = hot.distrusted | wrong;
    if (distrusted == hot.distrusted || std::popcount(distrusted) > kManyGuesses) distrusted = kEveryGuess;
    for (TranslationBlock* m : hot.members) m->distrusted |= distrusted;
    make_again(hot);
}

void Tier2::make_again(HotRegion& hot) {
    ++stats_.deoptimised;
    const std::vector<TranslationBlock*> members = hot.members;
    drop(hot);
    for (TranslationBlock* m : members)
        if (m->valid && !has_region(*m)) start_over(*m);
}

/// What is not worth while may be so later.
void Tier2::give_up_for_now(TranslationBlock& block) {
    const unsigned tries = block.tries;
    start_over(block);
    block.tries = static_cast<uint8_t>(tries + 1);
    if (block.tries >= kTries)
        never_again(block);
    else
        count_runs(block, kAgain * options_.threshold);
}

}  // namespace arclight::jit
