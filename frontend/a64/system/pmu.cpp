#include "frontend/a64/system/pmu.h"

#include <time.h>

#include "frontend/a64/system/cpu.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t kEnable = 1u << 0;                               // PMCR_EL0.E
constexpr uint64_t kExcludeEl1 = 1u << 31, kExcludeEl0 = 1u << 30;  // PMCCFILTR_EL0.P, U

uint64_t now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

uint64_t elapsed(const SystemRegisters::Pmu& pmu) { return pmu.counting ? now() - pmu.since : 0; }

/// Adds what was counted since the last time.
void accumulate(SystemRegisters::Pmu& pmu) {
    if (!pmu.counting) return;
    const uint64_t time = now(), before = pmu.count;
    pmu.count += time - pmu.since;
    pmu.since = time;
    // PMCR_EL0.LC is RES1 where there is no AArch32: an overflow is one out of 64 bits.
    if (pmu.count < before) pmu.cycle_overflow = true;
}

}  // namespace

uint64_t pmu_cycles(const Cpu& cpu) { return cpu.registers.pmu.count + elapsed(cpu.registers.pmu); }

void pmu_set_cycles(Cpu& cpu, uint64_t value) {
    SystemRegisters::Pmu& pmu = cpu.registers.pmu;
    accumulate(pmu);
    pmu.count = value;
}

void pmu_update(Cpu& cpu) {
    SystemRegisters::Pmu& pmu = cpu.registers.pmu;
    accumulate(pmu);
    const bool enabled = (pmu.pmcr & kEnable) != 0 && pmu.cycle_enabled;
    const bool counts_el1 = (pmu.ccfiltr & kExcludeEl1) == 0, counts_el0 = (pmu.ccfiltr & kExcludeEl0) == 0;
    pmu.follows_el = enabled && counts_el1 != counts_el0;
    pmu.counting = enabled && (cpu.el == 0 ? counts_el0 : counts_el1);
    pmu.since = pmu.counting ? now() : 0;
}

bool pmu_overflow(Cpu& cpu) {
    accumulate(cpu.registers.pmu);
    return cpu.registers.pmu.cycle_overflow;
}

}  // namespace arclight::frontend::a64
