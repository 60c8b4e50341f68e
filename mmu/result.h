// What fallible functions return: a value, or one line of text that a user can act on.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace arclight {

template <typename T>
using Result = std::expected<T, std::string>;

/// The error of a Result, formatted: one line, without a full stop or a newline.
template <typename... Args>
std::unexpected<std::string> failure(fmt::format_string<Args...> format, Args&&... args) {
    return std::unexpected(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace arclight
