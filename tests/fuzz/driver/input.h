#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace arclight::fuzz {

/// Takes an input apart, front to back. Past the end all is zero.
class Input {
  public:
    explicit Input(std::span<const uint8_t> bytes) : left_(bytes) {}

    bool empty() const { return left_.empty(); }
    template <typename T>
    T take() {
        T value{};
        const size_t size = std::min(sizeof(T), left_.size());
        if (size != 0) std::memcpy(&value, left_.data(), size);
        left_ = left_.subspan(size);
        return value;
    }
    uint8_t u8() { return take<uint8_t>(); }
    uint16_t u16() { return take<uint16_t>(); }
    uint32_t u32() { return take<uint32_t>(); }
    uint64_t u64() { return take<uint64_t>(); }
    /// n is 1 to 256.
    unsigned below(unsigned n) { return u8() % n; }
    bool flag() { return (u8() & 1) != 0; }
    /// Fewer at the end.
    std::span<const uint8_t> bytes(size_t n) {
        const auto taken = left_.first(std::min(n, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    std::span<const uint8_t> rest() { return std::exchange(left_, {}); }

  private:
    std::span<const uint8_t> left_;
};

}  // namespace arclight::fuzz
