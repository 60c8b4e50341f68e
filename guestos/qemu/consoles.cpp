// -chardev, -serial, -monitor, -qmp, -mon: what carries characters, and who talks through it. The defaults are those of softmmu/vl.c
// of QEMU 7.2.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/chardev/parse.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

constexpr std::string_view kNamed = "chardev:", kWithMonitor = "mon:";
using Mode = MonitorOptions::Mode;

/// A virtual console of a display, which there is none of: output is lost, and no input comes.
bool is_virtual_console(std::string_view text) { return text == "vc" || text.starts_with("vc:"); }

Result<void> add_chardev(Translation& t, Result<ChardevOptions> made, const std::string& origin) {
    if (!made) return failure("{}: {}", origin, made.error());
    if (std::ranges::count(t.out.chardevs, made->id, &ChardevOptions::id) != 0)
        return failure("{}: Duplicate ID '{}' for chardev", origin, made->id);
    if (made->kind == ChardevOptions::Kind::Stdio) {
        if (std::ranges::count(t.out.chardevs, ChardevOptions::Kind::Stdio, &ChardevOptions::kind) != 0)
            return failure("{}: cannot use stdio by multiple character devices", origin);
        if (t.in.has("daemonize")) return failure("{}: cannot use stdio with -daemonize", origin);
    }
    t.out.chardevs.push_back(std::move(*made));
    return {};
}

Result<void> take_chardevs(Translation& t) {
    for (const Given* given : t.in.all("chardev")) {
        std::string text = given->value("backend");
        for (const auto& [key, value] : given->values)
            if (key != "backend") text += fmt::format(",{}={}", key, doubled_commas(value));
        if (auto added = add_chardev(t, parse_chardev(text), given->origin); !added) return added;
    }
    return {};
}

/// The name of the chardev that a short form makes or names; empty: none.
Result<std::string> chardev_for(Translation& t, const std::string& id, const std::string& text,
                                const std::string& origin) {
    if (text == "none" || is_virtual_console(text)) return std::string();
    if (text.starts_with(kNamed)) {
        const std::string name = text.substr(kNamed.size());
        if (std::ranges::count(t.out.chardevs, name, &ChardevOptions::id) == 0)
            return failure("{}: chardev \"{}\" not found", origin, name);
        return name;
    }
    auto made = parse_chardev_short(id, text);
    // Behind "mon:" Ctrl-C is the guest's; otherwise it ends the run.
    if (made && text == "stdio") made->signals = true;
    if (auto added = add_chardev(t, std::move(made), origin); !added) return std::unexpected(added.error());
    return id;
}

struct Wanted {
    std::string text, origin;
    Mode mode = Mode::Readline;
    bool pretty = false;
};

Result<void> add_serial(Translation& t, const Wanted& serial) {
    const std::string id = fmt::format("serial{}", t.out.serials.size());
    auto chardev = chardev_for(t, id, serial.text, serial.origin);
    if (!chardev) return std::unexpected(chardev.error());
    t.out.serials.push_back(*chardev);
    if (serial.text.starts_with(kWithMonitor))
        t.out.monitors.push_back({.chardev = id, .mode = Mode::Readline});
    return {};
}

Result<void> add_monitor(Translation& t, const Wanted& monitor) {
    auto chardev =
        chardev_for(t, fmt::format("compat_monitor{}", t.out.monitors.size()), monitor.text, monitor.origin);
    if (!chardev) return std::unexpected(chardev.error());
    if (!chardev->empty())
        t.out.monitors.push_back({.chardev = *chardev, .mode = monitor.mode, .pretty = monitor.pretty});
    return {};
}

Result<void> take_mon(Translation& t) {
    for (const Given* given : t.in.all("mon")) {
        Keys keys(*given);
        MonitorOptions monitor{.chardev = keys.text("chardev")};
        monitor.mode = keys.choice("mode", "readline", {"readline", "control"}) == "control" ? Mode::Control
                                                                                             : Mode::Readline;
        monitor.pretty = keys.on("pretty", false);
        keys.ignore({"id"});
        if (std::ranges::count(t.out.chardevs, monitor.chardev, &ChardevOptions::id) == 0)
            keys.fail("chardev \"{}\" not found", monitor.chardev);
        if (const auto known = keys.finish(); !known) return known;
        t.out.monitors.push_back(std::move(monitor));
    }
    return {};
}

}  // namespace

Result<void> take_consoles(Translation& t) {
    if (t.in.has("daemonize") && t.in.has("nographic"))
        return failure("-nographic cannot be used with -daemonize");
    t.out.chardevs.clear();
    t.out.serials.clear();
    t.out.monitors.clear();
    if (auto taken = take_chardevs(t); !taken) return taken;
    std::vector<Wanted> serials, monitors;
    for (const Given* given : t.in.all("serial")) serials.push_back({given->value(), given->origin});
    for (const Given* given : t.in.all("monitor")) monitors.push_back({given->value(), given->origin});
    for (const Given* given : t.in.all("qmp"))
        monitors.push_back({given->value(), given->origin, Mode::Control});
    for (const Given* given : t.in.all("qmp-pretty"))
        monitors.push_back({given->value(), given->origin, Mode::Control, true});

    const bool defaults = !t.in.has("nodefaults");
    const bool default_serial = defaults && serials.empty();
    const auto brings_monitor = [](const Wanted& serial) { return serial.text.starts_with(kWithMonitor); };
    const bool default_monitor =
        defaults && monitors.empty() && !t.in.has("mon") && std::ranges::none_of(serials, brings_monitor);
    const bool no_display = t.in.merged("display").value("type") == "none" || t.in.has("daemonize");
    if (t.in.has("nographic")) {
        if (default_serial)
            serials.push_back({default_monitor ? "mon:stdio" : "stdio", "-nographic"});
        else if (default_monitor)
            monitors.push_back({"stdio", "-nographic"});
    } else if (default_serial && default_monitor && !no_display) {
        // QEMU would open a window with the serial port's console in it.
        serials.push_back({"mon:stdio", "no -nographic"});
        if (const auto done = t.notes.missed(
                "no -nographic: there is no display, and the serial port is on stdin and stdout");
            !done)
            return done;
    }
    constexpr size_t kPorts = 2;
    for (const Wanted& serial : serials)
        if (auto added = add_serial(t, serial); !added) return added;
    // As in QEMU, those that the board has no port for lead nowhere.
    if (serials.size() > kPorts) {
        t.out.serials.resize(kPorts);
        if (const auto done = t.notes.missed(
                fmt::format("{}: the board has {} serial ports", serials[kPorts].origin, kPorts));
            !done)
            return done;
    }
    // The first port is there in any case.
    if (t.out.serials.empty()) t.out.serials.emplace_back();
    for (const Wanted& monitor : monitors)
        if (auto added = add_monitor(t, monitor); !added) return added;
    if (auto taken = take_mon(t); !taken) return taken;

    if (const auto key = t.in.word("echr")) {
        const auto number = parse_number(*key);
        constexpr uint64_t kMaxKey = 255;
        if (!number || *number > kMaxKey) return failure("-echr {}: it is a character's number", *key);
        t.out.escape_key = static_cast<uint8_t>(*number);
    }
    t.out.start_paused = t.in.has("S");
    return {};
}

}  // namespace arclight::guestos::qemu
