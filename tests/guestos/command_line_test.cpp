#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "guestos/cli/commands.h"
#include "guestos/cli/parse.h"
#include "guestos/daemons.h"
#include "guestos/scsi_host.h"

namespace arclight::guestos::cli {
namespace {

constexpr uint64_t kMiB = 1 << 20;

struct Outcome {
    int code;
    std::optional<RunOptions> options;  // if the machine would have been started
    std::string error;
};

Outcome parse(std::vector<std::string> arguments) {
    Outcome outcome{};
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    outcome.code = main_with(std::move(arguments), "1.2.3", [&](const RunOptions& options) {
        outcome.options = options;
        return 42;
    });
    testing::internal::GetCapturedStdout();
    outcome.error = testing::internal::GetCapturedStderr();
    return outcome;
}

TEST(CommandLine, Defaults) {
    const Outcome outcome = parse({"run", "--kernel", "k"});
    EXPECT_EQ(outcome.code, 42);
    ASSERT_TRUE(outcome.options);
    const RunOptions& o = *outcome.options;
    EXPECT_EQ(o.kernel, "k");
    EXPECT_EQ(o.memory, 512 * kMiB);
    EXPECT_EQ(o.cpus, 1u);
    EXPECT_FALSE(o.gic || o.virtio);
    EXPECT_EQ(o.semihosting, SemihostingAccess::Off);
    EXPECT_EQ(o.accel, Accel::Auto);
    EXPECT_EQ(o.jit, JitTier::Auto);
    EXPECT_TRUE(o.kaslr_seed && o.rng_seed);
    EXPECT_FALSE(o.session || o.stats || o.no_reboot || o.trace.any());
    EXPECT_TRUE(o.networks.empty() && o.command.empty());
    ASSERT_EQ(o.devices.size(), 1u);
    EXPECT_EQ(o.devices[0].request.name, "virtio-rng");
}

TEST(CommandLine, DevicesOnPci) {
    const auto devices = [](std::vector<std::string> more) {
        std::vector<std::string> words{"run", "--kernel", "k", "--no-rng"};
        words.insert(words.end(), more.begin(), more.end());
        Outcome outcome = parse(words);
        EXPECT_EQ(outcome.code, 42) << outcome.error;
        return outcome.options ? outcome.options->devices : std::vector<DeviceOptions>();
    };
    const auto file_of = [](const DeviceOptions& device) {
        return std::ranges::find(device.request.options, "file", &std::pair<std::string, std::string>::first)
            ->second;
    };
    // The first drive is to be /dev/vda: of virtio-mmio's slots the last one given, of PCI's devices the first.
    const std::vector<std::string> drives{
        "--drive", "file=a,format=raw", "--drive", "file=b,format=raw", "--net", "user"};
    auto all = devices(drives);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(file_of(all[0]) + file_of(all[1]), "ba");
    auto pci = drives;
    pci.insert(pci.end(), {"--virtio", "pci"});
    all = devices(pci);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(file_of(all[0]) + file_of(all[1]), "ab");
    for (const DeviceOptions& device : all) EXPECT_EQ(device.bus, DeviceBus::Pci);

    all =
        devices({"--device", "virtio-rng,addr=12", "--device", "virtio-rng,bus=pci,addr=1f.7,id=x,vectors=3",
                 "--device", "virtio-rng,bus=port,disable-legacy=off,disable-modern=on", "--device",
                 "pcie-root-port,bus=pcie.0,id=port,slot=3"});
    ASSERT_EQ(all.size(), 4u);
    EXPECT_EQ(all[0].bus, DeviceBus::Mmio);
    EXPECT_EQ(all[0].address, 12u);
    EXPECT_EQ(all[1].bus, DeviceBus::Pci);
    EXPECT_EQ(all[1].address, 0x1fu);
    EXPECT_EQ(all[1].pci.function, 7u);
    EXPECT_EQ(all[1].pci.vectors, 3u);
    EXPECT_EQ(all[1].id, "x");
    EXPECT_TRUE(all[1].request.options.empty()) << "none is the device's own";
    EXPECT_FALSE(all[1].pci.legacy.has_value());
    EXPECT_EQ(all[2].pci.port, "port");
    EXPECT_EQ(all[2].pci.legacy, true);
    EXPECT_FALSE(all[2].pci.modern);
    EXPECT_EQ(all[3].request.options.size(), 1u);

    all = devices({"--cdrom", "a.iso", "--cdrom", "b.iso", "--virtio", "pci"});
    ASSERT_EQ(all.size(), 3u) << "one host for both";
    EXPECT_EQ(all[0].request.name, "virtio-scsi");
    EXPECT_EQ(all[0].bus, DeviceBus::Pci);
    EXPECT_EQ(file_of(all[2]), "b.iso");
    EXPECT_EQ(scsi_host_of(all, all[2]), &all[0]);
    all = devices({"--device", "virtio-scsi,id=s,bootindex=2", "--device",
                   "scsi-hd,file=a,bus=s,scsi-id=4,lun=1", "--device", "scsi-cd,bus=t"});
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(all[0].boot_index, 2u);
    EXPECT_EQ(all[1].bus, DeviceBus::Scsi);
    EXPECT_EQ(all[1].scsi.target, 4u);
    EXPECT_EQ(all[1].scsi.lun, 1u);
    EXPECT_EQ(scsi_host_of(all, all[2]), nullptr);

    for (const char* wrong : {"scsi-hd", "scsi-cd,lun=x", "nvme,file=a", "virtio-rng,bootindex=first",
                              "virtio-rng,bus=pci,addr=", "virtio-rng,bus=pci,addr=1.", "virtio-rng,addr=1.1",
                              "virtio-rng,addr=1f", "virtio-rng,bus=pci,vectors=1000",
                              "virtio-rng,bus=pci,vectors=0", "virtio-rng,disable-modern=auto",
                              "virtio-rng,file=x", "nothing,bus=pci", "pcie-root-port,slot=300"}) {
        const Outcome outcome = parse({"run", "--kernel", "k", "--device", wrong});
        EXPECT_FALSE(outcome.options) << wrong;
        EXPECT_NE(outcome.error.find("--device"), std::string::npos) << outcome.error;
    }
    EXPECT_EQ(parse({"run", "--kernel", "k", "--device", "help"}).code, 0);
    EXPECT_EQ(parse({"run", "--kernel", "k", "--device", "virtio-blk,help"}).code, 0);
    EXPECT_NE(parse({"run", "--kernel", "k", "--device", "nothing,help"}).code, 0);
}

TEST(CommandLine, Firmware) {
    Outcome outcome =
        parse({"run", "--bios", "b", "--flash", "vars,,1,file.locking=off", "--fw-cfg", "opt/a,string=x=y",
               "--fw-cfg", "name=opt/b,file=f", "--smbios", "type=1,serial=s", "--no-acpi"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    const RunOptions& o = *outcome.options;
    EXPECT_TRUE(o.kernel.empty() && o.has_firmware() && !o.acpi);
    ASSERT_EQ(o.flash.size(), 2u);  // after --bios, it is the second bank's
    EXPECT_TRUE(o.flash[0].file.empty());
    EXPECT_EQ(o.flash[1].file, "vars,1");
    EXPECT_EQ(o.flash[1].locking, "off");
    EXPECT_FALSE(o.flash[1].readonly);
    ASSERT_EQ(o.fw_cfg.size(), 2u);
    EXPECT_EQ(o.fw_cfg[0].text, "x=y");
    EXPECT_EQ(o.fw_cfg[1].file, "f");
    EXPECT_EQ(o.smbios, std::vector<std::string>{"type=1,serial=s"});

    outcome = parse({"run", "--flash", "code,readonly=on", "--flash", "file=vars", "--kernel", "k"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    EXPECT_TRUE(outcome.options->has_firmware() && outcome.options->flash[0].readonly);

    for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
             {"run"},
             {"run", "--flash", "a", "--flash", "b", "--flash", "c"},
             {"run", "--bios", "a", "--flash", "b", "--flash", "c"},
             {"run", "--flash", "a,readonly=perhaps"},
             {"run", "--flash", "readonly=on"},
             {"run", "--flash", "a,b"},
             {"run", "--bios", "a", "--fw-cfg", "opt/a"},
             {"run", "--bios", "a", "--fw-cfg", "opt/a,string=1,file=2"},
             {"run", "--bios", "a", "--fw-cfg", "string=1"},
             {"run", "--bios", "a", "--fw-cfg", std::string(56, 'n') + ",string=1"},
             {"run", "--bios", "a", "--smbios", "type=9"}}) {
        outcome = parse(wrong);
        EXPECT_EQ(outcome.code, kExitUsage) << wrong.back();
        EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << outcome.error;
    }
}

TEST(CommandLine, Networks) {
    const auto networks = [](std::vector<std::string> more) {
        std::vector<std::string> words{"run", "--kernel", "k"};
        words.insert(words.end(), more.begin(), more.end());
        return parse(words);
    };
    EXPECT_TRUE(networks({"--net", "none"}).options->networks.empty());
    EXPECT_EQ(networks({"--net", "user,mtu=100", "--net=user"}).options->networks.size(), 2u);
    EXPECT_EQ(networks({"--net", "user", "--net", "none"}).code, 2);
    const Outcome wrong = networks({"--net", "user,mtu=1"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_EQ(std::ranges::count(wrong.error, '\n'), 1) << wrong.error;
}

TEST(CommandLine, Everything) {
    const Outcome outcome = parse({"run",
                                   "--kernel",
                                   "k",
                                   "--initrd=i",
                                   "--append",
                                   "a b=\"c\"",
                                   "--dtb",
                                   "d",
                                   "--dump-dtb",
                                   "out",
                                   "-m",
                                   "4G",
                                   "--smp",
                                   "8",
                                   "--drive",
                                   "file=a,,b.img,format=raw,readonly=on,serial=S1",
                                   "--drive",
                                   "file=c,snapshot=on,if=virtio,werror=stop,rerror=ignore,file.locking=off",
                                   "--gic",
                                   "2",
                                   "--accel",
                                   "process",
                                   "--jit",
                                   "tier1",
                                   "--trace",
                                   "blocks,mmu",
                                   "--trace-file",
                                   "t",
                                   "--no-kaslr-seed",
                                   "--no-rng-seed",
                                   "--no-rng",
                                   "--no-reboot",
                                   "--stats",
                                   "--stats-json",
                                   "s.json",
                                   "--",
                                   "sh",
                                   "-c",
                                   "--",
                                   "--kernel"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    const RunOptions& o = *outcome.options;
    EXPECT_EQ(o.append, "a b=\"c\"");
    EXPECT_EQ(o.memory, 4096 * kMiB);
    EXPECT_EQ(o.cpus, 8u);
    // The first disk comes last: it is to have the lowest slot.
    ASSERT_EQ(o.devices.size(), 2u);
    const auto options_of = [&](size_t device) {
        std::string text = o.devices[device].request.name;
        for (const auto& [name, value] : o.devices[device].request.options) text += "," + name + "=" + value;
        return text;
    };
    EXPECT_EQ(
        options_of(1),
        "virtio-blk,file=a,b.img,format=raw,readonly=on,snapshot=off,serial=S1,werror=enospc,rerror=report,"
        "locking=auto,cache=writeback,aio=threads,discard=unmap,detect-zeroes=off,record=");
    const std::string second = options_of(0);
    for (const char* part :
         {"format=auto", "readonly=off", "snapshot=on", "werror=stop", "rerror=ignore", "locking=off"})
        EXPECT_NE(second.find(part), std::string::npos) << part;
    EXPECT_EQ(o.gic, 2u);
    EXPECT_EQ(o.accel, Accel::Process);
    EXPECT_EQ(o.jit, JitTier::Tier1);
    EXPECT_TRUE(o.trace.blocks && o.trace.mmu && !o.trace.ir && !o.trace.host && !o.trace.exceptions);
    EXPECT_EQ(o.trace.file, "t");
    EXPECT_FALSE(o.kaslr_seed || o.rng_seed);
    EXPECT_TRUE(o.no_reboot && o.stats && o.session);
    EXPECT_EQ(o.stats_file, "s.json");
    EXPECT_EQ(o.command, (std::vector<std::string>{"sh", "-c", "--", "--kernel"}));
}

TEST(CommandLine, SharedDirectories) {
    const auto outcome =
        parse({"run", "--kernel", "k", "--no-rng", "--share", "a,,b:/work", "--share",
               "/home/me/../you/,readonly=on,security_model=none,tag=mine", "--share", "c:/d:/e"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    const RunOptions& o = *outcome.options;
    ASSERT_EQ(o.shares.size(), 3u);
    EXPECT_EQ(o.shares[0].tag, "share0");
    EXPECT_EQ(o.shares[0].mount_point, "/work");
    EXPECT_FALSE(o.shares[0].readonly);
    EXPECT_EQ(o.shares[1].tag, "mine");
    EXPECT_EQ(o.shares[1].mount_point, "/mnt/you");
    EXPECT_TRUE(o.shares[1].readonly);
    EXPECT_EQ(o.shares[2].mount_point, "/e");
    ASSERT_EQ(o.devices.size(), 3u);
    const std::vector<std::pair<std::string, std::string>> first = {{"path", "a,b"},
                                                                    {"tag", "share0"},
                                                                    {"security_model", "mapped-xattr"},
                                                                    {"readonly", "off"},
                                                                    {"multidevs", "remap"}};
    EXPECT_EQ(o.devices[0].request.name, "virtio-9p");
    EXPECT_EQ(o.devices[0].request.options, first);
    EXPECT_EQ(o.devices[2].request.options[0].second, "c:/d");
}

TEST(CommandLine, DirectoriesByVirtiofs) {
    const auto outcome = parse({"run", "--kernel", "k", "--no-rng", "--share", "a:/b,protocol=virtiofs"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    const RunOptions& o = *outcome.options;
    ASSERT_EQ(o.shares.size(), 1u);
    EXPECT_TRUE(o.shares[0].virtiofs);
    ASSERT_EQ(o.devices.size(), 1u);
    const std::vector<std::pair<std::string, std::string>> words = {{"directory", "a"}, {"tag", "share0"}};
    EXPECT_EQ(o.devices[0].request.name, "vhost-user-fs");
    EXPECT_EQ(o.devices[0].request.options, words);
    EXPECT_TRUE(wants_shared_ram(o));
}

TEST(CommandLine, FastmemKeepsItsFormerName) {
    for (const char* name : {"--fastmem", "--windows"}) {
        const Outcome outcome = parse({"run", "--kernel", "k", name, "off"});
        ASSERT_TRUE(outcome.options) << name << ": " << outcome.error;
        EXPECT_EQ(outcome.options->fastmem, Fastmem::Off) << name;
    }
    EXPECT_EQ(parse({"run", "--kernel", "k"}).options->fastmem, Fastmem::Auto);
}

TEST(CommandLine, DirectMemoryIsOffUnlessAskedFor) {
    EXPECT_EQ(parse({"run", "--kernel", "k"}).options->direct_memory, DirectMemoryUse::Off);
    EXPECT_EQ(parse({"run", "--kernel", "k", "--direct-memory", "on"}).options->direct_memory,
              DirectMemoryUse::On);
    EXPECT_EQ(parse({"run", "--kernel", "k", "--direct-memory", "always"}).options->direct_memory,
              DirectMemoryUse::Always);
    EXPECT_FALSE(parse({"run", "--kernel", "k", "--direct-memory", "maybe"}).options);
}

TEST(CommandLine, SemihostingIsOffUnlessAskedFor) {
    const auto who = [](std::vector<std::string> more) {
        std::vector<std::string> words = {"run", "--kernel", "k"};
        words.insert(words.end(), more.begin(), more.end());
        const Outcome outcome = parse(words);
        EXPECT_TRUE(outcome.options) << outcome.error;
        return outcome.options ? outcome.options->semihosting : SemihostingAccess::Off;
    };
    EXPECT_EQ(who({}), SemihostingAccess::Off);
    EXPECT_EQ(who({"--semihosting"}), SemihostingAccess::Kernel);
    EXPECT_EQ(who({"--semihosting", "--smp", "2"}), SemihostingAccess::Kernel);
    EXPECT_EQ(who({"--semihosting=on"}), SemihostingAccess::Kernel);
    EXPECT_EQ(who({"--semihosting=off"}), SemihostingAccess::Off);
    EXPECT_EQ(who({"--semihosting=userspace"}), SemihostingAccess::Userspace);
}

TEST(CommandLine, FurtherWordsForTheKernelAreJoined) {
    const auto append = [](std::vector<std::string> more) {
        std::vector<std::string> words = {"run", "--kernel", "k"};
        words.insert(words.end(), more.begin(), more.end());
        const Outcome outcome = parse(words);
        EXPECT_TRUE(outcome.options) << outcome.error;
        return outcome.options ? outcome.options->append : "";
    };
    EXPECT_EQ(append({}), "");
    EXPECT_EQ(append({"--append", ""}), "");
    EXPECT_EQ(append({"--append", "a  b", "--append=c=d", "--append", "-x"}), "a  b c=d -x");
}

TEST(CommandLine, SemihostingsDirectories) {
    const std::string here = std::filesystem::temp_directory_path();
    const Outcome outcome = parse(
        {"run", "--kernel", "k", "--semihosting", "--semihosting-files", here, "--semihosting-files", "/"});
    ASSERT_TRUE(outcome.options) << outcome.error;
    EXPECT_EQ(outcome.options->semihosting_files, (std::vector<std::string>{here, "/"}));
    EXPECT_EQ(parse({"run", "--kernel", "k", "--semihosting-files", here}).error,
              "arclight: --semihosting-files needs --semihosting\n");
    EXPECT_EQ(parse({"run", "--kernel", "k", "--semihosting", "--semihosting-files", here + "/none"}).code,
              2);
}

// Whatever else is wrong: the first word that nobody knows is what is told.
TEST(CommandLine, UnknownWordsAreToldFirstAndInOrder) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> lines = {
        {{"run", "--kernle", "k"}, "unknown option '--kernle', did you mean --kernel? (try --help)"},
        {{"run", "--mem", "1G"}, "unknown option '--mem', did you mean --memory? (try --help)"},
        {{"run", "-m", "lots", "--bogus", "--worse"}, "unknown option '--bogus' (try --help)"},
        {{"run", "--worse", "--bogus=1"}, "unknown option '--worse' (try --help)"},
        {{"run", "k", "--bogus"}, "unexpected word 'k' (try --help)"},
        {{"run", "--append", "--bogus", "-kernel"},
         "QEMU's -kernel is --kernel here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "-kernel", "Image", "-append", "x"},
         "QEMU's -kernel is --kernel here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-append", "x"},
         "QEMU's -append is --append here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-hda", "x"},
         "QEMU's -hda is --drive file=FILE here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-machine", "virt"},
         "QEMU's -machine is --gic (its gic-version=) here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-nographic"},
         "-nographic is QEMU's; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-netdev", "user,id=n"},
         "QEMU's -netdev is --net user here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-net", "none"},
         "QEMU's -net is --net user here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "--nic=user"},
         "QEMU's -nic is --net user here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"run", "--kernel", "k", "-device", "virtio-net-pci"},
         "QEMU's -device is --net user here; 'arclight qemu' takes QEMU's words (try --help)"},
        {{"-kernel", "Image"},
         "QEMU's -kernel is --kernel here; 'arclight qemu' takes QEMU's words (as in 'arclight run --kernel "
         "FILE') (try --help)"},
        {{"--kernel", "Image"},
         "'--kernel' belongs behind a command, as in 'arclight run --kernel' (try --help)"},
        {{"rum", "--kernel", "k"}, "unknown command 'rum', did you mean run? (try --help)"},
        {{"fly"},
         "unknown command 'fly' (commands: run, qemu, initramfs, lightv, prepare, snapshot, serve, "
         "interface, image, version, "
         "probe, "
         "help) "
         "(try --help)"},
        {{"lightv", "lst"}, "unknown command 'lst', did you mean list? (try --help)"},
        {{"lightv", "list", "--bogus"}, "unknown option '--bogus' (try --help)"},
    };
    for (const auto& [words, text] : lines) {
        const Outcome outcome = parse(words);
        EXPECT_EQ(outcome.error, "arclight: " + text + "\n");
        EXPECT_EQ(outcome.code, 2) << text;
        EXPECT_FALSE(outcome.options) << text;
    }
    for (const std::vector<std::string>& good : {std::vector<std::string>{"run", "--kernel", "k", "-m1G"},
                                                 {"run", "--kernel", "-odd-name"},
                                                 {"run", "--kernel", "k", "--semihosting", "on"},
                                                 {"run", "--kernel=k", "--stats"}}) {
        const Outcome outcome = parse(good);
        EXPECT_TRUE(outcome.options) << outcome.error;
    }
}

TEST(CommandLine, MistakesAreOneLineAndTwo) {
    const std::vector<std::vector<std::string>> mistakes = {
        {},
        {"fly"},
        {"run"},
        {"run", "--kernel"},
        {"run", "--kernel", "k", "--unknown"},
        {"run", "--kernel", "k", "extra"},
        {"run", "--kernel", "k", "-m", "0"},
        {"run", "--kernel", "k", "-m", "lots"},
        {"run", "--kernel", "k", "-m", "1000T"},
        {"run", "--kernel", "k", "--memory=-1"},
        {"run", "--kernel", "k", "--smp", "0"},
        {"run", "--kernel", "k", "--smp", "65"},
        {"run", "--kernel", "k", "--smp", "9", "--gic", "2"},
        {"run", "--kernel", "k", "--smp", "two"},
        {"run", "--kernel", "k", "--gic", "4"},
        {"run", "--kernel", "k", "--accel", "tcg"},
        {"run", "--kernel", "k", "--jit", "tier9"},
        {"run", "--kernel", "k", "--trace", "everything"},
        {"run", "--kernel", "k", "--drive", "a.img"},
        {"run", "--kernel", "k", "--drive", "file=a,format=qcow3"},
        {"run", "--kernel", "k", "--drive", "file=a,cache=maybe"},
        {"run", "--kernel", "k", "--drive", "file=a,aio=maybe"},
        {"run", "--kernel", "k", "--drive", "file=a,discard=maybe"},
        {"run", "--kernel", "k", "--drive", "file=a,detect-zeroes=maybe"},
        {"run", "--kernel", "k", "--share", ":/mnt"},
        {"run", "--kernel", "k", "--share", "d,writable=on"},
        {"run", "--kernel", "k", "--share", "d,protocol=nfs"},
        {"run", "--kernel", "k", "--share", "d,protocol=virtiofs,readonly=on"},
        {"run", "--kernel", "k", "--share", "d,protocol=virtiofs,security_model=none"},
        {"run", "--kernel", "k", "--share", "d,readonly=maybe"},
        {"run", "--kernel", "k", "--drive", "file=a,readonly=maybe"},
        {"run", "--kernel", "k", "--drive", "format=raw"},
        {"run", "--kernel", "k", "--drive", "file=a,werror=panic"},
        {"run", "--kernel", "k", "--drive", "file=a,rerror=enospc"},
        {"run", "--kernel", "k", "--drive", "file=a,file.locking=maybe"},
        {"run", "--kernel", "k", "--", "ls"},  // no initrd to run it in
        {"run", "--kernel", "k", "--initrd", "i", "--"},
        {"initramfs"},
        {"initramfs", "--busybox", "b", "--output", "o", "--add", "x"},
        {"initramfs", "--busybox", "b", "--output", "o", "--modules", "m"},
    };
    for (const auto& arguments : mistakes) {
        const Outcome outcome = parse(arguments);
        std::string line;
        for (const auto& word : arguments) line += word + " ";
        EXPECT_EQ(outcome.code, 2) << line;
        EXPECT_FALSE(outcome.options) << line;
        EXPECT_TRUE(outcome.error.starts_with("arclight: ")) << line << outcome.error;
        EXPECT_EQ(std::ranges::count(outcome.error, '\n'), 1) << line << outcome.error;
    }
}

TEST(CommandLine, HelpAndVersionSucceed) {
    EXPECT_EQ(parse({"--help"}).code, 0);
    EXPECT_EQ(parse({"run", "--help"}).code, 0);
    EXPECT_EQ(parse({"initramfs", "--help"}).code, 0);
    EXPECT_EQ(parse({"version"}).code, 0);
    EXPECT_EQ(parse({"--version"}).code, 0);
    EXPECT_EQ(parse({"help"}).code, 0);
    EXPECT_EQ(parse({"help", "run"}).code, 0);
    EXPECT_EQ(parse({"help", "lightv", "list"}).code, 0);
    EXPECT_EQ(parse({"help", "flying"}).code, 2);
}

TEST(CommandLine, MemorySizes) {
    EXPECT_EQ(parse_memory("256"), 256 * kMiB);
    EXPECT_EQ(parse_memory("256m"), 256 * kMiB);
    EXPECT_EQ(parse_memory("4G"), 4096 * kMiB);
    EXPECT_EQ(parse_memory("2048K"), 2 * kMiB);
    EXPECT_EQ(parse_memory("255G"), 255 * 1024 * kMiB);
    EXPECT_EQ(parse_memory("1.5G"), 1536 * kMiB);
    EXPECT_EQ(parse_memory("0.25g"), 256 * kMiB);
    EXPECT_EQ(parse_memory("1.0"), kMiB);
    EXPECT_EQ(parse_memory("0.0625T"), 65536 * kMiB);
    EXPECT_EQ(parse_memory("254.9990234375G").error(),
              "'254.9990234375G' is not a memory size (examples: 256M, 4G)");
    for (const char* bad :
         {"",      "M",  "-1", "4GB", "0",   "1K",     "1025K", "256G", "1T",   "99999999999999999999",
          "0x100", " 1", "1 ", "1.",  ".5G", "1.5.5G", "1.-5G", "1.5",  "0.3G", "1.12345678G",
          "255.5G"})
        EXPECT_FALSE(parse_memory(bad)) << bad;
}

TEST(CommandLine, Additions) {
    const auto good = parse_addition("a:b/c:/d");
    ASSERT_TRUE(good);
    EXPECT_EQ(good->host, "a:b/c");
    EXPECT_EQ(good->guest, "/d");
    for (const char* bad : {"", "a", ":/b", "a:b", "a:"}) EXPECT_FALSE(parse_addition(bad)) << bad;
}

}  // namespace
}  // namespace arclight::guestos::cli
