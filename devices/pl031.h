#pragma once

#include <cstdint>
#include <mutex>

#include "devices/bus.h"
#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "devices/irq.h"
#include "devices/state.h"

namespace arclight::devices {

/// PrimeCell real-time clock PL031 (ARM DDI 0224): seconds since 1970 by the guest's time of day, one alarm.
class Pl031 final : public Device, public Stateful {
  public:
    Pl031(EventLoop& loop, GuestClock& clock, IrqLine line);

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    /// The time of day has changed by more than CLOCK_MONOTONIC: the alarm is set again.
    void time_moved();

    void quiesce() override;
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    struct State {
        uint32_t offset = 0;  // guest seconds minus those of the time of day
        uint32_t load = 0;
        uint32_t match = 0;
        bool alarm_pending = false;
        bool enabled = false;
        bool alarm_set = false;
        int64_t alarm_at = 0;  // in seconds of the time of day, if alarm_set

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.offset, self.load, self.match, self.alarm_pending, self.enabled, self.alarm_set,
                    self.alarm_at);
        }
    };

    uint32_t read_register(uint64_t offset);
    void write_register(uint64_t offset, uint32_t value, uint32_t mask);
    int64_t wall_seconds() const { return clock_.wall_ns() / 1'000'000'000; }
    uint32_t seconds() const { return static_cast<uint32_t>(wall_seconds()) + state_.offset; }
    void set_alarm();
    void check_alarm();
    bool output() const { return state_.alarm_pending && state_.enabled; }

    GuestClock& clock_;
    std::mutex lock_;
    IrqLine line_;
    State state_;
    bool quiesced_ = false;
    EventLoop::Timer alarm_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices
