#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "devices/guest_clock.h"

namespace arclight::devices {

/// Looks at the host's clocks every 100 ms, on a thread of its own, for as long as it lives: what stops this
/// process (SIGSTOP, a suspended host, a debugger, a paused virtual machine around it) is noticed by a look
/// that comes late.
class HostTimeWatch {
  public:
    /// `moved`: whoever waits for guest time or the time of day has to set its deadline again; on the
    /// watch's thread.
    HostTimeWatch(GuestClock& clock, const GuestClock::Watch& watch, std::function<void()> moved);
    ~HostTimeWatch();
    HostTimeWatch(const HostTimeWatch&) = delete;
    HostTimeWatch& operator=(const HostTimeWatch&) = delete;

  private:
    void work();

    GuestClock& clock_;
    const std::function<void()> moved_;
    std::mutex lock_;
    std::condition_variable changed_;
    bool quit_ = false;
    std::thread thread_;
};

}  // namespace arclight::devices
