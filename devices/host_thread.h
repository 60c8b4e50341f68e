#pragma once

#include <pthread.h>
#include <signal.h>

#include <string>
#include <thread>
#include <utility>

#include "mmu/thread_role.h"

namespace arclight::devices {

/// A service thread: named for debuggers, and deaf to signals meant for the CPUs or the console. Faults stay
/// deliverable, since a blocked one kills without a report.
template <typename F>
std::thread start_host_thread(const char* name, ThreadRole role, F&& body) {
    sigset_t blocked;
    sigset_t old;
    sigfillset(&blocked);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &old);  // inherited by the new thread
    // A thread can always name itself; another one is named by a file in /proc, which a sandbox may not have.
    std::thread thread([name = std::string(name), role, body = std::forward<F>(body)] {
        pthread_setname_np(pthread_self(), name.c_str());
        enter_thread_role(role);
        body();
    });
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    return thread;
}

}  // namespace arclight::devices
