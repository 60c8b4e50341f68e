// The one place where threads are started.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "host/thread_role.h"

namespace arclight::host {

/// Starts a thread that has `name` for debuggers and messages (15 bytes of it), an alternate signal stack, so that an
/// overflow of its own is reported, and the limits of `role` (set_thread_role_hook()). Virtual CPUs get the process's signals
/// as their starter does; other threads are deaf to them, but for faults of their own, which kill without a report where they
/// are blocked. An exception that leaves `body` ends the process (host/failure.h). Throws std::system_error if the host gives
/// no thread.
std::thread start_thread(std::string name, ThreadRole role, std::function<void()> body);

/// Of the calling thread; "main" for one that start_thread() has not started. Async-signal-safe.
const char* thread_name();

/// The alternate signal stack of the calling thread, while the object lives. Without memory for one there is none.
class SignalStack {
  public:
    SignalStack();
    ~SignalStack();
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

  private:
    void* mapping_;
};

}  // namespace arclight::host
