#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

// What instrumented code tells the fuzzer: which blocks ran, and which operands were compared. The callbacks are those of
// -fsanitize-coverage=trace-pc,trace-cmp, which GCC and Clang both have. Without instrumentation nothing is ever told.
namespace arclight::fuzz {

/// Two operands of a comparison that failed, as they were compared.
struct Comparison {
    uint64_t left = 0;
    uint64_t right = 0;
    unsigned size = 0;  ///< bytes of each
};

/// Two byte strings that were compared and differed.
struct StringComparison {
    static constexpr size_t kMax = 32;
    std::array<uint8_t, kMax> left{}, right{};
    size_t size = 0;
};

class Coverage {
  public:
    /// Forgets what ran and what was compared since the last call.
    static void begin();
    /// How many (block, magnitude of its count) pairs ran since begin() that never ran before.
    static unsigned take_new();
    /// The pairs that ran since begin(), as numbers.
    static std::vector<uint32_t> marks();
    /// Whether anything was told since begin(): the code is instrumented.
    static bool any();
    static const std::vector<Comparison>& comparisons();
    static const std::vector<StringComparison>& strings();
    /// How many different pairs there were so far.
    static unsigned total();
};

}  // namespace arclight::fuzz
