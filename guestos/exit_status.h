// A page of registers by which the default guest's /init reports the exit status of its command. The console carries the
// command's own bytes only. QEMU's virt board has no device at this address; a guest looks for the device-tree node
// (compatible "arclight,exit-status") or the ACPI device (ARCL0001) before it accesses the page.
//
//   0x0  STATUS   write: the exit status, low 8 bits. read: the last one written.
//   0x4  CONSOLE  write: the form of the console's input from now on (ConsoleInput).
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "devices/bus.h"
#include "devices/layout.h"
#include "devices/state.h"

namespace arclight::guestos {

/// The form in which the console passes input to the guest.
enum class ConsoleInput : uint32_t {
    Plain = 1,   ///< key presses, unchanged
    Framed = 2,  ///< pieces for a canonical-mode terminal, see guestos/console/input_frame.h
};

class ExitStatus final : public devices::Device, public devices::Stateful {
  public:
    static constexpr devices::layout::Range kRange{0x090c'0000, 0x1000};

    /// `on_console` is called on the writing CPU's thread.
    explicit ExitStatus(std::function<void(ConsoleInput)> on_console = {})
        : on_console_(std::move(on_console)) {}

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(devices::FdtWriter& fdt) const override;

    /// Passes the form of input that the guest selected last to the console.
    void resume() override;
    void save(devices::StateWriter& out) const override;
    devices::StateResult load(devices::StateReader& in) override;

    /// The exit status; nothing until the guest reports one.
    std::optional<int> status() const {
        const int value = status_;
        return value < 0 ? std::nullopt : std::optional(value);
    }

  private:
    std::function<void(ConsoleInput)> on_console_;
    std::atomic<int> status_{-1};
    std::atomic<uint32_t> console_{0};  ///< the ConsoleInput selected last, or 0
};

}  // namespace arclight::guestos
