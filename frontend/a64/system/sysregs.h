// System registers and system instructions (ARM ARM C5, D19): MRS, MSR, SYS.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace arclight::frontend::a64 {

struct Cpu;

/// How encodings are written everywhere: op0:op1:CRn:CRm:op2, 16 bits.
constexpr uint32_t sysreg_encoding(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
}

/// Outcome of an instruction that may raise an exception.
struct [[nodiscard]] SystemResult {
    enum class Kind : uint8_t {
        Ok,
        Undefined,  ///< EC 0
        Trap,       ///< synchronous exception with `esr`
        Abort,      ///< data abort with `esr` and `far`
    };
    Kind kind = Kind::Ok;
    uint32_t esr = 0;
    uint64_t far = 0;

    bool ok() const { return kind == Kind::Ok; }
    static SystemResult undefined() { return {Kind::Undefined}; }
};

/// Storage of the EL1 and EL0 registers that are neither in GuestState nor in mmu::TranslationRegs.
struct SystemRegisters {
    uint64_t actlr = 0, cpacr = 0, amair = 0, vbar = 0, esr = 0, far = 0, afsr0 = 0, afsr1 = 0, par = 0;
    uint64_t csselr = 0, cntkctl = 0, scxtnum_el0 = 0, scxtnum_el1 = 0, cntfrq = 0, rvbar = 0;

    // Debug (D19.3)
    uint64_t mdscr = 0, mdccint = 0, osdtrrx = 0, osdtrtx = 0, oseccr = 0, osdlr = 0, dbgclaim = 0,
             dbgprcr = 0;
    bool os_lock = true;
    static constexpr unsigned kBreakpoints = 6, kWatchpoints = 4;
    static constexpr unsigned kContextBreakpoints = 2;  // the last of them
    std::array<uint64_t, kBreakpoints> dbgbvr{}, dbgbcr{};
    std::array<uint64_t, kWatchpoints> dbgwvr{}, dbgwcr{};

    // Performance monitors (D19.5): the cycle counter only. It counts nanoseconds, as if the CPU ran at 1
    // GHz.
    struct Pmu {
        uint64_t pmcr = 0;
        uint64_t ccfiltr = 0, selr = 0, userenr = 0;
        bool cycle_enabled = false;    // PMCNTENSET.C
        bool cycle_interrupt = false;  // PMINTENSET.C
        bool cycle_overflow = false;   // PMOVSSET.C
        bool counting = false;         // now, at the current EL
        bool follows_el = false;       // PMCCFILTR tells EL0 and EL1 apart
        uint64_t count = 0;            // at `since`
        uint64_t since = 0;
    } pmu;
};

/// One row of sysregs.inc.
struct SysregRow {
    uint16_t encoding;
    const char* name;
    uint8_t access;    ///< sysreg_access bits; what is missing is UNDEFINED
    bool gic = false;  ///< forwarded to Environment::icc_read() and icc_write()
    SystemResult (*check)(const Cpu& cpu, const SysregRow& row, bool write) = nullptr;  ///< traps
    uint64_t (*read)(Cpu& cpu, const SysregRow& row) = nullptr;
    void (*write)(Cpu& cpu, const SysregRow& row, uint64_t value) = nullptr;
};
namespace sysreg_access {
inline constexpr uint8_t kRead0 = 1, kWrite0 = 2, kRead1 = 4, kWrite1 = 8;
}

/// All allocated registers, for tests, traces and the debugger.
std::span<const SysregRow> sysreg_rows();
/// The row of an allocated register (op0 2 or 3), or null.
const SysregRow* find_sysreg(uint32_t encoding);

/// MRS and MSR (register) at the current EL. FPCR and FPSR work on GuestState::mxcsr: the caller brings it up
/// to date before and loads it afterwards.
SystemResult read_sysreg(Cpu& cpu, uint32_t encoding, uint64_t& value);
SystemResult write_sysreg(Cpu& cpu, uint32_t encoding, uint64_t value);

/// The fields that MSR (immediate) writes: op1 << 3 | op2.
enum class PstateField : uint8_t {
    Pan = 0 << 3 | 4,
    SpSel = 0 << 3 | 5,
    DaifSet = 3 << 3 | 6,
    DaifClr = 3 << 3 | 7
};
/// MSR (immediate): `field` as PstateField has it, others are UNDEFINED.
SystemResult write_pstate_field(Cpu& cpu, unsigned field, unsigned imm);

/// SYS: cache maintenance, address translation, TLB invalidation. DC ZVA only checks for its trap here.
SystemResult execute_sys(Cpu& cpu, uint32_t encoding, uint64_t xt);

}  // namespace arclight::frontend::a64
