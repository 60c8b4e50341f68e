#include "guestos/machine/cpu/direct_memory_policy.h"

#include <utility>

namespace arclight::guestos {

void DirectMemoryPolicy::update() {
    const uint64_t time = now();
    if (Space* left = std::exchange(current_, nullptr)) left->ran_ns += time - entered_ns_;
    uint32_t& flags = core_.state.translation_flags;
    flags &= ~jit::translation_flag::kFastmem;
    if (core_.cpu.el != 0) return;

    mmu::SoftTlb* const tlb = core_.state.tlb;
    Space& space = spaces_[core_.tlbs.number_of(tlb)];
    const bool always = core_.options.direct_memory_always;
    if (const uint64_t owners = core_.tlbs.owners_of(tlb); space.owners != owners || space.wanted_ns == 0)
        space = {.owners = owners, .wanted_ns = always ? 1 : kHeatNs};
    if (core_.tlbs.uses_fastmem(tlb)) {
        const uint64_t ran = space.ran_ns - space.since_ns;
        if (!always && space.faults > kFirstFaults + ran / (kFaultNs * kMostOf)) {
            // It maps and unmaps too much, or has pages that cannot be mapped.
            core_.tlbs.use_fastmem(tlb, false);
            space.wanted_ns = space.ran_ns + 16 * kHeatNs;
            ++core_.stats.direct_spaces_left;
        }
    } else if (always || space.ran_ns >= space.wanted_ns) {
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
