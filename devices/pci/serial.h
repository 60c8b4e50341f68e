#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "devices/char_backend.h"
#include "devices/pci/function.h"
#include "devices/receive_fifo.h"

namespace arclight::devices::pci {

/// A serial port on PCI, as QEMU's pci-serial: a 16550A (TI's PC16550D data sheet, SNLS378) with its eight registers behind a BAR of
/// ports. The wire is infinitely fast, as the PL011's.
class Serial final : public Function, private CharFrontend {
  public:
    explicit Serial(CharBackend& backend);

    /// Refuses input until resume(): it stays where it comes from.
    void quiesce() override;
    void resume() override;

  private:
    struct State {
        ReceiveFifo fifo;  // entries: bytes, and kBreak
        uint8_t interrupt_enable = 0, fifo_control = 0, line_control = 0, modem_control = 0, scratch = 0;
        uint16_t divisor = 12;        // 9600 baud
        bool transmit_empty = false;  // an interrupt for that is owed
        bool overrun = false;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.fifo, self.interrupt_enable, self.fifo_control, self.line_control,
                    self.modem_control, self.scratch, self.divisor, self.transmit_empty, self.overrun);
        }
    };

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) override;
    void reset_device_state() override;
    void save_device(StateWriter& out) const override;
    StateResult load_device(StateReader& in) override;
    size_t receive(std::span<const uint8_t> bytes) override;
    void event(CharEvent event) override;

    // ---- Lock held.
    uint8_t read_register(uint64_t offset);
    /// Returns the byte that leaves by the wire, if one does.
    std::optional<uint8_t> write_register(uint64_t offset, uint8_t value);
    bool divisor_shown() const;
    size_t depth() const;
    size_t trigger() const;
    bool push(uint16_t data);
    bool has_break() const;
    uint8_t modem_status() const;
    uint8_t interrupt_source() const;
    void update();
    bool take_refusal();

    CharBackend& backend_;
    mutable std::mutex lock_;  // after the bridge's
    State state_;
    bool refused_ = false;  // input, since there was no room: accept_input() is owed
    bool quiesced_ = false;
    const CharConnection connection_;  // the last one: from now on there is input
};

}  // namespace arclight::devices::pci
