// The cycle counter of PMUv3 (ARM ARM D11), the only counter there is (PMCR_EL0.N = 0).
#pragma once

#include <cstdint>

namespace arclight::frontend::a64 {

struct Cpu;

/// PMCCNTR_EL0.
uint64_t pmu_cycles(const Cpu& cpu);
void pmu_set_cycles(Cpu& cpu, uint64_t value);
/// Stops or starts the counter after a change of its controls or, where PMCCFILTR tells them apart, of the
/// EL. Call it after the change.
void pmu_update(Cpu& cpu);
/// The overflow flag, brought up to date.
bool pmu_overflow(Cpu& cpu);

}  // namespace arclight::frontend::a64
