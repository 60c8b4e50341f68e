#include "guestos/machine/board/pci_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "devices/virtio/pci.h"

namespace arclight::guestos {

namespace pci = devices::pci;

PciDevices::PciDevices(devices::Bus& bus, const std::array<devices::IrqLine, 4>& lines,
                       devices::MsiTarget* msi, const mmu::GuestMemory& memory)
    : memory_(memory), bridge_(bus, lines, msi) {
    bridge_.map();
}

Result<void> PciDevices::add(const std::vector<DeviceOptions>& wanted, const devices::DeviceFactory& factory,
                             const devices::DeviceContext& context) {
    for (const bool placed : {true, false}) {
        for (const DeviceOptions& device : wanted) {
            // What is behind a root port comes after all root ports.
            const bool has_place = device.address.has_value() && device.pci.port.empty();
            if (device.bus != DeviceBus::Pci || has_place != placed || !device.pci.port.empty()) continue;
            if (auto added = add_one(device, factory, context); !added) return added;
        }
    }
    for (const DeviceOptions& device : wanted) {
        if (device.bus != DeviceBus::Pci || device.pci.port.empty()) continue;
        if (auto added = add_one(device, factory, context); !added) return added;
    }
    return {};
}

Result<void> PciDevices::add_one(const DeviceOptions& device, const devices::DeviceFactory& factory,
                                 const devices::DeviceContext& context) {
    auto made = make(device, factory, context);
    if (!made) return std::unexpected(made.error());
    pci::Function& function = *functions_.emplace_back(std::move(*made));
    const std::string& name = device.request.name;
    if (!device.pci.port.empty()) {
        const auto port = std::ranges::find(ports_, device.pci.port, &Named::id);
        if (port == ports_.end()) return failure("device {}: there is no bus '{}'", name, device.pci.port);
        if (device.address.value_or(0) != 0 || device.pci.function != 0)
            return failure("device {}: behind a root port there is one device, number 0", name);
        if (!bridge_.plug_below(*port->port, function))
            return failure("device {}: root port '{}' has a device already", name, device.pci.port);
        return {};
    }
    const unsigned slot = device.address.value_or(bridge_.free_slot());
    if (slot >= pci::HostBridge::kSlots && !device.address)
        return failure("device {}: more than {} PCI devices", name, pci::HostBridge::kSlots - 1);
    if (slot >= pci::HostBridge::kSlots || device.pci.function > 7)
        return failure("device {}: there is no PCI address {:x}.{:x}", name, slot, device.pci.function);
    const unsigned devfn = slot << 3 | device.pci.function;
    pci::RootPort* const port = function.as_root_port();
    if (!(port != nullptr ? bridge_.plug(*port, devfn) : bridge_.plug(function, devfn)))
        return failure("device {}: PCI address {:x}.{:x} is taken", name, slot, device.pci.function);
    if (port != nullptr) ports_.push_back({device.id, port});
    return {};
}

Result<std::unique_ptr<pci::Function>> PciDevices::make(const DeviceOptions& device,
                                                        const devices::DeviceFactory& factory,
                                                        const devices::DeviceContext& context) {
    auto made = factory.make(device.request, context);
    if (!made) return std::unexpected(made.error());
    if (auto* function = std::get_if<std::unique_ptr<pci::Function>>(&*made)) return std::move(*function);
    auto* backend = std::get_if<std::unique_ptr<devices::virtio::Backend>>(&*made);
    const std::string& name = device.request.name;
    if (backend == nullptr) return failure("'{}' is not a PCI device", name);
    if (auto* balloon = dynamic_cast<devices::virtio::Balloon*>(backend->get())) balloon_ = balloon;
    // As with QEMU, what is behind a root port is modern unless told otherwise.
    const bool behind_port = !device.pci.port.empty();
    const bool can_be_legacy = devices::virtio::Pci::has_legacy_interface((*backend)->device_id());
    const devices::virtio::Pci::Options options{
        .legacy = device.pci.legacy.value_or(!behind_port) && can_be_legacy,
        .modern = device.pci.modern,
        .express = behind_port,
        .vectors = device.pci.vectors};
    if (!options.legacy && !options.modern) return failure("device {}: neither legacy nor modern", name);
    return std::make_unique<devices::virtio::Pci>(memory_, std::move(*backend), options);
}

void PciDevices::list_stateful_parts(devices::StatefulParts& parts) {
    parts.add(bridge_.own_function().name(), bridge_.own_function());
    for (const auto& function : functions_) parts.add(function->name(), *function);
}

}  // namespace arclight::guestos
