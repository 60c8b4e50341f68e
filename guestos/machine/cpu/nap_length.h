// How long a virtual CPU that waits for another one leaves its core.
#pragma once

#include <algorithm>
#include <chrono>

namespace arclight::guestos {

/// At most, if `enough` is what it takes others to get on. To leave the core and to come back costs this CPU `leaving`, which is 100 us
/// and more in a virtual machine whose host emulates its exits: many CPUs that wait would do nothing else. All of `cpus`, if they are more than eight,
/// together spend at most a half of one core on it, unless that is a long time to sleep. What ends the wait ends the sleep as far
/// as it can be seen (an event, an interrupt, the CPU that is waited for): only a store is found late.
constexpr std::chrono::nanoseconds nap_length(std::chrono::nanoseconds enough,
                                              std::chrono::nanoseconds leaving, unsigned cpus) {
    constexpr unsigned kFew = 8;
    constexpr std::chrono::milliseconds kLongest{20};
    if (cpus <= kFew) return enough;
    return std::max(enough, std::min<std::chrono::nanoseconds>(2 * leaving * cpus, kLongest));
}

}  // namespace arclight::guestos
