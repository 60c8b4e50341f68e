#include "tests/fuzz/driver/coverage.h"

#include <algorithm>
#include <cstring>

namespace arclight::fuzz {
namespace {

// Blocks share counters by the hash of their address; at 64 Ki counters and a few thousand blocks few do.
constexpr size_t kCounters = size_t{1} << 16;
uint8_t counters[kCounters];
uint8_t seen[kCounters];  // a bit for each magnitude
unsigned seen_count = 0;

// Threads of a device write without a lock: a lost comparison costs nothing.
constexpr size_t kComparisons = 256, kStrings = 32;
Comparison comparison_ring[kComparisons];
uint32_t comparison_count = 0;
StringComparison string_ring[kStrings];
uint32_t string_count = 0;

std::vector<Comparison> taken_comparisons;
std::vector<StringComparison> taken_strings;

// 1, 2, 3, 4..7, 8..15, 16..31, 32..127, 128..: a loop that runs once more is news only at first.
uint8_t magnitude(uint8_t count) {
    constexpr uint8_t kFirst[] = {1, 2, 3, 4, 8, 16, 32, 128};
    unsigned bit = 0;
    while (bit < 7 && count >= kFirst[bit + 1]) bit++;
    return static_cast<uint8_t>(1u << bit);
}

void block(uintptr_t pc) {
    uint8_t& counter = counters[(pc ^ pc >> 16) % kCounters];
    if (counter != 255) counter++;
}

void compare(uint64_t left, uint64_t right, unsigned size) {
    if (left == right) return;
    comparison_ring[comparison_count++ % kComparisons] = {left, right, size};
}

void compare_strings(const void* left, const void* right, size_t size) {
    if (size < 2 || size > StringComparison::kMax) return;
    StringComparison& entry = string_ring[string_count++ % kStrings];
    entry.size = size;
    std::memcpy(entry.left.data(), left, size);
    std::memcpy(entry.right.data(), right, size);
}

}  // namespace

void Coverage::begin() {
    std::memset(counters, 0, sizeof(counters));
    comparison_count = string_count = 0;
}

unsigned Coverage::take_new() {
    unsigned found = 0;
    for (size_t i = 0; i < kCounters; i += 8) {
        uint64_t eight;
        std::memcpy(&eight, &counters[i], sizeof(eight));
        if (eight == 0) continue;
        for (size_t k = i; k < i + 8; k++) {
            if (counters[k] == 0) continue;
            const uint8_t bit = magnitude(counters[k]);
            if ((seen[k] & bit) == 0) {
                seen[k] |= bit;
                found++;
            }
        }
    }
    seen_count += found;
    return found;
}

std::vector<uint32_t> Coverage::marks() {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < kCounters; i++) {
        if (counters[i] != 0) all.push_back(i << 8 | magnitude(counters[i]));
    }
    return all;
}

bool Coverage::any() {
    return std::any_of(std::begin(counters), std::end(counters), [](uint8_t count) { return count != 0; });
}

unsigned Coverage::total() { return seen_count; }

const std::vector<Comparison>& Coverage::comparisons() {
    taken_comparisons.assign(comparison_ring,
                             comparison_ring + std::min<size_t>(comparison_count, kComparisons));
    return taken_comparisons;
}

const std::vector<StringComparison>& Coverage::strings() {
    taken_strings.assign(string_ring, string_ring + std::min<size_t>(string_count, kStrings));
    return taken_strings;
}

}  // namespace arclight::fuzz

// NOLINTBEGIN(bugprone-reserved-identifier): the compiler has chosen the names.
using arclight::fuzz::block;
using arclight::fuzz::compare;

extern "C" {

void __sanitizer_cov_trace_pc() { block(reinterpret_cast<uintptr_t>(__builtin_return_address(0))); }
void __sanitizer_cov_trace_cmp1(uint8_t left, uint8_t right) { compare(left, right, 1); }
void __sanitizer_cov_trace_cmp2(uint16_t left, uint16_t right) { compare(left, right, 2); }
void __sanitizer_cov_trace_cmp4(uint32_t left, uint32_t right) { compare(left, right, 4); }
void __sanitizer_cov_trace_cmp8(uint64_t left, uint64_t right) { compare(left, right, 8); }
void __sanitizer_cov_trace_const_cmp1(uint8_t left, uint8_t right) { compare(left, right, 1); }
void __sanitizer_cov_trace_const_cmp2(uint16_t left, uint16_t right) { compare(left, right, 2); }
void __sanitizer_cov_trace_const_cmp4(uint32_t left, uint32_t right) { compare(left, right, 4); }
void __sanitizer_cov_trace_const_cmp8(uint64_t left, uint64_t right) { compare(left, right, 8); }
void __sanitizer_cov_trace_cmpf(float, float) {}
void __sanitizer_cov_trace_cmpd(double, double) {}
// `cases`: how many there are, their width in bits, their values.
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t* cases) {
    for (uint64_t i = 0; i < std::min<uint64_t>(cases[0], 16); i++) {
        compare(value, cases[2 + i], static_cast<unsigned>(cases[1] / 8));
    }
}
// AddressSanitizer's interceptors call these.
void __sanitizer_weak_hook_memcmp(void*, const void* left, const void* right, size_t size, int result) {
    if (result != 0) arclight::fuzz::compare_strings(left, right, size);
}
void __sanitizer_weak_hook_strcmp(void*, const char* left, const char* right, int result) {
    if (result != 0)
        arclight::fuzz::compare_strings(left, right, std::min(std::strlen(left), std::strlen(right)));
}
void __sanitizer_weak_hook_strncmp(void*, const char* left, const char* right, size_t size, int result) {
    if (result != 0) {
        arclight::fuzz::compare_strings(left, right, std::min({size, std::strlen(left), std::strlen(right)}));
    }
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
