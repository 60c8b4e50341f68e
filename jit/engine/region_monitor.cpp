#include "jit/engine/region_monitor.h"

#include <algorithm>
#include <bit>

namespace arclight::jit {

namespace {
/// Entries or exits a second below which they do not matter.
constexpr double kOften = 100'000;
/// Entries from which on the time spent in a region is believed.
constexpr uint32_t kMinEntries = 500;
/// Failed assumptions of a region after which all are disabled.
constexpr int kMaxDisabled = 24;
/// Looks between one timing and the next of a region that was found good, and that one timing takes at most.
constexpr unsigned kRest = 20;
}  // namespace

RegionMonitor::RegionMonitor(CodeBuffer& code, RegionTable& table, PromotionPolicy& policy, RegionCache& disk,
                             CompileBudget& budget, const Tier2Options& options)
    : code_(code), table_(table), policy_(policy), disk_(disk), budget_(budget), options_(options) {}

void RegionMonitor::look(double guest_ns) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_look_).count();
    if (now - last_look_ < kPeriod) return;
    last_look_ = now;
    estimate_savings((guest_ns - guest_ns_at_last_look_) / 1e9);
    guest_ns_at_last_look_ = guest_ns;
    const FailedAssumptions failed = collect_failed_assumptions();
    const bool often = failed.count - failed_at_last_look_ > kOften * seconds;
    failed_at_last_look_ = failed.count;
    const auto& regions = table_.regions();
    for (size_t k = regions.size(); k-- > 0;)  // it may be retired
        if (CompiledRegion& region = *regions[k]; region.life.live() && region.entries != kNoCounter)
            look_at(region, seconds, often ? failed.which : 0);
}

/// The count of all of them, and which have failed since the last look.
FailedAssumptions RegionMonitor::collect_failed_assumptions() const {
    FailedAssumptions all{};
    for (FailedAssumptions* cpu : cpus_) {
        all.count += __atomic_load_n(&cpu->count, __ATOMIC_RELAXED);
        // Code that the CPU executes may write it back: then it is seen twice.
        all.which |= __atomic_exchange_n(&cpu->which, 0, __ATOMIC_RELAXED);
    }
    return all;
}

/// A region that is entered as often as ever saves of the share that its code had, which may have been another's too. Nothing is known
/// of one until the second look.
void RegionMonitor::estimate_savings(double seconds) {
    if (seconds <= 0) return;
    double shares = 0;
    for (const auto& region : table_.regions()) {
        if (!region->life.live() || region->entries == kNoCounter) continue;
        CompiledRegion::Watch& watch = region->watch;
        const uint32_t entered = counter_at(code_, region->entries) - watch.entries_at_last_look;
        const double rate = entered / seconds;
        if (watch.rate > 0) shares += region->share * std::min(rate / watch.rate, 1.0);
        watch.rate = std::max(watch.rate, rate);
    }
    budget_.saved(std::min(shares, 1.0) * CompileBudget::kSavedShare * seconds * 1e9);
}

void RegionMonitor::look_at(CompiledRegion& region, double seconds, Assumptions failed) {
    CompiledRegion::Watch& watch = region.watch;
    const uint32_t exits = counter_at(code_, region.side_exits());
    const uint32_t entries = counter_at(code_, region.entries);
    const uint32_t left = exits - watch.side_exits;
    const bool at_entry = left > (entries - watch.entries_at_last_look) / 2;
    watch.side_exits = exits;
    watch.entries_at_last_look = entries;
    if (failed != 0 && (at_entry || left > kOften * seconds) &&
        region.disabled_assumptions != kEveryAssumption) {
        disable_assumptions(region, failed);
        return;
    }
    const uint32_t since = entries - watch.entries;
    const RegionState state = region.life.now();
    if (state == RegionState::Timed) {
        if (since < kMinEntries) {
            if (++watch.looks_while_timed < kRest) return;
        } else if (counter_at(code_, region.cycles()) / since < options_.min_cycles) {
            discard(region);
            return;
        }
        table_.set_timed(region, false);
        watch.rest = kRest;
    } else if (state == RegionState::Resting) {
        if (--watch.rest == 0) region.life.change_to(RegionState::Live);
    } else if (since > kOften * seconds) {
        watch.looks_while_timed = 0;
        counter_at(code_, region.cycles()) = 0;
        table_.set_timed(region, true);
    }
    watch.entries = counter_at(code_, region.entries);
}

/// The next one is made of what its blocks do from now on.
void RegionMonitor::discard(CompiledRegion& region) {
    if (region.stored) disk_.evict_later(*region.stored);
    TranslationBlock& entry = *region.entry;
    recompile(region);
    policy_.count_failure(entry);
}

/// In another run of the guest they may hold: what is on disk stays there.
void RegionMonitor::disable_assumptions(CompiledRegion& region, Assumptions failed) {
    Assumptions disabled = region.disabled_assumptions | failed;
    if (disabled == region.disabled_assumptions || std::popcount(disabled) > kMaxDisabled)
        disabled = kEveryAssumption;
    for (TranslationBlock* m : region.members) m->disabled_assumptions |= disabled;
    recompile(region);
}

void RegionMonitor::recompile(CompiledRegion& region) {
    ++deoptimised_;
    const std::vector<TranslationBlock*> members = region.members;
    table_.retire(region);
    for (TranslationBlock* m : members)
        if (m->valid && !is_entry_of_region(*m)) policy_.restart(*m);
}

}  // namespace arclight::jit
