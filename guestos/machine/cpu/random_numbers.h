// The numbers of RNDR and RNDRRS.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace arclight::guestos {

/// The host's random numbers, or those that follow from a seed: then each CPU has its own, the same in every run.
class RandomNumbers {
  public:
    RandomNumbers(std::optional<uint64_t> seed, unsigned cpu);
    uint64_t next();

  private:
    void refill();

    std::optional<uint64_t> seeded_;  ///< state of the generator
    std::array<uint64_t, 32> ready_{};
    size_t left_ = 0;
};

}  // namespace arclight::guestos
