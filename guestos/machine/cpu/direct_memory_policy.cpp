#include "guestos/machine/cpu/direct_memory_policy.h"

#include <ctime>
#include <utility>

#include "backend/direct_tables.h"

namespace arclight::guestos {

namespace {
constexpr uint64_t kRestFactor = 16;  ///< how much hotter one must be that lost it

/// CPU time of the calling thread: on a busy host a second is no sign that anything was executed.
uint64_t thread_ns() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// Whether the host refused a mapping since the last call.
bool take_refused(VcpuCore& core) {
    auto* tables =
        dynamic_cast<backend::DirectTables*>(core.context.accelerator.host_tables(core.options.index));
    return tables != nullptr && tables->take_refused();
}
}  // namespace

void DirectMemoryPolicy::update() {
    const uint64_t time = thread_ns();
    const bool always = core_.options.direct_memory_always;
    if (Space* left = std::exchange(current_, nullptr)) {
        left->ran_ns += time - entered_ns_;
        if (take_refused(core_)) left->faults = ~uint64_t{0};
    }
    uint32_t& flags = core_.state.translation_flags;
    flags &= ~jit::translation_flag::kFastmem;
    if (core_.cpu.el != 0) return;

    mmu::SoftTlb* const tlb = core_.state.tlb;
    Space& space = spaces_[core_.tlbs.number_of(tlb)];
    if (const uint64_t owners = core_.tlbs.owners_of(tlb); space.owners != owners || space.wanted_ns == 0)
        space = {.owners = owners, .wanted_ns = kHeatNs};
    if (core_.tlbs.uses_fastmem(tlb)) {
        // It maps and unmaps too much, or has pages that cannot be mapped; or the host has no more mappings.
        const uint64_t most = kFirstFaults + (space.ran_ns - space.since_ns) / (kFaultNs * kMostOf);
        if (space.faults == ~uint64_t{0} || (space.faults > most && !always)) {
            core_.tlbs.use_fastmem(tlb, false);
            space.wanted_ns = space.ran_ns + kRestFactor * kHeatNs;
            ++core_.stats.direct_spaces_left;
        }
    } else if (space.ran_ns >= space.wanted_ns || (always && space.wanted_ns == kHeatNs)) {
        core_.tlbs.use_fastmem(tlb, true);
        space.faults = 0;
        space.since_ns = space.ran_ns;
        ++core_.stats.direct_spaces;
    }
    if (core_.tlbs.uses_fastmem(tlb)) flags |= jit::translation_flag::kFastmem;
    current_ = &space;
    entered_ns_ = time;
}

}  // namespace arclight::guestos
