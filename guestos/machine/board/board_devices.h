// The devices of QEMU's virt board, wired: interrupt controller, timers, UART, clock, virtio slots, firmware.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/bus.h"
#include "devices/device_factory.h"
#include "devices/event_loop.h"
#include "devices/gic_its.h"
#include "devices/gic_v2.h"
#include "devices/gic_v2m.h"
#include "devices/gic_v3.h"
#include "devices/guest_clock.h"
#include "devices/machine_host.h"
#include "devices/net_backend.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pmu_interrupt.h"
#include "devices/psci.h"
#include "devices/state.h"
#include "devices/timer.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mmio_slot.h"
#include "guestos/exit_status.h"
#include "guestos/machine/board/board_firmware.h"
#include "guestos/machine/board/boot_order.h"
#include "guestos/machine/board/pci_devices.h"
#include "guestos/options.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Where the bytes of the board's serial ports go.
struct BoardSerial {
    devices::CharBackend& first;
    devices::CharBackend* second = nullptr;     ///< null: there is no second port
    devices::CharBackends* chardevs = nullptr;  ///< for devices that name one; null: there are none
};

/// What is given to the constructor outlives the devices.
class BoardDevices {
  public:
    /// Makes what virtual CPUs need of their own: interrupt controller and timers. `host`: null, without one. `ram`: for
    /// devices that daemons carry out.
    BoardDevices(const RunOptions& options, devices::EventLoop& loop, const mmu::GuestMemory& memory,
                 devices::CpuInterruptSink& cpus, devices::CpuPower& power, devices::MachineHost* host,
                 const devices::SharedRam& ram = {});

    /// Makes all others. `exit_status` and `flash`: null, without one. An error is one line for the user.
    Result<void> add_peripherals(const BoardSerial& serial, ExitStatus* exit_status, FlashMemory* flash);

    devices::Bus& bus() { return bus_; }
    const devices::Bus& bus() const { return bus_; }
    devices::GuestClock& clock() { return clock_; }
    devices::Psci& firmware() { return psci_; }
    /// Null: the board has a GICv2.
    devices::GicV3* gic3() { return gic3_.get(); }
    devices::GenericTimer& timer(unsigned cpu) { return *timers_[cpu]; }
    devices::PmuInterrupt& pmu(unsigned cpu) { return *pmus_[cpu]; }
    devices::Pl011& uart() { return *uart_; }
    BoardFirmware& board_firmware() { return *board_firmware_; }
    const BootOrder& boot_order() const { return boot_order_; }
    /// Null: there is none.
    devices::virtio::Balloon* balloon() { return balloon_; }
    /// Disks whose images others may choose, in the order of the devices.
    std::span<devices::virtio::SharedDisk* const> shared_disks() const { return shared_disks_; }
    devices::IrqLine uart_line() const { return spi(devices::layout::kSpiUart); }
    /// See HostTimeWatch; any thread.
    void time_moved();
    /// All parts with state, in the order in which they are quiesced.
    devices::StatefulParts& stateful_parts() { return stateful_parts_; }

  private:
    Result<std::vector<std::unique_ptr<devices::virtio::Backend>>> make_virtio_devices(
        const devices::DeviceFactory& factory, const devices::DeviceContext& context);
    Result<std::map<std::string, devices::NetBackend*, std::less<>>> make_networks(
        devices::CharBackends* chardevs);
    std::unique_ptr<devices::virtio::MmioSlot> make_virtio_slot(
        unsigned slot, std::unique_ptr<devices::virtio::Backend> backend);
    void list_stateful_parts(ExitStatus* exit_status);
    devices::InterruptController& gic() const;
    devices::MsiTarget* msi_target() const;
    devices::IrqLine spi(unsigned number) const;

    const RunOptions& options_;
    std::vector<std::unique_ptr<devices::NetBackend>> networks_;
    devices::EventLoop& loop_;
    const mmu::GuestMemory& memory_;
    devices::MachineHost* const host_;
    const devices::SharedRam ram_;
    devices::GuestClock clock_;
    devices::Bus bus_;
    devices::Psci psci_;
    std::unique_ptr<devices::GicV2> gic2_;
    std::unique_ptr<devices::GicV2m> gic2m_;
    std::unique_ptr<devices::GicV3> gic3_;
    std::unique_ptr<devices::GicIts> its_;
    std::vector<std::unique_ptr<devices::GenericTimer>> timers_;
    std::vector<std::unique_ptr<devices::PmuInterrupt>> pmus_;
    std::unique_ptr<devices::Pl011> uart_, second_uart_;
    std::optional<devices::CharConnection> uart_connection_, second_uart_connection_;
    std::unique_ptr<devices::Pl031> rtc_;
    std::unique_ptr<BoardFirmware> board_firmware_;
    std::vector<std::unique_ptr<devices::virtio::MmioSlot>> virtio_;
    std::unique_ptr<PciDevices> pci_;
    BootOrder boot_order_;
    devices::virtio::Balloon* balloon_ = nullptr;
    devices::StatefulParts stateful_parts_;
    std::vector<devices::virtio::SharedDisk*> shared_disks_;
};

}  // namespace arclight::guestos
