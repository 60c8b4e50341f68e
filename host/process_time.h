// How long this process has run, for statistics of its start.
#pragma once

#include <chrono>

namespace arclight::host {

struct ProcessTime {
    /// Since the program's start. What comes before the first line of C++, which is the loader's work on one thread, counts as
    /// long as the CPU time that it took.
    std::chrono::nanoseconds elapsed;
    std::chrono::nanoseconds cpu;  ///< of all threads
};

/// Any thread.
ProcessTime process_time();

}  // namespace arclight::host
