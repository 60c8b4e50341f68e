// The command line as data: what manual pages and shell completions are generated from.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace arclight::guestos::cli {

/// What an option's value is, as far as a shell can complete it.
enum class ValueKind { None, Text, Choice, File, Directory };

/// Of an argument without a name both names are empty.
struct OptionEntry {
    std::string short_name;  ///< "-m", or empty
    std::string long_name;   ///< "--memory", or empty
    std::string value;       ///< the value's name in the help, such as "SIZE"; empty for a flag
    std::string description;
    std::string group;
    bool required = false;
    bool positional() const { return short_name.empty() && long_name.empty(); }
    ValueKind kind = ValueKind::None;
    std::vector<std::string> choices;  ///< for ValueKind::Choice
};

struct CommandEntry {
    std::string name;
    std::string description;
    std::vector<OptionEntry> options;  ///< in the help's order, hidden ones left out
    std::vector<CommandEntry> commands;
};

CommandEntry command_tree(const CLI::App& app);

}  // namespace arclight::guestos::cli
