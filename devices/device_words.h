// Options of devices whose value is one of some words.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "devices/device_factory.h"

namespace arclight::devices {

template <typename Value>
using Word = std::pair<std::string_view, Value>;

/// False: the option's text is none of the words, and `error` says so.
template <typename Value, size_t N>
bool read_word(const DeviceArguments& arguments, std::string_view option, const Word<Value> (&words)[N],
               Value& value, std::string& error) {
    const std::string& text = arguments.text(option);
    std::string known;
    for (const auto& [word, meaning] : words) {
        if (text == word) {
            value = meaning;
            return true;
        }
        known += known.empty() ? "" : ", ";
        known += word;
    }
    error = fmt::format("{} '{}' is not known (known: {})", option, text, known);
    return false;
}

}  // namespace arclight::devices
