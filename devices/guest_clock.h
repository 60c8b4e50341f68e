#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "devices/host_time.h"
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
///
/// Watched (HostTimeWatch), it also keeps what happens to the host out of the guest. The watch looks every
/// 100 ms. Until it has looked again the counter goes on for kUnwatchedNs at most, and then stands: whoever
/// reads it first after a stop does not see the stop. The watch then knows what has happened, and the counter
/// goes on from there, or catches up.
class GuestClock final : public Stateful {
  public:
    static constexpr uint64_t kFrequency = 62'500'000;  ///< of the counter in Hz (CNTFRQ_EL0), QEMU's default
    static constexpr int64_t kNsPerTick = 1'000'000'000 / kFrequency;
    /// How far the counter goes on since the watch has looked.
    static constexpr int64_t kUnwatchedNs = 300'000'000;
    /// A watch that comes later than this asks whether the process was stopped.
    static constexpr int64_t kShortestStopNs = 600'000'000;

    struct Watch {
        HostSuspend host_suspend = HostSuspend::Pause;
        unsigned busy_threads = 1;  ///< as many as can run guest code at once
    };

    explicit GuestClock(const HostTime* host = nullptr);  ///< `host`: of a test; outlives the clock

    /// CNTPCT_EL0 and, CNTVOFF being zero, CNTVCT_EL0. Monotonic across threads; of one thread whatever the
    /// host's TSC does, of several but for what it goes back by between two looks of the watch.
    uint64_t ticks();
    /// The counter goes on from this value.
    void set_ticks(uint64_t ticks);

    /// Stops and restarts the counter. Whoever waits for a deadline sets it anew after resume_counter().
    void pause_counter();
    void resume_counter();
    bool paused() const { return paused_.load(std::memory_order_acquire); }

    /// From now on look_at_host() is called every 100 ms.
    void begin_watch(const Watch& watch);
    void end_watch();
    /// Compares the host's clocks with each other and with what they were. True: the counter has gone on by
    /// more than CLOCK_MONOTONIC, so that deadlines have to be set again.
    bool look_at_host();

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
    /// One moment on two of the host's clocks.
    struct Sample {
        int64_t ns;
        uint64_t tsc;
        uint64_t doubt;  ///< cycles between the readings before and after
    };
    /// What the watch compares.
    struct Look {
        Sample sample{};
        int64_t suspended_ns = 0;  ///< CLOCK_BOOTTIME - CLOCK_MONOTONIC
        int64_t cpu_ns = 0;
        uint64_t ticks = 0;
    };
    struct Reading {
        uint64_t ticks;
        uint64_t source;
        uint64_t era;
        bool tsc;
    };
    Sample sample() const;
    Look look() const;
    Reading read() const;
    uint64_t read_source(bool tsc) const;
    uint64_t ticks_at(uint64_t source) const;
    uint64_t unlimited_ticks_at(uint64_t source) const;
    int64_t ns_of_cycles(int64_t cycles) const;
    bool agrees(uint64_t ticks, uint64_t expected, int64_t tolerance_ns) const;
    template <typename Change>
    void change(Change&& change);
    void run_from(uint64_t ticks);
    void set_limit(uint64_t source);
    void note_look();
    void start_calibration(const Sample& from);
    void calibrate();
    bool follow(const Look& now);

    const HostTime& host_;
    const bool real_;
    const bool tsc_is_invariant_;
    /// On CLOCK_MONOTONIC; whoever takes it away calibrates.
    std::atomic<int64_t> calibrate_at_;
    std::atomic<bool> paused_{false};
    std::atomic<int64_t> wall_offset_ns_{0};

    std::mutex lock_;        // of whoever changes what follows
    Sample start_;           // of the calibration
    uint64_t tsc_rate_ = 0;  // 2^-48 ticks a cycle; 0: not known
    unsigned tsc_jumps_ = 0;
    bool watched_ = false;
    Watch watch_;
    Look last_;
    // A sequence lock: odd while the fields below change. ticks() = base_ticks_ + min(source - base_source_,
    // limit_) * rate_; in a pause the rate is zero. limit_ alone may also rise in between.
    alignas(64) std::atomic<uint32_t> sequence_{0};
    std::atomic<bool> uses_tsc_{false};  // else the source is CLOCK_MONOTONIC in ns
    std::atomic<uint64_t> base_source_{0};
    std::atomic<uint64_t> base_ticks_{0};
    std::atomic<uint64_t> rate_{0};  // 2^-48 ticks a unit of the source
    std::atomic<int64_t> limit_;     // units of the source
    std::atomic<uint64_t> era_;      // of all clocks and all times that one was set, none has the same
};

}  // namespace arclight::devices
