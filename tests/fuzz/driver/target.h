#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <source_location>
#include <span>
#include <string_view>
#include <vector>

namespace arclight::fuzz {

/// What is fuzzed: a function that must survive any bytes, and keep its promises.
struct Target {
    std::string_view name;
    void (*run)(std::span<const uint8_t> input);
    size_t max_size = 4096;               ///< of an input, in bytes
    std::vector<std::string_view> words;  ///< that inputs are likely to need
};

/// By the order of the program's link.
std::vector<Target>& targets();

/// Each target's file has one, at namespace scope.
struct Registered {
    explicit Registered(Target target) { targets().push_back(std::move(target)); }
};

/// A promise of the code that is fuzzed; the input that breaks it is kept.
inline void require(bool holds, const char* what, std::source_location at = std::source_location::current()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%u: broken promise: %s\n", at.file_name(), at.line(), what);
    std::abort();
}

/// Errors are one line for the user.
inline void require_one_line(std::string_view error) {
    require(!error.empty() && error.find('\n') == std::string_view::npos, "an error is one line");
}

}  // namespace arclight::fuzz
