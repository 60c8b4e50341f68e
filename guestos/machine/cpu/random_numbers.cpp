#include "guestos/machine/cpu/random_numbers.h"

#include <sys/random.h>

#include <cerrno>

namespace arclight::guestos {

namespace {
/// SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function.
constexpr uint64_t kStep = 0x9e37'79b9'7f4a'7c15;

uint64_t mix(uint64_t v) {
    v = (v ^ v >> 30) * 0xbf58'476d'1ce4'e5b9;
    v = (v ^ v >> 27) * 0x94d0'49bb'1331'11eb;
    return v ^ v >> 31;
}
}  // namespace

RandomNumbers::RandomNumbers(std::optional<uint64_t> seed, unsigned cpu) {
    if (seed) seeded_ = mix(*seed + (cpu + 1) * kStep);
}

uint64_t RandomNumbers::next() {
    if (seeded_) return mix(*seeded_ += kStep);
    if (left_ == 0) refill();
    return ready_[--left_];
}

/// getrandom() of up to 256 bytes is never cut short, and waits only while the host boots (getrandom(2)).
void RandomNumbers::refill() {
    while (getrandom(ready_.data(), sizeof ready_, 0) != static_cast<ssize_t>(sizeof ready_)) {
    }
    left_ = ready_.size();
}

}  // namespace arclight::guestos
