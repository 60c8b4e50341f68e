#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "devices/event_loop.h"
#include "devices/irq.h"

namespace arclight::devices {

class FdtWriter;

/// The generic timer of one CPU (ARM ARM D11): the EL1 physical and virtual timers over one system counter.
/// CNTVOFF is zero, so both count alike. Nothing polls: a running timer is a deadline in the event loop.
class GenericTimer {
  public:
    static constexpr uint64_t kFrequency = 62'500'000;  ///< CNTFRQ_EL0, QEMU's default
    static constexpr int64_t kNsPerTick = 1'000'000'000 / kFrequency;

    enum class Kind : uint8_t { Physical, Virtual };

    GenericTimer(EventLoop& loop, InterruptController& controller, unsigned cpu);

    /// CNTPCT_EL0 and CNTVCT_EL0: ticks since the process started, monotonic across threads.
    static uint64_t count();

    /// CTL: bit 0 ENABLE, bit 1 IMASK, bit 2 ISTATUS (read only). TVAL is the low 32 bits, zero-extended.
    uint64_t read_ctl(Kind kind);
    uint64_t read_cval(Kind kind);
    uint64_t read_tval(Kind kind);
    void write_ctl(Kind kind, uint64_t value);
    void write_cval(Kind kind, uint64_t value);
    void write_tval(Kind kind, uint64_t value);
    void reset();

    /// All CPUs share one node. GICv2 wants the mask of CPUs in the interrupt specifier.
    static void add_to_device_tree(FdtWriter& fdt, unsigned cpus, bool gic_v2);

  private:
    struct One {
        One(EventLoop& loop, IrqLine line);
        bool condition(uint64_t now) const { return enabled && now >= compare; }
        void update();  // lock held

        std::mutex lock;
        IrqLine line;
        uint64_t compare = 0;
        bool enabled = false;
        bool masked = false;
        EventLoop::Timer deadline;  // last: destroyed first, while the rest still stands
    };
    One& one(Kind kind) { return kind == Kind::Physical ? physical_ : virtual_; }

    One physical_;
    One virtual_;
};

}  // namespace arclight::devices
