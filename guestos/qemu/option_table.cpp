#include "guestos/qemu/option_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace arclight::guestos::qemu {

namespace {

using enum Form;
using enum Standing;

constexpr std::string_view kNoMigration = "there is no migration";

// In the order of `qemu-system-aarch64 -help`.
constexpr OptionRow kOptions[] = {
    {"help", Flag, "", Same, "lists these options; also -h"},
    {"version", Flag, "", Same, "begins as QEMU's does, with the version whose behaviour this is"},
    {"machine", List, "type", Differs,
     "`virt` and `virt-N.M` only, all the same machine; also -M; see the properties below"},
    {"cpu", Word, "", Differs,
     "the models of QEMU 7.2 and `cortex-a710`, `neoverse-n2`, `neoverse-v1`, with their registers; a line "
     "says which of a model's features are not there"},
    {"accel", List, "accel", Differs,
     "`tcg`, `kvm` and `hvf` all mean Arclight's translator; `-arclight \"--accel NAME\"` selects where it "
     "runs"},
    {"smp", List, "cpus", Differs,
     "64 CPUs at most, with a line for more, and a GICv3 for more than 8; the topology is shown to the "
     "guest"},
    {"numa", List, "type", Differs, "one node; further ones are taken with a line"},
    {"add-fd", List, "", Refused, "files are opened by name"},
    {"set", Word, "", Same, ""},
    {"global", List, "", Differs, "`virtio-mmio.force-legacy`, and properties of devices"},
    {"boot", List, "order", Differs,
     "firmware finds its own order by `bootindex`; `menu`, `splash` and `once` do nothing"},
    {"m", List, "size", Differs,
     "255 GiB at most; no memory is plugged in later, so `slots` and `maxmem` do nothing"},
    {"mem-path", Word, "", Ignored, ""},
    {"mem-prealloc", Flag, "", Ignored, ""},
    {"k", Word, "", Ignored, ""},
    {"audio-help", Flag, "", Refused, "there is no sound"},
    {"audio", List, "driver", Differs, "`none`; others are taken with a line, for there is no sound"},
    {"audiodev", List, "driver", Ignored, ""},
    {"device", List, "driver", Differs,
     "the devices of `-device help`; displays, input, sound, USB controllers and the like are taken with a "
     "line"},
    {"name", List, "guest", Same, ""},
    {"uuid", Word, "", Same, ""},
    {"fda", Word, "", Refused, "the virt board has no floppy"},
    {"fdb", Word, "", Refused, "the virt board has no floppy"},
    {"hda", Word, "", Same, ""},
    {"hdb", Word, "", Same, ""},
    {"hdc", Word, "", Same, ""},
    {"hdd", Word, "", Same, ""},
    {"cdrom", Word, "", Same, "a read-only virtio disk, as on QEMU's virt"},
    {"blockdev", List, "driver", Differs, "`file`, `host_device` and formats on them"},
    {"drive", List, "file", Differs, "interfaces `none`, `virtio` and `pflash`; throttling is not done"},
    {"mtdblock", Word, "", Refused, "the virt board has no MTD; flash is `-drive if=pflash`"},
    {"sd", Word, "", Refused, "the virt board has no SD card slot, in QEMU neither"},
    {"snapshot", Flag, "", Same, "writes are kept in memory"},
    {"fsdev", List, "fsdriver", Differs, "`local` only"},
    {"virtfs", List, "fsdriver", Differs, "`local` only"},
    {"iscsi", List, "", Refused, "disks are files and block devices of the host"},
    {"usb", Flag, "", Ignored, ""},
    {"usbdevice", Word, "", Differs, "taken with a line, for there is no USB"},
    {"display", List, "type", Differs, "`none`; others are taken with a line, for there is no display"},
    {"nographic", Flag, "", Same, ""},
    {"spice", List, "", Differs, "taken with a line, for there is no display"},
    {"portrait", Flag, "", Ignored, ""},
    {"rotate", Word, "", Ignored, ""},
    {"vga", Word, "", Differs, "`none`; others are taken with a line, for there is no display"},
    {"full-screen", Flag, "", Ignored, ""},
    {"vnc", Word, "", Differs, "`none`; others are taken with a line, for there is no display"},
    {"no-acpi", Flag, "", Same, ""},
    {"smbios", List, "", Differs, "words, no `file=`; shown by firmware"},
    {"netdev", List, "type", Differs, "`user`, `tap`, `socket`, `stream`, `dgram`, `passt`"},
    {"nic", List, "type", Differs, "as `-netdev`, and `none`"},
    {"net", List, "type", Differs, "as `-netdev`, `nic` and `none`; one network"},
    {"chardev", List, "backend", Differs, "`null`, `stdio`, `file`, `pipe`, `pty`, `socket`, `ringbuf`"},
    {"tpmdev", List, "type", Differs, "taken with a line, for there is no TPM"},
    {"bios", Word, "", Same, ""},
    {"pflash", Word, "", Same, ""},
    {"kernel", Word, "", Same, "packed kernels too"},
    {"append", Word, "", Same, ""},
    {"initrd", Word, "", Same, ""},
    {"dtb", Word, "", Same, ""},
    {"compat", List, "", Ignored, ""},
    {"fw_cfg", List, "name", Same, ""},
    {"serial", Word, "", Differs, "given twice, the board has a second port"},
    {"parallel", Word, "", Ignored, ""},
    {"monitor", Word, "", Differs, "the commands of docs/control.md"},
    {"qmp", Word, "", Differs, "the commands of docs/control.md"},
    {"qmp-pretty", Word, "", Differs, "as `-qmp`"},
    {"mon", List, "chardev", Same, ""},
    {"debugcon", Word, "", Refused, "it is a device of PCs"},
    {"pidfile", Word, "", Same, ""},
    {"singlestep", Flag, "", Ignored, ""},
    {"preconfig", Flag, "", Refused, "the machine is made at once"},
    {"S", Flag, "", Same, ""},
    {"overcommit", List, "", Ignored, ""},
    {"gdb", Word, "", Differs,
     "`tcp:` and `unix:`; without a host the port is open on the loopback address alone"},
    {"s", Flag, "", Differs, "is `-gdb tcp::1234`"},
    {"d", Word, "", Differs,
     "`int` in QEMU's form; `in_asm`, `op`, `out_asm`, `mmu` in Arclight's (`arclight run --trace`)"},
    {"D", Word, "", Same, ""},
    {"dfilter", Word, "", Refused, "what -d logs is not filtered"},
    {"seed", Word, "", Differs, "for the CPU's RNDR; seeds in the device tree are the host's numbers"},
    {"L", Word, "", Ignored, ""},
    {"enable-kvm", Flag, "", Differs, "as `-accel kvm`"},
    {"xen-domid", Word, "", Refused, "there is no Xen"},
    {"xen-attach", Flag, "", Refused, "there is no Xen"},
    {"xen-domid-restrict", Flag, "", Refused, "there is no Xen"},
    {"no-reboot", Flag, "", Same, ""},
    {"no-shutdown", Flag, "", Same, ""},
    {"action", List, "", Differs,
     "`reboot`, `shutdown` and `watchdog` (but `inject-nmi`); of `panic` what QEMU does by default"},
    {"loadvm", Word, "", Differs,
     "a tag in the directory `IMAGE.snapshots` beside the first disk, or a snapshot's file "
     "(docs/snapshots.md)"},
    {"daemonize", Flag, "", Differs, "the working directory stays"},
    {"option-rom", Word, "", Refused, "it is for PCs"},
    {"rtc", List, "", Differs, "`base=utc` and `clock=host`; others are taken with a line"},
    {"icount", List, "shift", Refused,
     "guest time is the host's: it does not follow the count of instructions"},
    {"watchdog-action", Word, "", Differs, "as `-action watchdog=`"},
    {"echr", Word, "", Same, ""},
    {"incoming", Word, "", Refused, kNoMigration},
    {"only-migratable", Flag, "", Ignored, ""},
    {"nodefaults", Flag, "", Same, ""},
    {"chroot", Word, "", Differs,
     "the process confines itself to the files that it names (docs/security.md)"},
    {"runas", Word, "", Differs, "before files are opened, not after"},
    {"semihosting", Flag, "", Same, ""},
    {"semihosting-config", List, "enable", Differs, "`target=native` only; calls for files need `-arclight`"},
    {"old-param", Flag, "", Ignored, ""},
    {"sandbox", List, "enable", Differs, "the process is confined without it too; `on` requires it"},
    {"readconfig", Word, "", Same, ""},
    {"no-user-config", Flag, "", Ignored, ""},
    {"trace", List, "enable", Differs, "taken with a line, for QEMU's trace points are not here; see `-d`"},
    {"plugin", List, "file", Refused, "plugins are for QEMU's translator"},
    {"async-teardown", Flag, "", Ignored, ""},
    {"msg", List, "timestamp", Ignored, ""},
    {"dump-vmstate", Word, "", Refused, kNoMigration},
    {"enable-sync-profile", Flag, "", Ignored, ""},
    {"object", List, "qom-type", Differs, "the kinds of `-object help`"},
    // Of Arclight's own.
    {"strict", Flag, "", Same, "Arclight's own: refuse what is otherwise taken with a line"},
    {"arclight", Word, "", Same,
     "Arclight's own: options of `arclight run`, such as `-arclight \"--jit tier1 --stats\"`"},
};

struct OtherName {
    std::string_view name, option;
};
constexpr OtherName kOtherNames[] = {{"h", "help"}, {"M", "machine"}};

}  // namespace

std::span<const OptionRow> option_table() { return kOptions; }

const OptionRow* find_option(std::string_view name) {
    const auto* other = std::ranges::find(kOtherNames, name, &OtherName::name);
    if (other != std::end(kOtherNames)) name = other->option;
    const auto* found = std::ranges::find(kOptions, name, &OptionRow::name);
    return found != std::end(kOptions) ? found : nullptr;
}

std::string option_page() {
    std::string page = "| option | here | note |\n|---|---|---|\n";
    for (const OptionRow& row : kOptions) {
        const std::string_view standing = row.standing == Same      ? "same"
                                          : row.standing == Differs ? "differs"
                                          : row.standing == Ignored ? "no meaning"
                                                                    : "refused";
        page += fmt::format("| `-{}` | {} | {} |\n", row.name, standing, row.note);
    }
    return page;
}

}  // namespace arclight::guestos::qemu
