// The subcommands. Each adds itself to the parser and returns what runs when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "guestos/options.h"

namespace arclight::guestos::cli {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;

/// Prints one line on stderr and returns `code`.
int complain(std::string_view message, int code = kExitFailure);

/// Writes out what is left in stdout's buffers. Returns `code`, or 1 and one line if stdout takes it no longer.
int finish_output(int code);

/// The words after a bare "--": the guest's command. The parser does not see them.
struct GuestCommand {
    bool given = false;
    std::vector<std::string> words;
};

using RunFunction = std::function<int(const RunOptions&)>;

std::function<int()> add_run(CLI::App& app, const GuestCommand& guest, RunFunction run);
std::function<int()> add_initramfs(CLI::App& app, const GuestCommand& guest);

std::function<int()> add_lightv(CLI::App& app);

std::function<int()> add_prepare(CLI::App& app);

std::function<int()> add_serve(CLI::App& app);
std::function<int()> add_interface(CLI::App& app);

std::function<int()> add_snapshot(CLI::App& app);
/// `snapshot restore FILE ...` in the words of `run`; nothing: it is something else.
std::optional<std::vector<std::string>> as_run_words(const std::vector<std::string>& arguments);

/// The parser with all subcommands, and what each runs once it was chosen.
class CommandLine {
  public:
    CommandLine(const std::string& version, RunFunction run);
    CommandLine(const CommandLine&) = delete;  ///< the subcommands refer to guest_

    const CLI::App& app() const { return app_; }
    /// Parses and runs; returns the exit code.
    int run(std::vector<std::string> arguments);

  private:
    int print_version() const;

    std::string version_;
    GuestCommand guest_;
    CLI::App app_;
    std::function<int()> run_, initramfs_, lightv_, prepare_, snapshot_, serve_, interface_;
};

/// Parses and runs a whole command line; returns the exit code. `run` carries out `arclight run`.
int main_with(std::vector<std::string> arguments, const std::string& version, RunFunction run);

}  // namespace arclight::guestos::cli
