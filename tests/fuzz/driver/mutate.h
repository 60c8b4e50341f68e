#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "tests/fuzz/driver/coverage.h"

namespace arclight::fuzz {

using Bytes = std::vector<uint8_t>;

/// Makes new inputs from old ones.
class Mutator {
  public:
    Mutator(uint64_t seed, size_t max_size, std::vector<std::string_view> words)
        : random_(seed), max_size_(max_size), words_(std::move(words)) {}

    /// What was compared when the parent ran: operands that are found in it are replaced by what they were compared with.
    void learn(const std::vector<Comparison>& comparisons, const std::vector<StringComparison>& strings) {
        comparisons_ = comparisons;
        strings_ = strings;
    }
    /// A few changes at once. `other` is spliced in at times.
    Bytes mutate(const Bytes& parent, const Bytes& other);
    uint64_t below(uint64_t n) { return random_() % n; }

  private:
    void change(Bytes& bytes, const Bytes& other);
    void replace_number(Bytes& bytes);
    void replace_string(Bytes& bytes);
    void write_integer(Bytes& bytes);
    void insert(Bytes& bytes, std::span<const uint8_t> what);
    void overwrite(Bytes& bytes, size_t at, std::span<const uint8_t> what);

    std::mt19937_64 random_;
    size_t max_size_;
    std::vector<std::string_view> words_;
    std::vector<Comparison> comparisons_;
    std::vector<StringComparison> strings_;
};

}  // namespace arclight::fuzz
