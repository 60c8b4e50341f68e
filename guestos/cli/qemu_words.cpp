#include "guestos/cli/qemu_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/option_table.h"

namespace arclight::guestos::cli {

namespace {

/// `here` is an option of `arclight run`.
struct Word {
    std::string_view name;
    std::string_view here;
};

// Those that `arclight run` has too, by another name.
constexpr Word kWords[] = {
    {"kernel", "--kernel"},
    {"initrd", "--initrd"},
    {"append", "--append"},
    {"dtb", "--dtb"},
    {"smp", "--smp"},
    {"drive", "--drive"},
    {"hda", "--drive file=FILE"},
    {"hdb", "--drive file=FILE"},
    {"hdc", "--drive file=FILE"},
    {"hdd", "--drive file=FILE"},
    {"sd", "--drive file=FILE"},
    {"blockdev", "--drive file=FILE"},
    {"cdrom", "--cdrom FILE"},
    {"snapshot", "--drive file=FILE,snapshot=on"},
    {"no-reboot", "--no-reboot"},
    {"no-shutdown", "--no-shutdown"},
    {"accel", "--accel (kvm or process)"},
    {"enable-kvm", "--accel kvm"},
    {"net", "--net user"},
    {"netdev", "--net user"},
    {"nic", "--net user"},
    {"semihosting", "--semihosting"},
    {"semihosting-config", "--semihosting"},
    {"sandbox", "--sandbox"},
    {"runas", "--user"},
    {"d", "--trace"},
    {"D", "--trace-file"},
    {"serial", "--serial"},
    {"echr", "--escape-key"},
    {"chardev", "--chardev"},
    {"mon", "--mon"},
    {"monitor", "--monitor"},
    {"qmp", "--qmp"},
    {"S", "--paused"},
    {"bios", "--bios"},
    {"pflash", "--flash"},
    {"fw_cfg", "--fw-cfg"},
    {"smbios", "--smbios"},
    {"no-acpi", "--no-acpi"},
    {"virtfs", "--share"},
    {"fsdev", "--share"},
    {"device", "--device"},
    {"version", "--version"},
    {"help", "--help"},
    {"machine", "--gic (its gic-version=)"},
    {"M", "--gic (its gic-version=)"},
};

}  // namespace

std::optional<std::string> explain_qemu_word(std::string_view name, std::string_view value) {
    constexpr std::string_view kOtherEntry = "'arclight qemu' takes QEMU's words";
    if (qemu::find_option(name) == nullptr) return {};
    if (name == "device" && value.contains("net"))
        return fmt::format("QEMU's -device is --net user here; {}", kOtherEntry);
    const auto* found = std::ranges::find(kWords, name, &Word::name);
    if (found == std::end(kWords)) return fmt::format("-{} is QEMU's; {}", name, kOtherEntry);
    return fmt::format("QEMU's -{} is {} here; {}", name, found->here, kOtherEntry);
}

}  // namespace arclight::guestos::cli
