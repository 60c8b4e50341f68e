#include "host/process_time.h"

#include <time.h>

namespace arclight::host {

namespace {

using Clock = std::chrono::steady_clock;

std::chrono::nanoseconds time_of(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::chrono::nanoseconds cpu_time() { return time_of(CLOCK_PROCESS_CPUTIME_ID); }

// Initialised before main().
const Clock::time_point kProgramStart = Clock::now() - cpu_time();

}  // namespace

ProcessTime process_time() { return {.elapsed = Clock::now() - kProgramStart, .cpu = cpu_time()}; }

std::chrono::nanoseconds thread_cpu_time() { return time_of(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace arclight::host
