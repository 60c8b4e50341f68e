// The exception model at EL1 and EL0 (ARM ARM D1): entry, return and PSTATE.
#pragma once

#include <cstdint>
#include <optional>

#include "frontend/a64/system/block_operation.h"
#include "frontend/a64/system/sysregs.h"

namespace arclight::frontend::a64 {

struct Cpu;

enum class ExceptionKind : uint32_t { Synchronous = 0x000, Irq = 0x080, Fiq = 0x100, SError = 0x180 };

/// Takes an exception to EL1: SPSR, ELR, ESR (not for IRQ and FIQ), PSTATE, stack pointer bank, state.pc,
/// translation flags. FAR is untouched. `return_address` is the preferred return address.
void take_exception(Cpu& cpu, ExceptionKind kind, uint32_t esr, uint64_t return_address);

// Synchronous exceptions; `pc` is the instruction's address.
void take_svc(Cpu& cpu, uint32_t imm16, uint64_t pc);
void take_brk(Cpu& cpu, uint32_t imm16, uint64_t pc);
void take_undefined(Cpu& cpu, uint64_t pc);
void take_fp_trap(Cpu& cpu, uint64_t pc);
void take_sve_trap(Cpu& cpu, uint64_t pc);
void take_illegal_state(Cpu& cpu, uint64_t pc);
void take_pc_alignment(Cpu& cpu, uint64_t pc);
void take_sp_alignment(Cpu& cpu, uint64_t pc);
/// `key`: 0 to 3 of IA, IB, DA, DB.
void take_pointer_authentication(Cpu& cpu, unsigned key, uint64_t pc);
/// CPY or SET finds registers in the form of another implementation.
void take_block_operation(Cpu& cpu, const BlockOperation& op, uint64_t pc);
/// By PSTATE.BTYPE.
void take_branch_target(Cpu& cpu, uint64_t pc);
void take_breakpoint(Cpu& cpu, uint64_t pc);
void take_watchpoint(Cpu& cpu, uint64_t address, bool write, uint64_t pc);
void take_data_abort(Cpu& cpu, uint64_t address, uint8_t fsc, bool write, uint64_t pc);
void take_instruction_abort(Cpu& cpu, uint64_t address, uint8_t fsc, uint64_t pc);
/// What a system instruction asked for; not for Ok.
void take_system_result(Cpu& cpu, const SystemResult& result, uint64_t pc);

/// HVC: the firmware call at EL1, else undefined. True: done, go on behind the instruction (x0 is the
/// result).
bool execute_hvc(Cpu& cpu);
/// WFI and WFE at EL0 may be trapped (SCTLR_EL1.nTWI, nTWE); call before waiting.
/// `rt`: the register with the end of WFIT's and WFET's waiting.
SystemResult check_wait(const Cpu& cpu, bool wfe, std::optional<unsigned> rt = {});

/// ERET: sets PSTATE from SPSR_EL1 and state.pc from ELR_EL1, legal or not (then PSTATE.IL is set). The CPU
/// must be at EL1; at EL0 ERET is undefined.
void eret(Cpu& cpu);

/// PSTATE in the layout of SPSR_EL1.
uint64_t pstate_to_spsr(const Cpu& cpu);
/// The bits of it that features beyond Armv8.0 bring, but PAN's.
uint64_t spsr_of(FeatureSet features);
/// PSTATE.TCO there: set at resets and by exceptions.
inline constexpr uint64_t kSpsrTco = uint64_t{1} << 25;
void set_pan(Cpu& cpu, bool pan);
void set_sp_elx(Cpu& cpu, bool sp_elx);
void set_uao(Cpu& cpu, bool uao);
/// Puts the current stack pointer into its bank, where a debugger looks for both.
void sync_stack_pointers(Cpu& cpu);

/// The PC after a branch to `target`: without the tag, where address tagging is on.
uint64_t branch_address(const Cpu& cpu, uint64_t target);

inline constexpr uint64_t kSctlrNaa = uint64_t{1} << 6;     ///< ordered accesses of any alignment (FEAT_LSE2)
inline constexpr uint64_t kSctlrDssbs = uint64_t{1} << 44;  ///< PSTATE.SSBS after an exception

inline constexpr uint64_t kDaifD = 1u << 9, kDaifA = 1u << 8, kDaifI = 1u << 7, kDaifF = 1u << 6;
inline constexpr uint64_t kDaifAll = kDaifD | kDaifA | kDaifI | kDaifF;

// ---- Software step (D2.11). While it is enabled, translation_flag::kSingleStep is set, and the machine does
// for each instruction: if step_pending(), take_step(); else execute it; if it completed, step_done().

/// MDSCR_EL1.SS is set and debug exceptions are taken from the current EL.
bool step_enabled(const Cpu& cpu);
bool step_pending(const Cpu& cpu);
void take_step(Cpu& cpu, bool exclusive = false);
void step_done(Cpu& cpu);

}  // namespace arclight::frontend::a64
