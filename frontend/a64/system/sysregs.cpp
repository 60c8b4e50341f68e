#include "frontend/a64/system/sysregs.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/fp_control.h"
#include "frontend/a64/system/pmu.h"
#include "frontend/a64/system/pointer_auth.h"
#include "frontend/a64/system/syndrome.h"
#include "frontend/a64/system/tags.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translation_flags.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {
namespace {

using jit::GuestState;

SystemResult trap(const Cpu& cpu, const SysregRow& row, bool write) {
    const unsigned rt = cpu.environment.current_instruction() & 31;
    return {SystemResult::Kind::Trap, syndrome::system_trap(row.encoding, rt, !write)};
}
SystemResult trap_unless(bool allowed, const Cpu& cpu, const SysregRow& row, bool write) {
    return cpu.el != 0 || allowed ? SystemResult{} : trap(cpu, row, write);
}

// ---- Plain registers

template <uint64_t SystemRegisters::*Member>
void write_register(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.registers.*Member = value;
}
template <uint64_t GuestState::*Member>
void write_state(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.state.*Member = value;
}
uint64_t read_zero(Cpu&, const SysregRow&) { return 0; }
void write_ignored(Cpu&, const SysregRow&, uint64_t) {}

// ---- Identification

uint64_t read_id(Cpu& cpu, const SysregRow& row) {
    return id_register(cpu.config, row.encoding >> 3 & 15, row.encoding & 7);
}
uint64_t read_ctr(Cpu&, const SysregRow&) { return ctr_el0(); }

constexpr uint64_t kSctlrUma = bit(9), kSctlrDze = bit(14), kSctlrUct = bit(15), kSctlrTscxt = bit(20);

SystemResult trap_uct(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.translation.sctlr & kSctlrUct) != 0, cpu, row, write);
}
SystemResult trap_tscxt(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.translation.sctlr & kSctlrTscxt) == 0, cpu, row, write);
}
uint64_t read_dczid(Cpu& cpu, const SysregRow&) {
    constexpr uint64_t kBlockWordsLog2 = 4, kProhibited = bit(4);
    const bool allowed = cpu.el != 0 || (cpu.translation.sctlr & kSctlrDze) != 0;
    return kBlockWordsLog2 | (allowed ? 0 : kProhibited);
}

// ---- Control and translation

// M, A, C, SA, SA0, UMA, I, DZE, UCT, nTWI, nTWE, WXN, TSCXT, SPAN, UCI. EE and E0E are RES0: no big-endian
// data.
constexpr uint64_t kSctlrWritable = bit(0) | bit(1) | bit(2) | bit(3) | bit(4) | bit(9) | bit(12) | bit(14) |
                                    bit(15) | bit(16) | bit(18) | bit(19) | bit(20) | bit(23) | bit(26);
// LSMAOE, nTLSMD, EIS, EOS and, as EL0 has no AArch32, SED and ITD.
constexpr uint64_t kSctlrRes1 = bit(29) | bit(28) | bit(22) | bit(11) | bit(8) | bit(7);

uint64_t sctlr_writable(FeatureSet features) {
    uint64_t writable = kSctlrWritable;
    if (features.has(Feature::Specres)) writable |= bit(10);  // EnRCTX
    if (features.has(Feature::Iesb)) writable |= bit(21);
    if (features.has(Feature::Ssbs)) writable |= kSctlrDssbs;
    if (features.has(Feature::PAuth)) writable |= bit(31) | bit(30) | bit(27) | bit(13);  // EnIA to EnDB
    if (features.has(Feature::Lse2)) writable |= kSctlrNaa;
    if (features.has(Feature::Mops)) writable |= bit(33);           // MSCEn
    if (features.has(Feature::Bti)) writable |= bit(36) | bit(35);  // BT1, BT0
    if (features.has(Feature::Mte)) writable |= kSctlrTags;
    return writable;
}

constexpr uint64_t kSctlrTranslation =
    bit(0) | bit(19) | kSctlrAta | kSctlrTcf;  // M, WXN; whether the soft TLB may have EL1's tagged pages
constexpr uint64_t kSctlrReset = kSctlrRes1 | bit(23) | bit(18) | bit(16) | bit(4) | bit(3);

void write_sctlr(Cpu& cpu, const SysregRow&, uint64_t value) {
    const uint64_t changed = cpu.translation.sctlr;
    cpu.translation.sctlr = (value & sctlr_writable(cpu.config.features)) | kSctlrRes1;
    cpu.translation.update();
    update_pac_masks(cpu);
    update_translation_flags(cpu);
    if (((changed ^ cpu.translation.sctlr) & kSctlrTranslation) != 0) cpu.environment.translation_changed();
}

void write_cpacr(Cpu& cpu, const SysregRow&, uint64_t value) {
    uint64_t bits = bit(20) | bit(21) | bit(28);                           // FPEN, TTA
    if (cpu.config.features.has(Feature::Sve)) bits |= bit(16) | bit(17);  // ZEN
    cpu.registers.cpacr = value & bits;
    update_translation_flags(cpu);
}

void write_zcr(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.registers.zcr = value & 15;
    update_vector_length(cpu);
    update_translation_flags(cpu);
}

// A new table flushes nothing: software changes the ASID or invalidates, as it must on any CPU with a TLB.
void write_ttbr0(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.translation.ttbr0 = value;
    cpu.translation.update_tables();
    cpu.environment.context_changed();
}
void write_ttbr1(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.translation.ttbr1 = value;
    cpu.translation.update_tables();
    cpu.environment.context_changed();
}
void write_tcr(Cpu& cpu, const SysregRow&, uint64_t value) {
    // Bits 42:0 but 6 and 35, and E0PD; what belongs to features that are not announced is RES0. HWU, which is FEAT_HPDS2's,
    // allows the implementation to use bits of descriptors, and has no effect here.
    constexpr uint64_t kAlways = ((bit(43) - 1) & ~(bit(6) | bit(35))) | bit(55) | bit(56);
    constexpr uint64_t kHwu = low_bits(51) & ~low_bits(43), kTbid = bit(51) | bit(52);
    value &= kAlways | (cpu.config.features.has(Feature::Hpds2) ? kHwu : 0) |
             (cpu.config.features.has(Feature::PAuth) ? kTbid : 0) |
             (cpu.config.features.has(Feature::Mte) ? bit(57) | bit(58) : 0) |  // TCMA0, TCMA1
             (cpu.config.features.has(Feature::Lpa2) ? bit(59) : 0);            // DS
    if (value == cpu.translation.tcr) return;
    cpu.translation.tcr = value;
    cpu.translation.update();
    update_pac_masks(cpu);
    update_translation_flags(cpu);
    cpu.environment.translation_changed();
}
void write_mair(Cpu& cpu, const SysregRow&, uint64_t value) {
    if (value == cpu.translation.mair) return;
    cpu.translation.mair = value;
    cpu.translation.update();
    cpu.environment.translation_changed();
}

// ---- PSTATE and exceptions

uint64_t read_isr(Cpu& cpu, const SysregRow&) { return cpu.environment.pending_interrupts(); }

SystemResult check_sp_el0(const Cpu& cpu, const SysregRow&, bool) {
    return cpu.sp_elx ? SystemResult{} : SystemResult::undefined();
}
uint64_t read_spsel(Cpu& cpu, const SysregRow&) { return cpu.sp_elx ? 1 : 0; }
void write_spsel(Cpu& cpu, const SysregRow&, uint64_t value) { set_sp_elx(cpu, (value & 1) != 0); }
uint64_t read_current_el(Cpu& cpu, const SysregRow&) { return uint64_t{cpu.el} << 2; }
uint64_t read_pan(Cpu& cpu, const SysregRow&) { return cpu.pan ? bit(22) : 0; }
void write_pan(Cpu& cpu, const SysregRow&, uint64_t value) { set_pan(cpu, (value & bit(22)) != 0); }
uint64_t read_uao(Cpu& cpu, const SysregRow&) { return cpu.uao ? bit(23) : 0; }
void write_uao(Cpu& cpu, const SysregRow&, uint64_t value) { set_uao(cpu, (value & bit(23)) != 0); }
uint64_t read_nzcv(Cpu& cpu, const SysregRow&) { return jit::nzcv_from_flags(cpu.state.flags); }
void write_nzcv(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.state.flags = jit::flags_from_nzcv(static_cast<uint32_t>(value));
}

SystemResult trap_uma(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.translation.sctlr & kSctlrUma) != 0, cpu, row, write);
}
void set_daif(Cpu& cpu, uint64_t value) {
    const uint64_t opened = cpu.state.daif & ~value;
    cpu.state.daif = value & kDaifAll;
    update_translation_flags(cpu);  // PSTATE.D decides on software step at EL1
    if (opened != 0) cpu.environment.interrupts_unmasked();
}
void write_daif(Cpu& cpu, const SysregRow&, uint64_t value) { set_daif(cpu, value); }

SystemResult trap_fp(const Cpu& cpu, const SysregRow&, bool) {
    if ((cpu.state.translation_flags & translation_flag::kFpTrap) == 0) return {};
    return {SystemResult::Kind::Trap, syndrome::fp_trap()};
}
SystemResult trap_sve(const Cpu& cpu, const SysregRow& row, bool write) {
    if (cpu.state.scalable_trap != 0) return {SystemResult::Kind::Trap, syndrome::sve_trap()};
    return trap_fp(cpu, row, write);
}
uint64_t read_fpcr_register(Cpu& cpu, const SysregRow&) { return cpu.state.fpcr; }
/// What this CPU has of FPCR.
uint32_t fpcr_bits(FeatureSet features) {
    uint32_t bits = kFpcrMask;
    if (!features.has(Feature::Fp16)) bits &= ~kFpcrFz16;
    if (!features.has(Feature::Ebf16)) bits &= ~kFpcrEbf;
    if (!features.has(Feature::Afp)) bits &= ~(kFpcrNep | kFpcrAh | kFpcrFiz);
    return bits;
}
void write_fpcr_register(Cpu& cpu, const SysregRow&, uint64_t value) {
    write_fpcr(cpu.state, static_cast<uint32_t>(value) & fpcr_bits(cpu.config.features));
    update_translation_flags(cpu);
}
uint64_t read_fpsr_register(Cpu& cpu, const SysregRow&) { return read_fpsr(cpu.state); }
void write_fpsr_register(Cpu& cpu, const SysregRow&, uint64_t value) {
    write_fpsr(cpu.state, static_cast<uint32_t>(value));
}

// ---- Random numbers

uint64_t read_random(Cpu& cpu, const SysregRow&) {
    cpu.state.flags = 0;
    return cpu.environment.random();
}

// ---- Generic timer

/// Bit N of CNTKCTL_EL1 allows access from EL0.
template <unsigned N>
SystemResult trap_cntkctl(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.registers.cntkctl & bit(N)) != 0, cpu, row, write);
}
SystemResult trap_counter_frequency(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.registers.cntkctl & 3) != 0, cpu, row, write);
}
void write_cntkctl(Cpu& cpu, const SysregRow&, uint64_t value) {
    const uint64_t scaled_events = cpu.config.features.has(Feature::Ecv) ? bit(17) : 0;
    cpu.registers.cntkctl = value & (0x3ff | scaled_events);
}
uint64_t read_counter(Cpu& cpu, const SysregRow&) { return cpu.environment.counter(); }
void write_cntfrq(Cpu& cpu, const SysregRow&, uint64_t value) { cpu.registers.cntfrq = value & 0xffff'ffff; }
uint64_t read_timer(Cpu& cpu, const SysregRow& row) { return cpu.environment.timer_read(row.encoding); }
void write_timer(Cpu& cpu, const SysregRow& row, uint64_t value) {
    cpu.environment.timer_write(row.encoding, value);
}

// ---- Performance monitors

/// EL0 needs PMUSERENR_EL0.EN, or for reads and writes the further bit named (0: none).
template <unsigned ReadBit, unsigned WriteBit>
SystemResult trap_pmu(const Cpu& cpu, const SysregRow& row, bool write) {
    const uint64_t enough = bit(0) | bit(write ? WriteBit : ReadBit);
    return trap_unless((cpu.registers.pmu.userenr & enough) != 0, cpu, row, write);
}

template <uint32_t Pmu::*Set>
uint64_t read_pmu_set(Cpu& cpu, const SysregRow&) {
    pmu_update(cpu);
    return cpu.registers.pmu.*Set;
}
template <uint32_t Pmu::*Set>
void set_pmu_bits(Cpu& cpu, const SysregRow&, uint64_t value) {
    pmu_change_set(cpu, Set, value, true);
}
template <uint32_t Pmu::*Set>
void clear_pmu_bits(Cpu& cpu, const SysregRow&, uint64_t value) {
    pmu_change_set(cpu, Set, value, false);
}

uint64_t read_pmcr(Cpu& cpu, const SysregRow&) { return cpu.registers.pmu.pmcr | kPmcrReset; }
void write_pmcr(Cpu& cpu, const SysregRow&, uint64_t value) { pmu_write_pmcr(cpu, value); }
void write_pmswinc(Cpu& cpu, const SysregRow&, uint64_t value) { pmu_software_increment(cpu, value); }
void write_pmselr(Cpu& cpu, const SysregRow&, uint64_t value) { cpu.registers.pmu.selr = value & 31; }

uint64_t read_pmceid0(Cpu&, const SysregRow&) { return kPmceid0; }

template <unsigned N>
uint64_t read_pmu_count(Cpu& cpu, const SysregRow&) {
    return pmu_read_count(cpu, N);
}
template <unsigned N>
void write_pmu_count(Cpu& cpu, const SysregRow&, uint64_t value) {
    pmu_write_count(cpu, N, value);
}
template <unsigned N>
uint64_t read_pmu_type(Cpu& cpu, const SysregRow&) {
    return cpu.registers.pmu.counters[N].type;
}
template <unsigned N>
void write_pmu_type(Cpu& cpu, const SysregRow&, uint64_t value) {
    pmu_write_type(cpu, N, value);
}
// PMSELR_EL0.SEL selects an event counter; 31 selects PMCCFILTR_EL0, and no count. Others are RAZ/WI here.
uint64_t read_pmxevtyper(Cpu& cpu, const SysregRow&) {
    const Pmu& pmu = cpu.registers.pmu;
    if (pmu.selr == 31) return pmu.counters[Pmu::kCycles].type;
    return pmu.selr < Pmu::kEventCounters ? pmu.counters[pmu.selr].type : 0;
}
void write_pmxevtyper(Cpu& cpu, const SysregRow&, uint64_t value) {
    const auto selected = static_cast<unsigned>(cpu.registers.pmu.selr);
    if (selected == 31) return pmu_write_type(cpu, Pmu::kCycles, value);
    if (selected < Pmu::kEventCounters) pmu_write_type(cpu, selected, value);
}
uint64_t read_pmxevcntr(Cpu& cpu, const SysregRow&) {
    const auto selected = static_cast<unsigned>(cpu.registers.pmu.selr);
    return selected < Pmu::kEventCounters ? pmu_read_count(cpu, selected) : 0;
}
void write_pmxevcntr(Cpu& cpu, const SysregRow&, uint64_t value) {
    const auto selected = static_cast<unsigned>(cpu.registers.pmu.selr);
    if (selected < Pmu::kEventCounters) pmu_write_count(cpu, selected, value);
}
void write_pmuserenr(Cpu& cpu, const SysregRow&, uint64_t value) { cpu.registers.pmu.userenr = value & 15; }

// ---- Debug

constexpr uint64_t kMdscrMde = bit(15);

/// Any breakpoint or watchpoint.
bool breakpoints_enabled(const Cpu& cpu) {
    const auto enabled = [](uint64_t control) { return (control & 1) != 0; };
    return std::ranges::any_of(cpu.registers.dbgbcr, enabled) ||
           std::ranges::any_of(cpu.registers.dbgwcr, enabled);
}

void write_mdscr(Cpu& cpu, const SysregRow&, uint64_t value) {
    // SS, TDCC, KDE, HDE, MDE; the bits that mirror the external debug interface are writable under the OS
    // lock.
    constexpr uint64_t kAlways = bit(0) | bit(12) | bit(13) | bit(14) | bit(15);
    constexpr uint64_t kLocked = bit(6) | bit(21) | bit(22) | bit(23) | bit(26) | bit(27) | bit(29) | bit(30);
    const uint64_t writable = kAlways | (cpu.registers.os_lock ? kLocked : 0), before = cpu.registers.mdscr;
    cpu.registers.mdscr = (before & ~writable) | (value & writable);
    update_translation_flags(cpu);
    if (((before ^ cpu.registers.mdscr) & kMdscrMde) != 0 && breakpoints_enabled(cpu))
        cpu.environment.translation_changed();
}
/// A change that leaves every breakpoint and watchpoint disabled has no effect outside.
void write_breakpoint(Cpu& cpu, uint64_t& reg, uint64_t value) {
    if (reg == value) return;
    const bool enabled = breakpoints_enabled(cpu);
    reg = value;
    if (!enabled && !breakpoints_enabled(cpu)) return;
    update_translation_flags(cpu);
    cpu.environment.translation_changed();
}
void write_oslar(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.registers.os_lock = (value & 1) != 0;
    update_translation_flags(cpu);
}
uint64_t read_oslsr(Cpu& cpu, const SysregRow&) { return bit(3) | (cpu.registers.os_lock ? bit(1) : 0); }
void write_osdlr(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.registers.osdlr = value & 1;
    update_translation_flags(cpu);
}
uint64_t read_claim_set(Cpu&, const SysregRow&) { return 0xff; }
void write_claim_set(Cpu& cpu, const SysregRow&, uint64_t value) { cpu.registers.dbgclaim |= value & 0xff; }
void write_claim_clear(Cpu& cpu, const SysregRow&, uint64_t value) {
    cpu.registers.dbgclaim &= ~(value & 0xff);
}

SystemResult trap_tdcc(const Cpu& cpu, const SysregRow& row, bool write) {
    return trap_unless((cpu.registers.mdscr & bit(12)) == 0, cpu, row, write);
}

// ---- The table

constexpr uint8_t RO1 = sysreg_access::kRead1, WO1 = sysreg_access::kWrite1, RW1 = RO1 | WO1;
constexpr uint8_t RO0 = RO1 | sysreg_access::kRead0, WO0 = WO1 | sysreg_access::kWrite0, RW0 = RO0 | WO0;
constexpr uint8_t RO0_RW1 = RO0 | WO1;

constexpr uint16_t E(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return static_cast<uint16_t>(sysreg_encoding(op0, op1, crn, crm, op2));
}

// The words of the columns `block`, `io` and `reset`.
constexpr bool Ends = true, Goes = false;
constexpr uint8_t Pure = sysreg_io::kNone, Flags = sysreg_io::kFlags, Context = sysreg_io::kContext,
                  Tlb = sysreg_io::kTlb, Unmask = sysreg_io::kUnmask, HostFp = sysreg_io::kHostFp,
                  Outside = sysreg_io::kOutside;
constexpr std::nullopt_t Machine = std::nullopt;

// A register that is a value in one place.
#define READ_PLACE(place_) [](Cpu& cpu, const SysregRow&) -> uint64_t { return place_; }
#define WRITE_PLACE(place_) [](Cpu& cpu, const SysregRow& row, uint64_t value) { place_ = value & row.mask; }
#define PLACE(place_) [](Cpu& cpu) -> uint64_t& { return place_; }

// clang-format off
constexpr SysregRow kListed[] = {
#define REGISTER(name_, encoding_, access_, feature_, block_, reset_, member_, mask_)                       \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::feature_,               \
     .ends_block = block_, .reset = reset_, .mask = mask_, .read = READ_PLACE(cpu.registers.member_),      \
     .write = WRITE_PLACE(cpu.registers.member_), .place = PLACE(cpu.registers.member_)},
#define STATE(name_, encoding_, access_, feature_, block_, reset_, member_, mask_)                          \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::feature_,               \
     .ends_block = block_, .inlined = SysregInline::Field, .reset = reset_,                                \
     .field = offsetof(GuestState, member_), .mask = mask_, .read = READ_PLACE(cpu.state.member_),         \
     .write = WRITE_PLACE(cpu.state.member_), .place = PLACE(cpu.state.member_)},
#define CONSTANT(name_, encoding_, access_, feature_, value_)                                               \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::feature_,               \
     .read = []([[maybe_unused]] Cpu& cpu, const SysregRow&) -> uint64_t { return value_; }},
#define PLACED(name_, encoding_, access_, feature_, block_, inline_, io_, reset_, place_, check_, write_)   \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::feature_,               \
     .ends_block = block_, .inlined = SysregInline::inline_, .io = io_, .reset = reset_,                   \
     .check = check_, .read = READ_PLACE(place_), .write = write_, .place = PLACE(place_)},
#define SPECIAL(name_, encoding_, access_, feature_, block_, inline_, io_, reset_, check_, read_, write_)   \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::feature_,               \
     .ends_block = block_, .inlined = SysregInline::inline_, .io = io_, .reset = reset_,                   \
     .check = check_, .read = read_, .write = write_},
#define BREAKPOINT(name_, encoding_, array_, n_, mask_)                                                     \
    {.encoding = encoding_, .name = #name_, .access = RW1, .io = Flags | Tlb, .reset = 0, .mask = mask_,    \
     .read = READ_PLACE(cpu.registers.array_[n_]),                                                         \
     .write = [](Cpu& cpu, const SysregRow& row, uint64_t value) {                                         \
         write_breakpoint(cpu, cpu.registers.array_[n_], value & row.mask);                                \
     },                                                                                                    \
     .place = PLACE(cpu.registers.array_[n_])},
#define GIC(name_, encoding_, access_)                                                                      \
    {.encoding = encoding_, .name = #name_, .access = access_, .feature = Feature::Gic, .ends_block = Goes, \
     .io = Outside, .gic = true},
#include "frontend/a64/system/sysregs.inc"
#undef REGISTER
#undef STATE
#undef CONSTANT
#undef PLACED
#undef SPECIAL
#undef BREAKPOINT
#undef GIC
};
// clang-format on
#undef READ_PLACE
#undef WRITE_PLACE
#undef PLACE

static_assert(std::ranges::all_of(kListed,
                                  [](const SysregRow& row) {
                                      const bool writable = (row.access & WO0) != 0;
                                      return !writable || row.ends_block ||
                                             (row.io & sysreg_io::kEndsBlock) == 0;
                                  }),
              "a block goes on behind a write that may change what follows");

constexpr size_t kIdRegisters = 7 * 8;

constexpr auto kRows = [] {
    std::array<SysregRow, std::size(kListed) + kIdRegisters> rows{};
    size_t n = 0;
    for (const SysregRow& row : kListed) rows[n++] = row;
    for (unsigned crm = 1; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            rows[n++] = {
                .encoding = E(3, 0, 0, crm, op2), .name = "ID register", .access = RO1, .read = read_id};
    return rows;
}();

// By the 15 bits below op0's upper bit, which is 1 for MRS and MSR: number of the row, counted from 1.
constexpr auto kIndex = [] {
    std::array<uint16_t, 0x8000> index{};
    for (size_t i = 0; i < kRows.size(); ++i) {
        uint16_t& slot = index[kRows[i].encoding & 0x7fff];
        if (slot != 0) throw "two system registers have one encoding";
        slot = static_cast<uint16_t>(i + 1);
    }
    return index;
}();

}  // namespace

std::span<const SysregRow> sysreg_rows() { return kRows; }

const SysregRow* find_sysreg(uint32_t encoding) {
    const uint16_t row = encoding >> 15 == 1 ? kIndex[encoding & 0x7fff] : 0;
    return row == 0 ? nullptr : &kRows[row - 1];
}

namespace {
/// The row of a register that this CPU has and that may be accessed so at its EL, or null.
const SysregRow* accessible(const Cpu& cpu, uint32_t encoding, uint8_t needed) {
    const SysregRow* row = find_sysreg(encoding);
    if (row == nullptr || (row->access & needed) == 0 || !cpu.config.features.has(row->feature))
        return nullptr;
    return row;
}
}  // namespace

SystemResult read_sysreg(Cpu& cpu, uint32_t encoding, uint64_t& value) {
    const SysregRow* row =
        accessible(cpu, encoding, cpu.el == 0 ? sysreg_access::kRead0 : sysreg_access::kRead1);
    if (row == nullptr) return SystemResult::undefined();
    if (row->gic)
        return cpu.environment.icc_read(encoding, value) ? SystemResult{} : SystemResult::undefined();
    if (row->check != nullptr)
        if (const SystemResult result = row->check(cpu, *row, false); !result.ok()) return result;
    value = row->read(cpu, *row);
    return {};
}

SystemResult write_sysreg(Cpu& cpu, uint32_t encoding, uint64_t value) {
    const SysregRow* row =
        accessible(cpu, encoding, cpu.el == 0 ? sysreg_access::kWrite0 : sysreg_access::kWrite1);
    if (row == nullptr) return SystemResult::undefined();
    if (row->gic)
        return cpu.environment.icc_write(encoding, value) ? SystemResult{} : SystemResult::undefined();
    if (row->check != nullptr)
        if (const SystemResult result = row->check(cpu, *row, true); !result.ok()) return result;
    row->write(cpu, *row, value);
    return {};
}

// MSR (immediate), C6.2.233
SystemResult write_pstate_field(Cpu& cpu, unsigned field, unsigned imm) {
    switch (static_cast<PstateField>(field)) {
        case PstateField::Uao:
        case PstateField::Pan:
        case PstateField::SpSel: {
            if (cpu.el == 0) return SystemResult::undefined();
            const auto set = field == std::to_underlying(PstateField::Uao)   ? set_uao
                             : field == std::to_underlying(PstateField::Pan) ? set_pan
                                                                             : set_sp_elx;
            set(cpu, (imm & 1) != 0);
            return {};
        }
        case PstateField::DaifSet:
        case PstateField::DaifClr: {
            if (cpu.el == 0 && (cpu.translation.sctlr & kSctlrUma) == 0) {
                const uint32_t encoding = sysreg_encoding(0, 3, 4, imm & 15, field & 7);
                return {SystemResult::Kind::Trap, syndrome::system_trap(encoding, 31, false)};
            }
            const uint64_t bits = uint64_t{imm & 15} << 6;
            set_daif(cpu, field == std::to_underlying(PstateField::DaifSet) ? cpu.state.daif | bits
                                                                            : cpu.state.daif & ~bits);
            return {};
        }
    }
    return SystemResult::undefined();
}

}  // namespace arclight::frontend::a64
