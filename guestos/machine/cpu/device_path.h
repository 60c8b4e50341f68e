// A virtual CPU's accesses to devices on the bus; and, for pages that it has accessed before, those without a
// walk and without a search of the bus.
#pragma once

#include <array>
#include <cstdint>

#include "devices/bus.h"
#include "guestos/machine/cpu/vcpu_core.h"
#include "jit/memory_access.h"
#include "mmu/bits.h"

namespace arclight::guestos {

/// On the virtual CPU's own thread. Operands and results are in GuestState::access_value.
class DevicePath {
  public:
    explicit DevicePath(VcpuCore& core) : core_(core), state_(core.state) {}

    /// False: nothing answers at pa.
    bool access(const jit::MemoryAccess& access, uint64_t pa);
    /// The walk for this access has found a device. Kinds of accesses that other paths look at are not
    /// remembered.
    void remember(const jit::MemoryAccess& access, uint64_t va, uint64_t pa);
    /// Carries out a plain access if an earlier one of its kind was to the same page and no translation has
    /// changed since. False: it is for the whole path.
    bool access_remembered(const jit::MemoryAccess& access, uint64_t va);
    /// An address may have got another meaning in its soft TLB.
    void forget() { ++translation_changes_; }

  private:
    struct Page {
        uint64_t va = 1, pa = 0;
        const mmu::SoftTlb* tlb = nullptr;
        uint64_t changes = 0;
        uint32_t bus_epoch = 0;  ///< in which the mapping was found
        bool readable = false, writable = false;
        devices::Bus::Mapping* mapping = nullptr;  ///< what was accessed last
    };
    static constexpr unsigned kPagesLog2 = 4;
    Page& page_of(uint64_t va) { return pages_[hash_bits(va >> mmu::kPageBits, kPagesLog2)]; }

    VcpuCore& core_;
    jit::GuestState& state_;
    std::array<Page, 1 << kPagesLog2> pages_{};
    uint64_t translation_changes_ = 0;
};

}  // namespace arclight::guestos
