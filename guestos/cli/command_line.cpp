#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "guestos/cli/accelerators.h"
#include "guestos/cli/commands.h"

namespace arclight::guestos::cli {

int complain(std::string_view message, int code) {
    fmt::print(stderr, "arclight: {}\n", message);
    return code;
}

int main_with(std::vector<std::string> arguments, const std::string& version, RunFunction run) {
    GuestCommand guest;
    if (const auto dashes = std::ranges::find(arguments, "--"); dashes != arguments.end()) {
        guest = {.given = true, .words = {dashes + 1, arguments.end()}};
        arguments.erase(dashes, arguments.end());
    }

    CLI::App app("Arclight runs an unmodified AArch64 Linux on an x86-64 host by translating its code.",
                 "arclight");
    app.require_subcommand(1);
    app.footer("'arclight COMMAND --help' tells more about a command.");
    const auto run_command = add_run(app, guest, std::move(run));
    const auto initramfs_command = add_initramfs(app, guest);
    const auto lightv_command = add_lightv(app);
    app.add_subcommand("version", "Print the version and the accelerators found on this host");
    app.add_subcommand("probe", "Print what /dev/kvm offers on this host, and what --accel auto makes of it");

    std::ranges::reverse(arguments);  // CLI11 takes a vector from its end
    try {
        app.parse(arguments);
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        return complain(text + " (try --help)", kExitUsage);
    }

    if (app.got_subcommand("run")) return run_command();
    if (app.got_subcommand("initramfs")) return initramfs_command();
    if (app.got_subcommand("lightv")) return lightv_command();
    if (app.got_subcommand("probe")) return print_probe();
    fmt::print("arclight {}\n", version);
    for (const auto& accelerator : find_accelerators())
        fmt::print("  {:<8} {} ({})\n", accelerator.name, accelerator.usable ? "yes" : "no",
                   accelerator.detail);
    return 0;
}

}  // namespace arclight::guestos::cli
