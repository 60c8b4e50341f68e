// Which address spaces of EL0 reach memory without the soft TLB (docs/memory.md, direct memory): those that run for long.
//
// A page that is met first costs a signal and a system call there, some 5 us; a soft TLB's miss a tenth of a microsecond.
#pragma once

#include <array>
#include <cstdint>

#include "guestos/machine/cpu/vcpu_core.h"
#include "jit/translation_flags.h"
#include "mmu/shadow.h"

namespace arclight::guestos {

/// Of one virtual CPU, on its thread. Without HostTables::on_demand() it does nothing.
class DirectMemoryPolicy {
  public:
    explicit DirectMemoryPolicy(VcpuCore& core) : core_(core) {}

    /// The CPU's exception level or soft TLB is another one from now on, and so may be translation_flag::kFastmem of its state.
    void context_changed() {
        if (core_.tlbs.has_fastmem_on_demand()) [[unlikely]]
            update();
    }
    /// An access of EL0 has faulted.
    void note_fault() {
        if (current_ != nullptr && current_->faults != ~uint64_t{0}) ++current_->faults;
    }

  private:
    /// An address space is moved when EL0 has run in it for this long.
    static constexpr uint64_t kHeatNs = 20'000'000;
    /// What a fault may cost, and what share of the time all may take behind those that a program begins with.
    static constexpr uint64_t kFaultNs = 5'000, kMostOf = 4, kFirstFaults = 8'192;

    struct Space {
        uint64_t owners = 0;  ///< SoftTlbSet::owners_of(), when it was looked at
        uint64_t ran_ns = 0, wanted_ns = 0;
        uint64_t faults = 0, since_ns = 0;  ///< of the time that it is direct
    };

    void update();

    VcpuCore& core_;
    std::array<Space, mmu::kMaxRoots + 2> spaces_{};  ///< by SoftTlbSet::number_of()
    Space* current_ = nullptr;                        ///< EL0 runs in it
    uint64_t entered_ns_ = 0;
};

}  // namespace arclight::guestos
