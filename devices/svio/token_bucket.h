#pragma once

#include <algorithm>
#include <cstdint>

namespace arclight::devices::svio {

/// Holds a flow to a rate: tokens come at the rate, as many as a burst wait at most, and what is done takes its size. A thing is begun while
/// there is a token and may take more than there are, so that none is too large; the next one then waits for longer.
class TokenBucket {
  public:
    static constexpr uint64_t kMaxRate = uint64_t{1} << 40;  ///< tokens a second

    /// `rate` in tokens a second, kMaxRate at most; 0: there is no limit. The bucket is full.
    void set(uint64_t rate, uint64_t burst, int64_t now_ns) {
        rate_ = rate;
        burst_ = static_cast<int64_t>(std::max<uint64_t>(burst, 1)) * kUnits;
        tokens_ = burst_;
        last_ = now_ns;
    }
    uint64_t rate() const { return rate_; }

    /// When something may be begun: `now_ns`, or later.
    int64_t ready_at(int64_t now_ns) {
        if (rate_ == 0) return now_ns;
        refill(now_ns);
        if (tokens_ > 0) return now_ns;
        const auto rate = static_cast<int64_t>(rate_);
        return now_ns + (1 - tokens_ + rate - 1) / rate;
    }
    void take(uint64_t tokens) {
        if (rate_ != 0) tokens_ -= static_cast<int64_t>(tokens) * kUnits;
    }

  private:
    /// Of a token, so that a nanosecond at `rate` is `rate` of them.
    static constexpr int64_t kUnits = 1'000'000'000;
    void refill(int64_t now_ns) {
        const int64_t passed = std::max<int64_t>(now_ns - last_, 0);
        last_ = now_ns;
        const auto rate = static_cast<int64_t>(rate_);
        // Compared first: the product of a long time does not fit.
        const int64_t missing = burst_ - tokens_;
        tokens_ = passed > missing / rate ? burst_ : tokens_ + passed * rate;
    }

    uint64_t rate_ = 0;
    int64_t burst_ = 0, tokens_ = 0;
    int64_t last_ = 0;
};

}  // namespace arclight::devices::svio
