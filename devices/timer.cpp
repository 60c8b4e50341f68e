#include "devices/timer.h"

#include <cpuid.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>

#include "devices/fdt_writer.h"
#include "devices/layout.h"

namespace arclight::devices {

namespace {

constexpr uint64_t kCtlEnable = 1 << 0;
constexpr uint64_t kCtlMask = 1 << 1;
constexpr uint64_t kCtlStatus = 1 << 2;

// The system counter starts on CLOCK_MONOTONIC and, once enough time has passed to know the rate of the TSC
// well, goes on with that: 0.2 s of calibration at a few tens of nanoseconds of reading error is below 1 ppm,
// without delaying the start. Deadlines are kept by CLOCK_MONOTONIC; a timer that fires early by the
// difference in rate finds its condition false and is armed again.
struct Scale {
    uint64_t base_tsc;
    uint64_t base_ticks;
    uint64_t ticks_per_cycle;  // 2^-48 ticks
};
constexpr unsigned kScaleShift = 48;
constexpr int64_t kCalibrationNs = 200'000'000;

std::atomic<const Scale*> scale{nullptr};

uint64_t read_tsc() {
    _mm_lfence();  // else the read may be done ahead of an earlier load, and time would run backwards between
                   // CPUs
    return __rdtsc();
}

bool tsc_is_invariant() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(0x8000'0007, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 8 & 1) != 0;
}

class Calibration {
  public:
    uint64_t ticks() {
        const int64_t now = EventLoop::now_ns();
        const int64_t elapsed = now - start_ns_;
        if (invariant_ && elapsed >= kCalibrationNs && !published_.test_and_set()) publish();
        return static_cast<uint64_t>(elapsed / GenericTimer::kNsPerTick);
    }

  private:
    struct Sample {
        int64_t ns;
        uint64_t tsc;
    };
    // The narrowest of a few tries: a preemption between the readings must not go into the rate.
    static Sample sample() {
        Sample best{};
        uint64_t narrowest = ~0ull;
        for (int i = 0; i < 5; i++) {
            const uint64_t before = read_tsc();
            const int64_t ns = EventLoop::now_ns();
            const uint64_t after = read_tsc();
            if (after - before >= narrowest) continue;
            narrowest = after - before;
            best = {ns, before + (after - before) / 2};
        }
        return best;
    }

    void publish() {
        const Sample end = sample();
        if (end.tsc <= start_.tsc || end.ns <= start_.ns) return;
        const auto ticks = static_cast<unsigned __int128>(end.ns - start_.ns) << kScaleShift;
        const auto rate = static_cast<uint64_t>(ticks / GenericTimer::kNsPerTick / (end.tsc - start_.tsc));
        const auto now_ticks = static_cast<uint64_t>((end.ns - start_ns_) / GenericTimer::kNsPerTick);
        scale_ = {end.tsc, now_ticks, rate};
        scale.store(&scale_, std::memory_order_release);
    }

    const bool invariant_ = tsc_is_invariant();
    const Sample start_ = sample();
    const int64_t start_ns_ = start_.ns;
    std::atomic_flag published_;
    Scale scale_{};
};

Calibration& calibration() {
    static Calibration instance;
    return instance;
}

}  // namespace

uint64_t GenericTimer::count() {
    const Scale* known = scale.load(std::memory_order_acquire);
    if (known == nullptr) [[unlikely]]
        return calibration().ticks();
    const auto cycles = static_cast<int64_t>(read_tsc() - known->base_tsc);
    if (cycles < 0) [[unlikely]]
        return known->base_ticks;
    const auto product = static_cast<unsigned __int128>(cycles) * known->ticks_per_cycle;
    return known->base_ticks + static_cast<uint64_t>(product >> kScaleShift);
}

GenericTimer::One::One(EventLoop& loop, IrqLine output)
    : line(output), deadline(loop, [this] {
          const std::lock_guard guard(lock);
          update();
      }) {}

GenericTimer::GenericTimer(EventLoop& loop, InterruptController& controller, unsigned cpu)
    : physical_(loop, IrqLine(controller, layout::kPpiTimerPhysical, cpu)),
      virtual_(loop, IrqLine(controller, layout::kPpiTimerVirtual, cpu)) {
    calibration();
}

// ARM ARM D11.2.4: the condition is an unsigned comparison, the output is level.
void GenericTimer::One::update() {
    const uint64_t now = count();
    const bool met = condition(now);
    line.set(met && !masked);
    // A deadline that no longer counts stays armed: it costs one idle wake-up at most, cancelling would cost
    // more. Nobody waits for a masked timer; reading CTL computes ISTATUS anew.
    if (!enabled || masked || met) return;
    // Beyond ten years there is no need for precision, only for no overflow.
    constexpr uint64_t kFarthest = 10ull * 365 * 86400 * kFrequency;
    const uint64_t ticks = std::min(compare - now, kFarthest);
    deadline.arm(EventLoop::now_ns() + static_cast<int64_t>(ticks) * kNsPerTick);
}

uint64_t GenericTimer::read_ctl(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    return (timer.enabled ? kCtlEnable : 0) | (timer.masked ? kCtlMask : 0) |
           (timer.condition(count()) ? kCtlStatus : 0);
}

uint64_t GenericTimer::read_cval(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    return timer.compare;
}

uint64_t GenericTimer::read_tval(Kind kind) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    return static_cast<uint32_t>(timer.compare - count());
}

void GenericTimer::write_ctl(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.enabled = (value & kCtlEnable) != 0;
    timer.masked = (value & kCtlMask) != 0;
    timer.update();
}

void GenericTimer::write_cval(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.compare = value;
    timer.update();
}

void GenericTimer::write_tval(Kind kind, uint64_t value) {
    One& timer = one(kind);
    const std::lock_guard guard(timer.lock);
    timer.compare = count() + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
    timer.update();
}

void GenericTimer::reset() {
    for (One* timer : {&physical_, &virtual_}) {
        const std::lock_guard guard(timer->lock);
        timer->enabled = false;
        timer->masked = false;
        timer->compare = 0;
        timer->update();
    }
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
