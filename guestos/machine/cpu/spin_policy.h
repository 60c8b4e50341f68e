#pragma once

#include <cstdint>

namespace arclight::guestos {

/// `--spin`: what a virtual CPU does that waits for another one in a loop for long.
enum class SpinPolicy : uint8_t {
    Off,      ///< it goes on, as on hardware
    Nap,      ///< it leaves its core to anybody for a while
    HandOver  ///< to the CPU that it waits for, as far as that is known, until that gets on (hand_over.h)
};

}  // namespace arclight::guestos
