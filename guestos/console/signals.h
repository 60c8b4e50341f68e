// Signals that end, stop or continue the process, turned into calls on the event loop's thread.
#pragma once

#include <functional>

#include "devices/event_loop.h"

namespace arclight::guestos {

class SignalWatch {
  public:
    struct Actions {
        /// SIGINT, SIGTERM, SIGHUP and SIGQUIT. A second one while the first is being handled ends the process at once, so
        /// that a user can always end a stuck machine.
        std::function<void(int signal)> end;
        std::function<void()> go_on;         ///< SIGCONT
        std::function<void()> resized = {};  ///< SIGWINCH
    };
    SignalWatch(devices::EventLoop& loop, Actions actions);
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

  private:
    devices::EventLoop& loop_;
};

}  // namespace arclight::guestos
