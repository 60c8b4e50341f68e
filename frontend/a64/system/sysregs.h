// System registers (ARM ARM C5, D19): MRS, MSR. The system instructions are in system_instructions.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "frontend/a64/cpu_features.h"
#include "frontend/a64/system/pmu.h"

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
    uint64_t disr = 0;
    uint64_t zcr = 0;                                  ///< after a change: update_vector_length()
    uint64_t gcr = 0, rgsr = 0, tfsr = 0, tfsre0 = 0;  ///< tags (D19.2.47)

    // Debug (D19.3)
    uint64_t mdscr = 0, mdccint = 0, osdtrrx = 0, osdtrtx = 0, oseccr = 0, osdlr = 0, dbgclaim = 0,
             dbgprcr = 0;
    bool os_lock = true;
    static constexpr unsigned kBreakpoints = 6, kWatchpoints = 4;
    static constexpr unsigned kContextBreakpoints = 2;  ///< the last of them
    std::array<uint64_t, kBreakpoints> dbgbvr{}, dbgbcr{};
    std::array<uint64_t, kWatchpoints> dbgwvr{}, dbgwcr{};

    Pmu pmu;  ///< performance monitors (D19.5)
};

/// How MRS and MSR are translated without a call, where the EL allows that (translate/system.cpp).
enum class SysregInline : uint8_t {
    None,       ///< through the helpers
    Field,      ///< a field of GuestState
    Nzcv,       ///< the flags
    Fpcr,       ///< read from GuestState::fpcr; both ways check FP access
    Fpsr,       ///< checks FP access
    SpEl0,      ///< GuestState::sp_el0 while SP_EL1 is selected, else UNDEFINED
    Daif,       ///< read from GuestState::daif at EL1
    CurrentEl,  ///< known when the block is translated
    Counter,    ///< Helper::ReadCounter at EL1, ReadUserCounter at EL0
};

/// What an access does besides reading or writing the register itself.
namespace sysreg_io {
inline constexpr uint8_t kNone = 0;
inline constexpr uint8_t kFlags = 1u << 0;    ///< a write changes the translation flags
inline constexpr uint8_t kContext = 1u << 1;  ///< a write changes the translation context: ASID, table, PAN
inline constexpr uint8_t kTlb = 1u << 2;      ///< a write may make cached translations invalid
inline constexpr uint8_t kUnmask = 1u << 3;   ///< a write may unmask interrupts
inline constexpr uint8_t kHostFp = 1u << 4;   ///< reads or writes the host's floating-point environment
inline constexpr uint8_t kOutside = 1u
                                    << 5;  ///< reads or writes something outside the CPU: a device, a clock
/// A block may not go on behind a write that does one of these.
inline constexpr uint8_t kEndsBlock = kFlags | kContext | kTlb | kUnmask;
}  // namespace sysreg_io

namespace sysreg_access {
inline constexpr uint8_t kRead0 = 1, kWrite0 = 2, kRead1 = 4, kWrite1 = 8;
}

/// One row of sysregs.inc.
struct SysregRow {
    uint16_t encoding;
    const char* name;
    uint8_t access;                   ///< sysreg_access bits; what is missing is UNDEFINED
    Feature feature = Feature::Base;  ///< without it the register is UNDEFINED
    bool ends_block = true;           ///< a write that is not translated inline ends the translation block
    SysregInline inlined = SysregInline::None;
    uint8_t io = sysreg_io::kNone;  ///< sysreg_io bits
    bool gic = false;               ///< forwarded to Environment::icc_read() and icc_write()
    std::optional<uint64_t> reset;  ///< what MRS reads after a cold reset, unless the machine decides
    uint32_t field = 0;             ///< SysregInline::Field: offset in GuestState
    uint64_t mask = ~uint64_t{0};   ///< bits that a write keeps, where that is all that a write does
    SystemResult (*check)(const Cpu& cpu, const SysregRow& row, bool write) = nullptr;  ///< traps
    uint64_t (*read)(Cpu& cpu, const SysregRow& row) = nullptr;
    void (*write)(Cpu& cpu, const SysregRow& row, uint64_t value) = nullptr;
    uint64_t& (*place)(Cpu& cpu) = nullptr;  ///< where the value is, if it is in one place; for resetting
};

/// All allocated registers, for tests, traces and the debugger.
std::span<const SysregRow> sysreg_rows();
/// The row of an allocated register (op0 2 or 3), or null.
const SysregRow* find_sysreg(uint32_t encoding);

/// MRS and MSR (register) at the current EL. FPCR and FPSR work on the floating-point environment
/// in GuestState (jit/host_fp.h): the caller brings it up to date before and loads it afterwards.
SystemResult read_sysreg(Cpu& cpu, uint32_t encoding, uint64_t& value);
SystemResult write_sysreg(Cpu& cpu, uint32_t encoding, uint64_t value);

/// The fields that MSR (immediate) writes: op1 << 3 | op2.
enum class PstateField : uint8_t {
    Uao = 0 << 3 | 3,
    Pan = 0 << 3 | 4,
    SpSel = 0 << 3 | 5,
    DaifSet = 3 << 3 | 6,
    DaifClr = 3 << 3 | 7
};
/// MSR (immediate): `field` as PstateField has it, others are UNDEFINED.
SystemResult write_pstate_field(Cpu& cpu, unsigned field, unsigned imm);

}  // namespace arclight::frontend::a64
