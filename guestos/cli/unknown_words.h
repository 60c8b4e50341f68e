// Words of a command line that nobody knows, told before anything else that is wrong with it.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

namespace arclight::guestos::cli {

/// One line about the first word, in their order, that neither `app` nor the chosen subcommand knows; nothing: there is
/// none. It names what was meant, where that can be told: an option of QEMU's, or one that is spelt much the same.
std::optional<std::string> explain_unknown_word(const CLI::App& app, std::span<const std::string> words);

}  // namespace arclight::guestos::cli
