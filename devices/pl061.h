#pragma once

#include <cstdint>
#include <mutex>

#include "devices/bus.h"
#include "devices/event_loop.h"
#include "devices/irq.h"
#include "devices/state.h"

namespace arclight::devices {

/// PrimeCell GPIO PL061 (ARM DDI 0190): eight lines, one of which is the board's power key.
class Pl061 final : public Device, public Stateful {
  public:
    static constexpr unsigned kPowerKey = 3;  ///< its line, as on QEMU's virt board

    Pl061(EventLoop& loop, IrqLine line);

    /// Presses the power key, and releases it a moment later: a guest that listens shuts itself down. Any thread.
    void power_key();
    /// The level of an input line.
    void set_input(unsigned number, bool level);

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    void quiesce() override;
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    struct State {
        uint32_t data = 0;       ///< levels of outputs
        uint32_t inputs = 0;     ///< levels of inputs; lines that nothing drives are low
        uint32_t direction = 0;  ///< 1: an output
        uint32_t level_sensitive = 0;
        uint32_t both_edges = 0;
        uint32_t event = 0;  ///< 1: rising edge or high level
        uint32_t mask = 0;
        uint32_t raw = 0;  ///< latched edges, and levels
        uint32_t alternate = 0;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.data, self.inputs, self.direction, self.level_sensitive, self.both_edges, self.event,
                    self.mask, self.raw, self.alternate);
        }
    };

    uint32_t levels() const { return (state_.data & state_.direction) | (state_.inputs & ~state_.direction); }
    uint32_t read_register(uint64_t offset) const;
    void write_register(uint64_t offset, uint32_t value, uint32_t mask);
    void drive(unsigned number, bool level);
    void update();
    void release_later();

    std::mutex lock_;
    IrqLine line_;
    State state_;
    bool quiesced_ = false;
    EventLoop::Timer release_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices
