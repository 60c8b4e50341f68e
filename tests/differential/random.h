// Reproducible randomness, and register values that make instructions misbehave.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace arclight::differential {

/// SplitMix64: good enough, and one word of state.
class Rng {
  public:
    explicit Rng(uint64_t seed) : state_(seed) {}
    /// An independent stream for item `index` of a run.
    static Rng for_item(uint64_t seed, uint64_t index) {
        Rng r(seed * 0x9e3779b97f4a7c15 + 0x1234567);
        r.state_ ^= Rng(index).next();
        return r;
    }

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t n) { return next() % n; }
    /// Uniform over [lo, hi].
    int64_t range(int64_t lo, int64_t hi) {
        return lo + static_cast<int64_t>(below(static_cast<uint64_t>(hi - lo) + 1));
    }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <typename T>
    T pick(std::initializer_list<T> list) {
        return list.begin()[below(list.size())];
    }

  private:
    uint64_t state_;
};

uint64_t interesting_x(Rng& rng);
uint64_t interesting_f64(Rng& rng);
uint32_t interesting_f32(Rng& rng);
uint16_t interesting_f16(Rng& rng);
void interesting_v(Rng& rng, uint64_t out[2]);

}  // namespace arclight::differential
