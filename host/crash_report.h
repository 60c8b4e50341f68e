// A fatal signal of this process: the terminal is restored, a few lines say that the fault is Arclight's and what to send,
// and the process dies by the same signal.
#pragma once

#include <cstdint>
#include <string>

namespace arclight::host {

/// Handles SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP and SIGABRT from now on, on the calling thread's alternate stack and
/// those of host::start_thread(). Memory that the host took away (host/memory_fault.h) is no crash. `version` and the
/// command line are copied.
void report_crashes(const std::string& version, int argc, char** argv);

/// Where a thread of this process has crashed, if the host's kernel does not see that: in a virtual machine.
struct CrashSite {
    int signal;        ///< what the crash would be outside
    uint64_t address;  ///< of the access, or of the instruction
    uint64_t pc, sp, rbp, rbx, r12, r13, r14, r15;
};
/// On that thread: says what a fatal signal would say, and returns. Nothing without report_crashes().
void report_crash_at(const CrashSite& site);

}  // namespace arclight::host
