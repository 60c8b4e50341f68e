#pragma once

#include <atomic>
#include <cstdint>

#include "devices/pci/function.h"

namespace arclight::devices::pci {

/// A PCI Express root port, as QEMU's pcie-root-port without hot-plug: a bridge to a bus with one device, number 0.
class RootPort final : public Function {
  public:
    /// `slot`: the physical slot's number, unique among root ports.
    explicit RootPort(unsigned slot);

    /// The number of the bus behind it.
    uint8_t secondary() const { return secondary_; }
    bool has_bus(unsigned number) const;
    /// Whether accesses to all of the range go through to that bus.
    bool forwards(bool ports, uint64_t address, uint64_t size) const;

    /// Null: nothing is plugged in.
    Function* child() const { return child_; }
    void set_child(Function& child);

    RootPort* as_root_port() override { return this; }
    void config_write(unsigned offset, uint32_t value, unsigned size) override;

  private:
    void control_changed() override;
    void config_loaded() override;

    unsigned express_ = 0;
    Function* child_ = nullptr;
    std::atomic<uint8_t> secondary_{0};
};

}  // namespace arclight::devices::pci
