#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "devices/event_loop.h"
#include "devices/machine_host.h"
#include "devices/pci/function.h"
#include "devices/pci/msi.h"
#include "devices/vfio/config_view.h"
#include "devices/vfio/host_device.h"

namespace arclight::devices::vfio {

/// A PCI function of the host's, given to the guest: it reaches guest memory by itself, at the guest's addresses, and accesses to its
/// BARs reach it without a system call. Placed by the guest, and interrupted through its MSI-X table, its MSI capability or its pin,
/// it is as any other function of the board.
class Function final : public pci::Function {
  public:
    /// `host`: null, nobody is told. An error is one line for the user, without the device's name.
    static Result<std::unique_ptr<Function>> make(std::shared_ptr<HostDevice> device, EventLoop& loop,
                                                  const mmu::GuestMemory& memory, MachineHost* host);
    /// The device is reset, and reaches guest memory no more.
    ~Function() override;

    uint32_t config_read(unsigned offset, unsigned size) override;
    void config_write(unsigned offset, uint32_t value, unsigned size) override;

  private:
    enum class Mode : uint8_t { None, Pin, Msi, Msix };

    Function(std::shared_ptr<HostDevice> device, EventLoop& loop, MachineHost* host, ConfigView view,
             const std::vector<uint8_t>& raw);
    Result<void> open_events();

    // ---- pci::Function
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) override;
    void placed(bool behind_root_port) override;
    void reset_device_state() override;
    void control_changed() override;
    void save_device(StateWriter& out) const override;
    StateResult load_device(StateReader& in) override;

    void add_bars(const std::vector<uint8_t>& raw);
    void show_config();
    /// The MSI-X table's or the pending bits' place in Msix's window of an access; nothing: it is to neither.
    std::optional<uint64_t> msix_offset(unsigned bar, uint64_t offset, unsigned size) const;
    void choose_mode();
    void begin(Mode mode);
    void end_mode();
    void signalled(unsigned event);
    void pin_served();
    void forward_command();

    const std::shared_ptr<HostDevice> device_;
    EventLoop& loop_;
    MachineHost* const host_;
    ConfigView view_;
    const std::optional<MsixPlace> table_;
    std::optional<pci::Msi> msi_;
    std::shared_ptr<Container::Dma> dma_;
    std::vector<File> events_;
    std::atomic<Mode> mode_{Mode::None};
    uint32_t forwarded_ = 0;  ///< the command that the device has
    bool told_ = false;       ///< that its interrupts cannot be had

    std::mutex pin_lock_;
    std::atomic<bool> pin_raised_{false};
};

}  // namespace arclight::devices::vfio
