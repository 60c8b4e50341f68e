#include "jit/host_profile.h"

#include <iterator>
#include <numeric>

namespace arclight::jit {

const char* name_of(HostClass c) {
    static constexpr const char* kNames[] = {
        "work",     "soft_tlb", "access",   "register_load", "register_store", "spill",
        "flags",    "constant", "fp_check", "branch",        "jump",           "page_check",
        "indirect", "poll",     "call",     "padding",       "slow_path",      "counter"};
    static_assert(std::size(kNames) == kHostClasses);
    return kNames[static_cast<size_t>(c)];
}

uint64_t* HostProfile::new_counter() {
    if (used_ == kChunk) {
        counters_.push_back(std::make_unique<uint64_t[]>(kChunk));
        used_ = 0;
    }
    return &counters_.back()[used_++];
}

uint64_t HostProfile::Totals::all() const { return std::accumulate(host.begin(), host.end(), uint64_t{0}); }

HostProfile::Totals HostProfile::Totals::operator-(const Totals& before) const {
    Totals difference = *this;
    for (size_t k = 0; k < kHostClasses; ++k) {
        difference.host[k] -= before.host[k];
        difference.superblock[k] -= before.superblock[k];
        difference.superblock_exits[k] -= before.superblock_exits[k];
    }
    difference.guest -= before.guest;
    difference.in_superblocks -= before.in_superblocks;
    difference.superblock_runs -= before.superblock_runs;
    for (size_t k = 0; k < kIntegerRegisters; ++k) {
        difference.loads[k] -= before.loads[k];
        difference.stores[k] -= before.stores[k];
    }
    difference.vector_reads -= before.vector_reads;
    difference.vector_writes -= before.vector_writes;
    difference.shared -= before.shared;
    return difference;
}

HostProfile::Totals HostProfile::totals() const {
    Totals totals;
    for (const Segment& s : segments_) {
        const uint64_t runs = __atomic_load_n(s.runs, __ATOMIC_RELAXED);
        if (runs == 0) continue;
        using enum Segment::Place;
        for (size_t k = 0; k < kHostClasses; ++k) {
            totals.host[k] += runs * s.host[k];
            if (s.place == SuperblockExit)
                totals.superblock_exits[k] += runs * s.host[k];
            else if (s.place != Block)
                totals.superblock[k] += runs * s.host[k];
        }
        totals.guest += runs * s.guest;
        if (s.place != Block) totals.in_superblocks += runs * s.guest;
        if (s.place == SuperblockEntry) totals.superblock_runs += runs;
        for (size_t k = 0; k < kIntegerRegisters; ++k) {
            totals.loads[k] += runs * s.loads[k];
            totals.stores[k] += runs * s.stores[k];
            if (s.shared) totals.shared += runs * (s.loads[k] + s.stores[k]);
        }
        totals.vector_reads += runs * s.vector_reads;
        totals.vector_writes += runs * s.vector_writes;
    }
    return totals;
}

}  // namespace arclight::jit
