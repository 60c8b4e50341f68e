#pragma once

#include <cstdint>
#include <functional>

#include "devices/event_loop.h"
#include "devices/irq.h"

namespace arclight::devices {

class FdtWriter;

/// The overflow interrupt of one CPU's performance monitors (PPI 23). The counters are the CPU's own: it sets
/// the level, and says when it wants to look at them.
class PmuInterrupt {
  public:
    PmuInterrupt(EventLoop& loop, InterruptController& controller, unsigned cpu);

    /// Before the first look_within(). `due`: any thread; the CPU is to look at its counters.
    void set_due(std::function<void()> due) { due_ = std::move(due); }

    // ---- The CPU's thread, or with the CPU at rest
    void set(bool level) { line_.set(level); }
    /// After a load() of the interrupt controller.
    void refresh() { line_.refresh(line_.level()); }
    /// In so many nanoseconds of guest time at most, and no more as was asked for before.
    void look_within(uint64_t ns);
    /// The guest's time has gone on by more than the host's.
    void time_moved() { due_(); }

    /// All CPUs share one node. GICv2 wants the mask of CPUs in the interrupt specifier.
    static void add_to_device_tree(FdtWriter& fdt, unsigned cpus, bool gic_v2);

  private:
    IrqLine line_;
    std::function<void()> due_ = [] {};
    EventLoop::Timer deadline_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices
