#include "guestos/qemu/front_end.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <sstream>
#include <utility>

#include "guestos/cli/commands.h"
#include "guestos/qemu/answers.h"
#include "guestos/qemu/daemon.h"
#include "guestos/qemu/invocation.h"
#include "guestos/qemu/pid_file.h"
#include "guestos/qemu/translate.h"

namespace arclight::guestos::qemu {

namespace {

int complain(const std::string& program, std::string_view text) {
    fmt::print(stderr, "{}: {}\n", program, text);
    return cli::kExitFailure;
}

/// What `arclight run` would run with these words of its own, without devices and a kernel; nothing: it has said what is wrong.
std::optional<RunOptions> own_options(const Invocation& invocation, const std::string& version) {
    std::vector<std::string> words{"run", "--kernel", "none", "--no-rng"};
    for (const Given* given : invocation.all("arclight")) {
        std::istringstream text(given->value());
        for (std::string word; text >> word;) words.push_back(word);
    }
    std::optional<RunOptions> options;
    cli::main_with(words, version, [&](const RunOptions& parsed) {
        options = parsed;
        return 0;
    });
    return options;
}

}  // namespace

bool is_qemu_name(std::string_view program) {
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return name == "qemu-system-aarch64" || name == "arclight-qemu";
}

int main_with(const std::string& program, const std::vector<std::string>& arguments,
              const std::string& version, const std::function<int(const RunOptions&)>& run) {
    const auto invocation = parse_command_line(program, arguments);
    if (!invocation) return complain(program, invocation.error());
    const auto text = answer(*invocation, version);
    if (!text) return complain(program, text.error());
    if (*text) {
        fmt::print("{}", **text);
        return 0;
    }
    auto base = own_options(*invocation, version);
    if (!base) return cli::kExitFailure;
    auto request = translate(*invocation, std::move(*base));
    if (!request) return complain(program, request.error());
    for (const std::string& note : request->notes) complain(program, note);

    if (request->daemonize) {
        auto started = become_daemon();
        if (!started) return complain(program, started.error());
        if (started->is_parent) return started->status;
        request->options.on_start = std::move(started->tell_parent);
    }
    PidFile pid_file;
    if (!request->options.pid_file.empty())
        if (const auto made = pid_file.make(request->options.pid_file); !made)
            return complain(program, made.error());
    return run(request->options);
}

}  // namespace arclight::guestos::qemu
