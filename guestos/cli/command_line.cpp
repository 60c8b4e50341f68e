#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "guestos/cli/accelerators.h"
#include "guestos/cli/commands.h"
#include "guestos/cli/unknown_words.h"
#include "guestos/qemu/front_end.h"

namespace arclight::guestos::cli {

int complain(std::string_view message, int code) {
    fmt::print(stderr, "arclight: {}\n", message);
    return code;
}

int finish_output(int code) {
    errno = 0;
    const bool written = std::cout.flush().good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (written || code != 0) return code;
    return complain(fmt::format("cannot write to stdout: {}", std::strerror(errno != 0 ? errno : EIO)));
}

CommandLine::CommandLine(const std::string& version, RunFunction run)
    : version_(version),
      app_("Arclight runs an unmodified AArch64 Linux on an x86-64 host by translating its code.",
           "arclight") {
    app_.require_subcommand(1);
    app_.footer("'arclight help COMMAND' tells more about a command.");
    app_.set_version_flag("--version", "arclight " + version, "print the version and leave");
    run_ = add_run(app_, guest_, std::move(run));
    app_.add_subcommand("qemu", "Run under QEMU's command line, as the link arclight-qemu does")
        ->footer(
            "'arclight qemu -help' lists QEMU's options and how they differ here; docs/from-qemu.md is about "
            "them.");
    initramfs_ = add_initramfs(app_, guest_);
    lightv_ = add_lightv(app_);
    prepare_ = add_prepare(app_);
    snapshot_ = add_snapshot(app_);
    app_.add_subcommand("version", "Print the version and the accelerators found on this host");
    app_.add_subcommand("probe",
                        "Print what /dev/kvm offers on this host, and what --accel auto makes of it");
}

int CommandLine::run(std::vector<std::string> arguments) {
    if (const auto dashes = std::ranges::find(arguments, "--"); dashes != arguments.end()) {
        guest_ = {.given = true, .words = {dashes + 1, arguments.end()}};
        arguments.erase(dashes, arguments.end());
    }
    if (!arguments.empty() && arguments.front() == "help") {
        arguments.erase(arguments.begin());
        arguments.emplace_back("--help");
    }
    if (auto words = as_run_words(arguments)) arguments = std::move(*words);
    if (const auto unknown = explain_unknown_word(app_, arguments))
        return complain(*unknown + " (try --help)", kExitUsage);
    std::ranges::reverse(arguments);  // CLI11 takes a vector from its end
    try {
        app_.parse(arguments);
    } catch (const CLI::Success& help) {
        return app_.exit(help);
    } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        return complain(text + " (try --help)", kExitUsage);
    }

    if (app_.got_subcommand("run")) return run_();
    if (app_.got_subcommand("initramfs")) return initramfs_();
    if (app_.got_subcommand("lightv")) return lightv_();
    if (app_.got_subcommand("prepare")) return prepare_();
    if (app_.got_subcommand("snapshot")) return snapshot_();
    if (app_.got_subcommand("probe")) return print_probe();
    return print_version();
}

int CommandLine::print_version() const {
    fmt::print("arclight {}\n", version_);
    for (const auto& accelerator : find_accelerators())
        fmt::print("  {:<8} {} ({})\n", accelerator.name, accelerator.usable ? "yes" : "no",
                   accelerator.detail);
    return 0;
}

int main_with(std::vector<std::string> arguments, const std::string& version, RunFunction run) {
    if (!arguments.empty() && arguments.front() == "qemu")
        return qemu::main_with("arclight qemu", {arguments.begin() + 1, arguments.end()}, version, run);
    return CommandLine(version, std::move(run)).run(std::move(arguments));
}

}  // namespace arclight::guestos::cli
