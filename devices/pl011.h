#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "devices/bus.h"
#include "devices/char_backend.h"
#include "devices/irq.h"
#include "devices/layout.h"
#include "devices/receive_fifo.h"
#include "devices/state.h"

namespace arclight::devices {

/// PrimeCell UART PL011 (ARM DDI 0183). The wire is infinitely fast: transmission completes at once, and a
/// receive timeout follows at once on input that stays below the FIFO's trigger level.
class Pl011 final : public Device, public Stateful, public CharFrontend {
  public:
    /// Its place on the board, for the device tree.
    struct Place {
        layout::Range range = layout::kUart;
        unsigned spi = layout::kSpiUart;
    };
    Pl011(CharBackend& backend, IrqLine line, Place place);
    Pl011(CharBackend& backend, IrqLine line) : Pl011(backend, line, Place()) {}

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    /// Refuses input until resume(): it stays where it comes from.
    void quiesce() override;
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

    /// Goes on where another one is: as it was programmed, and with its interrupt, which the other one loses.
    /// What either has received stays where it is.
    void take_over(Pl011& other);
    /// Without an interrupt until it takes over.
    void disconnect();

    // ---- CharFrontend, from any thread
    size_t receive(std::span<const uint8_t> bytes) override;
    void event(CharEvent event) override;

  private:
    struct State {
        ReceiveFifo fifo;       // entries as DR gives them: a byte, and kDataBreak
        bool connected = true;  // to the interrupt controller
        uint32_t low_power = 0;
        uint32_t integer_baud = 0;
        uint32_t fractional_baud = 0;
        uint32_t line_control = 0;
        uint32_t control = 0;
        uint32_t fifo_levels = 0;
        uint32_t mask = 0;
        uint32_t raw = 0;
        uint32_t dma_control = 0;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.fifo, self.connected, self.low_power, self.integer_baud, self.fractional_baud,
                    self.line_control, self.control, self.fifo_levels, self.mask, self.raw, self.dma_control);
        }
    };

    uint32_t read_register(uint64_t offset);
    void write_register(uint64_t offset, uint32_t value, uint32_t mask, std::optional<uint8_t>& sent);
    size_t depth() const;
    size_t trigger() const;
    bool push(uint16_t data);
    uint16_t pop();
    bool transmit(uint8_t byte);
    bool output() const { return state_.connected && (state_.raw & state_.mask) != 0; }
    void update();
    bool take_refusal();

    CharBackend& backend_;
    const Place place_;

    std::mutex lock_;
    std::atomic<uint32_t> flags_{
        0};  // the flag register as update() left it: drivers poll it, without the lock
    IrqLine line_;
    State state_;
    bool refused_ = false;  // input, since there was no room: accept_input() is owed
    bool quiesced_ = false;
};

}  // namespace arclight::devices
