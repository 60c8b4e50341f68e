#include "guestos/cli/run_words.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "devices/layout.h"
#include "guestos/cli/choice.h"
#include "guestos/cli/parse.h"
#include "guestos/gdb/address.h"
#include "guestos/monitor/words.h"
#include "guestos/smbios.h"

namespace arclight::guestos::cli {

namespace {

// A parser function for CLI11: the error text becomes the option's message.
template <typename Parse>
std::function<std::string(std::string&)> checker(Parse parse) {
    return [parse](std::string& text) -> std::string {
        const auto result = parse(text);
        return result ? std::string() : result.error();
    };
}

/// For shell completion (guestos/cli/choice.h).
std::string model_choice() {
    std::string words(kChoicePrefix);
    for (const auto& model : frontend::a64::cpu_models()) words += std::string(model.name) + "|";
    return words + "help";
}

}  // namespace

void add_run_words(CLI::App& command, RunWords& words) {
    RunOptions& o = words.options;

    const auto boot = "Boot";
    command
        .add_option("--kernel", o.kernel,
                    "arm64 Linux Image (plain, packed with gzip, zstd, xz, lzma or lz4, or EFI zboot), "
                    "bare-metal AArch64 ELF, or "
                    "flat binary")
        ->type_name("FILE")
        ->group(boot);
    command
        .add_option("--restore", o.restore,
                    "go on from a snapshot instead of booting (docs/snapshots.md); --kernel is for when the "
                    "guest resets")
        ->type_name("FILE")
        ->group(boot);
    command
        .add_option("--snapshots", o.snapshots,
                    "a directory for the snapshots that a monitor's savevm and loadvm name; --restore NAME "
                    "goes on from "
                    "one (docs/snapshots.md)")
        ->type_name("DIR")
        ->group(boot);
    command
        .add_option(
            "--bios", o.bios,
            "firmware for the first flash bank, such as QEMU_EFI.fd or u-boot.bin; --kernel is then for "
            "firmware to start (docs/firmware.md)")
        ->type_name("FILE")
        ->group(boot);
    command
        .add_option(
            "--flash", words.flash,
            "image of a flash bank, the first one firmware, the second one its variables: PATH and, after "
            "commas, readonly=on|off, file.locking=auto|on|off; twice at most")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker(parse_flash), ""))
        ->group(boot);
    command
        .add_option(
            "--fw-cfg", words.fw_cfg,
            "a file for firmware and guest in QEMU's firmware configuration device: NAME and, after a comma, "
            "file=PATH or string=TEXT; repeatable")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker(parse_fw_cfg), ""))
        ->group(boot);
    command
        .add_option(
            "--smbios", o.smbios,
            "what the guest finds in its SMBIOS tables: type=1 and, after commas, manufacturer=, product=, "
            "version=, serial=, uuid=, sku=, family=; also types 0, 2, 3, 4, 11, 17 (docs/firmware.md)")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker([](std::string_view text) { return parse_smbios(text); }), ""))
        ->group(boot);
    command.add_flag("--no-acpi", words.no_acpi, "no ACPI tables for firmware: it passes on the device tree")
        ->group(boot);
    command.add_option("--initrd", o.initrd, "initial RAM disk")->type_name("FILE")->group(boot);
    command
        .add_option("--append", words.append, "kernel command line; repeatable, a space goes between them")
        ->type_name("TEXT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(boot);
    command.add_option("--dtb", o.dtb, "device tree to use instead of the machine's own")
        ->type_name("FILE")
        ->group(boot);
    command.add_option("--dump-dtb", o.dump_dtb, "write the device tree to FILE and leave")
        ->type_name("FILE")
        ->group(boot);
    command
        .add_flag("--no-kaslr-seed", words.no_kaslr_seed,
                  "no /chosen/kaslr-seed: the kernel stays where it is linked")
        ->group(boot);
    command.add_flag("--no-rng-seed", words.no_rng_seed, "no /chosen/rng-seed")->group(boot);
    command
        .add_flag("--shell", words.shell,
                  "the initrd is 'arclight initramfs''s: give a shell sized like this terminal")
        ->group(boot);

    const auto machine = "Machine";
    command
        .add_option("-m,--memory", words.memory,
                    "RAM: a number of MiB, or with suffix K, M, G; 1.5G is one too [512M]")
        ->type_name("SIZE")
        ->check(CLI::Validator(checker(parse_memory), ""))
        ->group(machine);
    command
        .add_option(
            "--cpu", words.cpu,
            "the CPU that the guest is shown: max (all that there is), cortex-a53, neoverse-n1 or another "
            "and, after commas, FEATURE=on|off; help lists both (docs/cpu.md) [max]")
        ->type_name("MODEL")
        ->check(CLI::Validator(
            [](std::string& text) {
                return text == "help" ? std::string() : checker(CpuChoice::parse)(text);
            },
            "", model_choice()))
        ->group(machine);
    command.add_option("--smp", o.cpus, "virtual CPUs, 1 to 64; with --gic 2, 8 at most [1]")
        ->type_name("N")
        ->check(CLI::Range(1u, devices::layout::kMaxCpus).description(""))
        ->group(machine);
    command
        .add_option("--gic", o.gic,
                    "interrupt controller version, 2 or 3 [3; for bare-metal programs of up to 8 CPUs 2]")
        ->type_name("N")
        ->check(one_of({2u, 3u}))
        ->group(machine);
    command
        .add_option(
            "--virtio", words.virtio,
            "what disks, networks and the entropy device are behind: virtio-mmio with modern (version 2) or "
            "legacy (version 1) registers, or pci (docs/pci.md) [modern; for bare-metal programs legacy]")
        ->type_name("NAME")
        ->check(one_of({"modern", "legacy", "pci"}))
        ->group(machine);
    command
        .add_option("--drive", words.drives,
                    "virtio disk, the first one /dev/vda: file=PATH and, after commas, format=raw|qcow2|..., "
                    "readonly=on|off, snapshot=on|off, serial=TEXT, werror=report|ignore|stop|enospc, "
                    "rerror=report|ignore|stop, file.locking=auto|on|off, "
                    "cache=writeback|writethrough|unsafe|none|directsync, aio=threads|native|io_uring, "
                    "discard=unmap|ignore, detect-zeroes=off|on|unmap; repeatable (docs/disks.md)")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker(parse_drive), ""))
        ->group(machine);
    command
        .add_option("--cdrom", words.cdroms,
                    "a CD-ROM drive (/dev/sr0) with this image in it, such as a cloud-init seed; repeatable "
                    "(docs/disks.md)")
        ->type_name("FILE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(machine);
    command
        .add_option(
            "--net", words.networks,
            "user: a network in user space, with DHCP, name service and the host's connections; after commas "
            "hostfwd=tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT, guestfwd=tcp:ADDRESS:PORT-cmd:COMMAND, "
            "restrict=on|off, "
            "mac=ADDRESS, mtu=N, ipv6=on|off and others. tap[,ifname=NAME][,vhost=on]: an interface of the "
            "host's, its frames moved by its kernel. "
            "socket, "
            "stream, dgram: frames to another machine. passt: through that program. docs/network.md has all "
            "keys; "
            "repeatable. none: no network [none]")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker(parse_net), ""))
        ->group(machine);
    command
        .add_option("--device", words.devices,
                    "a device: NAME[,OPTION=VALUE]..., on virtio-mmio or, with bus=pci, on PCI Express; "
                    "help or NAME,help lists what there is; repeatable (docs/pci.md)")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(
            [](std::string& text) { return wants_help(text) ? std::string() : checker(parse_device)(text); },
            ""))
        ->group(machine);
    command
        .add_option("--share", words.shares,
                    "a directory that the guest sees: DIR[:/MOUNT] and, after commas, readonly=on|off, "
                    "protocol=9p|virtiofs, "
                    "security_model=mapped-xattr|mapped-file|passthrough|none, multidevs=remap|forbid|warn, "
                    "tag=NAME; "
                    "with a guest command or --shell it is mounted at /MOUNT [/mnt/NAME-OF-DIR]; repeatable "
                    "(docs/shares.md)")
        ->type_name("SPEC")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Validator(checker(parse_share), ""))
        ->group(machine);
    command
        .add_flag(
            "--balloon", words.balloon,
            "memory that the guest has free goes back to the host, and a monitor's 'balloon' asks the guest "
            "for more (docs/control.md)")
        ->group(machine);
    command
        .add_option(
            "--watchdog", words.watchdog,
            "a watchdog (i6300esb, on PCI), and what is done when the guest has not attended to it: "
            "reset, shutdown (the power key), poweroff, pause, debug (a line) or none [without a word: "
            "reset]")
        ->type_name("ACTION")
        ->expected(0, 1)
        ->default_str("reset")
        ->check(one_of({"reset", "shutdown", "poweroff", "pause", "debug", "none"}))
        ->group(machine);
    command
        .add_option("--random-seed", o.random_seed,
                    "the CPU's random numbers (RNDR) follow from N, the same in every run [the host's]")
        ->type_name("N")
        ->group(machine);
    command.add_flag("--no-rng", words.no_rng, "leave out the virtio entropy device")->group(machine);
    command
        .add_option("--host-suspend", words.host_suspend,
                    "guest time while the host is suspended or this process is stopped: pause (it stands) "
                    "or pass (it "
                    "goes on) [pause]")
        ->type_name("WHAT")
        ->check(one_of({"pause", "pass"}))
        ->group(machine);
    command
        .add_flag("--no-shutdown", o.pause_at_shutdown,
                  "when the guest powers off, pause it: a monitor can look at it, reset it, or quit")
        ->group(machine);
    command.add_flag("--no-reboot", o.no_reboot, "leave instead of restarting when the guest resets")
        ->group(machine);
    command
        .add_option("--semihosting", words.semihosting,
                    "answer semihosting calls (HLT #0xf000) of bare-metal programs: on, off, or userspace "
                    "for EL0 too [off; without a word: on]")
        ->type_name("WHO")
        ->expected(0, 1)
        ->default_str("on")
        ->check(one_of({"on", "off", "userspace"}))
        ->group(machine);
    command
        .add_option("--semihosting-files", o.semihosting_files,
                    "a directory whose files semihosting calls may read, write and remove; relative names "
                    "begin in the first one; repeatable [no files]")
        ->type_name("DIR")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::ExistingDirectory)
        ->group(machine);

    add_chardev_words(command, words.chardevs, o);

    const auto execution = "Execution";
    command.add_option("--accel", words.accel, "where guest code runs: auto, kvm or process [auto]")
        ->type_name("NAME")
        ->check(one_of({"auto", "kvm", "process"}))
        ->group(execution);
    command
        .add_option("--fastmem", words.fastmem,
                    "guest memory by the virtual machine's page tables (kvm): on, off or auto [auto]")
        ->type_name("WHEN")
        ->check(one_of({"auto", "on", "off"}))
        ->group(execution);
    command
        .add_option(
            "--direct-memory", words.direct_memory,
            "programs' memory by this process's own page tables (process): off, on for those that run for "
            "long, or always, for tests [off]")
        ->type_name("WHEN")
        ->check(one_of({"off", "on", "always"}))
        ->group(execution);
    command.add_option("--windows", words.fastmem, "the former name of --fastmem")
        ->type_name("WHEN")
        ->check(one_of({"auto", "on", "off"}))
        ->group("");
    command
        .add_option(
            "--mmu", words.mmu,
            "how translations follow the guest's tables: ssp (TLB invalidations; recent address spaces are "
            "kept), ssp-nocache, asp (ssp, with faults that miss a last-level entry alone counted apart), "
            "tsp "
            "(tables are write-protected), or tsp-unsync (last-level tables only until they are written to) "
            "[ssp]")
        ->type_name("POLICY")
        ->check(one_of({"ssp", "ssp-nocache", "asp", "tsp", "tsp-unsync"}))
        ->group(execution);
    command
        .add_flag("--mmu-exits", o.shadow.real_exits,
                  "leave the virtual machine for each exit that the policy stands for (kvm)")
        ->group(execution);
    command
        .add_option(
            "--spin", words.spin,
            "what a virtual CPU does that has waited for another one in a loop for long: hand-over (it "
            "leaves its core of the host to that one), nap (to anybody) or off [hand-over]")
        ->type_name("WHAT")
        ->check(one_of({"hand-over", "nap", "off"}))
        ->group(execution);
    command.add_option("--mmu-roots", o.shadow.roots, "address spaces that are kept, 1 to 30 [16]")
        ->type_name("N")
        ->check(CLI::Range(1u, mmu::kMaxRoots).description(""))
        ->group(execution);
    command
        .add_option(
            "--jit", words.jit,
            "the translator: tier1, superblocks (hot code again by tier 1's compiler, several blocks as "
            "one), tiered (hot code again by LLVM, on another thread), tier2 (all code by "
            "LLVM at once; slow, for tests), interpreter (no translator; very slow, to find its errors) or "
            "auto: tiered, but tier1 in a program without LLVM [auto]")
        ->type_name("TIER")
        ->check(one_of({"auto", "interpreter", "tier1", "superblocks", "tiered", "tier2"}))
        ->group(execution);
    command
        .add_option(
            "--registers", words.registers,
            "where guest integer registers are between blocks: memory, or simd: vector registers of a host "
            "with AVX-512, with --jit tier1 and without kvm (docs/experiments.md) [memory]")
        ->type_name("PLACE")
        ->check(one_of({"memory", "simd"}))
        ->group(execution);
    command
        .add_option("--jit-threshold", o.jit_threshold,
                    "count runs of blocks: so many make one hot [by samples; superblocks: 4000; tier2: 1]")
        ->type_name("N")
        ->check(CLI::Range(1u, 1'000'000'000u).description(""))
        ->group(execution);

    command
        .add_option("--jit-cache", words.jit_cache,
                    "keep translated code in DIR for the next run, or off; files without the code of this "
                    "user's key are not used [$ARCLIGHT_JIT_CACHE, ~/.cache/arclight/regions]")
        ->type_name("DIR|off")
        ->group(execution);
    command
        .add_option("--jit-cache-blocks", words.jit_cache_blocks,
                    "keep tier 1's translations there, too, not only what LLVM compiled [on]")
        ->type_name("on|off")
        ->check(one_of({"on", "off"}))
        ->group(execution);
    command.add_option("--jit-cache-size", words.jit_cache_size, "room in there [512M]")
        ->type_name("SIZE")
        ->check(CLI::Validator(checker(parse_jit_room), ""))
        ->group(execution);
    command
        .add_option(
            "--memory-loops", words.memory_loops,
            "on: loops that copy or fill memory run many turns at once; off: one after the other [on]")
        ->type_name("on|off")
        ->check(one_of({"on", "off"}))
        ->group(execution);
    command.add_option("--jit-code", words.jit_code, "room for code that LLVM compiled [64M]")
        ->type_name("SIZE")
        ->check(CLI::Validator(checker(parse_jit_room), ""))
        ->group(execution);
    command.add_option("--jit-region", o.jit_region, "guest instructions that LLVM compiles together [200]")
        ->type_name("N")
        ->check(CLI::Range(1u, 1000u).description(""))
        ->group(execution);
    command.add_option("--jit-sample", o.jit_sample, "for tests: LLVM compiles one block in N")
        ->type_name("N")
        ->group("");
    command.add_option("--jit-sample-seed", o.jit_sample_seed, "and others of them with another number")
        ->type_name("N")
        ->group("");
    command.add_option("--jit-faults", o.jit_faults, "for tests: every Nth compilation fails or takes long")
        ->type_name("N")
        ->group("");

    command
        .add_option("--code-cache", words.code_cache,
                    "room for translated code, 1M to 1G; what describes it takes up to four times as much, "
                    "about as much [256M]")
        ->type_name("SIZE")
        ->check(CLI::Validator(checker(parse_code_cache), ""))
        ->group(execution);
    command
        .add_option(
            "--place", words.place,
            "cores of the host for this guest's threads: a list (0-3,8) or cache (those that share the last "
            "level of cache with the first permitted one); with vcpus=, compiler= or devices= before it, for "
            "these threads only; or l3= and a list of ways of that cache (resctrl); or colours= and a list "
            "of "
            "colours that the pages of guest memory are to have (as root); may be given several times, "
            "and changed by the monitor's place (docs/placement.md)")
        ->type_name("[GROUP=]CORES")
        ->group(execution);

    const auto lightv = "LightV (mmu/lightv/README.md)";
    command.add_option("--lightv", o.lightv, "attach modules to pages as this policy says")
        ->type_name("FILE")
        ->check(CLI::ExistingFile)
        ->group(lightv);
    command.add_option("--control", o.control, "take commands of 'arclight lightv' on this Unix socket")
        ->type_name("PATH")
        ->group(lightv);
    command
        .add_option("--symbols", o.symbols,
                    "the kernel's System.map or /proc/kallsyms, to pick pages by symbol")
        ->type_name("FILE")
        ->check(CLI::ExistingFile)
        ->group(lightv);

    command
        .add_option("--lightv-files", o.lightv_files,
                    "a directory whose files modules may use that --control attaches; repeatable")
        ->type_name("DIR")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::ExistingDirectory)
        ->group(lightv);

    command
        .add_option("--lightv-stage", words.lightv_stage,
                    "where modules change what lies behind a page: host, by the host's mapping of RAM, which "
                    "disturbs no CPU, fill, where translations are cached, or auto: host where it can be "
                    "[auto]")
        ->type_name("STAGE")
        ->check(one_of({"auto", "host", "fill"}))
        ->group(lightv);

    const auto sandbox = "Sandbox (docs/security.md)";
    command
        .add_option("--spectre", words.spectre,
                    "on: guest code cannot read this process's memory by what the host's processor executes "
                    "on a wrong "
                    "prediction; slower (docs/security.md) [off]")
        ->type_name("MODE")
        ->check(one_of({"on", "off"}))
        ->group(sandbox);
    command
        .add_option("--sandbox", words.sandbox,
                    "what this process may do on the host: on (as little as the kernel can hold it to), "
                    "require (the same, or an error where the kernel cannot) or off [on]")
        ->type_name("MODE")
        ->check(one_of({"on", "off", "require"}))
        ->group(sandbox);
    command
        .add_option(
            "--user", o.user,
            "started as root: become this user of /etc/passwd, or this number, before anything is opened")
        ->type_name("NAME|UID[:GID]")
        ->group(sandbox);

    const auto debugging = "Debugging (docs/gdb.md)";
    command
        .add_option("--gdb", o.gdb,
                    "let gdb debug the guest from there (target remote): tcp:[HOST]:PORT, by default of this "
                    "host alone, or unix:PATH")
        ->type_name("ADDRESS")
        ->check(CLI::Validator(checker(gdb::parse_address), ""))
        ->group(debugging);
    const auto insight = "Insight";
    command.add_option("--jit-dump", o.jit_dump, "write what LLVM is given and makes to files in DIR")
        ->type_name("DIR")
        ->check(CLI::ExistingDirectory)
        ->group(insight);
    command.add_flag("--perf-map", o.perf_map, "name compiled regions for perf, in /tmp/perf-PID.map")
        ->group(insight);
    command
        .add_option("--trace", words.trace,
                    "print what happens: a comma-separated list of blocks, ir, host, exceptions, mmu")
        ->type_name("LIST")
        ->check(CLI::Validator(checker(parse_trace), ""))
        ->group(insight);
    command.add_option("--trace-file", o.trace.file, "where traces go [stderr]")
        ->type_name("FILE")
        ->group(insight);
    command
        .add_flag("--count-instructions", o.count_instructions,
                  "count guest instructions exactly, for --stats (slow)")
        ->group(insight);
    command
        .add_option("--profile-host", o.profile_host,
                    "count the host instructions of tier 1's code by what they are for, and write that as "
                    "JSON (slow)")
        ->type_name("FILE")
        ->group(insight);
    command
        .add_option(
            "--profile-sites", o.profile_sites,
            "write which of the kernel's instructions met devices, and its blocks with privileged ones, for "
            "'arclight prepare' (slow)")
        ->type_name("FILE")
        ->group(insight);
    command.add_flag("--stats", o.stats, "print counters at the end, on stderr")->group(insight);
    command.add_option("--stats-json", o.stats_file, "write counters at the end as JSON")
        ->type_name("FILE")
        ->group(insight);
}

}  // namespace arclight::guestos::cli
