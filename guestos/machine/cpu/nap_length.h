// How long a virtual CPU that waits for another one leaves its core.
#pragma once

#include <algorithm>
#include <chrono>

namespace arclight::guestos {

/// At most, if `enough` is what it takes others to get on. To leave the core and to come back costs this CPU `leaving`, which is 100 us
/// and more in a virtual machine whose host emulates its exits: many CPUs that wait would do nothing else, and those that they wait for would
/// have no core. All that are not halted (`awake`), if they are more than eight, together spend at most an eighth of one core on it, unless that is
/// a long time to sleep. What ends the wait ends the sleep as far as it can be seen (an event, an interrupt, the CPU that is waited for); a store is
/// found late, but by the first of so many.
constexpr std::chrono::nanoseconds nap_length(std::chrono::nanoseconds enough,
                                              std::chrono::nanoseconds leaving, unsigned awake) {
    constexpr unsigned kFew = 8, kShare = 8;
    constexpr std::chrono::milliseconds kLongest{100};
    if (awake <= kFew) return enough;
    return std::max(enough, std::min<std::chrono::nanoseconds>(kShare * leaving * awake, kLongest));
}

}  // namespace arclight::guestos
