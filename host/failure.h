// The end of a process that cannot go on: out of memory, an exception that nothing handles.
#pragma once

#include <atomic>
#include <cstdint>

namespace arclight::host {

/// What is left to do before the process ends out of order: restore a terminal, print what the guest said last. While the object lives,
/// `act(context)` may be called once, on any thread and with any lock held, so it must neither allocate nor wait for a lock.
class LastAct {
  public:
    enum class When : uint8_t {
        Failure,          ///< end_by_failure() only
        FailureAndCrash,  ///< in the handler of a fatal signal, too: async-signal-safe
    };
    using Act = void (*)(uintptr_t context);
    LastAct(When when, Act act, uintptr_t context);
    ~LastAct();
    LastAct(const LastAct&) = delete;
    LastAct& operator=(const LastAct&) = delete;

  private:
    unsigned slot_;
};

/// Prints "arclight: WHAT (thread NAME)", carries out the last acts, and ends the process with status 1.
[[noreturn]] void end_by_failure(const char* what);
/// The same for the exception that is being handled.
[[noreturn]] void end_by_exception();
/// From a handler of a fatal signal.
void carry_out_crash_acts();

/// An exception that nothing catches (std::terminate) ends the process by end_by_exception(), not by SIGABRT.
void handle_uncaught_exceptions();

}  // namespace arclight::host
