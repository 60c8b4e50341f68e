// The one place where threads are started.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace arclight::host {

/// Which signals of the process a thread may be interrupted by. Faults of its own are delivered in any case, since a blocked
/// one kills without a report.
enum class ThreadSignals : uint8_t {
    None,       ///< a service thread: deaf to signals meant for the CPUs or the console
    Inherited,  ///< as the thread that starts it
};

/// Starts a thread that has `name` for debuggers and messages (15 bytes of it) and an alternate signal stack, so that an
/// overflow of its own is reported. An exception that leaves `body` ends the process (host/failure.h). Throws
/// std::system_error if the host gives no thread.
std::thread start_thread(std::string name, ThreadSignals signals, std::function<void()> body);

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
