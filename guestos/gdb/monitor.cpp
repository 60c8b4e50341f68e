#include "guestos/gdb/monitor.h"

#include <fmt/format.h>

#include <cstring>

namespace arclight::guestos::gdb {

namespace {

constexpr const char* kHelp =
    "info cpus -- the CPUs, and which of them are off\n"
    "info registers -- the general registers of the CPU in view\n"
    "system_reset (reset) -- start the guest again\n"
    "quit -- end it\n";

/// As the general registers of an AArch64 target follow each other: x0 to x30, sp, pc, and the status in four bytes.
std::string registers(DebugTarget& target, unsigned cpu) {
    constexpr unsigned kSp = 31, kPc = 32, kStatus = 33, kInLine = 4;
    std::string text;
    for (unsigned n = 0; n <= kStatus; ++n) {
        std::vector<uint8_t> bytes;
        if (!target.read_register(cpu, n, bytes) || bytes.size() > sizeof(uint64_t)) break;
        uint64_t value = 0;
        std::memcpy(&value, bytes.data(), bytes.size());
        const std::string name = n == kSp       ? "sp"
                                 : n == kPc     ? "pc"
                                 : n == kStatus ? "cpsr"
                                                : fmt::format("x{}", n);
        text += fmt::format("{:>4}={:0{}x}{}", name, value, 2 * bytes.size(),
                            n % kInLine == kInLine - 1 || n == kStatus ? "\n" : " ");
    }
    return text;
}

std::string list_cpus(DebugTarget& target, unsigned in_view) {
    std::string text;
    for (unsigned i = 0; i < target.cpus(); ++i)
        text +=
            fmt::format("{} {} pc={:#x}\n", i == in_view ? '*' : ' ', target.describe_cpu(i), target.pc(i));
    return text;
}

}  // namespace

std::optional<std::string> basic_monitor(DebugTarget& target, unsigned cpu, std::string_view command) {
    if (command == "help" || command == "?") return kHelp;
    if (command == "info cpus") return list_cpus(target, cpu);
    if (command == "info registers") return registers(target, cpu);
    if (command == "system_reset" || command == "reset") {
        target.reset();
        return std::string();
    }
    if (command == "quit" || command == "q") {
        target.power_off();
        return std::string();
    }
    return std::nullopt;
}

}  // namespace arclight::guestos::gdb
