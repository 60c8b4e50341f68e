// Options about this process on the host, and about how the machine starts and ends.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "guestos/gdb/address.h"
#include "guestos/monitor/words.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

bool is_uuid(std::string_view text) {
    // 8-4-4-4-12 hexadecimal digits; QEMU takes nothing else.
    if (text.size() != 36) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) return false;
    }
    return true;
}

Result<void> take_clock(Translation& t) {
    const Given rtc = t.in.merged("rtc");
    Keys keys(rtc);
    const std::string base = keys.text("base", "utc");
    const std::string clock = keys.choice("clock", "host", {"host", "rt", "vm"});
    if (keys.choice("driftfix", "none", {"none", "slew"}) == "slew") keys.fail("driftfix is for PCs");
    const auto is_time = [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == ':' || c == 'T' ||
               c == ' ';
    };
    if (base != "utc" && base != "localtime" && !std::ranges::all_of(base, is_time))
        keys.fail("invalid datetime format; valid formats: '2006-06-17T16:01:21' or '2006-06-17'");
    if (const auto known = keys.finish(); !known) return known;
    if (base == "utc" && clock == "host") return {};
    return t.notes.missed(fmt::format("{}: the clock shows the host's time, in UTC", rtc.origin));
}

Result<void> take_actions(Translation& t) {
    const Given action = t.in.merged("action");
    Keys keys(action);
    t.out.no_reboot = keys.choice("reboot", "reset", {"reset", "shutdown"}) == "shutdown";
    const bool pauses = keys.choice("shutdown", "poweroff", {"poweroff", "pause"}) == "pause";
    keys.choice("panic", "shutdown", {"pause", "shutdown", "exit-failure", "none"});
    const std::string watchdog = keys.choice(
        "watchdog", "reset", {"reset", "shutdown", "poweroff", "inject-nmi", "pause", "debug", "none"});
    if (const auto action = watchdog_action_named(watchdog))
        t.out.watchdog = *action;
    else
        keys.fail("the virt board has no NMI");
    if (const auto known = keys.finish(); !known) return known;
    if (!pauses) return {};
    return t.notes.missed(fmt::format("{}: the run ends when the guest powers off", action.origin));
}

Result<void> take_semihosting(Translation& t) {
    if (!t.in.has("semihosting-config")) return {};
    const Given semihosting = t.in.merged("semihosting-config");
    Keys keys(semihosting);
    const bool enabled = keys.on("enable", true), userspace = keys.on("userspace", false);
    if (keys.choice("target", "auto", {"auto", "native", "gdb"}) == "gdb")
        keys.fail("calls are answered here, not by the debugger");
    if (keys.has("chardev")) keys.fail("its console is stdin and stdout");
    keys.ignore({"chardev", "arg"});
    for (const auto& [key, value] : semihosting.values)
        if (key == "arg") t.out.semihosting_arguments.push_back(value);
    if (const auto known = keys.finish(); !known) return known;
    if (enabled) t.out.semihosting = userspace ? SemihostingAccess::Userspace : SemihostingAccess::Kernel;
    return {};
}

Result<void> take_sandbox(Translation& t) {
    if (!t.in.has("sandbox")) return {};
    const Given sandbox = t.in.merged("sandbox");
    Keys keys(sandbox);
    const bool on = keys.on("enable", false);
    for (const std::string_view key : {"obsolete", "elevateprivileges", "spawn", "resourcecontrol"})
        keys.choice(key, "deny", {"allow", "deny", "children"});
    if (const auto known = keys.finish(); !known) return known;
    if (on) t.out.sandbox = SandboxMode::Require;
    return {};
}

/// Names, and the order in which firmware would look for a system: checked, for the rest they say nothing to the guest.
Result<void> take_names(Translation& t) {
    const Given name = t.in.merged("name"), boot = t.in.merged("boot");
    Keys names(name), order(boot);
    names.ignore({"guest", "process"});
    names.on("debug-threads", false);
    t.out.name = names.text("guest");
    if (const auto known = names.finish(); !known) return known;
    order.ignore({"order", "once", "splash", "splash-time", "reboot-timeout"});
    order.on("menu", false);
    order.on("strict", false);
    return order.finish();
}

}  // namespace

Result<void> take_process(Translation& t) {
    if (const auto done = take_clock(t); !done) return done;
    if (const auto done = take_names(t); !done) return done;
    if (const auto done = take_actions(t); !done) return done;
    if (const auto done = take_semihosting(t); !done) return done;
    if (const auto done = take_sandbox(t); !done) return done;
    if (const auto uuid = t.in.word("uuid"); uuid && !is_uuid(*uuid))
        return failure("-uuid {}: failed to parse UUID string: wrong format", *uuid);
    t.out.uuid = t.in.word("uuid").value_or("");
    t.out.user = t.in.word("runas").value_or(t.out.user);
    if (const auto root = t.in.word("chroot"))
        if (const auto done =
                t.notes.missed(fmt::format("-chroot {}: the process confines itself instead", *root));
            !done)
            return done;
    if (t.in.has("tpmdev"))
        if (const auto done =
                t.notes.missed(fmt::format("{}: there is no TPM", t.in.merged("tpmdev").origin));
            !done)
            return done;
    if (const auto seed = t.in.word("seed")) {
        const auto number = parse_number(*seed);
        if (!number) return failure("Invalid seed number: {}", *seed);
        t.out.random_seed = *number;
    }
    if (const auto gdb = t.in.word("gdb"); gdb && *gdb != "none") {
        if (const auto good = gdb::parse_address(*gdb); !good)
            return failure("-gdb {}: {}", *gdb, good.error());
        t.out.gdb = *gdb;
    }
    t.out.pid_file = t.in.word("pidfile").value_or("");
    t.daemonize = t.in.has("daemonize");
    // QEMU ends with status 0 when a signal ends it.
    t.out.signal_is_failure = false;
    return {};
}

// QEMU keeps snapshots in the first disk's image; here they are beside it, where such a directory is.
Result<void> take_snapshots(Translation& t) {
    for (const DeviceOptions& device : t.out.devices) {
        if (!t.out.snapshots.empty()) break;
        for (const auto& [option, value] : device.request.options)
            if (std::error_code error;
                option == "file" && std::filesystem::is_directory(value + ".snapshots", error))
                t.out.snapshots = value + ".snapshots";
    }
    const auto snapshot = t.in.word("loadvm");
    if (!snapshot) return {};
    t.out.restore = *snapshot;
    t.out.restore_memory = !t.in.has("m");
    t.out.restore_cpus = !t.in.has("smp");
    return {};
}

}  // namespace arclight::guestos::qemu
