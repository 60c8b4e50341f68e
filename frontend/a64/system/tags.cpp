#include "frontend/a64/system/tags.h"

#include "frontend/a64/system/cpu.h"

namespace arclight::frontend::a64 {
namespace {

constexpr unsigned kTcf0Shift = 38, kTcfShift = 40;
constexpr uint64_t kGcrExclude = 0xffff, kGcrRandom = bit(16);
constexpr unsigned kSeedShift = 8;

/// ChooseNonExcludedTag (J1.1.3)
unsigned choose_tag(unsigned tag, unsigned offset, uint64_t exclude) {
    if ((exclude & kGcrExclude) == kGcrExclude) return 0;
    const auto skip = [&] {
        while ((exclude >> tag & 1) != 0) tag = (tag + 1) & 15;
    };
    if (offset == 0) skip();
    for (; offset != 0; --offset) {
        tag = (tag + 1) & 15;
        skip();
    }
    return tag;
}

/// RandomTag: four steps of the shift register in RGSR_EL1.SEED.
unsigned next_random_tag(uint64_t& rgsr) {
    uint64_t seed = rgsr >> kSeedShift & 0xffff;
    unsigned tag = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const uint64_t top = (seed >> 5 ^ seed >> 3 ^ seed >> 2 ^ seed) & 1;
        seed = top << 15 | seed >> 1;
        tag |= static_cast<unsigned>(top) << i;
    }
    rgsr = (rgsr & 15) | seed << kSeedShift;
    return tag;
}

}  // namespace

bool tag_access_enabled(const Cpu& cpu, bool privileged) {
    return (cpu.translation.sctlr & (privileged ? kSctlrAta : kSctlrAta0)) != 0;
}

bool has_tag_checks(const Cpu& cpu, uint64_t va) {
    const auto& half = cpu.translation.half[va >> 55 & 1];
    const uint64_t own = va >> 55 & 31;  // tag and bit 55
    return half.tbi && !(half.tcma && (own == 0 || own == 31));
}

TagCheck tag_check(const Cpu& cpu, uint64_t va, bool privileged, bool reads) {
    if (cpu.state.tco != 0 || !tag_access_enabled(cpu, privileged) || !has_tag_checks(cpu, va))
        return TagCheck::None;
    switch (cpu.translation.sctlr >> (privileged ? kTcfShift : kTcf0Shift) & 3) {
        case 0: return TagCheck::None;
        case 1: return TagCheck::Synchronous;
        case 2: return TagCheck::Asynchronous;
        default: return reads ? TagCheck::Synchronous : TagCheck::Asynchronous;
    }
}

bool tags_checked_at_el1(const Cpu& cpu) {
    const uint64_t sctlr = cpu.translation.sctlr;
    return (sctlr & kSctlrAta) != 0 && (sctlr & kSctlrTcf) != 0;
}

void note_tag_fault(Cpu& cpu, uint64_t va, bool privileged) {
    (privileged ? cpu.registers.tfsr : cpu.registers.tfsre0) |= bit(va >> 55 & 1);
}

uint64_t insert_random_tag(Cpu& cpu, uint64_t address, uint64_t exclude) {
    if (!tag_access_enabled(cpu, cpu.el != 0)) return with_tag(address, 0);
    SystemRegisters& r = cpu.registers;
    exclude |= r.gcr & kGcrExclude;
    unsigned tag = 0;
    if ((r.gcr & kGcrRandom) != 0) {  // in a way of the implementation's
        tag = choose_tag(0, static_cast<unsigned>(cpu.environment.random() & 0xff), exclude);
    } else {
        const auto start = static_cast<unsigned>(r.rgsr & 15);
        tag = choose_tag(start, next_random_tag(r.rgsr), exclude);
        r.rgsr = (r.rgsr & ~uint64_t{15}) | tag;
    }
    return with_tag(address, tag);
}

uint64_t add_tag(const Cpu& cpu, uint64_t address, uint64_t base, unsigned offset) {
    if (!tag_access_enabled(cpu, cpu.el != 0)) return with_tag(address, 0);
    return with_tag(address, choose_tag(tag_of(base), offset, cpu.registers.gcr & kGcrExclude));
}

}  // namespace arclight::frontend::a64
