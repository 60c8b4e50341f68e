// Where translated code runs: a host process or a virtual machine, under one contract.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jit/guest_state.h"
#include "jit/host_code.h"
#include "mmu/host_tables.h"
#include "mmu/result.h"

namespace arclight::backend {

/// Named counters for --stats.
using AcceleratorCounts = std::vector<std::pair<std::string, uint64_t>>;

/// One per machine; any thread, except where a function says otherwise.
class Accelerator {
  public:
    explicit Accelerator(const jit::CodeBuffer& code) : enter_(code.stubs().enter) {}
    virtual ~Accelerator() = default;

    /// Runs `body`, the main function of a virtual CPU, on the calling thread where translated code runs.
    /// run() and host_tables() may be used inside only. An error means that the accelerator stopped before
    /// the body ended; the body's work in progress is lost.
    virtual Result<void> run_thread(unsigned cpu, const std::function<void()>& body) {
        (void)cpu;
        body();
        return {};
    }
    /// Runs from `code` (translated for state.pc) until translated code exits. Sets page_base from state.pc.
    /// Returns state.exit_reason, which defines what state.pc and exit_info hold.
    jit::ExitReason run(jit::GuestState& state, const void* code) {
        state.page_base = state.pc & mmu::kPageMask;
        return static_cast<jit::ExitReason>(enter_(&state, code));
    }

    /// The page tables that fastmem of this CPU uses; null where code uses the soft TLB alone.
    virtual mmu::HostTables* host_tables(unsigned cpu) {
        (void)cpu;
        return nullptr;
    }
    virtual const char* name() const = 0;
    /// Whether a CPU's thread needs /dev/kvm while it runs.
    virtual bool in_virtual_machine() const { return false; }
    /// Calls `what` on a CPU's thread when a host signal has interrupted it inside, with the interrupted PC.
    /// False where the signal's own handler sees that PC.
    virtual bool on_interrupted(void (*what)(uint64_t pc)) {
        (void)what;
        return false;
    }
    /// From inside: leaves the virtual machine, if there is one, and comes back. For exits that an experiment wants.
    virtual void leave_once(unsigned cpu) { (void)cpu; }
    /// Totals of all CPUs since the start; slightly stale.
    virtual AcceleratorCounts counts() const { return {}; }
    /// What the hypervisor counts of the machine, by its names.
    virtual AcceleratorCounts hypervisor_counts() const { return {}; }

  private:
    jit::EnterFn enter_;
};

}  // namespace arclight::backend
