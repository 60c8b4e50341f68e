// Command lines of QEMU's, a word a line, and -readconfig's files.
#include <string>
#include <vector>

#include "guestos/qemu/answers.h"
#include "guestos/qemu/option_table.h"
#include "guestos/qemu/read_config.h"
#include "guestos/qemu/translate.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace guestos;

void check_error(const std::string& error) {
    require(!error.empty(), "an error says something");
    require(error.find('\n') == std::string::npos, "an error is one line");
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines(1);
    for (const char c : text) {
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back() += c;
    }
    return lines;
}

void check(const qemu::Invocation& invocation) {
    if (const auto text = qemu::answer(invocation, "0"); !text) check_error(text.error());
    const auto request = qemu::translate(invocation, RunOptions());
    if (!request) return check_error(request.error());
    require(request->options.cpus >= 1 && request->options.cpus <= 8, "the machine has its CPUs");
    if (const auto& topology = request->options.topology)
        require(topology->places() >= request->options.cpus && topology->places() <= 512,
                "there is a place for each CPU");
    require(request->options.memory >= 1 << 20, "the machine has memory");
    for (const std::string& note : request->notes) check_error(note);
}

void run(std::span<const uint8_t> bytes) {
    Input input(bytes);
    const bool is_file = input.flag();
    const auto rest = input.rest();
    const std::string text(rest.begin(), rest.end());
    qemu::Invocation invocation{.program = "qemu", .given = {}};
    if (is_file) {
        auto options = qemu::parse_config(text, "file");
        if (!options) return check_error(options.error());
        invocation.given = std::move(*options);
    } else {
        // Files are not for a fuzzer to open.
        if (text.find("readconfig") != std::string::npos) return;
        auto parsed = qemu::parse_command_line("qemu", lines_of(text));
        if (!parsed) return check_error(parsed.error());
        invocation = std::move(*parsed);
    }
    check(invocation);
}

std::vector<std::string_view> words() {
    std::vector<std::string_view> all{"\n-",
                                      ",",
                                      ",,",
                                      "=",
                                      "on",
                                      "off",
                                      "help",
                                      "file=x",
                                      "if=none",
                                      "id=",
                                      "drive=",
                                      "none",
                                      "user",
                                      "stdio",
                                      "mon:",
                                      "[drive]",
                                      "\"",
                                      "virt,",
                                      "netdev=",
                                      "chardev:",
                                      "{\"",
                                      "\":",
                                      "driver",
                                      "size=",
                                      "1G",
                                      "cpus=",
                                      "maxcpus=",
                                      "threads=",
                                      "virtio-blk-device",
                                      "virtio-net-pci",
                                      "path=",
                                      "mount_tag="};
    for (const auto& row : qemu::option_table()) all.push_back(row.name);
    return all;
}

const Registered registered({.name = "qemu_options", .run = run, .max_size = 1024, .words = words()});

}  // namespace
}  // namespace arclight::fuzz
