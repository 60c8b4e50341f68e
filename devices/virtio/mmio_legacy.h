#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/virtio/mmio_slot.h"

namespace arclight::devices::virtio {

/// virtio over MMIO, version 1: the legacy interface (virtio 1.2 section 4.2.4), which is what QEMU's virt board has unless
/// it is told otherwise. Features end at bit 31, and a queue is one run of pages that QueuePFN names.
class MmioLegacy final : public MmioSlot {
  public:
    MmioLegacy(unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
               std::unique_ptr<Backend> backend = nullptr);
    ~MmioLegacy() override;

    void reset() override;

  private:
    uint32_t read_own(uint64_t offset) const override;
    void write_own(uint64_t offset, uint32_t value) override;
    void reset_own() override;
    void save_own(StateWriter& out) const override;
    void load_own(StateReader& in) override;
    void commit_own() override;
    void place(Queue& queue, uint32_t pfn);

    uint32_t page_shift_ = 0;          ///< log2 of GuestPageSize
    std::vector<uint32_t> alignment_;  ///< QueueAlign, by queue
    struct {
        uint32_t page_shift = 0;
        std::vector<uint32_t> alignment;
    } loaded_;
};

}  // namespace arclight::devices::virtio
