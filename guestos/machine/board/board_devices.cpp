#include "guestos/machine/board/board_devices.h"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <variant>

#include "devices/virtio/mmio.h"
#include "devices/virtio/mmio_legacy.h"
#include "guestos/machine/board/scsi_devices.h"
#include "guestos/net/network.h"

namespace arclight::guestos {

namespace layout = devices::layout;

BoardDevices::BoardDevices(const RunOptions& options, devices::EventLoop& loop,
                           const mmu::GuestMemory& memory, devices::CpuInterruptSink& cpus,
                           devices::CpuPower& power, devices::MachineHost* host,
                           const devices::SharedRam& ram)
    : options_(options), loop_(loop), memory_(memory), host_(host), ram_(ram), psci_(power) {
    if (options_.gic.value_or(kDefaultGic) == 3) {
        gic3_ = std::make_unique<devices::GicV3>(options_.cpus, cpus, &memory_);
        gic3_->map(bus_);
        its_ = std::make_unique<devices::GicIts>(*gic3_, memory_);
        its_->map(bus_);
    } else {
        gic2_ = std::make_unique<devices::GicV2>(options_.cpus, cpus);
        gic2_->map(bus_);
        gic2m_ = std::make_unique<devices::GicV2m>(*gic2_);
        gic2m_->map(bus_);
    }
    for (unsigned i = 0; i < options_.cpus; ++i) {
        timers_.push_back(std::make_unique<devices::GenericTimer>(loop_, clock_, gic(), i));
        pmus_.push_back(std::make_unique<devices::PmuInterrupt>(loop_, gic(), i));
    }
}

devices::InterruptController& BoardDevices::gic() const {
    if (gic3_ != nullptr) return *gic3_;
    return *gic2_;
}

devices::MsiTarget* BoardDevices::msi_target() const {
    if (its_ != nullptr) return its_.get();
    return gic2m_.get();
}

devices::IrqLine BoardDevices::spi(unsigned number) const { return {gic(), layout::kFirstSpiIntid + number}; }

Result<void> BoardDevices::add_peripherals(const BoardSerial& serial, ExitStatus* exit_status,
                                           FlashMemory* flash) {
    uart_ = std::make_unique<devices::Pl011>(serial.first, spi(layout::kSpiUart));
    uart_connection_.emplace(serial.first, *uart_);
    bus_.map(layout::kUart.base, layout::kUart.size, *uart_, "pl011");
    if (serial.second != nullptr) {
        second_uart_ = std::make_unique<devices::Pl011>(
            *serial.second, spi(layout::kSpiSecondUart),
            devices::Pl011::Place{layout::kSecondUart, layout::kSpiSecondUart});
        second_uart_connection_.emplace(*serial.second, *second_uart_);
        bus_.map(layout::kSecondUart.base, layout::kSecondUart.size, *second_uart_, "pl011-2");
    }
    rtc_ = std::make_unique<devices::Pl031>(loop_, clock_, spi(layout::kSpiRtc));
    bus_.map(layout::kRtc.base, layout::kRtc.size, *rtc_, "pl031");
    board_firmware_ = std::make_unique<BoardFirmware>(loop_, memory_, flash, spi(layout::kSpiGpio),
                                                      [this](const std::string& line) {
                                                          if (host_ != nullptr) host_->say(line);
                                                      });
    board_firmware_->map(bus_);
    if (exit_status != nullptr)
        bus_.map(ExitStatus::kRange.base, ExitStatus::kRange.size, *exit_status, "exit-status");

    const auto networks = make_networks(serial.chardevs);
    if (!networks) return std::unexpected(networks.error());
    const auto factory = devices::DeviceFactory::standard();
    if (const auto good = check_scsi_devices(options_.devices); !good) return good;
    if (const auto good = BootOrder::check(options_.devices); !good) return good;
    devices::DeviceContext context{.loop = loop_,
                                   .clock = clock_,
                                   .host = host_,
                                   .networks = *networks,
                                   .kernel_networks = options_.kernel_networks,
                                   .chardevs = serial.chardevs,
                                   .images = options_.images,
                                   .daemons = options_.daemons,
                                   .host_devices = options_.host_devices,
                                   .ram = ram_,
                                   .ram_bytes = options_.memory};
    if (!options_.lightv.empty() || !options_.control.empty()) context.shared_disks = &shared_disks_;
    auto virtio_devices = make_virtio_devices(factory, context);
    if (!virtio_devices) return std::unexpected(virtio_devices.error());
    for (unsigned slot = 0; slot < layout::kVirtioSlots; ++slot) {
        virtio_.push_back(make_virtio_slot(slot, std::move((*virtio_devices)[slot])));
        bus_.map(layout::virtio_slot_base(slot), layout::kVirtioSlotSize, *virtio_.back(),
                 fmt::format("virtio-mmio{}", slot));
    }

    pci_ = std::make_unique<PciDevices>(bus_,
                                        std::array{spi(layout::kSpiPci), spi(layout::kSpiPci + 1),
                                                   spi(layout::kSpiPci + 2), spi(layout::kSpiPci + 3)},
                                        msi_target(), memory_);
    context.queues = options_.cpus;
    context.memory = &memory_;
    if (auto added = pci_->add(options_.devices, factory, context, boot_order_); !added) return added;

    if (devices::virtio::Balloon* balloon = pci_->balloon(); balloon != nullptr) balloon_ = balloon;

    list_stateful_parts(exit_status);
    return {};
}

void BoardDevices::time_moved() {
    for (const auto& timer : timers_) timer->time_moved();
    for (const auto& pmu : pmus_) pmu->time_moved();
    rtc_->time_moved();
}

void BoardDevices::list_stateful_parts(ExitStatus* exit_status) {
    // The clock comes first: quiesced timers go by a counter that stands.
    stateful_parts_.add("clock", clock_);
    for (unsigned i = 0; i < options_.cpus; ++i) stateful_parts_.add(fmt::format("timer{}", i), *timers_[i]);
    stateful_parts_.add("pl011", *uart_);
    if (second_uart_ != nullptr) stateful_parts_.add("pl011-2", *second_uart_);
    stateful_parts_.add("pl031", *rtc_);
    board_firmware_->list(stateful_parts_);
    if (exit_status != nullptr) stateful_parts_.add("exit-status", *exit_status);
    for (unsigned slot = 0; slot < layout::kVirtioSlots; ++slot)
        stateful_parts_.add(fmt::format("virtio-mmio{}", slot), *virtio_[slot]);
    pci_->list_stateful_parts(stateful_parts_);
    stateful_parts_.add("psci", psci_);
    if (gic3_ != nullptr) {
        stateful_parts_.add("gic", *gic3_);
        stateful_parts_.add("gic-its", *its_);
    } else {
        stateful_parts_.add("gic", *gic2_);
    }
}

std::unique_ptr<devices::virtio::MmioSlot> BoardDevices::make_virtio_slot(
    unsigned slot, std::unique_ptr<devices::virtio::Backend> backend) {
    const devices::IrqLine line = spi(layout::kSpiVirtio + slot);
    if (options_.virtio == VirtioMmio::Legacy)
        return std::make_unique<devices::virtio::MmioLegacy>(slot, memory_, line, std::move(backend));
    return std::make_unique<devices::virtio::Mmio>(slot, memory_, line, std::move(backend));
}

Result<std::map<std::string, devices::NetBackend*, std::less<>>> BoardDevices::make_networks(
    devices::CharBackends* chardevs) {
    std::map<std::string, devices::NetBackend*, std::less<>> networks;
    for (const NetOptions& options : options_.networks) {
        if (options_.kernel_networks.contains(options.id)) continue;
        if (const auto opened = options_.opened_networks.find(options.id);
            opened != options_.opened_networks.end()) {
            networks.emplace(options.id, opened->second.get());
            continue;
        }
        auto network = make_user_network(options, chardevs);
        if (!network) return std::unexpected(network.error());
        networks.emplace(options.id, networks_.emplace_back(std::move(*network)).get());
    }
    return networks;
}

/// By slot.
Result<std::vector<std::unique_ptr<devices::virtio::Backend>>> BoardDevices::make_virtio_devices(
    const devices::DeviceFactory& factory, const devices::DeviceContext& context) {
    std::vector<std::unique_ptr<devices::virtio::Backend>> backends(layout::kVirtioSlots);
    const auto place = [&](const DeviceOptions& device, unsigned slot) -> Result<void> {
        auto made = factory.make(device.request, context);
        if (!made) return std::unexpected(made.error());
        auto* backend = std::get_if<std::unique_ptr<devices::virtio::Backend>>(&*made);
        if (backend == nullptr) return failure("'{}' is not a virtio device", device.request.name);
        if (auto attached =
                attach_scsi_devices(**backend, device, options_.devices, factory, context, boot_order_);
            !attached)
            return attached;
        boot_order_.place(device, fmt::format("/virtio-mmio@{:016x}", layout::virtio_slot_base(slot)));
        backends[slot] = std::move(*backend);
        if (auto* balloon = dynamic_cast<devices::virtio::Balloon*>(backends[slot].get())) balloon_ = balloon;
        return {};
    };
    for (const DeviceOptions& device : options_.devices) {
        if (device.bus != DeviceBus::Mmio || !device.address) continue;
        if (*device.address >= layout::kVirtioSlots)
            return failure("there is no virtio-mmio slot {}", *device.address);
        if (backends[*device.address] != nullptr)
            return failure("two devices in virtio-mmio slot {}", *device.address);
        if (auto placed = place(device, *device.address); !placed) return std::unexpected(placed.error());
    }
    unsigned nth = 0;
    for (const DeviceOptions& device : options_.devices) {
        if (device.bus != DeviceBus::Mmio || device.address) continue;
        while (nth < layout::kVirtioSlots && backends[layout::virtio_slot_of_device(nth)] != nullptr) ++nth;
        if (nth == layout::kVirtioSlots) return failure("more than {} virtio devices", layout::kVirtioSlots);
        if (auto placed = place(device, layout::virtio_slot_of_device(nth)); !placed)
            return std::unexpected(placed.error());
    }
    return backends;
}

}  // namespace arclight::guestos
