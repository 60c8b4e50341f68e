// Guest code that waits in a loop (YIELD, WFE): for how long already?
#pragma once

#include <chrono>

namespace arclight::guestos {

class GuestSpin {
  public:
    /// To be called each time round. True: it has waited for longer than somebody would take who runs on
    /// another core, so that whoever is waited for may have none.
    bool lasts() {
        const Clock::time_point now = Clock::now();
        if (now - last_ > kGap) since_ = now;  // it did something else in between
        last_ = now;
        return now - since_ > kPatience;
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::microseconds kGap{5}, kPatience{20};
    Clock::time_point last_, since_;
};

}  // namespace arclight::guestos
