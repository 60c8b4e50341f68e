// Every option of the table by an example; the table and the page agree.
#include "guestos/qemu/option_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "guestos/qemu/answers.h"
#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

using Check = bool (*)(const Request&);

/// It changes nothing, and nothing is said.
bool is_plain(const Request& request) {
    const auto other = request_for("");
    return request.notes.empty() && devices_of(request) == devices_of(*other) &&
           request.options.memory == other->options.memory && request.options.append == other->options.append;
}
bool says(const Request& request) { return !request.notes.empty(); }

bool has_monitor(const Request& request, std::string_view chardev, bool control) {
    return std::ranges::any_of(request.options.monitors, [&](const MonitorOptions& monitor) {
        return monitor.chardev == chardev && (monitor.mode == MonitorOptions::Mode::Control) == control;
    });
}

struct Example {
    std::string_view option;
    std::string_view line;  ///< empty: refused
    Check check;
};
using R = const Request&;
constexpr uint64_t kMiB = 1 << 20;

const std::vector<Example>& examples() {
    static const std::vector<Example> all = {
        {"machine", "-machine virt,gic-version=3", [](R r) { return r.options.gic == 3 && r.notes.empty(); }},
        {"machine", "-M virt", [](R r) { return r.options.gic == 2; }},
        {"machine", "-M virt,kernel_irqchip=off", [](R r) { return r.notes.empty(); }},
        {"machine", "-M type=virt-7.2,gic-version=max,highmem=off",
         [](R r) { return r.options.gic == 3 && r.notes.empty(); }},
        {"machine", "-M virt -M dumpdtb=f", [](R r) { return r.options.dump_dtb == "f"; }},
        {"machine", "-M virt,dtb-randomness=off",
         [](R r) { return !r.options.kaslr_seed && !r.options.rng_seed; }},
        {"machine", "-M virt,kernel=K,append=a,,b",
         [](R r) { return r.options.kernel == "K" && r.options.append == "a,b"; }},
        {"machine", "-M virt-8.2", says},
        {"machine", "-M virt,secure=on", says},
        {"machine", "-M virt,iommu=smmuv3", says},
        {"machine", "-M virt,acpi=off,usb=off,graphics=off,its=on,mem-merge=off,dump-guest-core=off",
         is_plain},
        {"cpu", "-cpu host", is_plain},
        {"accel", "-accel tcg,thread=multi", is_plain},
        {"accel", "-accel kvm -accel hvf -accel tcg", is_plain},
        {"accel", "-M virt,accel=kvm:tcg", is_plain},
        {"machine",
         "-blockdev node-name=c,driver=file,filename=f,read-only=on -blockdev "
         "node-name=d,driver=raw,file=c -blockdev node-name=v,driver=file,filename=g -M "
         "virt,pflash0=d,pflash1=v",
         [](R r) {
             const auto& flash = r.options.flash;
             return flash.size() == 2 && flash[0].file == "f" && flash[0].readonly && flash[1].file == "g" &&
                    !flash[1].readonly;
         }},
        {"smp", "-smp 2", [](R r) { return r.options.cpus == 2; }},
        {"smp", "-smp 16", [](R r) { return r.options.cpus == 16; }},
        {"smp", "-smp 65", says},
        {"numa", "-object memory-backend-ram,id=m,size=128M -numa node,memdev=m", is_plain},
        {"numa",
         "-object memory-backend-ram,id=m,size=64M -object memory-backend-ram,id=n,size=64M -numa "
         "node,memdev=m,cpus=0 -numa node,memdev=n,cpus=1 -smp 2",
         says},
        {"set", "-drive if=none,id=d,file=a -set drive.d.readonly=on", is_plain},
        {"global", "-global virtio-mmio.force-legacy=off",
         [](R r) { return r.options.virtio == VirtioMmio::Modern; }},
        {"boot", "-boot order=c,menu=off", is_plain},
        {"m", "-m 1G", [](R r) { return r.options.memory == 1024 * kMiB; }},
        {"m", "-m size=1024,slots=2,maxmem=2G",
         [](R r) { return r.options.memory == 1024 * kMiB && r.notes.empty(); }},
        {"m", "-m 512m", [](R r) { return r.options.memory == 512 * kMiB; }},
        {"mem-path", "-mem-path /dev/shm", is_plain},
        {"mem-prealloc", "-mem-prealloc", is_plain},
        {"k", "-k de", is_plain},
        {"audio", "-audio none", is_plain},
        {"audio", "-audio pa,model=hda", says},
        {"audiodev", "-audiodev none,id=a", is_plain},
        {"device", "-device virtio-rng-device", [](R r) { return devices_of(r).ends_with("virtio-rng"); }},
        {"device", "-device virtio-gpu-pci,xres=800 -device qemu-xhci,id=x -device usb-kbd,bus=x.0", says},
        {"name", "-name a,process=b,debug-threads=on", [](R r) { return r.options.name == "a"; }},
        {"uuid", "-uuid 01234567-89ab-cdef-0123-456789abcdef",
         [](R r) { return !r.options.uuid.empty() && r.notes.empty(); }},
        {"hda", "-hda f", [](R r) { return devices_of(r).ends_with("file=f"); }},
        {"hdb", "-hdb f", [](R r) { return devices_of(r).ends_with("file=f"); }},
        {"hdc", "-hdc f", [](R r) { return devices_of(r).ends_with("file=f"); }},
        {"hdd", "-hdd f", [](R r) { return devices_of(r).ends_with("file=f"); }},
        {"cdrom", "-cdrom f", [](R r) { return devices_of(r).ends_with("file=f readonly=on"); }},
        {"blockdev", "-blockdev driver=raw,node-name=n,file.filename=f -device virtio-blk-device,drive=n",
         [](R r) { return devices_of(r).ends_with("file=f format=raw"); }},
        {"drive", "-drive file=f,format=raw",
         [](R r) { return devices_of(r).ends_with("file=f format=raw"); }},
        {"snapshot", "-hda f -snapshot", [](R r) { return devices_of(r).ends_with("snapshot=on"); }},
        {"usb", "-usb", is_plain},
        {"usbdevice", "-usbdevice tablet", says},
        {"spice", "-spice port=5930,disable-ticketing=on", says},
        {"tpmdev", "-chardev null,id=c -tpmdev emulator,id=t,chardev=c -device tpm-tis-device,tpmdev=t",
         says},
        {"seed", "-seed 1", [](R r) { return r.options.random_seed == 1; }},
        {"trace", "-trace enable=virtio_*", says},
        {"display", "-display none -serial stdio", is_plain},
        {"display", "-display gtk -serial stdio", says},
        {"nographic", "-nographic", is_plain},
        {"portrait", "-portrait", is_plain},
        {"rotate", "-rotate 90", is_plain},
        {"vga", "-vga none", is_plain},
        {"vga", "-vga std", says},
        {"full-screen", "-full-screen", is_plain},
        {"vnc", "-vnc none", is_plain},
        {"vnc", "-vnc :1", says},
        {"display", "-display default,show-cursor=on -serial stdio", says},
        {"no-acpi", "-no-acpi", is_plain},
        {"netdev", "-netdev user,id=n -device virtio-net-device,netdev=n",
         [](R r) { return r.options.networks.size() == 1; }},
        {"nic", "-nic user,hostfwd=tcp::1-:2",
         [](R r) { return r.options.networks.at(0).forwards.size() == 1; }},
        {"net", "-net none", [](R r) { return r.options.networks.empty(); }},
        {"chardev", "-chardev stdio,id=c,signal=off,mux=on -serial chardev:c", is_plain},
        {"kernel", "-kernel K", [](R r) { return r.options.kernel == "K"; }},
        {"append", "-append 'a b'", [](R r) { return r.options.append == "a b"; }},
        {"initrd", "-initrd I", [](R r) { return r.options.initrd == "I"; }},
        {"dtb", "-dtb D", [](R r) { return r.options.dtb == "D"; }},
        {"compat", "-compat deprecated-input=accept", is_plain},
        {"serial", "-serial mon:stdio", is_plain},
        {"parallel", "-parallel none", is_plain},
        {"monitor", "-monitor none", is_plain},
        {"pidfile", "-pidfile p", [](R r) { return r.options.pid_file == "p"; }},
        {"singlestep", "-singlestep", is_plain},
        {"overcommit", "-overcommit mem-lock=off", is_plain},
        {"d", "-d in_asm,int",
         [](R r) { return r.options.trace.blocks && r.options.trace.exceptions && !r.options.trace.host; }},
        {"d", "-d guest_errors,unimp", says},
        {"d", "-d trace:help_me", says},
        {"D", "-D log", [](R r) { return r.options.trace.file == "log"; }},
        {"L", "-L /usr/share/qemu", is_plain},
        {"enable-kvm", "-enable-kvm", is_plain},
        {"no-reboot", "-no-reboot", [](R r) { return r.options.no_reboot; }},
        {"no-shutdown", "-no-shutdown", [](R r) { return r.options.pause_at_shutdown; }},
        {"action", "-action reboot=shutdown", [](R r) { return r.options.no_reboot; }},
        {"action", "-action shutdown=pause", [](R r) { return r.options.pause_at_shutdown; }},
        {"daemonize", "-daemonize -display none", [](R r) { return r.daemonize; }},
        {"rtc", "-rtc base=utc,clock=host", is_plain},
        {"rtc", "-rtc base=2020-01-01", says},
        {"watchdog-action", "-watchdog-action reset", is_plain},
        {"watchdog-action", "-watchdog-action pause",
         [](R r) { return r.options.watchdog == WatchdogAction::Pause; }},
        {"action", "-action watchdog=none", [](R r) { return r.options.watchdog == WatchdogAction::None; }},
        {"echr", "-echr 1", is_plain},
        {"echr", "-echr 0x14", [](R r) { return r.options.escape_key == 0x14; }},
        {"gdb", "-gdb tcp:127.0.0.1:5000", [](R r) { return r.options.gdb == "tcp:127.0.0.1:5000"; }},
        {"s", "-s", [](R r) { return r.options.gdb == "tcp::1234"; }},
        {"S", "-S", [](R r) { return r.options.start_paused; }},
        {"s", "-s", [](R r) { return r.options.gdb == "tcp::1234"; }},
        {"gdb", "-gdb unix:s", [](R r) { return r.options.gdb == "unix:s"; }},
        {"loadvm", "-loadvm f", [](R r) { return r.options.restore == "f" && r.options.restore_memory; }},
        {"mon", "-chardev null,id=m -mon chardev=m,mode=control -serial stdio",
         [](R r) { return has_monitor(r, "m", true); }},
        {"qmp", "-qmp unix:s,server=on,wait=off",
         [](R r) { return has_monitor(r, "compat_monitor0", true); }},
        {"qmp-pretty", "-qmp-pretty unix:s,server=on,wait=off",
         [](R r) { return has_monitor(r, "compat_monitor0", true); }},
        {"monitor", "-monitor unix:s,server=on,wait=off",
         [](R r) { return has_monitor(r, "compat_monitor0", false); }},
        {"fsdev", "-fsdev local,id=f,path=p,security_model=none -device virtio-9p-device,fsdev=f,mount_tag=t",
         [](R r) { return devices_of(r).ends_with("path=p tag=t security_model=none"); }},
        {"virtfs", "-virtfs local,path=p,mount_tag=t,security_model=none",
         [](R r) { return devices_of(r).ends_with("path=p tag=t security_model=none"); }},
        {"bios", "-bios ./f", [](R r) { return r.options.bios == "./f"; }},
        {"pflash", "-pflash f", [](R r) { return r.options.flash.at(0).file == "f"; }},
        {"fw_cfg", "-fw_cfg name=opt/a,string=b", [](R r) { return r.options.fw_cfg.at(0).text == "b"; }},
        {"smbios", "-smbios type=11,value=a,,b",
         [](R r) { return r.options.smbios.at(0) == "type=11,value=a,,b"; }},
        {"only-migratable", "-only-migratable", is_plain},
        {"nodefaults", "-nodefaults -serial stdio", [](R r) { return r.options.networks.empty(); }},
        {"chroot", "-chroot /", says},
        {"runas", "-runas nobody", [](R r) { return r.options.user == "nobody"; }},
        {"semihosting", "-semihosting",
         [](R r) { return r.options.semihosting == SemihostingAccess::Kernel; }},
        {"semihosting-config", "-semihosting-config enable=on,target=native,userspace=on",
         [](R r) { return r.options.semihosting == SemihostingAccess::Userspace; }},
        {"semihosting-config", "-semihosting-config enable=on,arg=a,arg=b",
         [](R r) {
             return r.options.semihosting_arguments == std::vector<std::string>{"a", "b"};
         }},
        {"old-param", "-old-param", is_plain},
        {"sandbox", "-sandbox on,obsolete=deny",
         [](R r) { return r.options.sandbox == SandboxMode::Require; }},
        {"no-user-config", "-no-user-config", is_plain},
        {"async-teardown", "-async-teardown", is_plain},
        {"msg", "-msg timestamp=on", is_plain},
        {"enable-sync-profile", "-enable-sync-profile", is_plain},
        {"object", "-object rng-random,id=r,filename=/dev/urandom", is_plain},
        {"object", "-object memory-backend-file,id=m,size=1G,mem-path=/dev/shm,share=on", is_plain},
        {"object", "-object secret,id=s,format=raw,file=f", is_plain},
        {"object", "-object filter-dump,id=f,netdev=n,file=p", says},
        {"strict", "-strict", is_plain},
    };
    return all;
}

TEST(QemuOptions, EachDoesWhatTheTableSays) {
    for (const Example& example : examples()) {
        const auto request = request_for(example.line);
        ASSERT_TRUE(request) << example.line << ": " << request.error();
        EXPECT_TRUE(example.check(*request)) << example.line << "\n"
                                             << devices_of(*request) << "\n"
                                             << notes_of(*request);
        // What is told is refused under -strict, and nothing else.
        EXPECT_EQ(request_for("-strict " + std::string(example.line)).has_value(), request->notes.empty())
            << example.line;
    }
}

TEST(QemuOptions, EveryRowHasAnExample) {
    // Those that the program answers, or reads before the machine is described.
    std::set<std::string_view> seen{"help", "version", "readconfig", "arclight"};
    for (const Example& example : examples()) seen.insert(example.option);
    for (const OptionRow& row : option_table()) {
        if (row.standing != Standing::Refused) {
            EXPECT_TRUE(seen.contains(row.name)) << row.name << " has no example";
            continue;
        }
        const auto request = request_for("-" + std::string(row.name) + (row.form == Form::Flag ? "" : " x"));
        ASSERT_FALSE(request) << row.name;
        EXPECT_TRUE(request.error().ends_with(row.note)) << request.error();
    }
}

TEST(QemuOptions, DashesAndUnknownWords) {
    EXPECT_EQ(request_for("--append x --smp 2")->options.cpus, 2u);
    EXPECT_EQ(request_for("-apend x").error(), "-apend: invalid option, did you mean -append?");
    EXPECT_EQ(request_for("--zzz").error(), "--zzz: invalid option");
    EXPECT_EQ(request_for("-no-reboot=1").error(), "-no-reboot=1: invalid option, did you mean -no-reboot?");
    EXPECT_EQ(request_for("-append").error(), "-append: requires an argument");
}

TEST(QemuOptions, Errors) {
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"-M foo", "-M foo: unsupported machine type 'foo'"},
        {"-M raspi3b", "-M raspi3b: the board 'raspi3b' of QEMU is not there"},
        {"-M virt,foo=1", "-M virt,foo=1: Invalid parameter 'foo'"},
        {"-M virt,gic-verson=3",
         "-M virt,gic-verson=3: Invalid parameter 'gic-verson', did you mean 'gic-version'?"},
        {"-M virt,gic-version=9", "-M virt,gic-version=9: Parameter 'gic-version' does not accept value '9'"},
        {"-m foo", "-m foo: size: 'foo' is not a size"},
        {"-m 1G,foo=1", "-m 1G,foo=1: Invalid parameter 'foo'"},
        {"-m 5G -M virt,highmem=off", "mach-virt: Addressing limited to 32 bits, but memory exceeds it"},
        {"-accel foo", "invalid accelerator foo"},
        {"-accel tcg -M virt,accel=kvm", "The -accel and \"-machine accel=\" options are incompatible"},
        {"-object foo,id=a", "-object foo,id=a: Parameter 'qom-type' does not accept value 'foo'"},
        {"-object rng-random", "-object rng-random: Parameter 'id' is missing"},
        {"-uuid 1", "-uuid 1: failed to parse UUID string: wrong format"},
        {"-vga foo", "unknown vga type: foo"},
        {"-display foo", "-display foo: Parameter 'type' does not accept value 'foo'"},
        {"-nographic -daemonize", "-nographic cannot be used with -daemonize"},
        {"-d foo", "-d foo: there is no log item 'foo'"},
        {"-rtc base=foo", "-rtc base=foo: invalid datetime format"},
        {"-icount shift=3", "-icount shift=3: guest time is the host's"},
    };
    for (const auto& [line, error] : wrong) {
        const auto request = request_for(line);
        ASSERT_FALSE(request) << line;
        EXPECT_TRUE(request.error().starts_with(error)) << line << " gives " << request.error();
        EXPECT_FALSE(request.error().contains('\n')) << request.error();
    }
    EXPECT_TRUE(
        request_for_whole("-kernel k").error().starts_with("No machine specified, and there is no default"));
    EXPECT_EQ(request_for_whole("-M virt -initrd x").error(), "-initrd only allowed with -kernel option");
}

TEST(QemuOptions, Answers) {
    const auto answer_to = [](std::string_view line) {
        const auto invocation = parse_command_line("qemu-system-aarch64", words_of(line));
        EXPECT_TRUE(invocation) << line;
        const auto text = answer(*invocation, "1.2.3");
        return text && *text ? **text : text ? "a machine" : "error: " + text.error();
    };
    EXPECT_TRUE(answer_to("--version").starts_with("QEMU emulator version 7.2.22 (Arclight 1.2.3)\n"));
    EXPECT_TRUE(answer_to("-version -foo").starts_with("QEMU emulator version 7.2.22 (Arclight 1.2.3)\n"));
    for (const OptionRow& row : option_table())
        EXPECT_TRUE(answer_to("-h").contains("\n-" + std::string(row.name))) << row.name;
    EXPECT_TRUE(answer_to("-machine help").contains("\nvirt-7.2 "));
    EXPECT_TRUE(answer_to("-M help").starts_with("Supported machines are:\n"));
    EXPECT_TRUE(answer_to("-M virt,help").contains("gic-version=<string>"));
    EXPECT_TRUE(answer_to("-M virt -cpu help").contains("\n  cortex-a57\n"));
    EXPECT_TRUE(answer_to("-accel help").ends_with("\ntcg\n"));
    EXPECT_TRUE(answer_to("-device help").contains("name \"virtio-blk-device\", bus virtio-bus"));
    EXPECT_TRUE(answer_to("-device virtio-blk-device,help").contains("  drive=<str>"));
    EXPECT_TRUE(answer_to("-netdev help").contains("user"));
    EXPECT_TRUE(answer_to("-d help").contains("in_asm"));
    EXPECT_EQ(answer_to("-device foo,help"),
              "error: -device foo,help: 'foo' is not a valid device model name");
    EXPECT_EQ(answer_to("-M virt -kernel k"), "a machine");
}

TEST(QemuOptions, PageAgrees) {
    std::ifstream file(ARCLIGHT_PAGE);
    std::ostringstream page;
    page << file.rdbuf();
    EXPECT_TRUE(page.str().contains(option_page())) << "docs/from-qemu.md should have this table:\n"
                                                    << option_page();
}

}  // namespace
}  // namespace arclight::guestos::qemu
