#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "devices/state.h"

namespace arclight::devices {

/// Guest time: the system counter (ARM ARM D11.1.2) and the time of day. Each machine owns one; whatever of
/// the machine shows or waits for time goes by it.
///
/// The counter starts at zero and stands still while paused, so that a pause or a move to another host is
/// invisible in it. It runs on CLOCK_MONOTONIC first and, once enough time has passed to know the rate of the
/// host's TSC well, on the TSC: 0.2 s of calibration at a few tens of nanoseconds of reading error is below
/// 1 ppm, without delaying the start. Deadlines are kept by CLOCK_MONOTONIC: a deadline that comes early by
/// the difference in rate finds its condition false and is set again.
class GuestClock final : public Stateful {
  public:
    static constexpr uint64_t kFrequency = 62'500'000;  ///< of the counter in Hz (CNTFRQ_EL0), QEMU's default
    static constexpr int64_t kNsPerTick = 1'000'000'000 / kFrequency;

    GuestClock();

    /// CNTPCT_EL0 and, CNTVOFF being zero, CNTVCT_EL0. Monotonic across threads.
    uint64_t ticks();
    /// The counter goes on from this value.
    void set_ticks(uint64_t ticks);

    /// Stops and restarts the counter. Whoever waits for a deadline sets it anew after resume_counter().
    void pause_counter();
    void resume_counter();
    bool paused() const { return paused_.load(std::memory_order_acquire); }

    /// The CLOCK_MONOTONIC time in nanoseconds at which the running counter reaches `ticks`, or one before
    /// that if it is more than ten years away.
    int64_t deadline_ns(uint64_t ticks);

    /// Nanoseconds since 1970 for the guest's real-time clock: the host's plus an offset. It goes on in a
    /// pause, as a clock with a battery does.
    int64_t wall_ns() const;
    void set_wall_offset_ns(int64_t offset) { wall_offset_ns_.store(offset, std::memory_order_relaxed); }
    int64_t wall_offset_ns() const { return wall_offset_ns_.load(std::memory_order_relaxed); }

    void quiesce() override { pause_counter(); }
    void resume() override { resume_counter(); }
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    /// One moment on both of the host's clocks.
    struct Sample {
        int64_t ns;
        uint64_t tsc;
    };
    static Sample sample();
    struct Reading {
        uint64_t ticks;
        uint64_t source;
        bool tsc;
    };
    Reading read() const;
    uint64_t read_source(bool tsc) const;
    uint64_t ticks_at(uint64_t source) const;
    template <typename Change>
    void change(Change&& change);
    void run_from(uint64_t ticks);
    void calibrate();

    const bool tsc_is_invariant_;
    const Sample start_;
    std::atomic_flag calibrated_;
    uint64_t tsc_rate_ = 0;  // 2^-48 ticks a cycle; 0: not known. Under lock_
    std::atomic<bool> paused_{false};
    std::atomic<int64_t> wall_offset_ns_{0};

    std::mutex lock_;  // of whoever changes what follows
    // A sequence lock: odd while the fields below change. ticks() = base_ticks_ + (source - base_source_) *
    // rate_; in a pause the rate is zero.
    alignas(64) std::atomic<uint32_t> sequence_{0};
    std::atomic<bool> uses_tsc_{false};  // else the source is CLOCK_MONOTONIC in ns
    std::atomic<uint64_t> base_source_{0};
    std::atomic<uint64_t> base_ticks_{0};
    std::atomic<uint64_t> rate_{0};  // 2^-48 ticks a unit of the source
};

}  // namespace arclight::devices
