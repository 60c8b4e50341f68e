#include "devices/timer.h"

#include "devices/fdt_writer.h"
#include "devices/layout.h"

namespace arclight::devices {

namespace {

constexpr uint64_t kCtlEnable = 1 << 0;
constexpr uint64_t kCtlMask = 1 << 1;
constexpr uint64_t kCtlStatus = 1 << 2;

constexpr uint32_t kStateVersion = 1;

}  // namespace

GenericTimer::One::One(EventLoop& loop, GuestClock& guest_clock, IrqLine output)
    : clock(guest_clock), line(output), deadline(loop, [this] { look(); }) {}

GenericTimer::GenericTimer(EventLoop& loop, GuestClock& clock, InterruptController& controller, unsigned cpu)
    : physical_(loop, clock, IrqLine(controller, layout::kPpiTimerPhysical, cpu)),
      virtual_(loop, clock, IrqLine(controller, layout::kPpiTimerVirtual, cpu)) {}

// ARM ARM D11.2.4: the condition is an unsigned comparison, the output is level.
void GenericTimer::One::drive(uint64_t now) {
    const bool met = condition(now);
    line.set(met && !registers.masked);
    const bool rises = registers.enabled && !registers.masked && !met;
    rises_at.store(rises ? registers.compare : std::numeric_limits<uint64_t>::max(),
                   std::memory_order_relaxed);
}

void GenericTimer::One::update() {
    const uint64_t now = clock.ticks();
    drive(now);
    // A deadline that no longer counts stays armed: it costs one idle wake-up at most, cancelling would cost
    // more. Nobody waits for a masked timer; reading CTL computes ISTATUS anew. In a pause resume() arms it.
    if (!registers.enabled || registers.masked || condition(now) || clock.paused()) return;
    deadline.arm(clock.deadline_ns(registers.compare));
}

void GenericTimer::One::look() {
    const std::lock_guard guard(lock);
    update();
}

uint64_t GenericTimer::read_ctl(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    const uint64_t now = timer.clock.ticks();
    timer.drive(now);
    return (timer.registers.enabled ? kCtlEnable : 0) | (timer.registers.masked ? kCtlMask : 0) |
           (timer.condition(now) ? kCtlStatus : 0);
}

uint64_t GenericTimer::read_cval(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    return timer.registers.compare;
}

uint64_t GenericTimer::read_tval(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    const uint64_t now = timer.clock.ticks();
    timer.drive(now);
    return static_cast<uint32_t>(timer.registers.compare - now);
}

void GenericTimer::write_ctl(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.registers.enabled = (value & kCtlEnable) != 0;
    timer.registers.masked = (value & kCtlMask) != 0;
    timer.update();
}

void GenericTimer::write_cval(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.registers.compare = value;
    timer.update();
}

void GenericTimer::write_tval(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.registers.compare =
        timer.clock.ticks() + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
    timer.update();
}

void GenericTimer::reset() {
    for (One* timer : {&physical_, &virtual_}) {
        const std::lock_guard guard(timer->lock);
        timer->registers.enabled = false;
        timer->registers.masked = false;
        timer->registers.compare = 0;
        timer->update();
    }
}

// With the clock paused a last look makes the output agree with it, and callbacks change nothing any more.
void GenericTimer::quiesce() {
    for (One* timer : {&physical_, &virtual_}) {
        const std::lock_guard guard(timer->lock);
        timer->update();
        timer->deadline.cancel();
    }
}

void GenericTimer::resume() {
    for (One* timer : {&physical_, &virtual_}) {
        const std::lock_guard guard(timer->lock);
        timer->line.refresh(timer->output());
        timer->update();
    }
}

void GenericTimer::save(StateWriter& out) const {
    out.section("generic-timer", kStateVersion, [&] { out(physical_.registers, virtual_.registers); });
}

StateResult GenericTimer::load(StateReader& in) {
    One::Registers physical, virtual_timer;
    const auto loaded = in.section("generic-timer", kStateVersion, [&] { in(physical, virtual_timer); });
    if (!loaded) return loaded;
    const std::scoped_lock guard(physical_.lock, virtual_.lock);
    physical_.registers = physical;
    virtual_.registers = virtual_timer;
    // resume() says when the outputs rise.
    for (One* timer : {&physical_, &virtual_})
        timer->rises_at.store(std::numeric_limits<uint64_t>::max(), std::memory_order_relaxed);
    return {};
}

void GenericTimer::add_to_device_tree(FdtWriter& fdt, unsigned cpus, bool gic_v2) {
    constexpr uint32_t kPpi = 1;
    constexpr uint32_t kLevelHigh = 4;
    const uint32_t flags = gic_v2 ? ((1u << cpus) - 1) << 8 | kLevelHigh : kLevelHigh;
    const auto number = [](unsigned intid) { return intid - layout::kFirstPpiIntid; };
    fdt.begin_node("timer");
    fdt.property_strings("compatible", {"arm,armv8-timer", "arm,armv7-timer"});
    fdt.property("always-on");
    fdt.property_cells("interrupts", {kPpi, number(layout::kPpiTimerSecure), flags,    //
                                      kPpi, number(layout::kPpiTimerPhysical), flags,  //
                                      kPpi, number(layout::kPpiTimerVirtual), flags,   //
                                      kPpi, number(layout::kPpiTimerHypervisor), flags});
    fdt.end_node();
}

}  // namespace arclight::devices
