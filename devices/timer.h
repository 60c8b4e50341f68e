#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>

#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "devices/irq.h"
#include "devices/state.h"

namespace arclight::devices {

class FdtWriter;

/// The generic timer of one CPU (ARM ARM D11): the EL1 physical and virtual timers over the machine's
/// counter. CNTVOFF is zero, so both count alike. Nothing polls: a running timer is a deadline in the event
/// loop. The loop's thread may be late, so a register or counter that shows the condition drives the output
/// before its value is returned.
class GenericTimer final : public Stateful {
  public:
    static constexpr uint64_t kFrequency = GuestClock::kFrequency;

    enum class Kind : uint8_t { Physical, Virtual };

    GenericTimer(EventLoop& loop, GuestClock& clock, InterruptController& controller, unsigned cpu);

    /// CTL: bit 0 ENABLE, bit 1 IMASK, bit 2 ISTATUS (read only). TVAL is the low 32 bits, zero-extended.
    uint64_t read_ctl(Kind kind);
    uint64_t read_cval(Kind kind);
    uint64_t read_tval(Kind kind);
    void write_ctl(Kind kind, uint64_t value);
    void write_cval(Kind kind, uint64_t value);
    void write_tval(Kind kind, uint64_t value);
    /// This CPU reads the counter, whose value is `ticks`: what is due by then is due at once.
    void counter_read(uint64_t ticks) {
        for (One* timer : {&physical_, &virtual_})
            if (ticks >= timer->rises_at.load(std::memory_order_relaxed)) [[unlikely]]
                timer->look();
    }
    void reset();

    /// With the clock paused.
    void quiesce() override;
    void resume() override;
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

    /// All CPUs share one node. GICv2 wants the mask of CPUs in the interrupt specifier.
    static void add_to_device_tree(FdtWriter& fdt, unsigned cpus, bool gic_v2);

  private:
    struct One {
        struct Registers {
            uint64_t compare = 0;
            bool enabled = false;
            bool masked = false;

            template <typename Archive, typename Self>
            static void fields(Archive& archive, Self& self) {
                archive(self.compare, self.enabled, self.masked);
            }
        };

        One(EventLoop& loop, GuestClock& clock, IrqLine line);
        bool condition(uint64_t now) const { return registers.enabled && now >= registers.compare; }
        bool output() { return condition(clock.ticks()) && !registers.masked; }
        void drive(uint64_t now);  // lock held
        void update();             // lock held
        void look();               // lock not held

        GuestClock& clock;
        std::mutex lock;
        IrqLine line;
        Registers registers;
        /// The counter's value at which the output rises, if it is low and will.
        std::atomic<uint64_t> rises_at{std::numeric_limits<uint64_t>::max()};
        EventLoop::Timer deadline;  // last: destroyed first, while the rest still stands
    };
    One& one(Kind kind) { return kind == Kind::Physical ? physical_ : virtual_; }

    One physical_;
    One virtual_;
};

}  // namespace arclight::devices
