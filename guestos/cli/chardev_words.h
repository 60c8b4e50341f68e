// `arclight run`'s words for serial ports, monitors and what carries their characters.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos::cli {

struct ChardevWords {
    std::vector<std::string> chardevs, serials, monitors, qmp, mon, consoles, ports;
    std::string escape_key;
};

void add_chardev_words(CLI::App& command, ChardevWords& words, RunOptions& options);
/// Adds what the words say to the options. An error is one line for the user.
Result<void> apply_chardev_words(const ChardevWords& words, RunOptions& options);

}  // namespace arclight::guestos::cli
