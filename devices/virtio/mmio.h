#pragma once

#include <cstdint>
#include <memory>

#include "devices/virtio/mmio_slot.h"

namespace arclight::devices::virtio {

/// virtio over MMIO, version 2 (virtio 1.2 section 4.2.2).
class Mmio final : public MmioSlot {
  public:
    Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
         std::unique_ptr<Backend> backend = nullptr);
    ~Mmio() override;

  private:
    uint32_t read_own(uint64_t offset) const override;
    void write_own(uint64_t offset, uint32_t value) override;
    void reset_own() override {}
};

}  // namespace arclight::devices::virtio
