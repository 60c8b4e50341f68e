#include "guestos/qemu/answers.h"

#include <fmt/format.h>

#include "guestos/qemu/cpu_models.h"
#include "guestos/qemu/devices.h"
#include "guestos/qemu/log.h"
#include "guestos/qemu/option_table.h"
#include "guestos/qemu/words.h"

namespace arclight::guestos::qemu {

namespace {

/// Tools read the first line up to the version.
std::string version_text(const std::string& version) {
    return fmt::format(
        "QEMU emulator version {} (Arclight {})\n"
        "Arclight runs AArch64 guests under QEMU's command line. It is not QEMU, and holds no code of it.\n",
        kFollowedVersion, version);
}

std::string help_text(const Invocation& invocation, const std::string& version) {
    std::string text = version_text(version);
    text += fmt::format("usage: {} [options] [disk_image]\n\nOptions, and how they differ from QEMU's:\n",
                        invocation.program);
    for (const OptionRow& row : option_table()) {
        if (row.standing == Standing::Refused) continue;
        const std::string_view form = row.form == Form::Flag   ? ""
                                      : row.form == Form::Word ? " VALUE"
                                                               : " KEY=VALUE,...";
        const std::string_view note = row.standing == Standing::Ignored ? "(no meaning here)" : row.note;
        const std::string head = fmt::format("-{}{}", row.name, form);
        text += note.empty() ? head + "\n" : fmt::format("{:<27} {}\n", head, note);
    }
    text += "\nRefused, with the reason:\n";
    for (const OptionRow& row : option_table())
        if (row.standing == Standing::Refused)
            text += fmt::format("{:<27} {}\n", fmt::format("-{}", row.name), row.note);
    return text + "\nOn the serial console, Ctrl-A H helps.\n";
}

constexpr std::string_view kMachineProperties =
    "virt-7.2-machine options:\n"
    "  accel=<string>         - tcg, kvm, hvf: all are Arclight's translator\n"
    "  acpi=<OnOffAuto>       - Enable ACPI\n"
    "  append=<string>        - Linux kernel command line\n"
    "  dtb-randomness=<bool>  - Set off to disable passing random or non-deterministic dtb nodes to guest\n"
    "  dtb=<string>           - Linux kernel device tree file\n"
    "  dumpdtb=<string>       - Dump current dtb to a file and quit\n"
    "  gic-version=<string>   - Set GIC version. Valid values are 2, 3, host and max\n"
    "  highmem=<bool>         - Set off to refuse more than 3 GiB of memory\n"
    "  initrd=<string>        - Linux initial ramdisk file\n"
    "  kernel=<string>        - Linux kernel image file\n"
    "  mte=<bool>             - memory tagging, of max, cortex-a710 and neoverse-n2\n"
    "  secure=<bool>          - taken, with a line: the CPU has no EL3\n"
    "  virtualization=<bool>  - taken, with a line if the CPU has no EL2\n";

/// What options answer to "help", other than -device.
std::optional<std::string> list_for(const std::string& option) {
    if (option == "machine") return machine_help();
    if (option == "accel") return accelerator_help();
    if (option == "cpu") return cpu_help();
    if (option == "d") return log_help();
    if (option == "netdev" || option == "nic" || option == "net")
        return "Available netdev backend types:\nuser\n";
    if (option == "object")
        return "List of user creatable objects:\n  iothread\n  memory-backend-file\n  memory-backend-memfd\n "
               " "
               "memory-backend-ram\n  rng-builtin\n  rng-random\n";
    if (option == "chardev")
        return "Available chardev backend types: \n  file\n  null\n  pipe\n  pty\n  ringbuf\n  socket\n  "
               "stdio\n";
    if (option == "display") return "Available display backend types:\nnone\n";
    if (option == "vga") return "none                 no graphic card\n";
    if (option == "audio" || option == "audiodev") return "Available audio drivers:\nnone\n";
    return {};
}

bool is_help(const Given& given) {
    if (given.has("help") || given.has("?")) return true;
    const std::string word = given.value();
    return word == "help" || word == "?";
}

}  // namespace

Result<std::optional<std::string>> answer(const Invocation& invocation, const std::string& version) {
    if (invocation.question == Question::Version) return version_text(version);
    if (invocation.question == Question::Help) return help_text(invocation, version);
    for (const Given& given : invocation.given) {
        if (!is_help(given)) continue;
        if (given.option == "device") {
            if (!given.has("driver")) return device_help();
            auto text = device_help(given.value("driver"));
            if (!text) return std::unexpected(one_line(text.error()));
            return *text;
        }
        if (given.option == "machine" && given.has("type")) return std::string(kMachineProperties);
        if (auto text = list_for(given.option)) return text;
    }
    return std::nullopt;
}

}  // namespace arclight::guestos::qemu
