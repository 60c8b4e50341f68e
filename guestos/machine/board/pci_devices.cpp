#include "guestos/machine/board/pci_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "devices/virtio/pci.h"
#include "guestos/machine/board/scsi_devices.h"

namespace arclight::guestos {

namespace pci = devices::pci;

namespace {

// QEMU's bridge has no address of its own there.
constexpr std::string_view kBusPath = "/pci@ffffffffffffffff";

/// As QEMU names a function in paths for firmware: by its class, or by its identity.
std::string node_name(pci::Function& function, unsigned devfn) {
    const uint32_t identity = function.config_read(pci::kRegVendor, 4);
    const uint32_t type = function.config_read(pci::kRegClass, 2);
    constexpr uint32_t kScsi = 0x0100, kEthernet = 0x0200;
    std::string name = type == kScsi       ? "scsi"
                       : type == kEthernet ? "ethernet"
                                           : fmt::format("pci{:x},{:04x}", identity & 0xffff, identity >> 16);
    name += fmt::format("@{:x}", devfn >> 3);
    if ((devfn & 7) != 0) name += fmt::format(",{:x}", devfn & 7);
    return name;
}

}  // namespace

PciDevices::PciDevices(devices::Bus& bus, const std::array<devices::IrqLine, 4>& lines,
                       devices::MsiTarget* msi, const mmu::GuestMemory& memory)
    : memory_(memory), bridge_(bus, lines, msi) {
    bridge_.map();
}

Result<void> PciDevices::add(const std::vector<DeviceOptions>& wanted, const devices::DeviceFactory& factory,
                             const devices::DeviceContext& context, BootOrder& order) {
    for (const bool placed : {true, false}) {
        for (const DeviceOptions& device : wanted) {
            // What is behind a root port comes after all root ports.
            const bool has_place = device.address.has_value() && device.pci.port.empty();
            if (device.bus != DeviceBus::Pci || has_place != placed || !device.pci.port.empty()) continue;
            if (auto added = add_one(device, wanted, factory, context, order); !added) return added;
        }
    }
    for (const DeviceOptions& device : wanted) {
        if (device.bus != DeviceBus::Pci || device.pci.port.empty()) continue;
        if (auto added = add_one(device, wanted, factory, context, order); !added) return added;
    }
    return {};
}

Result<void> PciDevices::add_one(const DeviceOptions& device, const std::vector<DeviceOptions>& wanted,
                                 const devices::DeviceFactory& factory, const devices::DeviceContext& context,
                                 BootOrder& order) {
    auto made = make(device, wanted, factory, context, order);
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
        order.place(device, fmt::format("{}/pci-bridge@{:x}/{}", kBusPath, port->port->devfn() >> 3,
                                        node_name(function, 0)));
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
    order.place(device, fmt::format("{}/{}", kBusPath, node_name(function, devfn)));
    return {};
}

Result<std::unique_ptr<pci::Function>> PciDevices::make(const DeviceOptions& device,
                                                        const std::vector<DeviceOptions>& wanted,
                                                        const devices::DeviceFactory& factory,
                                                        const devices::DeviceContext& context,
                                                        BootOrder& order) {
    auto made = factory.make(device.request, context);
    if (!made) return std::unexpected(made.error());
    if (auto* function = std::get_if<std::unique_ptr<pci::Function>>(&*made)) return std::move(*function);
    auto* backend = std::get_if<std::unique_ptr<devices::virtio::Backend>>(&*made);
    const std::string& name = device.request.name;
    if (backend == nullptr) return failure("'{}' is not a PCI device", name);
    if (auto attached = attach_scsi_devices(**backend, device, wanted, factory, context, order); !attached)
        return std::unexpected(attached.error());
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
