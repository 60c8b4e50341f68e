// The outside of one virtual CPU, as its system code (frontend::a64::Environment) and other CPUs' work ask
// for it: soft TLBs, code, and the devices that belong to a CPU.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "frontend/a64/system/environment.h"
#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/direct_memory_policy.h"
#include "guestos/machine/cpu/fetch_unit.h"
#include "guestos/machine/cpu/memory_path.h"
#include "guestos/machine/cpu/random_numbers.h"
#include "guestos/machine/cpu/vcpu_core.h"

namespace arclight::guestos {

/// On the virtual CPU's own thread, or while that stands at a safepoint.
class CpuEnvironment final : public frontend::a64::Environment, public CrossCpuWork::Performer {
  public:
    /// The references may be to what is not constructed yet.
    CpuEnvironment(VcpuCore& core, FetchUnit& fetch, MemoryPath& memory)
        : core_(core),
          fetch_(fetch),
          memory_(memory),
          direct_memory_(core),
          random_(core.options.random_seed, core.options.index) {}

    /// All translations, and at once.
    void forget_translations();
    /// After the code cache was emptied.
    void forget_code();
    DirectMemoryPolicy& direct_memory() { return direct_memory_; }

    // ---- CrossCpuWork::Performer
    void carry_out(std::span<const CrossCpuWork::Request> requests, bool may_walk) override;

    // ---- frontend::a64::Environment
    void context_changed() override;
    void translation_changed() override;
    void tlbi(mmu::TlbiRequest request, bool broadcast) override;
    void ic_ivau(uint64_t, uint64_t pa) override {
        ++core_.stats.ic;
        if (core_.context.engine.invalidate_line(pa, core_.state)) core_.clear_jumps_to_line(pa);
    }
    void ic_iallu(bool broadcast) override;
    void interrupts_unmasked() override;
    uint64_t pending_interrupts() override;
    bool icc_read(uint32_t encoding, uint64_t& value) override;
    bool icc_write(uint32_t encoding, uint64_t value) override;
    uint64_t timer_read(uint32_t encoding) override;
    void timer_write(uint32_t encoding, uint64_t value) override;
    uint64_t counter() override;
    uint64_t counter_frequency() override;
    uint64_t random() override { return random_.next(); }
    uint64_t cycles() override;
    void pmu_interrupt(bool level) override;
    void pmu_look_within(uint64_t cycles) override;
    uint64_t hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) override;
    void exception_taken(frontend::a64::ExceptionKind kind, unsigned from_el) override {
        core_.context.trace.exception(core_.cpu, kind, from_el);
    }
    void exception_left(unsigned from_el) override {
        core_.context.trace.exception_return(core_.cpu, from_el);
    }
    uint32_t current_instruction() override { return fetch_.current_instruction(); }

  private:
    void note_tables();

    VcpuCore& core_;
    FetchUnit& fetch_;
    MemoryPath& memory_;
    DirectMemoryPolicy direct_memory_;
    RandomNumbers random_;
    unsigned last_el_ = 1;
    std::array<uint64_t, 3> tables_{};  ///< TTBR0, TTBR1 and the ASID, when last looked at
    uint64_t device_writes_ = 0;        ///< to tables, at the last TLBI (traditional shadow paging)
};

}  // namespace arclight::guestos
