#pragma once

#include <cstdint>

#include "mmu/tlbi.h"

namespace arclight::frontend::a64 {

/// What the system code of a CPU needs from outside the CPU. The machine implements it. All calls come from
/// the CPU's own thread, between instructions.
class Environment {
  public:
    virtual ~Environment() = default;

    // ---- Translation. The machine owns the soft TLBs: these calls report changes of what they depend on.
    /// The EL, PSTATE.PAN or the ASID may have changed: select GuestState::tlb again. No entry
    /// becomes invalid.
    virtual void context_changed() = 0;
    /// SCTLR, TCR or MAIR changed so that cached translations no longer hold: flush them, then as
    /// context_changed().
    virtual void translation_changed() = 0;
    virtual void tlbi(mmu::TlbiRequest request, bool broadcast) = 0;

    // ---- Instruction cache. Effects are due at the next DSB on this CPU; all CPUs are affected.
    /// IC IVAU: the line at this physical address (64 bytes, see CTR_EL0) may have new instructions.
    virtual void ic_ivau(uint64_t va, uint64_t pa) = 0;
    virtual void ic_iallu(bool broadcast) = 0;

    // ---- Interrupts
    /// PSTATE.DAIF may have been opened: look for deliverable interrupts before the next instruction.
    virtual void interrupts_unmasked() = 0;
    /// ISR_EL1: pending SError (bit 8), IRQ (bit 7), FIQ (bit 6), masked or not.
    virtual uint64_t pending_interrupts() = 0;
    /// ICC_*_EL1 by encoding (see sysregs.h). False: no such register, or not with this access.
    virtual bool icc_read(uint32_t encoding, uint64_t& value) = 0;
    virtual bool icc_write(uint32_t encoding, uint64_t value) = 0;

    // ---- Generic timer: CNT{P,V}_{CTL,CVAL,TVAL}_EL0 by encoding
    virtual uint64_t timer_read(uint32_t encoding) = 0;
    virtual void timer_write(uint32_t encoding, uint64_t value) = 0;
    /// CNTPCT_EL0 = CNTVCT_EL0
    virtual uint64_t counter() = 0;
    virtual uint64_t counter_frequency() = 0;

    /// RNDR_EL0, RNDRRS_EL0
    virtual uint64_t random() = 0;

    // ---- Performance monitors
    /// What the cycle counters count: nanoseconds of guest time.
    virtual uint64_t cycles() = 0;
    /// Drives the overflow interrupt. Called with every change, and without one.
    virtual void pmu_interrupt(bool level) = 0;
    /// A counter may overflow in so many cycles: pmu_update() is to be called by then or soon afterwards. It
    /// replaces what was asked for before.
    virtual void pmu_look_within(uint64_t cycles) = 0;

    /// Firmware call by HVC #0 (PSCI, SMCCC): returns the new x0.
    virtual uint64_t hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) = 0;
    /// The instruction word at the current PC, asked for only when it traps (its Rt goes into the syndrome).
    virtual uint32_t current_instruction() = 0;
};

}  // namespace arclight::frontend::a64
