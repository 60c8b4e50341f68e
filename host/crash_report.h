// A fatal signal of this process: the terminal is restored, a few lines say that the fault is Arclight's and what to send,
// and the process dies by the same signal.
#pragma once

#include <string>

namespace arclight::host {

/// Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGABRT from now on, on the calling thread's alternate stack and
/// those of host::start_thread(). Memory that the host took away (host/memory_fault.h) is no crash. `version` and the
/// command line are copied.
void report_crashes(const std::string& version, int argc, char** argv);

}  // namespace arclight::host
