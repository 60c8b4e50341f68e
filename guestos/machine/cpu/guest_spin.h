// Guest code that waits in a loop: by which means, and for how long already?
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace arclight::guestos {

enum class SpinCause : uint8_t {
    Event,  ///< WFE
    Yield,  ///< YIELD
    Loop,   ///< see jit::ir::spins()
    Count
};

class GuestSpin {
  public:
    // Somebody who runs on another core is rarely waited for longer than kShort. With fewer cores than CPUs
    // that want to run it is likely that he has none; else that takes kLong to be likely.
    // One that has not taken an SGI in kUnanswered is unlikely to have one, too.
    static constexpr std::chrono::microseconds kShort{20}, kUnanswered{200}, kLong{1000};
    using Clock = std::chrono::steady_clock;

    /// To be called each time round.
    std::chrono::nanoseconds waited(Clock::time_point now = Clock::now()) {
        // It did something else in between, or the host did, such as an interrupt each millisecond: the one comes often and the other
        // seldom, so a gap takes off many times its length.
        if (const auto gap = now - last_; gap > kGap) since_ = std::min(now, since_ + kTakesOff * gap);
        last_ = now;
        return now - since_;
    }
    /// The CPU slept, which is no gap.
    void slept() { last_ = Clock::now(); }

  private:
    static constexpr std::chrono::microseconds kGap{5};
    static constexpr int kTakesOff = 16;
    Clock::time_point last_, since_;
};

}  // namespace arclight::guestos
