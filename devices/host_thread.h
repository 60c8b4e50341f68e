#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace arclight::devices {

/// A service thread: named for debuggers, and deaf to signals meant for the CPUs or the console. Faults stay
/// deliverable, since a blocked one kills without a report.
template <typename F>
std::thread start_host_thread(const char* name, F&& body) {
    sigset_t blocked;
    sigset_t old;
    sigfillset(&blocked);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &old);  // inherited by the new thread
    std::thread thread(std::forward<F>(body));
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    pthread_setname_np(thread.native_handle(), name);
    return thread;
}

}  // namespace arclight::devices
