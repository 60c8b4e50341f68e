// What is on the board's PCI Express bus: the host bridge, and the devices that are asked for.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "devices/bus.h"
#include "devices/device_factory.h"
#include "devices/irq.h"
#include "devices/msi.h"
#include "devices/pci/host_bridge.h"
#include "devices/state.h"
#include "devices/virtio/balloon.h"
#include "guestos/machine/board/boot_order.h"
#include "guestos/options.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::guestos {

class PciDevices {
  public:
    /// Maps the bridge. `msi`: null, devices' messages are lost.
    PciDevices(devices::Bus& bus, const std::array<devices::IrqLine, 4>& lines, devices::MsiTarget* msi,
               const mmu::GuestMemory& memory);

    /// Makes and plugs in those of the devices that are for this bus: first those whose place is given. An error is one line for
    /// the user.
    Result<void> add(const std::vector<DeviceOptions>& wanted, const devices::DeviceFactory& factory,
                     const devices::DeviceContext& context, BootOrder& order);
    void list_stateful_parts(devices::StatefulParts& parts);
    /// Null: there is none here.
    devices::virtio::Balloon* balloon() { return balloon_; }

  private:
    struct Named {
        std::string id;
        devices::pci::RootPort* port;
    };
    Result<void> add_one(const DeviceOptions& device, const std::vector<DeviceOptions>& wanted,
                         const devices::DeviceFactory& factory, const devices::DeviceContext& context,
                         BootOrder& order);
    Result<std::unique_ptr<devices::pci::Function>> make(const DeviceOptions& device,
                                                         const std::vector<DeviceOptions>& wanted,
                                                         const devices::DeviceFactory& factory,
                                                         const devices::DeviceContext& context,
                                                         BootOrder& order);

    const mmu::GuestMemory& memory_;
    devices::pci::HostBridge bridge_;
    std::vector<std::unique_ptr<devices::pci::Function>> functions_;
    std::vector<Named> ports_;
    devices::virtio::Balloon* balloon_ = nullptr;
};

}  // namespace arclight::guestos
