#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "devices/layout.h"
#include "devices/pci/host_bridge.h"
#include "guestos/cli/commands.h"
#include "guestos/cli/parse.h"
#include "guestos/cli/run_words.h"
#include "guestos/cli/sandbox_word.h"
#include "guestos/device_requests.h"
#include "guestos/monitor/words.h"
#include "guestos/placement.h"
#include "guestos/sandbox/privileges.h"

namespace arclight::guestos::cli {

namespace {

int print_device_help(std::string_view device) {
    const auto factory = devices::DeviceFactory::standard();
    const std::string_view name = device.substr(0, device.find(','));
    const devices::DeviceType* type = factory.find(name);
    if (type == nullptr && name != "help")
        return complain(fmt::format("there is no device '{}'", name), kExitUsage);
    fmt::print("{}", type != nullptr ? devices::DeviceFactory::help(*type) : factory.help());
    return 0;
}

int print_cpu_help() {
    fmt::print("Models:\n");
    for (const auto& model : frontend::a64::cpu_models()) fmt::print("  {}\n", model.name);
    fmt::print("Features:\n");
    for (const std::string& word : feature_words()) fmt::print("  {}\n", word);
    return 0;
}

// Its own variable, which may be "off"; else as the guest's files (guestos/fetch/fetch-guest). `home`: another user's; empty: this
// one's. Empty: there is no home.
std::string default_jit_cache(const std::string& home) {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value != nullptr ? value : "");
    };
    if (std::string own = variable("ARCLIGHT_JIT_CACHE"); !own.empty()) return own;
    for (const auto& [directory, below] :
         {std::pair(variable("ARCLIGHT_CACHE"), "/regions"),
          std::pair(variable("XDG_CACHE_HOME"), "/arclight/regions"),
          std::pair(home.empty() ? variable("HOME") : home, "/.cache/arclight/regions")})
        if (!directory.empty()) return directory + below;
    return {};
}

// Neither in the cache, which is what it authenticates, nor among the settings, which people copy from host to host: the XDG
// base directory specification has a directory for what a program keeps on this host. `home` as above. Empty: there is no home.
std::string jit_cache_key(const std::string& home) {
    // The specification has relative paths ignored.
    const auto absolute = [](const char* name) {
        const char* directory = std::getenv(name);
        return std::string(directory != nullptr && *directory == '/' ? directory : "");
    };
    for (const auto& [directory, below] :
         {std::pair(absolute("XDG_STATE_HOME"), "/arclight/cache.key"),
          std::pair(home.empty() ? absolute("HOME") : home, "/.local/state/arclight/cache.key")})
        if (!directory.empty()) return directory + below;
    return {};
}

}  // namespace

std::function<int()> add_run(CLI::App& app, const GuestCommand& guest, RunFunction run) {
    auto* command =
        app.add_subcommand("run", "Boot an AArch64 kernel; stdin and stdout are its serial console");
    command->footer(
        "Usage with a guest command: arclight run --kernel FILE --initrd FILE [OPTIONS] -- COMMAND "
        "ARGUMENTS...\n\n"
        "Ctrl-A X leaves, Ctrl-A H helps. With -- COMMAND, or with --shell, the initrd is one made by\n"
        "'arclight initramfs': COMMAND runs in the guest, its output is all that is printed, and its exit "
        "status is\n"
        "arclight's own.\n\n"
        "Example: arclight run --kernel vmlinuz --initrd guest.cpio --append console=ttyAMA0 -m 1G --smp 2");
    auto words = std::make_shared<RunWords>();
    add_run_words(*command, *words);

    const CLI::Option* const smp = command->get_option("--smp");
    return [words, &guest, smp, run = std::move(run)] {
        RunOptions options = words->options;
        if (!options.restore.empty() && guest.given)
            return complain("--restore goes on with what the guest was doing, without -- COMMAND",
                            kExitUsage);
        options.restore_memory = words->memory.empty();
        options.restore_cpus = smp->count() == 0;
        if (options.gic == 2 && options.cpus > devices::layout::kMaxCpusGicV2)
            return complain(fmt::format("--smp {}: a GICv2 has {} CPUs at most, --gic 3 has {}", options.cpus,
                                        devices::layout::kMaxCpusGicV2, devices::layout::kMaxCpus),
                            kExitUsage);
        if (words->cpu == "help") return print_cpu_help();
        if (!words->cpu.empty()) options.cpu = *CpuChoice::parse(words->cpu);
        // The checkers above have accepted these texts already.
        options.append = fmt::format("{}", fmt::join(words->append, " "));
        if (!words->memory.empty()) options.memory = *parse_memory(words->memory);
        std::string home;
        if (!options.user.empty()) {
            const auto user = sandbox::find_user(options.user);
            if (!user) return complain("--user: " + user.error(), kExitUsage);
            home = user->home;
        }
        options.jit_cache = words->jit_cache.empty() ? default_jit_cache(home) : words->jit_cache;
        if (options.jit_cache == "off") options.jit_cache.clear();
        options.jit_cache_key = jit_cache_key(home);
        options.jit_cache_blocks = words->jit_cache_blocks != "off" && !options.jit_cache.empty();
        options.host_cores = host::CoreSet::permitted();
        if (auto placement = parse_placement(words->place, options.host_cores))
            options.placement = *placement;
        else
            return complain("--place: " + placement.error(), kExitUsage);
        if (const auto ways = parse_cache_ways(words->place))
            options.cache_ways = *ways;
        else
            return complain("--place: " + ways.error(), kExitUsage);
        const unsigned usual_colours = words->place.empty() ? 0 : host::colours_of_second_level();
        if (const auto colours = parse_colours(words->place, usual_colours); !colours) {
            return complain("--place: " + colours.error(), kExitUsage);
        } else if (colours->of != 0) {
            if (const auto chosen = host::choose_page_colours(*colours); !chosen)
                return complain("--place colours: " + chosen.error());
            if (host::in_virtual_machine())
                complain(
                    "--place colours: this host is a virtual machine, whose pages may have other colours in "
                    "the machine below");
        }
        options.sandbox = sandbox_mode(words->sandbox);
        options.memory_loops = words->memory_loops == "on";
        options.spectre = words->spectre == "on";
        options.host_suspend =
            words->host_suspend == "pass" ? devices::HostSuspend::Pass : devices::HostSuspend::Pause;
        if (!words->jit_cache_size.empty()) options.jit_cache_bytes = *parse_jit_room(words->jit_cache_size);
        if (!words->jit_code.empty()) options.jit_code_bytes = *parse_jit_room(words->jit_code);
        if (!words->code_cache.empty()) options.code_cache = *parse_code_cache(words->code_cache);
        std::vector<DriveOptions> drives;
        for (const auto& text : words->drives) drives.push_back(*parse_drive(text));
        const DeviceBus bus = words->virtio == "pci" ? DeviceBus::Pci : DeviceBus::Mmio;
        add_disks(options, drives, bus);
        for (const auto& text : words->networks)
            if (const auto network = *parse_net(text)) add_network(options, *network, bus);
        for (const auto& text : words->shares) add_share(options, *parse_share(text), bus);
        if (!words->watchdog.empty()) {
            options.watchdog = *watchdog_action_named(words->watchdog);
            options.devices.push_back(
                {.request = {"i6300esb", {}}, .bus = DeviceBus::Pci, .address = {}, .id = {}});
        }
        if (words->balloon) options.devices.push_back(balloon_device(bus));
        for (const auto& text : words->devices) {
            if (wants_help(text)) return print_device_help(text);
            options.devices.push_back(*parse_device(text));
        }
        for (const auto& file : words->cdroms) add_cdrom(options, file, bus);
        if (options.networks.size() < words->networks.size() && !options.networks.empty())
            return complain("--net none and another network", kExitUsage);
        if (!words->trace.empty()) {
            const std::string file = options.trace.file;
            options.trace = *parse_trace(words->trace);
            options.trace.file = file;
        }
        options.lightv_stage = words->lightv_stage == "host"   ? LightvStage::Host
                               : words->lightv_stage == "fill" ? LightvStage::Fill
                                                               : LightvStage::Auto;
        options.fastmem = words->fastmem == "on"    ? Fastmem::On
                          : words->fastmem == "off" ? Fastmem::Off
                                                    : Fastmem::Auto;
        options.direct_memory = words->direct_memory == "on"       ? DirectMemoryUse::On
                                : words->direct_memory == "always" ? DirectMemoryUse::Always
                                                                   : DirectMemoryUse::Off;
        options.semihosting = words->semihosting == "userspace" ? SemihostingAccess::Userspace
                              : words->semihosting == "on"      ? SemihostingAccess::Kernel
                                                                : SemihostingAccess::Off;
        if (!words->virtio.empty() && words->virtio != "pci")
            options.virtio = words->virtio == "legacy" ? VirtioMmio::Legacy : VirtioMmio::Modern;
        options.accel = words->accel == "kvm"       ? Accel::Kvm
                        : words->accel == "process" ? Accel::Process
                                                    : Accel::Auto;
        options.spin = words->spin == "off"   ? SpinPolicy::Off
                       : words->spin == "nap" ? SpinPolicy::Nap
                                              : SpinPolicy::HandOver;
        options.shadow.policy = words->mmu == "tsp"           ? mmu::ShadowPolicy::Tsp
                                : words->mmu == "tsp-unsync"  ? mmu::ShadowPolicy::TspUnsync
                                : words->mmu == "ssp-nocache" ? mmu::ShadowPolicy::SspNoCache
                                : words->mmu == "asp"         ? mmu::ShadowPolicy::Asp
                                                              : mmu::ShadowPolicy::Ssp;
        options.jit = words->jit == "tier2"         ? JitTier::Tier2
                      : words->jit == "tiered"      ? JitTier::Tiered
                      : words->jit == "tier1"       ? JitTier::Tier1
                      : words->jit == "superblocks" ? JitTier::Superblocks
                      : words->jit == "interpreter" ? JitTier::Interpreter
                                                    : JitTier::Auto;
        options.registers = words->registers == "simd" ? RegisterHome::Simd : RegisterHome::Memory;
        if (!options.semihosting_files.empty() && options.semihosting == SemihostingAccess::Off)
            return complain("--semihosting-files needs --semihosting", kExitUsage);
        options.acpi = !words->no_acpi;
        options.kaslr_seed = !words->no_kaslr_seed;
        options.rng_seed = !words->no_rng_seed;
        const unsigned places =
            bus == DeviceBus::Pci ? devices::pci::HostBridge::kSlots - 1 : devices::layout::kVirtioSlots;
        if (!words->no_rng && std::ranges::count(options.devices, bus, &DeviceOptions::bus) < places)
            options.devices.push_back(entropy_device(bus));
        for (const auto& text : words->flash) options.flash.push_back(*parse_flash(text));
        for (const auto& text : words->fw_cfg) options.fw_cfg.push_back(*parse_fw_cfg(text));
        if (options.flash.size() > 2) return complain("the board has two flash banks", kExitUsage);
        if (!options.bios.empty() && options.flash.size() == 2)
            return complain("--bios is for the first flash bank, and so is the first of two --flash",
                            kExitUsage);
        // With --bios, the image is that of the variables.
        if (!options.bios.empty() && options.flash.size() == 1)
            options.flash.insert(options.flash.begin(), {{}});
        if (options.kernel.empty() && options.restore.empty() && !options.has_firmware())
            return complain("--kernel, --bios or --flash is required", kExitUsage);
        if (auto good = apply_chardev_words(words->chardevs, options); !good)
            return complain(good.error(), kExitUsage);
        if (guest.given && guest.words.empty()) return complain("no command after --", kExitUsage);
        options.command = guest.words;
        options.session = guest.given || words->shell;
        if (options.session && options.initrd.empty() && options.restore.empty())
            return complain("a guest command and --shell need --initrd", kExitUsage);
        return run(options);
    };
}

}  // namespace arclight::guestos::cli
