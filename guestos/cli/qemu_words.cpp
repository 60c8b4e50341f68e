#include "guestos/cli/qemu_words.h"

#include <fmt/format.h>

#include <algorithm>

namespace arclight::guestos::cli {

namespace {

/// `here` is an option of `arclight run`, or what follows "QEMU's -NAME".
struct Word {
    std::string_view name;
    std::string_view here;
};

constexpr std::string_view kNotNeeded = "is not needed here: leave it out";
constexpr std::string_view kNoFirmware =
    "has no counterpart yet: there is no firmware, --kernel boots a kernel directly";
constexpr std::string_view kNoSharing =
    "has no counterpart yet: bring files along by a disk (--drive) or by 'arclight initramfs --add'";
constexpr std::string_view kNoSockets =
    "has no counterpart: stdin and stdout are the serial console, and there is no monitor";
constexpr std::string_view kNone = "has no counterpart here";

// qemu-options.hx has them all; here are those that lines for the virt board use.
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
    {"cdrom", "--drive file=FILE,readonly=on"},
    {"snapshot", "--drive file=FILE,snapshot=on"},
    {"no-reboot", "--no-reboot"},
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
    {"version", "--version"},
    {"help", "--help"},
    {"machine", "is not needed: the machine is like QEMU's virt; its gic-version=N is --gic N here"},
    {"M", "is not needed: the machine is like QEMU's virt; its gic-version=N is --gic N here"},
    {"cpu", "is not needed: there is one model of CPU"},
    {"nographic", "is not needed: stdin and stdout are the serial console"},
    {"serial", "is not needed: stdin and stdout are the serial console"},
    {"device", "has no counterpart: disks are attached by --drive, and an entropy device is there"},
    {"display", kNotNeeded},
    {"echr", kNotNeeded},
    {"k", kNotNeeded},
    {"name", kNotNeeded},
    {"no-shutdown", kNotNeeded},
    {"no-user-config", kNotNeeded},
    {"nodefaults", kNotNeeded},
    {"parallel", kNotNeeded},
    {"rtc", kNotNeeded},
    {"uuid", kNotNeeded},
    {"vga", kNotNeeded},
    {"bios", kNoFirmware},
    {"pflash", kNoFirmware},
    {"gdb", "--gdb"},
    {"s", "--gdb tcp::1234"},
    {"S", "--start-paused"},
    {"fsdev", kNoSharing},
    {"virtfs", kNoSharing},
    {"chardev", kNoSockets},
    {"mon", kNoSockets},
    {"monitor", kNoSockets},
    {"qmp", kNoSockets},
    {"audio", kNone},
    {"audiodev", kNone},
    {"boot", kNone},
    {"daemonize", kNone},
    {"fw_cfg", kNone},
    {"global", kNone},
    {"icount", kNone},
    {"incoming", kNone},
    {"loadvm", kNone},
    {"mem-path", kNone},
    {"mem-prealloc", kNone},
    {"numa", kNone},
    {"object", kNone},
    {"pidfile", kNone},
    {"plugin", kNone},
    {"readconfig", kNone},
    {"singlestep", kNone},
    {"smbios", kNone},
    {"spice", kNone},
    {"tpmdev", kNone},
    {"trace", kNone},
    {"usb", kNone},
    {"usbdevice", kNone},
    {"vnc", kNone},
    {"watchdog", kNone},
};

bool is_network_device(std::string_view name, std::string_view value) {
    return name == "device" && value.contains("net");
}

}  // namespace

std::optional<std::string> explain_qemu_word(std::string_view name, std::string_view value) {
    if (is_network_device(name, value)) return "QEMU's -device is --net user here";
    const auto* found = std::ranges::find(kWords, name, &Word::name);
    if (found == std::end(kWords)) return {};
    return fmt::format("QEMU's -{} {}{}{}", name, found->here.starts_with('-') ? "is " : "", found->here,
                       found->here.starts_with('-') ? " here" : "");
}

}  // namespace arclight::guestos::cli
