// Where translated code runs: a host process or a virtual machine, under one contract.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jit/guest_state.h"
#include "jit/host_code.h"
#include "mmu/host_tables.h"

namespace arclight::backend {

/// Named counters for --stats.
using AcceleratorCounts = std::vector<std::pair<std::string, uint64_t>>;

class Accelerator {
  public:
    explicit Accelerator(const jit::CodeBuffer& code) : enter_(code.stubs().enter) {}
    virtual ~Accelerator() = default;

    /// Carries out `body`, a virtual CPU's whole life, on the calling thread in the place where translated
    /// code runs. run() and host_tables() are for use in there. The error is one line: the accelerator stopped
    /// before the body ended, and whatever it was doing is lost.
    virtual std::expected<void, std::string> run_thread(unsigned cpu, const std::function<void()>& body) {
        (void)cpu;
        body();
        return {};
    }
    /// Runs from `code` (translated for state.pc) until it leaves. Sets page_base from state.pc. Returns
    /// state.exit_reason; state.pc and exit_info are as the reason says.
    jit::ExitReason run(jit::GuestState& state, const void* code) {
        state.page_base = state.pc & mmu::kPageMask;
        return static_cast<jit::ExitReason>(enter_(&state, code));
    }

    /// The page tables that fastmem of this CPU are made of; null where code uses the soft TLB alone.
    virtual mmu::HostTables* host_tables(unsigned cpu) {
        (void)cpu;
        return nullptr;
    }
    virtual const char* name() const = 0;
    /// From now on `what` is called on a CPU's thread that a signal has interrupted where it runs code.
    /// False: never, since signals' handlers see that themselves.
    virtual bool on_interrupted(void (*what)(uint64_t pc)) {
        (void)what;
        return false;
    }
    /// Of all CPUs, since start; slightly stale.
    virtual AcceleratorCounts counts() const { return {}; }

  private:
    jit::EnterFn enter_;
};

}  // namespace arclight::backend
