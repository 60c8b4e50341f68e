// Signals that end, stop or continue the process, turned into calls on the event loop's thread.
#pragma once

#include <functional>

#include "devices/event_loop.h"

namespace arclight::guestos {

class SignalWatch {
  public:
    /// `on_end` receives SIGINT, SIGTERM, SIGHUP and SIGQUIT. A second one while the first is being handled ends the process
    /// at once, so that a user can always end a stuck machine.
    /// `on_continue` is called for SIGCONT.
    SignalWatch(devices::EventLoop& loop, std::function<void(int signal)> on_end,
                std::function<void()> on_continue);
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

  private:
    devices::EventLoop& loop_;
};

}  // namespace arclight::guestos
