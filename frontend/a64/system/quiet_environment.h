// An environment for tests and measurements of a CPU alone.
#pragma once

#include "frontend/a64/system/environment.h"

namespace arclight::frontend::a64 {

/// Every call does nothing.
class QuietEnvironment final : public Environment {
  public:
    void context_changed() override {}
    void translation_changed() override {}
    void tlbi(mmu::TlbiRequest, bool) override {}
    void ic_ivau(uint64_t, uint64_t) override {}
    void ic_iallu(bool) override {}
    void interrupts_unmasked() override {}
    uint64_t pending_interrupts() override { return 0; }
    bool icc_read(uint32_t, uint64_t&) override { return false; }
    bool icc_write(uint32_t, uint64_t) override { return false; }
    uint64_t timer_read(uint32_t) override { return 0; }
    void timer_write(uint32_t, uint64_t) override {}
    uint64_t counter() override { return 0; }
    uint64_t counter_frequency() override { return 1; }
    uint64_t random() override { return 0; }
    uint64_t cycles() override { return 0; }
    void pmu_interrupt(bool) override {}
    void pmu_look_within(uint64_t) override {}
    uint64_t hvc(uint64_t, uint64_t, uint64_t, uint64_t) override { return 0; }
    uint32_t current_instruction() override { return 0; }
};

}  // namespace arclight::frontend::a64
