#pragma once

#include <cstdint>

namespace arclight::devices {

/// What guest time does with time in which the host was suspended or did not run the process.
enum class HostSuspend : uint8_t {
    Pause,  ///< stands
    Pass,   ///< goes on
};

/// The host's clocks as GuestClock reads them. A test has one of its own, which jumps as hosts' clocks do.
class HostTime {
  public:
    virtual ~HostTime() = default;
    /// CLOCK_MONOTONIC: stands while the host is suspended.
    virtual int64_t monotonic_ns() const = 0;
    /// CLOCK_BOOTTIME: CLOCK_MONOTONIC and the time for which the host was suspended.
    virtual int64_t boottime_ns() const = 0;
    /// CPU time of this process, all threads.
    virtual int64_t cpu_ns() const = 0;
    virtual uint64_t tsc() const = 0;
    /// Whether the TSC counts at one rate, whatever the processor does.
    virtual bool tsc_is_invariant() const = 0;

    static const HostTime& real();
};

/// The TSC of this host, not read ahead of an earlier load: else time would run backwards between CPUs.
inline uint64_t read_tsc() {
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
}

}  // namespace arclight::devices
