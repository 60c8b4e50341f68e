#pragma once

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/msi.h"

namespace arclight::devices {

/// The frame of a GICv2m (Arm Server Base System Architecture, appendix E): a word written to MSI_SETSPI_NS is the INTID of
/// an SPI that becomes pending. It has no state of its own.
class GicV2m final : public Device, public MsiTarget {
  public:
    explicit GicV2m(InterruptController& gic) : gic_(gic) {}

    void map(Bus& bus) { bus.map(layout::kGicV2m.base, layout::kGicV2m.size, *this, "gicv2m"); }

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    bool message(uint32_t requester, uint64_t address, uint32_t data) override;

    /// Inside the controller's node.
    static void add_node(FdtWriter& fdt);

  private:
    void raise(uint32_t intid);

    InterruptController& gic_;
};

}  // namespace arclight::devices
