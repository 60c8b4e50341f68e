#include "jit/engine/region_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace arclight::jit {

namespace {
/// Memory that a region's code takes: whole pages, one for the constants.
uint64_t footprint(const RegionCode& code) { return ((code.bytes + kPageSize - 1) & kPageMask) + kPageSize; }
}  // namespace

RegionTable::RegionTable(CodeBuffer& code, uint64_t max_bytes, Hooks hooks)
    : code_(code), max_bytes_(max_bytes), hooks_(std::move(hooks)), by_guard_(kGuards) {
    for (uint32_t k = kGuards; k-- > 0;) free_guards_.push_back(k);
    for (uint32_t k = 2; k <= kEntryCounters; k += 2) free_entries_.push_back(CodeBuffer::kCounters - k);
}

void RegionTable::add_cpu(const std::atomic<uint64_t>* quiescent_epoch, uint32_t* guard_epochs) {
    epochs_.add_cpu(quiescent_epoch);
    guard_epochs_.push_back(guard_epochs);
}

CompiledRegion* RegionTable::admit(std::unique_ptr<CompiledRegion> owned) {
    CompiledRegion& region = *owned;
    if (!region.pages.empty()) {
        if (free_guards_.empty()) return nullptr;
        region.guard = free_guards_.back();
        free_guards_.pop_back();
        by_guard_[region.guard] = &region;
        for (uint32_t* epochs : guard_epochs_)
            std::atomic_ref(epochs[region.guard]).store(kUnlinkedEpoch, std::memory_order_relaxed);
    }
    if (!free_entries_.empty()) {
        region.entries = free_entries_.back();
        free_entries_.pop_back();
        counter_at(code_, region.entries) = 0;
        counter_at(code_, region.side_exits()) = 0;
    }
    region.body = region.entry->code.body;
    for (TranslationBlock* m : region.members) m->regions.push_back(&region);
    regions_.push_back(std::move(owned));
    return &region;
}

void RegionTable::set_code(CompiledRegion& region, const RegionCode& code) {
    region.code = code;
    by_entry_.emplace(code.entry, &region);
}

CompiledRegion* RegionTable::least_recently_entered() {
    CompiledRegion* oldest = nullptr;
    for (const auto& r : regions_) {
        if (!r->life.live()) continue;
        if (r->entries != kNoCounter) {
            const uint32_t now = counter_at(code_, r->entries);
            if (now != r->last_entries) r->last_entries = now, r->last_used = published_;
        }
        if (oldest == nullptr || r->last_used < oldest->last_used) oldest = r.get();
    }
    return oldest;
}

bool RegionTable::make_room(const CompiledRegion& region) {
    reclaim();
    const uint64_t needed = footprint(region.code);
    if (needed > max_bytes_) return false;
    while (stats_.live_bytes + needed > max_bytes_) {
        CompiledRegion* oldest = least_recently_entered();
        if (oldest == nullptr) return false;
        ++stats_.evicted;
        retire(*oldest);
    }
    reclaim();
    return true;
}

/// Null: the code cache is full.
const uint8_t* RegionTable::emit_stub(const CompiledRegion& region, uint32_t cycles) {
    const uint8_t* reuse = free_stubs_.empty() ? nullptr : free_stubs_.back();
    const uint8_t* stub = emit_region_stub(code_,
                                           {.region = region.code.entry,
                                            .body = region.body,
                                            .guard = region.guard,
                                            .entries = region.entries,
                                            .side_exits = region.side_exits(),
                                            .cycles = cycles},
                                           reuse);
    if (stub != nullptr && reuse != nullptr) free_stubs_.pop_back();
    return stub;
}

void RegionTable::publish(CompiledRegion& region) {
    if (make_room(region)) region.stub = emit_stub(region, kNoCounter);
    if (region.stub == nullptr) {
        retire(region);
        return;
    }
    region.life.change_to(RegionState::Live);
    region.last_used = ++published_;
    patch_entry(code_, region.entry->code, region.stub);
    ++stats_.live;
    stats_.live_bytes += footprint(region.code);
}

bool RegionTable::set_timed(CompiledRegion& region, bool timed) {
    if (timed && region.timed_stub == nullptr) region.timed_stub = emit_stub(region, region.cycles());
    if (timed && region.timed_stub == nullptr) return false;
    patch_entry(code_, region.entry->code, timed ? region.timed_stub : region.stub);
    region.life.change_to(timed ? RegionState::Timed : RegionState::Resting);
    return true;
}

void RegionTable::retire(CompiledRegion& region) {
    if (region.life.retired()) return;
    const bool was_live = region.life.live();
    region.life.change_to(RegionState::Retired);
    ++stats_.dropped;
    for (TranslationBlock* m : region.members) m->regions.remove(&region);
    if (was_live) {
        unpatch_entry(code_, region.entry->code, region.entry->counter);
        hooks_.on_unpatched(*region.entry);
        --stats_.live;
        stats_.live_bytes -= footprint(region.code);
    }
    region.entry = nullptr;  // the blocks may be freed before it is
    region.members.clear();
    region.retire_epochs = epochs_.now();
    const auto it = std::ranges::find_if(regions_, [&](const auto& r) { return r.get() == &region; });
    if (it == regions_.end()) return;
    retired_.push_back(std::move(*it));
    regions_.erase(it);
}

void RegionTable::free_resources(CompiledRegion& region) {
    if (const auto it = by_entry_.find(region.code.entry); it != by_entry_.end() && it->second == &region)
        by_entry_.erase(it);
    if (region.code.handle != 0) hooks_.unload(region.code.handle);
    if (region.guard != kNoCounter) {
        by_guard_[region.guard] = nullptr;
        free_guards_.push_back(region.guard);
    }
    if (region.entries != kNoCounter) {
        stats_.entered += counter_at(code_, region.entries);
        stats_.side_exits += counter_at(code_, region.side_exits());
        free_entries_.push_back(region.entries);
    }
    for (const uint8_t* stub : {region.stub, region.timed_stub})
        if (stub != nullptr) free_stubs_.push_back(stub);
}

void RegionTable::reclaim() {
    std::erase_if(retired_, [&](const std::unique_ptr<CompiledRegion>& region) {
        if (region.get() == pinned_ || !epochs_.passed(region->retire_epochs)) return false;
        free_resources(*region);
        return true;
    });
}

void RegionTable::reset() {
    // The blocks are gone with their regions: there is no entry to unpatch.
    for (auto& region : regions_) {
        region->life.change_to(RegionState::Retired);
        ++stats_.dropped;
        for (TranslationBlock* m : region->members) m->regions.clear();
        region->members.clear();
        region->entry = nullptr;
    }
    std::ranges::move(regions_, std::back_inserter(retired_));
    regions_.clear();
    stats_.live = stats_.live_bytes = 0;
    for (auto& region : retired_) {
        region->retire_epochs.clear();
        region->stub = region->timed_stub = nullptr;  // a pinned one is freed when other code is there
    }
    reclaim();
    free_stubs_.clear();
}

RegionEntryCheck RegionTable::entry_check(uint32_t guard) const {
    const CompiledRegion& region = *by_guard_[guard];
    return {region.pages, region.life.retired() ? region.body : after_guard(region.stub), region.body};
}

const void* RegionTable::side_exit(const void* pc) const {
    const auto after = by_entry_.upper_bound(pc);
    if (after == by_entry_.begin()) return nullptr;
    const RegionCode& code = std::prev(after)->second->code;
    return code.contains(pc) ? code.side_exit(pc) : nullptr;
}

RegionTable::Stats RegionTable::stats() const {
    Stats s = stats_;
    for (const auto& r : regions_) {
        if (!r->life.live() || r->entries == kNoCounter) continue;
        s.entered += counter_at(code_, r->entries);
        s.side_exits += counter_at(code_, r->side_exits());
    }
    return s;
}

}  // namespace arclight::jit
