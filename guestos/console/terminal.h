// The host's terminal in raw mode. Its former mode is restored however the process ends.
#pragma once

#include <optional>

#include "host/failure.h"

namespace arclight::guestos {

class RawTerminal {
  public:
    /// Does nothing if fd is not a terminal. One at a time in a process.
    /// `signals`: its keys for signals still send them.
    explicit RawTerminal(int fd, bool signals = false);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

    /// For handlers of fatal signals: restores the terminal. Async-signal-safe, harmless without a terminal.
    static void restore();
    /// Raw again, after the process was stopped and continued; not in the background. Async-signal-safe.
    static void reenter();

  private:
    std::optional<host::LastAct> last_act_;
};

}  // namespace arclight::guestos
