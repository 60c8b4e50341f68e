// Options whose value is one of a few words.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>
#include <string_view>

namespace arclight::guestos::cli {

constexpr std::string_view kChoicePrefix = "choice:";

/// Accepts `words` only. Their list is the validator's name, "choice:a|b", from which shell completion is generated; the
/// description stays empty because the option's own text names them.
template <typename Word>
CLI::Validator one_of(std::initializer_list<Word> words) {
    return CLI::IsMember(words).description("").name(
        fmt::format("{}{}", kChoicePrefix, fmt::join(words, "|")));
}

}  // namespace arclight::guestos::cli
