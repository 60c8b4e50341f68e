#include "host/process_time.h"

#include <time.h>

namespace arclight::host {

namespace {

using Clock = std::chrono::steady_clock;

std::chrono::nanoseconds cpu_time() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Initialised before main().
const Clock::time_point kProgramStart = Clock::now() - cpu_time();

}  // namespace

ProcessTime process_time() { return {.elapsed = Clock::now() - kProgramStart, .cpu = cpu_time()}; }

}  // namespace arclight::host
