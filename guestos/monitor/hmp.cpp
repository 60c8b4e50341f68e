#include "guestos/monitor/hmp.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "guestos/monitor/qmp.h"
#include "guestos/monitor/words.h"

namespace arclight::guestos {

namespace {

std::string_view trimmed(std::string_view text) {
    const size_t begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string_view first_word(std::string_view& rest) {
    rest = trimmed(rest);
    const size_t end = std::min(rest.find_first_of(" \t"), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest = trimmed(rest.substr(end));
    return word;
}

std::string with_line_ends(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
        out += text[i];
    }
    return out;
}

}  // namespace

std::span<const Hmp::Command> Hmp::commands() {
    static constexpr Command kCommands[] = {
        {"help", "[cmd]", "show the help", &Hmp::help},
        {"?", "[cmd]", "show the help", &Hmp::help},
        {"info", "[subcommand]", "show various information about the system state", &Hmp::info},
        {"stop", "", "stop emulation", &Hmp::stop},
        {"s", "", "stop emulation", &Hmp::stop},
        {"cont", "", "resume emulation", &Hmp::cont},
        {"c", "", "resume emulation", &Hmp::cont},
        {"quit", "", "quit the emulator", &Hmp::quit},
        {"q", "", "quit the emulator", &Hmp::quit},
        {"system_reset", "", "reset the system", &Hmp::reset},
        {"system_powerdown", "", "send system power down event", &Hmp::power_down},
        {"cpu", "index", "set the default CPU", &Hmp::select_cpu},
        {"x", "/fmt addr", "virtual memory dump starting at 'addr'", &Hmp::examine_virtual},
        {"xp", "/fmt addr", "physical memory dump starting at 'addr'", &Hmp::examine_physical},
        {"place", "[[group=]cores ...]",
         "show, or change, on which cores of the host the guest's threads run", &Hmp::place},
        {"balloon", "target", "request VM to change its memory allocation (in MB)", &Hmp::balloon},
        {"savevm", "tag", "save a VM snapshot", &Hmp::savevm},
        {"loadvm", "tag", "restore a VM snapshot from its tag", &Hmp::loadvm},
        {"delvm", "tag", "delete a VM snapshot from its tag", &Hmp::delvm},
        {"watchdog_action", "[reset|shutdown|poweroff|pause|debug|none]", "change watchdog action",
         &Hmp::watchdog_action},
        {"ringbuf_read", "device size", "read from a ring buffer character device", &Hmp::ringbuf_read},
    };
    return kCommands;
}

std::span<const Hmp::Command> Hmp::infos() {
    static constexpr Command kInfos[] = {
        {"balloon", "", "show balloon information", &Hmp::info_balloon},
        {"block", "", "show the disks", &Hmp::info_block},
        {"chardev", "", "show the character devices", &Hmp::info_chardev},
        {"cpus", "", "show infos for each CPU", &Hmp::info_cpus},
        {"jit", "", "show what the translator has done", &Hmp::info_jit},
        {"memory_size_summary", "", "show the amount of memory in bytes", &Hmp::info_memory},
        {"mtree", "", "show memory tree", &Hmp::info_mtree},
        {"name", "", "show the current VM name", &Hmp::info_name},
        {"network", "", "show the network state", &Hmp::info_network},
        {"qtree", "", "show device tree", &Hmp::info_qtree},
        {"registers", "[-a] [vcpu]", "show the cpu registers (-a: of all CPUs)", &Hmp::info_registers},
        {"snapshots", "", "show the currently saved VM snapshots", &Hmp::info_snapshots},
        {"status", "", "show the current VM status (running|paused)", &Hmp::info_status},
        {"uuid", "", "show the current VM UUID", &Hmp::info_uuid},
        {"version", "", "show the version", &Hmp::info_version},
    };
    return kInfos;
}

std::string Hmp::list(std::span<const Command> commands, std::string_view prefix) {
    std::string text;
    for (const Command& command : commands)
        text += fmt::format("{}{}{}{} -- {}\n", prefix, command.name, command.arguments.empty() ? "" : " ",
                            command.arguments, command.help);
    return text;
}

std::string Hmp::banner() const {
    return fmt::format("Arclight {} monitor - type 'help' for more information\r\n", target_.version());
}

std::string Hmp::execute(std::string_view line) {
    std::string_view rest = line;
    std::string_view name = first_word(rest);
    if (name.empty()) return {};
    // x/4xw: the format follows at once.
    if (const size_t slash = name.find('/'); slash != std::string_view::npos && slash != 0) {
        rest = trimmed(line.substr(line.find('/')));
        name = name.substr(0, slash);
    }
    const auto found = std::ranges::find(commands(), name, &Command::name);
    if (found == commands().end()) return fmt::format("unknown command: '{}'\r\n", name);
    return with_line_ends((this->*found->run)(rest));
}

std::string Hmp::help(std::string_view rest) {
    const std::string_view name = first_word(rest);
    if (name.empty()) return list(commands(), "");
    if (name == "info") return list(infos(), "info ");
    const auto found = std::ranges::find(commands(), name, &Command::name);
    if (found == commands().end()) return fmt::format("unknown command: '{}'\n", name);
    return list({&*found, 1}, "");
}

std::string Hmp::info(std::string_view rest) {
    const std::string_view name = first_word(rest);
    if (name.empty()) return list(infos(), "info ");
    const auto found = std::ranges::find(infos(), name, &Command::name);
    if (found == infos().end()) return fmt::format("unknown command: 'info {}'\n", name);
    return (this->*found->run)(rest);
}

std::string Hmp::stop(std::string_view) {
    target_.stop();
    return {};
}

std::string Hmp::cont(std::string_view) {
    if (target_.run_state() == RunState::Shutdown) return fmt::format("Error: {}\n", kWantsReset);
    target_.resume();
    return {};
}

std::string Hmp::quit(std::string_view) {
    target_.quit();
    return {};
}

std::string Hmp::reset(std::string_view) {
    target_.reset();
    return {};
}

std::string Hmp::power_down(std::string_view) {
    target_.power_down();
    return {};
}

std::string Hmp::select_cpu(std::string_view rest) {
    unsigned cpu = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), cpu);
    if (error != std::errc() || end != rest.data() + rest.size() || cpu >= target_.cpus().size())
        return "invalid CPU index\n";
    cpu_ = cpu;
    return {};
}

std::string Hmp::examine(std::string_view rest, bool physical) {
    const std::string again = fmt::format("Try \"help {}\" for more information\n", physical ? "xp" : "x");
    DumpFormat format{.count = 1, .format = last_format_.format, .size = last_format_.size};
    if (rest.starts_with('/')) {
        const std::string_view word = first_word(rest);
        const auto parsed = parse_dump_format(word.substr(1), last_format_);
        if (!parsed) return parsed.error() + "\n" + again;
        format = *parsed;
    }
    const auto address =
        parse_address(rest, [&](std::string_view name) { return target_.register_value(cpu_, name); });
    if (!address) return address.error() + "\n" + again;
    last_format_ = format;
    return dump_memory(*address, format, [&](uint64_t at, size_t bytes) {
        return target_.read_memory(at, bytes, physical ? std::nullopt : std::optional(cpu_));
    });
}

std::string Hmp::examine_virtual(std::string_view rest) { return examine(rest, false); }
std::string Hmp::examine_physical(std::string_view rest) { return examine(rest, true); }

std::string Hmp::ringbuf_read(std::string_view rest) {
    const std::string_view device = first_word(rest);
    size_t size = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), size);
    if (device.empty() || error != std::errc() || end != rest.data() + rest.size() || size == 0)
        return "ringbuf_read wants a device and a size\n";
    const auto bytes = target_.read_ring(device, size);
    if (!bytes) return fmt::format("Error: {}\n", bytes.error());
    std::string text;
    for (const uint8_t byte : *bytes)
        text += (byte < 0x20 && byte != '\n') || byte == 0x7f ? fmt::format("\\u{:04X}", byte)
                                                              : std::string(1, static_cast<char>(byte));
    return text + "\n";
}

namespace {
constexpr const char* kNoBalloon = "Error: No balloon device has been activated\n";
}  // namespace

std::string Hmp::balloon(std::string_view rest) {
    uint64_t megabytes = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), megabytes);
    if (error != std::errc() || end != rest.data() + rest.size() || megabytes > ~uint64_t{0} >> 20)
        return "balloon wants a number of MiB\n";
    if (megabytes == 0) return "Error: Parameter 'target' expects a size\n";
    return target_.set_balloon(megabytes << 20) ? "" : kNoBalloon;
}

std::string Hmp::info_balloon(std::string_view) {
    const auto balloon = target_.balloon();
    return balloon ? fmt::format("balloon: actual={}\n", balloon->guest_bytes >> 20) : kNoBalloon;
}

std::string Hmp::place(std::string_view rest) {
    std::vector<std::string> words;
    for (std::string_view word = first_word(rest); !word.empty(); word = first_word(rest))
        words.emplace_back(word);
    if (words.empty()) {
        const std::string text = target_.placement();
        return text.empty() ? "the threads run where the host likes\n" : text;
    }
    const auto placed = target_.place(words);
    return placed ? "" : fmt::format("Error: {}\n", placed.error());
}

std::string Hmp::watchdog_action(std::string_view rest) {
    const auto action = watchdog_action_named(rest);
    if (!action) return fmt::format("Error: invalid parameter value: {}\n", rest);
    target_.set_watchdog_action(*action);
    return {};
}

namespace {
std::string told(const Result<void>& done) { return done ? "" : fmt::format("Error: {}\n", done.error()); }
}  // namespace

std::string Hmp::savevm(std::string_view rest) {
    // Without a name QEMU makes one of the time.
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return told(
        target_.save_snapshot(rest.empty() ? fmt::format("vm-{:%Y%m%d%H%M%S}", now) : std::string(rest)));
}

std::string Hmp::loadvm(std::string_view rest) { return told(target_.load_snapshot(std::string(rest))); }
std::string Hmp::delvm(std::string_view rest) { return told(target_.delete_snapshot(std::string(rest))); }

std::string Hmp::info_snapshots(std::string_view) {
    const auto all = target_.snapshots();
    if (!all) return fmt::format("Error: {}\n", all.error());
    if (all->empty()) return "There is no snapshot available.\n";
    std::string text = "List of snapshots:\nTAG                  SIZE       DATE\n";
    for (const MonitorTarget::Snapshot& one : *all)
        text += fmt::format("{:<20} {:<10} {:%Y-%m-%d %H:%M:%S}\n", one.name,
                            fmt::format("{} MiB", one.bytes >> 20),
                            std::chrono::sys_seconds(std::chrono::seconds(one.saved)));
    return text;
}

std::string Hmp::info_status(std::string_view) {
    const RunState state = target_.run_state();
    if (state == RunState::Running) return "VM status: running\n";
    const std::string why = state == RunState::Paused ? "" : fmt::format(" ({})", run_state_word(state));
    return fmt::format("VM status: paused{}\n", why);
}

std::string Hmp::info_cpus(std::string_view) {
    std::string text;
    for (const MonitorTarget::Cpu& cpu : target_.cpus())
        text += fmt::format("{} CPU #{}: thread_id={}{}\n", cpu.index == cpu_ ? '*' : ' ', cpu.index,
                            cpu.host_thread, cpu.halted ? " (halted)" : "");
    return text;
}

std::string Hmp::info_registers(std::string_view rest) {
    const size_t cpus = target_.cpus().size();
    if (rest == "-a") {
        std::string text;
        for (unsigned cpu = 0; cpu < cpus; ++cpu)
            text += fmt::format("\nCPU#{}\n{}", cpu, target_.registers(cpu));
        return text;
    }
    unsigned cpu = cpu_;
    if (!rest.empty()) {
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), cpu);
        if (error != std::errc() || end != rest.data() + rest.size() || cpu >= cpus)
            return fmt::format("CPU#{} not available\n", rest);
    }
    return fmt::format("\nCPU#{}\n{}", cpu, target_.registers(cpu));
}

std::string Hmp::info_mtree(std::string_view) { return target_.memory_tree(); }
std::string Hmp::info_jit(std::string_view) { return target_.jit_statistics(); }

std::string Hmp::info_qtree(std::string_view) {
    std::string text = "bus: main-system-bus\n";
    for (const MonitorTarget::Device& device : target_.devices()) {
        text += fmt::format("  dev: {}, id \"{}\"\n", device.type, device.id);
        if (!device.place.empty()) text += fmt::format("    {}\n", device.place);
        for (const auto& [name, value] : device.options)
            text += fmt::format("    {} = \"{}\"\n", name, value);
    }
    return text;
}

std::string Hmp::info_block(std::string_view) {
    std::string text;
    for (const MonitorTarget::Disk& disk : target_.disks())
        text += fmt::format("{}{}: {} ({}{})\n    Cache mode:       writeback\n", text.empty() ? "" : "\n",
                            disk.name, disk.file, disk.format, disk.readonly ? ", read-only" : "");
    return text;
}

std::string Hmp::info_network(std::string_view) {
    std::string text;
    for (const MonitorTarget::Network& network : target_.networks())
        text += fmt::format("{}: index=0,type=nic,model={},macaddr={}\n \\ {}\n", network.device,
                            network.model, network.mac, network.backend);
    return text;
}

std::string Hmp::info_chardev(std::string_view) {
    std::string text;
    for (const MonitorTarget::Chardev& one : target_.chardevs())
        text += fmt::format("{}: filename={}\n", one.label, one.filename);
    return text;
}

std::string Hmp::info_version(std::string_view) {
    return fmt::format("{}.{}.{}Arclight {}\n", QemuVersion::kMajor, QemuVersion::kMinor, QemuVersion::kMicro,
                       target_.version());
}

std::string Hmp::info_name(std::string_view) {
    const std::string name = target_.name();
    return name.empty() ? "" : name + "\n";
}

std::string Hmp::info_uuid(std::string_view) {
    const std::string uuid = target_.uuid();
    return (uuid.empty() ? "00000000-0000-0000-0000-000000000000" : uuid) + "\n";
}

std::string Hmp::info_memory(std::string_view) {
    return fmt::format("base memory: {}\nplugged memory: 0\n", target_.memory_bytes());
}

}  // namespace arclight::guestos
