// How long this process has run, and its threads, for statistics.
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

/// CPU time of the calling thread. A system call.
std::chrono::nanoseconds thread_cpu_time();

}  // namespace arclight::host
