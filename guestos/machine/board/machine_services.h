// What devices ask of the machine, passed on to its part that does it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "devices/machine_host.h"
#include "guestos/machine/board/pause_control.h"
#include "guestos/machine/board/ram_mapping.h"
#include "guestos/options.h"

namespace arclight::guestos {

class MachineServices final : public devices::MachineHost {
  public:
    struct Actions {
        std::function<void(const std::string&)> say;  ///< one line for the user; any thread
        std::function<void()> reset, power_off, power_key;
    };
    /// Who else is told; any thread.
    struct Observer {
        std::function<void(uint64_t guest_bytes)> balloon;
        std::function<void(WatchdogAction)> watchdog;
        std::function<void(bool by_reset)> shutdown;  ///< of a machine that is paused then
    };
    MachineServices(RamMapping& ram, PauseControl& pauses, WatchdogAction on_watchdog, Actions actions)
        : ram_(ram), pauses_(pauses), on_watchdog_(on_watchdog), actions_(std::move(actions)) {}

    void observe(Observer observer) {
        const std::lock_guard guard(lock_);
        observer_ = std::move(observer);
    }
    void set_watchdog_action(WatchdogAction action) { on_watchdog_ = action; }

    void say(const std::string& line) override { actions_.say(line); }
    void pause(const std::string& why) override { pauses_.pause(why); }
    void give_back(std::span<uint8_t> pages) override { ram_.give_back(pages); }
    void balloon_changed(uint64_t bytes) override {
        if (const Observer told = observer(); told.balloon) told.balloon(bytes);
    }
    void tell_shutdown(bool by_reset) {
        if (const Observer told = observer(); told.shutdown) told.shutdown(by_reset);
    }
    void watchdog_expired() override {
        const WatchdogAction action = on_watchdog_;
        if (const Observer told = observer(); told.watchdog) told.watchdog(action);
        switch (action) {
            case WatchdogAction::Reset: actions_.reset(); break;
            case WatchdogAction::Shutdown: actions_.power_key(); break;
            case WatchdogAction::PowerOff: actions_.power_off(); break;
            case WatchdogAction::Pause: pauses_.pause(RunState::Watchdog); break;
            case WatchdogAction::Debug: actions_.say("the guest's watchdog has expired"); break;
            case WatchdogAction::None: break;
        }
    }

  private:
    Observer observer() {
        const std::lock_guard guard(lock_);
        return observer_;
    }

    RamMapping& ram_;
    PauseControl& pauses_;
    std::atomic<WatchdogAction> on_watchdog_;
    const Actions actions_;
    std::mutex lock_;
    Observer observer_;  // under lock_
};

}  // namespace arclight::guestos
