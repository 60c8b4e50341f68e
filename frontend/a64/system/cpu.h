#pragma once

#include <atomic>
#include <cstdint>

#include "frontend/a64/system/environment.h"
#include "frontend/a64/system/id_registers.h"
#include "frontend/a64/system/sysregs.h"
#include "jit/guest_state.h"
#include "mmu/guest_memory.h"
#include "mmu/walk.h"

namespace arclight::frontend::a64 {

/// One CPU as the ARM ARM describes it: GuestState, which translated code reads and writes, and all other
/// state. PSTATE is spread over both: NZCV, DAIF and the stack pointers are in GuestState, the rest is here.
/// GuestState::translation_flags is derived.
struct Cpu {
    Cpu(jit::GuestState& state, Environment& environment, const mmu::GuestMemory& memory,
        const CpuConfig& config);

    jit::GuestState& state;
    Environment& environment;
    const mmu::GuestMemory& memory;
    const CpuConfig config;
    const uint64_t spsr_of_features;  ///< spsr_of(config.features)

    // PSTATE
    uint8_t el = 1;
    bool sp_elx = true;  ///< PSTATE.SP: EL1 uses SP_EL1
    bool pan = false;
    bool il = false;
    bool ss = false;
    bool uao = false;
    uint8_t btype = 0;  ///< of the instruction at GuestState::pc; 0 whenever another has been begun

    bool guarded_pages = false;  ///< one has been fetched from since the reset: system/branch_type.h
    bool pac_used = false;       ///< a key has been enabled since the reset
    bool traced = false;         ///< the environment is told of exceptions

    SystemRegisters registers;
    mmu::TranslationRegs translation;  ///< holds SCTLR, TCR, the TTBRs and MAIR

    /// The event register of WFE and SEV; other CPUs set it.
    std::atomic<bool> event_register{false};

    /// Cold reset: EL1h, all interrupts masked, MMU off, execution at `pc`, all else zero. Keeps the bits of
    /// GuestState that belong to the machine (soft TLB, runtime table, translation_flag::kSerial).
    void reset(uint64_t pc);
};

}  // namespace arclight::frontend::a64
