#include "frontend/a64/system/pmu.h"

#include <algorithm>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/translation_flags.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t kPmcrE = 1u << 0, kPmcrP = 1u << 1, kPmcrC = 1u << 2;
constexpr uint64_t kPmcrLp = 1u << 7;             // FEAT_PMUv3p5: event counters overflow at 64 bits
constexpr uint64_t kPmcrKept = kPmcrE | 7u << 3;  // D, X and DP do nothing here
constexpr uint64_t kExcludeEl1 = 1u << 31, kExcludeEl0 = 1u << 30;  // P, U
constexpr uint64_t kEvent = 0x3ff, kLongEvent = 0xffff;             // FEAT_PMUv3p1
constexpr uint64_t kLow = 0xffff'ffff;
// A counter of instructions is looked at before it can have overflowed: a host that counts them does not
// execute more than two in a nanosecond. Not more often than this.
constexpr uint64_t kInstructionsPerCycle = 2, kShortestLook = 20'000;

enum class Source : uint8_t { Nothing, Cycles, Instructions };

Source source_of(const Pmu& pmu, unsigned n) {
    if (n == Pmu::kCycles) return Source::Cycles;
    switch (pmu.counters[n].type & kLongEvent) {
        case 0x08: return Source::Instructions;
        case 0x11: return Source::Cycles;
        default: return Source::Nothing;  // SW_INCR too: software counts
    }
}

bool counts_at(const Pmu& pmu, unsigned n, unsigned el) {
    return (pmu.pmcr & kPmcrE) != 0 && (pmu.enabled & Pmu::bit(n)) != 0 &&
           (pmu.counters[n].type & (el == 0 ? kExcludeEl0 : kExcludeEl1)) == 0;
}

/// The cycle counter (PMCR_EL0.LC), and with LP the event counters. Without it their lower 32 bits do, whatever is above them.
bool overflows_at_64_bits(const Pmu& pmu, unsigned n) {
    return n == Pmu::kCycles || (pmu.pmcr & kPmcrLp) != 0;
}

/// Bits of an event counter: 64 with FEAT_PMUv3p5, else 32.
uint64_t event_bits(const Cpu& cpu) { return cpu.config.features.has(Feature::Pmu5) ? ~uint64_t{0} : kLow; }

void add(Pmu& pmu, unsigned n, uint64_t amount, uint64_t bits) {
    Pmu::Counter& counter = pmu.counters[n];
    const uint64_t before = counter.count;
    counter.count += amount;
    const bool over = overflows_at_64_bits(pmu, n) ? counter.count < amount : (before & kLow) + amount > kLow;
    if (over) pmu.overflow |= Pmu::bit(n);
    if (n != Pmu::kCycles) counter.count &= bits;
}

void accumulate(Pmu& pmu, uint64_t cycles, uint64_t instructions, uint64_t bits) {
    for (unsigned n = 0; n < pmu.counters.size(); ++n)
        if (pmu.counters[n].counting)
            add(pmu, n,
                source_of(pmu, n) == Source::Cycles ? cycles - pmu.since_cycles
                                                    : instructions - pmu.since_instructions,
                bits);
    pmu.since_cycles = cycles;
    pmu.since_instructions = instructions;
}

/// Cycles until some counter may overflow and is to interrupt.
uint64_t next_look(const Pmu& pmu) {
    uint64_t next = ~uint64_t{0};
    for (unsigned n = 0; n < pmu.counters.size(); ++n) {
        const Pmu::Counter& counter = pmu.counters[n];
        if (!counter.counting || (pmu.interrupts & ~pmu.overflow & Pmu::bit(n)) == 0) continue;
        const uint64_t left = !overflows_at_64_bits(pmu, n) ? kLow + 1 - (counter.count & kLow)
                              : counter.count != 0          ? uint64_t{0} - counter.count
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
    accumulate(pmu, cpu.environment.cycles(), cpu.state.instructions, event_bits(cpu));
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
    accumulate(pmu, cpu.environment.cycles(), cpu.state.instructions, event_bits(cpu));
    return pmu;
}

void pmu_write_pmcr(Cpu& cpu, uint64_t value) {
    pmu_update(cpu);
    Pmu& pmu = cpu.registers.pmu;
    pmu.pmcr = value & (kPmcrKept | (cpu.config.features.has(Feature::Pmu5) ? kPmcrLp : 0));
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
    cpu.registers.pmu.counters[n].count = n == Pmu::kCycles ? value : value & event_bits(cpu);
    changed(cpu);
}

void pmu_write_type(Cpu& cpu, unsigned n, uint64_t value) {
    pmu_update(cpu);
    const uint64_t event = cpu.config.features.has(Feature::Pmu1) ? kLongEvent : kEvent;
    const uint64_t kept = kExcludeEl1 | kExcludeEl0 | (n == Pmu::kCycles ? 0 : event);
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
        if ((value >> n & 1) != 0 && (pmu.counters[n].type & kLongEvent) == 0 && counts_at(pmu, n, cpu.el))
            add(pmu, n, 1, event_bits(cpu));
    pmu_update(cpu);
}

}  // namespace arclight::frontend::a64
