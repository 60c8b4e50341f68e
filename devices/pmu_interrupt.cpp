#include "devices/pmu_interrupt.h"

#include <algorithm>

#include "devices/fdt_writer.h"
#include "devices/layout.h"

namespace arclight::devices {

PmuInterrupt::PmuInterrupt(EventLoop& loop, InterruptController& controller, unsigned cpu)
    : line_(controller, layout::kPpiPmu, cpu), deadline_(loop, [this] { due_(); }) {}

void PmuInterrupt::look_within(uint64_t ns) {
    constexpr uint64_t kFarthest = 3600ull * 1'000'000'000;  // then the CPU looks in vain, and asks again
    deadline_.arm(EventLoop::now_ns() + static_cast<int64_t>(std::min(ns, kFarthest)));
}

void PmuInterrupt::add_to_device_tree(FdtWriter& fdt, unsigned cpus, bool gic_v2) {
    constexpr uint32_t kPpi = 1;
    constexpr uint32_t kLevelHigh = 4;
    const uint32_t flags = gic_v2 ? ((1u << cpus) - 1) << 8 | kLevelHigh : kLevelHigh;
    fdt.begin_node("pmu");
    fdt.property_string("compatible", "arm,armv8-pmuv3");
    fdt.property_cells("interrupts", {kPpi, layout::kPpiPmu - layout::kFirstPpiIntid, flags});
    fdt.end_node();
}

}  // namespace arclight::devices
