// Translated code in the host process.
#pragma once

#include <memory>
#include <vector>

#include "backend/accelerator.h"
#include "backend/direct_tables.h"

namespace arclight::backend {

/// Runs each virtual CPU on its thread of this process.
class ProcessAccelerator final : public Accelerator {
  public:
    explicit ProcessAccelerator(const jit::CodeBuffer& code) : Accelerator(code) {}
    /// With fastmem for soft TLBs that ask for it. Their accesses may fault: Vcpu::direct_memory_fault().
    ProcessAccelerator(jit::CodeBuffer& code, const DirectMemory& memory, unsigned cpus);
    mmu::HostTables* host_tables(unsigned cpu) override {
        return cpu < tables_.size() ? tables_[cpu].get() : nullptr;
    }
    AcceleratorCounts counts() const override;
    const char* name() const override { return "process"; }

  private:
    std::vector<std::unique_ptr<DirectTables>> tables_;  ///< by CPU; empty: no direct memory
};

/// RuntimeEntry kVectorCall for code that runs in this process: the reference function of an IR operation.
void vector_call(jit::GuestState& state, uint64_t op);

}  // namespace arclight::backend
