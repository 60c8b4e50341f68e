#include "guestos/qemu/shorthands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace arclight::guestos::qemu {

namespace {

/// `short_name` VALUE stands for `option` with `fixed` and, if `key` is not empty, `key`=VALUE.
struct Shorthand {
    std::string_view short_name;
    std::string_view option;
    std::string_view key;
    std::vector<std::pair<std::string, std::string>> fixed;
};

const std::vector<Shorthand>& shorthands() {
    static const std::vector<Shorthand> all = {
        {"hda", "drive", "file", {{"media", "disk"}, {"index", "0"}}},
        {"hdb", "drive", "file", {{"media", "disk"}, {"index", "1"}}},
        {"hdc", "drive", "file", {{"media", "disk"}, {"index", "2"}}},
        {"hdd", "drive", "file", {{"media", "disk"}, {"index", "3"}}},
        {"cdrom", "drive", "file", {{"media", "cdrom"}, {"index", "2"}}},
        {"pflash", "drive", "file", {{"if", "pflash"}}},
        {"kernel", "machine", "kernel", {}},
        {"append", "machine", "append", {}},
        {"initrd", "machine", "initrd", {}},
        {"dtb", "machine", "dtb", {}},
        {"bios", "machine", "firmware", {}},
        {"no-acpi", "machine", "", {{"acpi", "off"}}},
        {"usb", "machine", "", {{"usb", "on"}}},
        {"enable-kvm", "accel", "", {{"accel", "kvm"}}},
        {"no-reboot", "action", "", {{"reboot", "shutdown"}}},
        {"no-shutdown", "action", "", {{"shutdown", "pause"}}},
        {"watchdog-action", "action", "watchdog", {}},
        {"semihosting", "semihosting-config", "", {{"enable", "on"}}},
        {"vnc", "display", "vnc", {{"type", "vnc"}}},
    };
    return all;
}

}  // namespace

Result<void> expand_shorthands(Invocation& invocation) {
    for (Given& one : invocation.given) {
        const auto found = std::ranges::find(shorthands(), one.option, &Shorthand::short_name);
        if (found == shorthands().end()) continue;
        Given full{.option = std::string(found->option), .origin = one.origin, .values = found->fixed};
        if (!found->key.empty()) full.values.emplace_back(found->key, one.value());
        one = std::move(full);
        if (one.option == "display" && one.value("vnc") == "none") one.values = {{"type", "none"}};
    }
    // -virtfs is a directory and a device, in its place among the devices.
    unsigned nth = 0;
    for (size_t i = 0; i < invocation.given.size(); ++i) {
        if (invocation.given[i].option != "virtfs") continue;
        Given share = std::move(invocation.given[i]);
        share.option = "fsdev";
        const std::string tag = share.value("mount_tag");
        if (tag.empty()) return failure("{}: Usage: -virtfs fsdriver,mount_tag=tag.", share.origin);
        std::erase_if(share.values, [](const auto& pair) { return pair.first == "mount_tag"; });
        if (!share.has("id")) share.values.emplace_back("id", fmt::format("{}-virtfs{}", tag, nth++));
        Given device{
            .option = "device",
            .origin = share.origin,
            .values = {{"driver", "virtio-9p-pci"}, {"fsdev", share.value("id")}, {"mount_tag", tag}}};
        invocation.given[i] = std::move(share);
        invocation.given.insert(invocation.given.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                std::move(device));
    }
    // -s among them: it is a -gdb without a word of its own.
    for (Given& one : invocation.given)
        if (one.option == "s") one = {.option = "gdb", .origin = one.origin, .values = {{"", "tcp::1234"}}};
    return {};
}

}  // namespace arclight::guestos::qemu
