#include "guestos/sandbox/violation.h"

#include <signal.h>
#include <unistd.h>

#include "guestos/sandbox/system_calls.h"
#include "host/failure.h"
#include "host/signal_text.h"

namespace arclight::guestos::sandbox {

namespace {

void on_violation(int, siginfo_t* info, void*) {
    const auto number = static_cast<unsigned>(info->si_syscall);
    const char* name = system_call_name(number);
    host::SignalText line;
    line << "arclight: sandbox: system call " << int64_t{number} << " ("
         << (name != nullptr ? name : "unknown") << ") is forbidden in a thread of role '"
         << role_name(static_cast<ThreadRole>(info->si_errno))
         << "'; the run has ended. '--sandbox off' runs without it\n";
    line.flush();
    host::carry_out_crash_acts();
    // The action is the default one again since the handler began (SA_RESETHAND).
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    raise(SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // it is delivered here
    _exit(128 + SIGSYS);
}

}  // namespace

void report_violations() {
    struct sigaction action {};
    action.sa_sigaction = on_violation;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, nullptr);
}

}  // namespace arclight::guestos::sandbox
