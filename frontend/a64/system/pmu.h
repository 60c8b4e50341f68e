// The performance monitors of PMUv3p5 (ARM ARM D11): the cycle counter and six event counters, of 64 bits or in older models of 32.
//
// A cycle is a nanosecond of guest time, as if the CPU ran at 1 GHz, waiting in WFI included; the count goes in
// steps of the system counter, 16 cycles. Retired instructions are counted by translated code that is only
// there while a counter counts them (translation_flag::kCount); nothing else of this costs a guest anything
// that does not use it.
#pragma once

#include <array>
#include <cstdint>

namespace arclight::frontend::a64 {

struct Cpu;

struct Pmu {
    static constexpr unsigned kEventCounters = 6;             ///< PMCR_EL0.N, as most Cortex CPUs have it
    static constexpr unsigned kCycles = kEventCounters;       ///< index of the cycle counter
    static constexpr uint32_t kCycleBit = uint32_t{1} << 31;  ///< its bit in registers
    static constexpr uint32_t kCounters = kCycleBit | ((1u << kEventCounters) - 1);

    struct Counter {
        uint64_t type = 0;   ///< PMEVTYPER<n>_EL0 or PMCCFILTR_EL0
        uint64_t count = 0;  ///< when `since` was
        bool counting = false;
    };
    uint64_t pmcr = 0, selr = 0, userenr = 0;
    uint32_t enabled = 0;     ///< PMCNTENSET_EL0
    uint32_t interrupts = 0;  ///< PMINTENSET_EL1
    uint32_t overflow = 0;    ///< PMOVSSET_EL0
    std::array<Counter, kEventCounters + 1> counters;
    uint64_t since_cycles = 0, since_instructions = 0;
    bool follows_el = false;           ///< some counter tells EL0 and EL1 apart
    bool counts_instructions = false;  ///< at the current EL

    static constexpr uint32_t bit(unsigned n) { return n == kCycles ? kCycleBit : uint32_t{1} << n; }
};

/// PMCEID0_EL0: the events that are counted: SW_INCR, INST_RETIRED, CPU_CYCLES.
inline constexpr uint64_t kPmceid0 = 1u << 0x00 | 1u << 0x08 | 1u << 0x11;
/// PMCR_EL0 after a reset: N, and LC, which is RES1 where there is no AArch32.
inline constexpr uint64_t kPmcrReset = Pmu::kEventCounters << 11 | 1u << 6;

/// Counts what there was since the last time, drives the interrupt, and starts or stops the counters by
/// their controls and the EL. To be called after a change of these, and before a register is read that shows
/// a count or an overflow.
void pmu_update(Cpu& cpu);
/// The state as pmu_update() would have it, for saving.
Pmu pmu_snapshot(const Cpu& cpu);

void pmu_write_pmcr(Cpu& cpu, uint64_t value);
uint64_t pmu_read_count(Cpu& cpu, unsigned n);
void pmu_write_count(Cpu& cpu, unsigned n, uint64_t value);
void pmu_write_type(Cpu& cpu, unsigned n, uint64_t value);
/// PMCNTEN, PMINTEN and PMOVS: sets or clears the bits of `value`.
void pmu_change_set(Cpu& cpu, uint32_t Pmu::*set, uint64_t value, bool on);
/// PMSWINC_EL0.
void pmu_software_increment(Cpu& cpu, uint64_t value);

}  // namespace arclight::frontend::a64
