#include "guestos/device_tree.h"

#include <libfdt.h>
#include <sys/random.h>

#include <array>
#include <bit>
#include <optional>
#include <vector>

#include "devices/fdt_writer.h"
#include "devices/layout.h"
#include "devices/pmu_interrupt.h"
#include "devices/timer.h"

namespace arclight::guestos {

namespace {

constexpr uint64_t kMaxTree = 2 << 20;  // Linux Documentation/arm64/booting.rst, section 2

template <size_t N>
Result<std::array<uint8_t, N>> random_bytes() {
    std::array<uint8_t, N> bytes;
    if (getrandom(bytes.data(), N, 0) != ssize_t(N)) return failure("the host gives no random numbers");
    return bytes;
}

struct Seeds {
    std::optional<std::array<uint8_t, 8>> kaslr;
    std::optional<std::array<uint8_t, 32>> rng;
};

Result<Seeds> make_seeds(const BootArguments& arguments) {
    Seeds seeds;
    if (arguments.kaslr_seed) {
        const auto bytes = random_bytes<8>();
        if (!bytes) return std::unexpected(bytes.error());
        seeds.kaslr = *bytes;
    }
    if (arguments.rng_seed) {
        const auto bytes = random_bytes<32>();
        if (!bytes) return std::unexpected(bytes.error());
        seeds.rng = *bytes;
    }
    return seeds;
}

/// The binding cpu/cpu-topology.txt: a node for each level, with the CPU's phandle in the innermost one. CPUs that share a level
/// follow each other.
void add_cpu_map(devices::FdtWriter& fdt, unsigned cpus, const CpuTopology& topology) {
    constexpr std::array<const char*, 4> kLevels = {"socket", "cluster", "core", "thread"};
    const size_t depth = topology.threads > 1 ? 4 : 3;
    fdt.begin_node("cpu-map");
    std::vector<unsigned> open;  // the place whose nodes are begun
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        const CpuTopology::Place place = topology.place(cpu);
        const std::array<unsigned, 4> numbers = {place.socket, place.cluster, place.core, place.thread};
        size_t common = 0;
        while (common < open.size() && open[common] == numbers[common]) ++common;
        for (; open.size() > common; open.pop_back()) fdt.end_node();
        for (size_t level = open.size(); level < depth; ++level) {
            fdt.begin_node(fmt::format("{}{}", kLevels[level], numbers[level]));
            open.push_back(numbers[level]);
        }
        fdt.property_u32("cpu", devices::layout::kPhandleFirstCpu + cpu);
    }
    for (; !open.empty(); open.pop_back()) fdt.end_node();
    fdt.end_node();
}

void add_cpus(devices::FdtWriter& fdt, const std::string& compatible, unsigned cpus,
              const CpuTopology& topology) {
    fdt.begin_node("cpus");
    fdt.property_u32("#address-cells", 1);
    fdt.property_u32("#size-cells", 0);
    add_cpu_map(fdt, cpus, topology);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        const uint64_t affinity = devices::layout::affinity_of(cpu);
        fdt.begin_node(fmt::format("cpu@{:x}", affinity));
        fdt.property_string("device_type", "cpu");
        fdt.property_string("compatible", compatible);
        fdt.property_u32("reg", static_cast<uint32_t>(affinity));
        fdt.property_string("enable-method", "psci");
        fdt.property_u32("phandle", devices::layout::kPhandleFirstCpu + cpu);
        fdt.end_node();
    }
    fdt.end_node();
}

void add_psci(devices::FdtWriter& fdt) {
    fdt.begin_node("psci");
    fdt.property_strings("compatible", {"arm,psci-1.0", "arm,psci-0.2", "arm,psci"});
    fdt.property_string("method", "hvc");
    // Function numbers for "arm,psci" of old, which had none fixed.
    fdt.property_u32("cpu_suspend", 0xc4000001);
    fdt.property_u32("cpu_off", 0x84000002);
    fdt.property_u32("cpu_on", 0xc4000003);
    fdt.property_u32("migrate", 0xc4000005);
    fdt.end_node();
}

/// Where programs in the guest look for what runs it (systemd's detect_vm_device_tree(): a hypervisor of another name than
/// those it knows is "vm-other"). Not the name of one whose interfaces are not there.
void add_hypervisor(devices::FdtWriter& fdt) {
    fdt.begin_node("hypervisor");
    fdt.property_string("compatible", "arclight,vm");
    fdt.end_node();
}

}  // namespace

Result<Bytes> make_device_tree(const BoardDescription& board, const BootArguments& arguments,
                               const devices::Bus& bus) {
    const auto seeds = make_seeds(arguments);
    if (!seeds) return std::unexpected(seeds.error());
    namespace layout = devices::layout;
    devices::FdtWriter fdt;
    fdt.begin_node("");
    fdt.property_string("compatible", "linux,dummy-virt");
    fdt.property_string("model", "linux,dummy-virt");
    fdt.property_u32("#address-cells", 2);
    fdt.property_u32("#size-cells", 2);
    fdt.property_u32("interrupt-parent", layout::kPhandleGic);

    const std::string uart = fmt::format("/pl011@{:x}", layout::kUart.base);
    fdt.begin_node("aliases");
    fdt.property_string("serial0", uart);
    fdt.end_node();

    fdt.begin_node("chosen");
    fdt.property_string("bootargs", arguments.command_line);
    fdt.property_string("stdout-path", uart);
    if (arguments.initrd_end != 0) {
        fdt.property_u64("linux,initrd-start", arguments.initrd_start);
        fdt.property_u64("linux,initrd-end", arguments.initrd_end);
    }
    if (seeds->kaslr) fdt.property("kaslr-seed", *seeds->kaslr);
    if (seeds->rng) fdt.property("rng-seed", *seeds->rng);
    fdt.end_node();

    fdt.begin_node(fmt::format("memory@{:x}", board.memory_base));
    fdt.property_string("device_type", "memory");
    fdt.property_u64s("reg", {board.memory_base, board.memory_size});
    fdt.end_node();

    add_cpus(fdt, board.cpu, board.cpus, board.topology.value_or(CpuTopology::flat(board.cpus)));
    add_psci(fdt);
    add_hypervisor(fdt);
    devices::GenericTimer::add_to_device_tree(fdt, board.cpus, board.gic == 2);
    if (board.pmu) devices::PmuInterrupt::add_to_device_tree(fdt, board.cpus, board.gic == 2);
    devices::add_clock_to_device_tree(fdt);
    bus.add_to_device_tree(fdt);
    fdt.end_node();
    auto blob = fdt.finish();
    if (!blob) return failure("cannot make the device tree: {}", blob.error());
    return *blob;
}

Result<Bytes> adapt_device_tree(const std::string& path, const BoardDescription& board,
                                const BootArguments& arguments) {
    auto file = read_file("device tree", path, kMaxTree);
    if (!file) return std::unexpected(file.error());
    // libfdt 1.6 follows a null pointer in trees of before version 16, which names the root otherwise.
    constexpr uint32_t kOldestVersion = 16;
    if (file->size() < sizeof(fdt_header) || fdt_version(file->data()) < kOldestVersion ||
        fdt_check_full(file->data(), file->size()) != 0)
        return failure("device tree '{}' is damaged or not a DTB", path);
    const auto seeds = make_seeds(arguments);
    if (!seeds) return std::unexpected(seeds.error());

    Bytes tree(file->size() + arguments.command_line.size() + 4096);
    int error = fdt_open_into(file->data(), tree.data(), int(tree.size()));
    const auto set = [&](int node, const char* name, std::span<const uint8_t> value) {
        if (error == 0) error = fdt_setprop(tree.data(), node, name, value.data(), int(value.size()));
    };
    const auto subnode = [&](const char* name) {
        if (error != 0) return 0;
        int node = fdt_subnode_offset(tree.data(), 0, name);
        if (node == -FDT_ERR_NOTFOUND) node = fdt_add_subnode(tree.data(), 0, name);
        if (node < 0) error = node;
        return node;
    };
    const auto big_endian = [](auto value) {
        return std::bit_cast<std::array<uint8_t, sizeof value>>(std::byteswap(value));
    };

    // The file may describe another amount of memory than --memory gave: one node, with the tree's own cell
    // sizes.
    if (error == 0) {
        const int address_cells = fdt_address_cells(tree.data(), 0);
        const int size_cells = fdt_size_cells(tree.data(), 0);
        Bytes reg;
        const auto append = [&reg, &big_endian](int cells, uint64_t value) {
            if (cells == 2) {
                const auto bytes = big_endian(value);
                reg.insert(reg.end(), bytes.begin(), bytes.end());
            } else {
                const auto bytes = big_endian(uint32_t(value));
                reg.insert(reg.end(), bytes.begin(), bytes.end());
            }
        };
        append(address_cells, board.memory_base);
        append(size_cells, board.memory_size);
        int old;
        while ((old = fdt_node_offset_by_prop_value(tree.data(), -1, "device_type", "memory", 7)) >= 0)
            fdt_del_node(tree.data(), old);
        const int memory = subnode(fmt::format("memory@{:x}", board.memory_base).c_str());
        constexpr std::string_view type("memory\0", 7);
        set(memory, "device_type", {reinterpret_cast<const uint8_t*>(type.data()), type.size()});
        set(memory, "reg", reg);
    }

    // After the memory: a node that was memory and /chosen would be gone.
    const int chosen = subnode("chosen");
    const std::string_view line(arguments.command_line.c_str(), arguments.command_line.size() + 1);
    // As QEMU does, an empty --append leaves the file's own command line.
    if (line.size() > 1)
        set(chosen, "bootargs", {reinterpret_cast<const uint8_t*>(line.data()), line.size()});
    if (arguments.initrd_end != 0) {
        set(chosen, "linux,initrd-start", big_endian(arguments.initrd_start));
        set(chosen, "linux,initrd-end", big_endian(arguments.initrd_end));
    }
    if (const auto& kaslr = seeds->kaslr) set(chosen, "kaslr-seed", *kaslr);
    if (const auto& rng = seeds->rng) set(chosen, "rng-seed", *rng);
    if (error == 0) error = fdt_pack(tree.data());
    if (error != 0) return failure("cannot change device tree '{}': {}", path, fdt_strerror(error));
    tree.resize(fdt_totalsize(tree.data()));
    return tree;
}

}  // namespace arclight::guestos
