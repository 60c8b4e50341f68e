#include "devices/host_time.h"

#include <cpuid.h>
#include <time.h>

namespace arclight::devices {

namespace {

int64_t read_clock(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

class RealTime final : public HostTime {
  public:
    int64_t monotonic_ns() const override { return read_clock(CLOCK_MONOTONIC); }
    int64_t boottime_ns() const override { return read_clock(CLOCK_BOOTTIME); }
    int64_t cpu_ns() const override { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }
    uint64_t tsc() const override { return read_tsc(); }
    bool tsc_is_invariant() const override {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        return __get_cpuid(0x8000'0007, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 8 & 1) != 0;
    }
};

}  // namespace

const HostTime& HostTime::real() {
    static const RealTime time;
    return time;
}

}  // namespace arclight::devices
