#include "frontend/a64/system/pmu.h"

#include <algorithm>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/translation_flags.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t kPmcrE = 1u << 0, kPmcrP = 1u << 1, kPmcrC = 1u << 2;
constexpr uint64_t kPmcrKept = kPmcrE | 7u << 3;                    // D, X and DP do nothing here
constexpr uint64_t kExcludeEl1 = 1u << 31, kExcludeEl0 = 1u << 30;  // P, U
constexpr uint64_t kEvent = 0x3ff;
// A counter of instructions is looked at before it can have overflowed: a host that counts them does not
// execute more than two in a nanosecond. Not more often than this.
constexpr uint64_t kInstructionsPerCycle = 2, kShortestLook = 20'000;

enum class Source : uint8_t { Nothing, Cycles, Instructions };

Source source_of(const Pmu& pmu, unsigned n) {
    if (n == Pmu::kCycles) return Source::Cycles;
    switch (pmu.counters[n].type & kEvent) {
        case 0x08: return Source::Instructions;
        case 0x11: return Source::Cycles;
        default: return Source::Nothing;  // SW_INCR too: software counts
    }
}

bool counts_at(const Pmu& pmu, unsigned n, unsigned el) {
    return (pmu.pmcr & kPmcrE) != 0 && (pmu.enabled & Pmu::bit(n)) != 0 &&
           (pmu.counters[n].type & (el == 0 ? kExcludeEl0 : kExcludeEl1)) == 0;
}

/// Event counters have 32 bits, the cycle counter 64 (PMCR_EL0.LC).
void add(Pmu& pmu, unsigned n, uint64_t amount) {
    Pmu::Counter& counter = pmu.counters[n];
    counter.count += amount;
    if (n == Pmu::kCycles) {
        if (counter.count < amount) pmu.overflow |= Pmu::kCycleBit;
    } else if (counter.count >> 32 != 0) {
        counter.count &= 0xffff'ffff;
        pmu.overflow |= Pmu::bit(n);
    }
}

void accumulate(Pmu& pmu, uint64_t cycles, uint64_t instructions) {
    for (unsigned n = 0; n < pmu.counters.size(); ++n)
        if (pmu.counters[n].counting)
            add(pmu, n,
                source_of(pmu, n) == Source::Cycles ? cycles - pmu.since_cycles
                                                    : instructions - pmu.since_instructions);
    pmu.since_cycles = cycles;
    pmu.since_instructions = instructions;
}

/// Cycles until some counter may overflow and is to interrupt.
uint64_t next_look(const Pmu& pmu) {
    uint64_t next = ~uint64_t{0};
    for (unsigned n = 0; n < pmu.counters.size(); ++n) {
        const Pmu::Counter& counter = pmu.counters[n];
        if (!counter.counting || (pmu.interrupts & ~pmu.overflow & Pmu::bit(n)) == 0) continue;
        const uint64_t left = n != Pmu::kCycles    ? (uint64_t{1} << 32) - counter.count
                              : counter.count != 0 ? uint64_t{0} - counter.count
                                                   : ~uint64_t{0};
        next = std::min(next, source_of(pmu, n) == Source::Cycles
                                  ? left
                                  : std::max(left / kInstructionsPerCycle, kShortestLook));
    }
    return next;
}

/// After a change by a register; an exception's entry and return update the flags in any case.
void changed(Cpu& cpu) {
    const bool counted = cpu.registers.pmu.counts_instructions;
    pmu_update(cpu);
    if (cpu.registers.pmu.counts_instructions != counted) update_translation_flags(cpu);
}

}  // namespace

void pmu_update(Cpu& cpu) {
    Pmu& pmu = cpu.registers.pmu;
    accumulate(pmu, cpu.environment.cycles(), cpu.state.instructions);
    pmu.follows_el = pmu.counts_instructions = false;
    for (unsigned n = 0; n < pmu.counters.size(); ++n) {
        Pmu::Counter& counter = pmu.counters[n];
        const Source source = source_of(pmu, n);
        counter.counting = source != Source::Nothing && counts_at(pmu, n, cpu.el);
        pmu.counts_instructions |= counter.counting && source == Source::Instructions;
        pmu.follows_el |= source != Source::Nothing && counts_at(pmu, n, 0) != counts_at(pmu, n, 1);
    }
    cpu.environment.pmu_interrupt((pmu.pmcr & kPmcrE) != 0 && (pmu.overflow & pmu.interrupts) != 0);
    if (const uint64_t next = next_look(pmu); next != ~uint64_t{0}) cpu.environment.pmu_look_within(next);
}

Pmu pmu_snapshot(const Cpu& cpu) {
    Pmu pmu = cpu.registers.pmu;
    accumulate(pmu, cpu.environment.cycles(), cpu.state.instructions);
    return pmu;
}

void pmu_write_pmcr(Cpu& cpu, uint64_t value) {
    pmu_update(cpu);
    Pmu& pmu = cpu.registers.pmu;
    pmu.pmcr = value & kPmcrKept;
    if ((value & kPmcrP) != 0)
        for (unsigned n = 0; n < Pmu::kEventCounters; ++n) pmu.counters[n].count = 0;
    if ((value & kPmcrC) != 0) pmu.counters[Pmu::kCycles].count = 0;
    changed(cpu);
}

uint64_t pmu_read_count(Cpu& cpu, unsigned n) {
    pmu_update(cpu);
    return cpu.registers.pmu.counters[n].count;
}

void pmu_write_count(Cpu& cpu, unsigned n, uint64_t value) {
    pmu_update(cpu);
    cpu.registers.pmu.counters[n].count = n == Pmu::kCycles ? value : value & 0xffff'ffff;
    changed(cpu);
}

void pmu_write_type(Cpu& cpu, unsigned n, uint64_t value) {
    pmu_update(cpu);
    const uint64_t kept = kExcludeEl1 | kExcludeEl0 | (n == Pmu::kCycles ? 0 : kEvent);
    cpu.registers.pmu.counters[n].type = value & kept;
    changed(cpu);
}

void pmu_change_set(Cpu& cpu, uint32_t Pmu::*set, uint64_t value, bool on) {
    pmu_update(cpu);
    const auto bits = static_cast<uint32_t>(value & Pmu::kCounters);
    uint32_t& all = cpu.registers.pmu.*set;
    all = on ? all | bits : all & ~bits;
    changed(cpu);
}

void pmu_software_increment(Cpu& cpu, uint64_t value) {
    pmu_update(cpu);
    Pmu& pmu = cpu.registers.pmu;
    for (unsigned n = 0; n < Pmu::kEventCounters; ++n)
        if ((value >> n & 1) != 0 && (pmu.counters[n].type & kEvent) == 0 && counts_at(pmu, n, cpu.el))
            add(pmu, n, 1);
    pmu_update(cpu);
}

}  // namespace arclight::frontend::a64
