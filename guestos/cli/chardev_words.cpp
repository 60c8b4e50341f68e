#include "guestos/cli/chardev_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "devices/device_factory.h"
#include "devices/virtio/console.h"
#include "guestos/chardev/parse.h"

namespace arclight::guestos::cli {

namespace {

constexpr std::string_view kNamed = "chardev:";

/// The name of the chardev that a short form makes or names; empty for none.
Result<std::string> chardev_for(RunOptions& options, const std::string& id, std::string_view text) {
    if (text == "none") return std::string();
    if (text.starts_with(kNamed)) return std::string(text.substr(kNamed.size()));
    auto made = parse_chardev_short(id, text);
    if (!made) return std::unexpected(made.error());
    options.chardevs.push_back(std::move(*made));
    return id;
}

Result<MonitorOptions> parse_mon(std::string_view text) {
    // The first word may be the chardev's name.
    const auto request = devices::DeviceRequest::parse(fmt::format("mon,{}", text));
    if (!request) return std::unexpected(request.error());
    MonitorOptions monitor{.mode = MonitorOptions::Mode::Readline};
    for (const auto& [key, value] : request->options) {
        if (key == "chardev") {
            monitor.chardev = value;
        } else if (key == "mode" && (value == "control" || value == "readline")) {
            monitor.mode =
                value == "control" ? MonitorOptions::Mode::Control : MonitorOptions::Mode::Readline;
        } else if (key == "pretty" && (value == "on" || value == "off")) {
            monitor.pretty = value == "on";
        } else {
            return failure("'{}={}' is none of chardev=ID, mode=control|readline, pretty=on|off", key, value);
        }
    }
    if (monitor.chardev.empty()) return failure("'{}' names no chardev", text);
    return monitor;
}

CLI::Option* repeatable(CLI::Option* option) {
    return option->type_name("SPEC")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Result<void> apply_monitors(const ChardevWords& words, RunOptions& options) {
    unsigned nth = 0;
    const auto add = [&](const std::vector<std::string>& texts, MonitorOptions::Mode mode,
                         const char* word) -> Result<void> {
        for (const std::string& text : texts) {
            auto chardev = chardev_for(options, fmt::format("compat_monitor{}", nth++), text);
            if (!chardev) return failure("--{}: {}", word, chardev.error());
            if (!chardev->empty()) options.monitors.push_back({.chardev = *chardev, .mode = mode});
        }
        return {};
    };
    if (auto good = add(words.monitors, MonitorOptions::Mode::Readline, "monitor"); !good) return good;
    if (auto good = add(words.qmp, MonitorOptions::Mode::Control, "qmp"); !good) return good;
    for (const std::string& text : words.mon) {
        auto monitor = parse_mon(text);
        if (!monitor) return failure("--mon: {}", monitor.error());
        options.monitors.push_back(std::move(*monitor));
    }
    return {};
}

/// One virtio device with all consoles and ports. Ports that are no console's have numbers from 1 on.
Result<void> apply_ports(const ChardevWords& words, RunOptions& options) {
    std::vector<devices::virtio::Console::PortOptions> ports;
    const auto add = [&](bool console, const std::string& name, std::string_view text,
                         const std::string& id) -> Result<void> {
        auto chardev = chardev_for(options, id, text);
        if (!chardev) return std::unexpected(chardev.error());
        if (chardev->empty()) return failure("'none' is nothing for a port");
        if (name.find(';') != std::string::npos || name.size() > devices::virtio::Console::kMaxName)
            return failure("'{}' is no port's name", name);
        unsigned number = console ? 0 : 1;
        while (std::ranges::find(ports, number, &devices::virtio::Console::PortOptions::number) !=
               ports.end())
            ++number;
        if (number >= devices::virtio::Console::kMaxPorts)
            return failure("more than {} ports", devices::virtio::Console::kMaxPorts);
        ports.push_back({.number = number, .console = console, .chardev = *chardev, .name = name});
        return {};
    };
    for (size_t i = 0; i < words.consoles.size(); ++i)
        if (auto good = add(true, "", words.consoles[i], fmt::format("console{}", i)); !good)
            return failure("--console: {}", good.error());
    for (size_t i = 0; i < words.ports.size(); ++i) {
        const size_t equals = words.ports[i].find('=');
        if (equals == 0 || equals == std::string::npos)
            return failure("--port: '{}' is not NAME=SPEC", words.ports[i]);
        const auto good = add(false, words.ports[i].substr(0, equals),
                              std::string_view(words.ports[i]).substr(equals + 1), fmt::format("port{}", i));
        if (!good) return failure("--port: {}", good.error());
    }
    if (!ports.empty())
        options.devices.push_back(
            {.request = {"virtio-serial", {{"ports", devices::virtio::Console::ports_text(ports)}}}});
    return {};
}

}  // namespace

void add_chardev_words(CLI::App& command, ChardevWords& words, RunOptions& options) {
    const auto group = "Serial ports and control (docs/control.md)";
    repeatable(
        command.add_option("--chardev", words.chardevs,
                           "a back end for characters: stdio|file|pipe|pty|socket|ringbuf|null,id=NAME and, "
                           "after commas, path=, host=, port=, server=on|off, wait=on|off, logfile=, mux=on "
                           "and others; repeatable"))
        ->group(group);
    repeatable(command.add_option("--serial", words.serials,
                                  "where a serial port goes: stdio, mon:stdio, pty, file:PATH, pipe:PATH, "
                                  "tcp:HOST:PORT, telnet:HOST:PORT, unix:PATH, ringbuf, null, none or "
                                  "chardev:NAME; twice for a second "
                                  "port [mon:stdio]"))
        ->group(group);
    repeatable(command.add_option("--monitor", words.monitors,
                                  "a monitor for people, with the words of --serial; repeatable [Ctrl-A C]"))
        ->group(group);
    repeatable(command.add_option("--qmp", words.qmp,
                                  "a monitor for programs (QMP), with the words of --serial: "
                                  "unix:PATH,server=on,wait=off; repeatable"))
        ->group(group);
    repeatable(command.add_option(
                   "--mon", words.mon,
                   "a monitor on a chardev: chardev=NAME,mode=readline|control[,pretty=on]; repeatable"))
        ->group(group);
    repeatable(
        command.add_option("--console", words.consoles,
                           "a virtio console, the guest's /dev/hvc0 and so on, with the words of --serial; "
                           "repeatable"))
        ->group(group);
    repeatable(command.add_option("--port", words.ports,
                                  "a virtio port for programs in the guest: NAME=SPEC, such as "
                                  "org.qemu.guest_agent.0=unix:PATH,server=on,wait=off; repeatable"))
        ->group(group);
    command
        .add_option("--escape-key", words.escape_key,
                    "the console's key for commands: a control character's letter, or off [a]")
        ->type_name("LETTER")
        ->group(group);
    command
        .add_flag("-S,--paused", options.start_paused,
                  "the guest waits for a monitor's cont, or a debugger's, before its first instruction")
        ->group(group);
}

Result<void> apply_chardev_words(const ChardevWords& words, RunOptions& options) {
    for (const std::string& text : words.chardevs) {
        auto made = parse_chardev(text);
        if (!made) return failure("--chardev: {}", made.error());
        options.chardevs.push_back(std::move(*made));
    }
    if (words.serials.size() > 2) return failure("--serial: there are two serial ports");
    for (size_t i = 0; i < words.serials.size(); ++i) {
        const std::string id = fmt::format("serial{}", i);
        auto chardev = chardev_for(options, id, words.serials[i]);
        if (!chardev) return failure("--serial: {}", chardev.error());
        options.serials.push_back(*chardev);
        // As QEMU: mon: brings a monitor along.
        if (words.serials[i].starts_with("mon:"))
            options.monitors.push_back({.chardev = id, .mode = MonitorOptions::Mode::Readline});
    }
    if (auto good = apply_monitors(words, options); !good) return good;
    if (auto good = apply_ports(words, options); !good) return good;
    const std::string& key = words.escape_key;
    if (key == "off") {
        options.escape_key = 0;
    } else if (!key.empty()) {
        if (key.size() != 1 || key[0] < 'a' || key[0] > 'z')
            return failure("--escape-key: '{}' is no small letter", key);
        options.escape_key = static_cast<uint8_t>(key[0] - 'a' + 1);
    }
    return {};
}

}  // namespace arclight::guestos::cli
