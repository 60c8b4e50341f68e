// The documents that are generated from the command line: manual pages and shell completions.
#pragma once

#include <string>
#include <vector>

#include "guestos/cli/documents/command_tree.h"

namespace arclight::guestos::cli {

/// A page of section 1 in groff's man macros. `name` is "arclight-run"; `usage` follows it in the synopsis. `text` is the part
/// written by hand: what stands before its line ".SH EXAMPLES" comes before the options, the rest behind them.
std::string man_page(const CommandEntry& command, const std::string& name, const std::string& version,
                     const std::string& text);

/// The options of `arclight qemu`, which another parser takes (guestos/qemu/option_table.h), without those that it refuses.
std::vector<OptionEntry> qemu_options();

/// A function _arclight for bash, which completes subcommands, options and their values.
std::string bash_completion(const CommandEntry& root);

/// The same as a function file #compdef for zsh.
std::string zsh_completion(const CommandEntry& root);

}  // namespace arclight::guestos::cli
