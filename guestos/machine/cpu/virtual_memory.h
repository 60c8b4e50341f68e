#pragma once

#include <functional>
#include <utility>

#include "guestos/machine/cpu/semihosting_port.h"
#include "guestos/machine/cpu/shadow_pager.h"
#include "guestos/machine/cpu/vcpu_core.h"

namespace arclight::guestos {

/// A virtual CPU's guest memory at its current exception level. On the CPU's own thread, outside translated code. Walks the
/// tables for each page and keeps nothing of them.
class VirtualMemory final : public GuestBytes {
  public:
    /// `halted` calls what it is given as one who halts.
    using Halted = std::function<void(const std::function<void()>&)>;

    VirtualMemory(VcpuCore& core, ShadowPager& pager, Halted halted)
        : core_(core), pager_(pager), halted_(std::move(halted)) {}

    bool read(uint64_t va, std::span<uint8_t> to) override;
    bool write(uint64_t va, std::span<const uint8_t> from) override;
    bool writable(uint64_t va, uint64_t bytes) override;
    void outside(const std::function<void()>& host) override { halted_(host); }

  private:
    /// Calls access(pa, offset, bytes) for each page, in order, until one is not there or access() returns false.
    template <typename Access>
    bool for_each_page(uint64_t va, uint64_t bytes, mmu::AccessKind kind, Access&& access);

    VcpuCore& core_;
    ShadowPager& pager_;
    const Halted halted_;
};

}  // namespace arclight::guestos
