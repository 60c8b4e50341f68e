#include "guestos/boot.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <span>
#include <utility>

#include "devices/layout.h"
#include "guestos/session.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kTreeAlignment = 2 * kMiB;
constexpr uint64_t kMaxInitrd = uint64_t(8) << 30;

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) & ~(alignment - 1); }

// The rest of a regular file on stdin, if it is small enough to travel in RAM. What is larger, or is no file,
// is left for the console to read.
std::optional<Bytes> read_input_file(uint64_t limit) {
    struct stat info {};
    if (fstat(STDIN_FILENO, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    const off_t position = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (position < 0 || (info.st_size > position && uint64_t(info.st_size - position) > limit)) return {};
    Bytes bytes(info.st_size > position ? size_t(info.st_size - position) : 0);
    size_t used = 0;
    while (used < bytes.size()) {
        const ssize_t got = read(STDIN_FILENO, bytes.data() + used, bytes.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;  // it shrank, or is damaged from here on: the end of input, as for any reader
        used += size_t(got);
    }
    bytes.resize(used);
    return bytes;
}

std::string ip4_text(uint32_t address) {
    return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                       address & 0xff);
}

/// Those that the devices need, a bus before what is behind it.
std::vector<std::string> kernel_modules(std::span<const DeviceOptions> wanted) {
    const auto factory = devices::DeviceFactory::standard();
    std::vector<std::string> modules;
    const auto add = [&](const std::string& name) {
        if (std::ranges::find(modules, name) == modules.end()) modules.push_back(name);
    };
    for (const DeviceOptions& device : wanted) {
        const devices::DeviceType* type = factory.find(device.request.name);
        if (type == nullptr || type->linux_module.empty()) continue;
        const bool virtio = type->linux_module.contains("virtio");
        if (virtio) add(device.bus == DeviceBus::Pci ? "virtio_pci" : "virtio_mmio");
        add(type->linux_module);
    }
    return modules;
}

/// Whether the guest's console is stdin and stdout.
bool console_is_stdio(const RunOptions& options) {
    if (options.serials.empty()) return true;
    const auto console = std::ranges::find(options.chardevs, options.serials[0], &ChardevOptions::id);
    return console != options.chardevs.end() && console->kind == ChardevOptions::Kind::Stdio;
}

Session make_session(const RunOptions& options) {
    Session session{.command = options.command};
    const bool stdio = console_is_stdio(options);
    // Whoever is at a socket's other end has a terminal, if there is no command.
    session.terminal = stdio ? isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) : options.command.empty();
    if (const char* term = std::getenv("TERM"); term && *term) session.term = term;
    winsize size{};
    if (stdio && session.terminal && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 &&
        size.ws_col != 0) {
        session.rows = size.ws_row;
        session.columns = size.ws_col;
    }
    if (!session.terminal) session.input = stdio ? read_input_file(options.memory / 8) : Bytes();
    session.modules = kernel_modules(options.devices);
    for (const ShareMount& share : options.shares)
        session.mounts.push_back({.tag = share.tag,
                                  .point = share.mount_point,
                                  .readonly = share.readonly,
                                  .virtiofs = share.virtiofs});
    // On others it has what the guest command gives it.
    if (!options.networks.empty() && options.networks.front().kind == NetOptions::Kind::User &&
        options.networks.front().ipv4) {
        const NetOptions& net = options.networks.front();
        session.address = ip4_text(net.dhcp_start);
        session.netmask = ip4_text(net.netmask);
        session.gateway = ip4_text(net.host);
        session.nameserver = ip4_text(net.dns);
    }
    return session;
}

}  // namespace

Result<Bytes> read_initrd(const RunOptions& options, uint64_t memory) {
    Bytes initrd;
    if (!options.initrd.empty()) {
        auto file = read_file("initrd", options.initrd, std::min(kMaxInitrd, memory));
        if (!file) return file;
        if (file->empty()) return failure("initrd '{}' is empty", options.initrd);
        initrd = std::move(*file);
    }
    if (options.session) {
        // Archives one after the other start at multiples of four bytes.
        initrd.resize(align_up(initrd.size(), 4));
        const Bytes more = session_archive(make_session(options));
        initrd.insert(initrd.end(), more.begin(), more.end());
    }
    return initrd;
}

Semihosting::Heap BootState::largest_free_range(uint64_t ram_base, uint64_t ram_size) const {
    std::array<std::pair<uint64_t, uint64_t>, 4> used = {std::pair(kernel.low, kernel.end),
                                                         {initrd_start, initrd_end},
                                                         {dtb_start, dtb_start + dtb.size()},
                                                         {ram_base + ram_size, ram_base + ram_size}};
    std::ranges::sort(used);
    Semihosting::Heap best;
    uint64_t free = ram_base;
    for (const auto& [start, end] : used) {
        const uint64_t limit = start & ~(kPage - 1);
        if (limit > free && limit - free > best.limit - best.base) best = {free, limit};
        free = std::max(free, align_up(end, kPage));
    }
    return best;
}

namespace {

Result<Bytes> device_tree_for(const RunOptions& options, const Ram& ram, const devices::Bus& bus,
                              const BootState& state) {
    const CpuChoice cpu = options.cpu.value_or(CpuChoice{});
    const BoardDescription board{.cpus = options.cpus,
                                 .topology = options.topology,
                                 .cpu = cpu.compatible(),
                                 .pmu = cpu.features.has(frontend::a64::Feature::Pmu),
                                 .gic = options.gic.value_or(kDefaultGic),
                                 .memory_base = ram.base,
                                 .memory_size = ram.bytes.size()};
    const BootArguments arguments{.command_line = options.append,
                                  .initrd_start = state.initrd_start,
                                  .initrd_end = state.initrd_end,
                                  .kaslr_seed = options.kaslr_seed,
                                  .rng_seed = options.rng_seed};
    return options.dtb.empty() ? make_device_tree(board, arguments, bus)
                               : adapt_device_tree(options.dtb, board, arguments);
}

}  // namespace

RunOptions complete_options(RunOptions options, KernelKind kind) {
    const bool is_linux = kind == KernelKind::Linux;
    if (!options.gic) options.gic = is_linux || options.cpus > devices::layout::kMaxCpusGicV2 ? 3 : 2;
    if (!options.virtio) options.virtio = is_linux ? VirtioMmio::Modern : VirtioMmio::Legacy;
    return options;
}

Result<BootState> load_firmware_guest(const RunOptions& options, Ram ram, const devices::Bus& bus) {
    BootState state{.kernel = {}, .entry = devices::layout::flash_base(0), .x0 = 0};
    auto tree = device_tree_for(options, ram, bus, state);
    if (!tree) return std::unexpected(tree.error());
    if (!ram.contains(ram.base, tree->size()))
        return failure("the device tree does not fit into {} MiB of memory", ram.bytes.size() / kMiB);
    state.dtb_start = ram.base;
    ram.write(state.dtb_start, *tree);
    state.dtb = std::move(*tree);
    return state;
}

Result<BootState> load_guest(const RunOptions& options, const KernelFile& file, Ram ram,
                             const devices::Bus& bus) {
    auto kernel = load_kernel(file, ram, options.cpu.value_or(CpuChoice{}).mmfr0());
    if (!kernel) return std::unexpected(kernel.error());
    BootState state{.kernel = *kernel, .entry = kernel->entry, .x0 = 0};

    uint64_t free = kernel->end;
    const bool takes_tree_in_x0 = kernel->kind != KernelKind::Elf;
    if (takes_tree_in_x0) {
        const auto initrd = read_initrd(options, ram.bytes.size());
        if (!initrd) return std::unexpected(initrd.error());
        const uint64_t usual = ram.base + std::min<uint64_t>(ram.bytes.size() / 2, 128 * kMiB);
        const uint64_t start = align_up(std::max(usual, kernel->end), kPage);
        if (!ram.contains(start, initrd->size()))
            return failure("initrd '{}' ({} MiB) does not fit into {} MiB of memory", options.initrd,
                           (initrd->size() + kMiB - 1) / kMiB, ram.bytes.size() / kMiB);
        ram.write(start, *initrd);
        if (!initrd->empty()) {
            state.initrd_start = start;
            state.initrd_end = start + initrd->size();
        }
        free = start + initrd->size();
    } else if (!options.initrd.empty()) {
        return failure("--initrd needs a Linux kernel, '{}' is a bare-metal ELF", options.kernel);
    }

    auto tree = device_tree_for(options, ram, bus, state);
    if (!tree) return std::unexpected(tree.error());

    if (takes_tree_in_x0) {
        state.dtb_start = align_up(free, kTreeAlignment);
        if (!ram.contains(state.dtb_start, tree->size()))
            return failure("the device tree does not fit behind kernel and initrd in {} MiB of memory",
                           ram.bytes.size() / kMiB);
        state.x0 = state.dtb_start;
    } else {
        state.dtb_start = ram.base;
        // A program linked to the very start of RAM has no use for a tree there: leave it out, as QEMU does.
        if (kernel->low < ram.base + tree->size() || !ram.contains(ram.base, tree->size())) {
            state.dtb = std::move(*tree);
            return state;
        }
    }
    ram.write(state.dtb_start, *tree);
    state.dtb = std::move(*tree);
    return state;
}

}  // namespace arclight::guestos
