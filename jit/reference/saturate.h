// SatQ: clamping to an element, and remembering that it happened.
#pragma once

#include <limits>

#include "jit/reference/lanes.h"
#include "jit/softfloat/environment.h"

namespace arclight::jit::reference {

/// FPSR.QC for one instruction; reaches the state at its end.
class Saturation {
  public:
    explicit Saturation(GuestState& state) : state_(state) {}
    ~Saturation() { state_.fpsr |= happened_ ? softfloat::kQc : 0; }
    Saturation(const Saturation&) = delete;
    Saturation& operator=(const Saturation&) = delete;

    void note(bool saturated) { happened_ |= saturated; }

    /// `value` clamped to T. Wide is signed and holds all values that occur.
    template <typename T, typename Wide>
    T clamp(Wide value) {
        constexpr Wide kMin = std::numeric_limits<T>::min(), kMax = std::numeric_limits<T>::max();
        note(value < kMin || value > kMax);
        return static_cast<T>(value < kMin ? kMin : value > kMax ? kMax : value);
    }

  private:
    GuestState& state_;
    bool happened_ = false;
};

}  // namespace arclight::jit::reference
