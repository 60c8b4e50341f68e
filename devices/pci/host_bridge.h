#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/msi.h"
#include "devices/pci/function.h"
#include "devices/pci/root_port.h"

namespace arclight::devices::pci {

/// The generic PCI Express host bridge of QEMU's virt board (pci-host-ecam-generic): configuration space as memory (ECAM, PCI
/// Express Base Specification 3.0 section 7.2.2), windows for memory and ports, four interrupt lines. Function 00:00.0 is
/// its own; root ports may be among the others.
class HostBridge final : public Device {
  public:
    static constexpr unsigned kSlots = 32;  ///< devices on a bus; device 0 is the bridge itself

    /// `msi`: null, messages are lost.
    HostBridge(devices::Bus& bus, const std::array<IrqLine, 4>& lines, MsiTarget* msi);
    ~HostBridge() override;

    /// ECAM and the windows.
    void map();

    /// Before CPUs run. False: there is no such place (device << 3 | function) or it is taken. Functions outlive the CPUs.
    bool plug(Function& function, unsigned devfn);
    bool plug(RootPort& port, unsigned devfn);
    bool plug_below(RootPort& port, Function& function);
    /// The first device number that is free, or kSlots.
    unsigned free_slot() const;
    /// 00:00.0, for the machine's state.
    Function& own_function() { return *own_; }

    // ---- For functions.
    devices::Bus& bus() { return bus_; }
    /// Lock held: all windows anew.
    void remap();
    /// Any thread.
    void update_interrupt(unsigned line);
    void message(uint32_t requester, uint64_t address, uint32_t data);
    void resumed(Function& function);

    // ---- Device: ECAM
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

  private:
    Function* find(uint64_t offset) const;
    void drive(unsigned line, bool refresh);

    devices::Bus& bus_;
    MsiTarget* const msi_;
    std::mutex lock_;  ///< of configuration space
    std::unique_ptr<Function> own_;
    std::array<Function*, kSlots * 8> root_bus_{};
    std::vector<RootPort*> ports_;
    std::vector<Function*> functions_;
    std::mutex interrupt_lock_;
    std::array<IrqLine, 4> lines_;
};

}  // namespace arclight::devices::pci
