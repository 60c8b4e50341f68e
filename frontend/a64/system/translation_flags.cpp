#include "frontend/a64/system/translation_flags.h"

#include <algorithm>
#include <bit>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/translation_flags.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {
namespace {

// SCTLR_EL1
constexpr uint64_t kSctlrM = bit(0), kSctlrA = bit(1), kSctlrSa = bit(3), kSctlrSa0 = bit(4),
                   kSctlrDze = bit(14), kSctlrBt0 = bit(35), kSctlrBt1 = bit(36);
// MDSCR_EL1
constexpr uint64_t kMdscrSs = bit(0), kMdscrMde = bit(15);

uint32_t pac_flags(const Cpu& cpu) {
    uint32_t m = translation_flag::kPacUsed;
    const auto& [lower, upper] = cpu.translation.half;
    if (!lower.tbi && !upper.tbi) m |= translation_flag::kPacDataUntagged;
    if (!(lower.tbi && !lower.tbid) && !(upper.tbi && !upper.tbid)) m |= translation_flag::kPacCodeUntagged;
    return m;
}

/// Of both fields of CPACR_EL1, FPEN and ZEN: 0b00 and 0b10 trap both ELs, 0b01 EL0 only, 0b11 none.
bool traps(const Cpu& cpu, unsigned field) { return cpu.el == 1 ? (field & 1) == 0 : field != 3; }

}  // namespace

uint32_t fp_flags(uint32_t fpcr) {
    uint32_t m = 0;
    if ((fpcr & (kFpcrAh | kFpcrFiz | kFpcrEbf)) != 0) m |= translation_flag::kFpSlow;
    if ((fpcr & kFpcrFz) != 0) m |= translation_flag::kFpFlush;
    if ((fpcr & kFpcrFz16) != 0) m |= translation_flag::kFpFlushHalf;
    if ((fpcr & kFpcrDn) != 0) m |= translation_flag::kFpDefaultNan;
    if ((fpcr & kFpcrAhp) != 0) m |= translation_flag::kFpWideHalf;
    if ((fpcr & kFpcrAh) != 0) m |= translation_flag::kFpAlternative;
    if ((fpcr & kFpcrNep) != 0) m |= translation_flag::kFpMerges;
    return m;
}

void update_vector_length(Cpu& cpu) {
    const FeatureSet& features = cpu.config.features;
    const unsigned longest = features.has(Feature::Sve512) ? 4 : features.has(Feature::Sve256) ? 2 : 1;
    const unsigned asked = static_cast<unsigned>(cpu.registers.zcr & 15) + 1;
    cpu.state.vector_bytes = 16 * std::bit_floor(std::min(asked, longest));
}

void update_translation_flags(Cpu& cpu) {
    jit::GuestState& s = cpu.state;
    const uint64_t sctlr = cpu.translation.sctlr;
    uint32_t m = s.translation_flags & translation_flag::kMachineMask & ~translation_flag::kCount;
    if (cpu.config.count_instructions || cpu.registers.pmu.counts_instructions) m |= translation_flag::kCount;
    if (cpu.el == 1) {
        m |= translation_flag::kEl1;
        if (cpu.sp_elx) m |= translation_flag::kSpElx;
        if (cpu.uao) m |= translation_flag::kUao;
        if ((sctlr & kSctlrSa) != 0) m |= translation_flag::kSpAlignCheck;
    } else {
        if ((sctlr & kSctlrSa0) != 0) m |= translation_flag::kSpAlignCheck;
        if ((sctlr & kSctlrDze) == 0) m |= translation_flag::kZeroTrap;
    }
    if (traps(cpu, cpu.registers.cpacr >> 20 & 3)) m |= translation_flag::kFpTrap;
    if (cpu.config.features.has(Feature::Sve)) {
        m |= translation_flag::vector_length_flags(s.vector_bytes);
        s.scalable_trap = traps(cpu, cpu.registers.cpacr >> 16 & 3) ? 1 : 0;
    }
    if ((sctlr & kSctlrM) == 0) m |= translation_flag::kZeroTrap;
    // With the MMU off all data is Device memory, where every access must be aligned (B2.9).
    if ((sctlr & (kSctlrA | kSctlrM)) != kSctlrM) m |= translation_flag::kAlignCheck;
    m |= fp_flags(s.fpcr);
    if (cpu.pac_used) m |= pac_flags(cpu);
    if (cpu.guarded_pages) {
        m |= translation_flag::kBranchTypes;
        if ((sctlr & (cpu.el == 1 ? kSctlrBt1 : kSctlrBt0)) != 0) m |= translation_flag::kStrictLandings;
    }
    if (cpu.il) m |= translation_flag::kIllegal;
    if ((cpu.registers.mdscr & kMdscrSs) != 0 && step_enabled(cpu)) m |= translation_flag::kSingleStep;
    if ((cpu.registers.mdscr & kMdscrMde) != 0 && breakpoints_armed(cpu)) m |= translation_flag::kBreakpoints;
    s.translation_flags = m;
}

}  // namespace arclight::frontend::a64
