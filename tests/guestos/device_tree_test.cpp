#include "guestos/device_tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <array>

#include "devices/event_loop.h"
#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "devices/layout.h"
#include "devices/pl011.h"
#include "guestos/exit_status.h"
#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;
namespace layout = devices::layout;

struct NoBackend final : devices::CharBackend {
    void write(std::span<const uint8_t>) override {}
};
struct NoCpus final : devices::CpuInterruptSink {
    void set_irq_line(unsigned, bool, bool) override {}
};

// The devices every machine has.
struct Board {
    explicit Board(unsigned cpus = 1) : gic(cpus, no_cpus), uart(backend, {}) {
        gic.map(bus);
        bus.map(layout::kUart.base, layout::kUart.size, uart, "uart");
        bus.map(ExitStatus::kRange.base, ExitStatus::kRange.size, exit_status, "exit-status");
    }
    NoBackend backend;
    NoCpus no_cpus;
    devices::GicV3 gic;
    devices::Pl011 uart;
    ExitStatus exit_status;
    devices::Bus bus;
};

constexpr uint64_t kMemory = uint64_t(6) << 30;

class Tree {
  public:
    explicit Tree(Bytes blob) : blob_(std::move(blob)) {}
    int node(const char* path) const { return fdt_path_offset(blob_.data(), path); }
    std::string text(const char* path, const char* name) const {
        int length = 0;
        const void* data = fdt_getprop(blob_.data(), node(path), name, &length);
        return data ? std::string(static_cast<const char*>(data), size_t(length)) : "absent";
    }
    std::vector<uint32_t> cells(const char* path, const char* name) const {
        const std::string raw = text(path, name);
        std::vector<uint32_t> values;
        for (size_t i = 0; i + 4 <= raw.size(); i += 4)
            values.push_back(fdt32_ld(reinterpret_cast<const fdt32_t*>(raw.data() + i)));
        return values;
    }
    const Bytes& blob() const { return blob_; }

  private:
    Bytes blob_;
};

Tree make(const BootArguments& arguments, unsigned cpus = 2) {
    const Board board(cpus);
    auto tree =
        make_device_tree({.cpus = cpus, .gic = 3, .memory_base = layout::kRamBase, .memory_size = kMemory},
                         arguments, board.bus);
    EXPECT_TRUE(tree) << tree.error();
    return Tree(std::move(*tree));
}

using Cells = std::vector<uint32_t>;

// As systemd-detect-virt does, from version 243 on (src/basic/virt.c, detect_vm_device_tree()): what has a hypervisor's node is
// a virtual machine, of a kind by that node's name. Without one it looks for QEMU's fw-cfg.
TEST(DeviceTree, ProgramsInTheGuestCanTellWhatRunsIt) {
    const Tree tree = make({});
    const std::string hypervisor = tree.text("/hypervisor", "compatible");
    EXPECT_EQ(hypervisor.c_str(), std::string("arclight,vm"));
    for (const char* other : {"linux,kvm", "xen", "vmware", "qemu"})
        EXPECT_EQ(hypervisor.find(other), std::string::npos) << "its interfaces are not there";
    int node = 0;
    fdt_for_each_subnode(node, tree.blob().data(), 0) {
        EXPECT_EQ(std::string(fdt_get_name(tree.blob().data(), node, nullptr)).find("fw-cfg"),
                  std::string::npos);
    }
}

TEST(DeviceTree, DescribesTheMachine) {
    const Tree tree = make(
        {.command_line = "console=ttyAMA0 x=\"y z\"", .initrd_start = 0x4800'0000, .initrd_end = 0x4801'2345},
        4);
    EXPECT_EQ(fdt_check_full(tree.blob().data(), tree.blob().size()), 0);
    EXPECT_EQ(tree.text("/", "compatible"), std::string("linux,dummy-virt\0", 17));
    EXPECT_EQ(tree.text("/chosen", "bootargs"), std::string("console=ttyAMA0 x=\"y z\"") + '\0');
    EXPECT_EQ(tree.cells("/chosen", "linux,initrd-start"), (Cells{0, 0x4800'0000}));
    EXPECT_EQ(tree.cells("/chosen", "linux,initrd-end"), (Cells{0, 0x4801'2345}));
    EXPECT_EQ(tree.cells("/memory@40000000", "reg"), (Cells{0, 0x4000'0000, 1, 0x8000'0000}));
    EXPECT_EQ(tree.cells("/cpus/cpu@3", "reg"), (Cells{3}));
    EXPECT_LT(tree.node("/cpus/cpu@4"), 0);
    EXPECT_EQ(tree.text("/cpus/cpu@0", "enable-method"), std::string("psci\0", 5));
    EXPECT_EQ(tree.text("/psci", "method"), std::string("hvc\0", 4));
    EXPECT_EQ(tree.text("/psci", "compatible"), std::string("arm,psci-1.0\0arm,psci-0.2\0arm,psci\0", 35));
    EXPECT_EQ(tree.cells("/exit-status@90c0000", "reg"), (Cells{0, 0x090c'0000, 0, 0x1000}));
    // The console's path must name a node that exists, or the kernel has no early output.
    const std::string uart = tree.text("/chosen", "stdout-path");
    EXPECT_GE(tree.node(uart.c_str()), 0) << uart;
    EXPECT_EQ(tree.text("/aliases", "serial0"), uart);
    EXPECT_GE(tree.node("/timer"), 0);
    EXPECT_GE(fdt_node_offset_by_phandle(tree.blob().data(), layout::kPhandleGic), 0);
    EXPECT_GE(fdt_node_offset_by_phandle(tree.blob().data(), layout::kPhandleClock), 0);
}

// By affinity, as the binding and QEMU have it: 16 CPUs of an Aff1.
TEST(DeviceTree, ManyCpus) {
    const Tree tree = make({}, 64);
    EXPECT_EQ(tree.cells("/cpus/cpu@f", "reg"), (Cells{15}));
    EXPECT_EQ(tree.cells("/cpus/cpu@100", "reg"), (Cells{0x100}));
    EXPECT_EQ(tree.cells("/cpus/cpu@30f", "reg"), (Cells{0x30f}));
    EXPECT_LT(tree.node("/cpus/cpu@10"), 0);
    EXPECT_LT(tree.node("/cpus/cpu@400"), 0);
    EXPECT_EQ(tree.cells("/cpus/cpu-map/socket0/cluster0/core63", "cpu"),
              (Cells{layout::kPhandleFirstCpu + 63}));
}

// As QEMU 7.2 has it for the same -smp, which two CPUs do not fill.
TEST(DeviceTree, CpuMap) {
    const auto map = [](unsigned cpus, std::optional<CpuTopology> topology) {
        const Board board(cpus);
        auto tree = make_device_tree({.cpus = cpus,
                                      .topology = topology,
                                      .gic = 3,
                                      .memory_base = layout::kRamBase,
                                      .memory_size = kMemory},
                                     {}, board.bus);
        EXPECT_TRUE(tree) << tree.error();
        return Tree(std::move(*tree));
    };
    const auto cpu_at = [](const Tree& tree, const char* path) {
        const Cells phandle = tree.cells(path, "cpu");
        if (phandle.size() != 1) return std::string("none");
        const int node = fdt_node_offset_by_phandle(tree.blob().data(), phandle[0]);
        return node < 0 ? "dangling" : std::string(fdt_get_name(tree.blob().data(), node, nullptr));
    };
    const Tree flat = map(2, {});
    EXPECT_EQ(cpu_at(flat, "/cpus/cpu-map/socket0/cluster0/core0"), "cpu@0");
    EXPECT_EQ(cpu_at(flat, "/cpus/cpu-map/socket0/cluster0/core1"), "cpu@1");
    EXPECT_LT(flat.node("/cpus/cpu-map/socket0/cluster0/core2"), 0);
    EXPECT_LT(flat.node("/cpus/cpu-map/socket1"), 0);
    const Tree threads = map(4, CpuTopology{.sockets = 2, .threads = 2});
    EXPECT_EQ(cpu_at(threads, "/cpus/cpu-map/socket0/cluster0/core0/thread1"), "cpu@1");
    EXPECT_EQ(cpu_at(threads, "/cpus/cpu-map/socket1/cluster0/core0/thread0"), "cpu@2");
    EXPECT_EQ(cpu_at(threads, "/cpus/cpu-map/socket1/cluster0/core0/thread1"), "cpu@3");
    const Tree clusters = map(3, CpuTopology{.clusters = 2, .cores = 2});
    EXPECT_EQ(cpu_at(clusters, "/cpus/cpu-map/socket0/cluster1/core0"), "cpu@2");
    EXPECT_LT(clusters.node("/cpus/cpu-map/socket0/cluster1/core1"), 0);
}

TEST(DeviceTree, SeedsAreFreshAndOptional) {
    const Tree first = make({});
    const Tree second = make({});
    EXPECT_EQ(first.text("/chosen", "kaslr-seed").size(), 8u);
    EXPECT_EQ(first.text("/chosen", "rng-seed").size(), 32u);
    EXPECT_NE(first.text("/chosen", "kaslr-seed"), second.text("/chosen", "kaslr-seed"));
    EXPECT_NE(first.text("/chosen", "rng-seed"), second.text("/chosen", "rng-seed"));
    const Tree none = make({.kaslr_seed = false, .rng_seed = false});
    EXPECT_EQ(none.text("/chosen", "kaslr-seed"), "absent");
    EXPECT_EQ(none.text("/chosen", "rng-seed"), "absent");
    EXPECT_EQ(none.text("/chosen", "linux,initrd-start"), "absent");
}

TEST(DeviceTree, DtcHasNothingToSay) {
    const TemporaryDirectory directory;
    const auto blob = directory.write("tree.dtb", make({.command_line = "a"}).blob());
    const std::string out = (directory.path() / "out").native();
    ASSERT_EQ(std::system(("dtc -I dtb -O dts -o /dev/null " + blob.native() + " 2> " + out).c_str()), 0);
    const auto said = read_file("output", out, 1 << 20);
    EXPECT_EQ(std::string(said->begin(), said->end()), "");
}

TEST(DeviceTree, AFilesTreeIsAdapted) {
    const TemporaryDirectory directory;
    const Tree original = make({.command_line = "old", .initrd_start = 1, .initrd_end = 2});
    const auto file = directory.write("tree.dtb", original.blob()).native();
    const BoardDescription board{.memory_base = layout::kRamBase, .memory_size = 256 << 20};
    auto adapted =
        adapt_device_tree(file, board, {.command_line = "new", .initrd_start = 0x5000, .initrd_end = 0x6000});
    ASSERT_TRUE(adapted) << adapted.error();
    const Tree tree(std::move(*adapted));
    EXPECT_EQ(tree.text("/chosen", "bootargs"), std::string("new\0", 4));
    EXPECT_EQ(tree.cells("/chosen", "linux,initrd-end"), (Cells{0, 0x6000}));
    EXPECT_NE(tree.text("/chosen", "kaslr-seed"), original.text("/chosen", "kaslr-seed"));
    EXPECT_EQ(tree.cells("/memory@40000000", "reg"), (Cells{0, 0x4000'0000, 0, 256 << 20}));
    const auto kept = adapt_device_tree(file, board, {});
    ASSERT_TRUE(kept);
    EXPECT_EQ(Tree(*kept).text("/chosen", "bootargs"), std::string("old\0", 4));
}

TEST(DeviceTree, BadFiles) {
    const TemporaryDirectory directory;
    const auto error = [](const std::string& file) {
        const BootArguments none;
        const auto result = adapt_device_tree(file, {}, none);
        return result ? "accepted" : result.error();
    };
    EXPECT_NE(error(directory.path() / "none").find("does not exist"), std::string::npos);
    EXPECT_NE(error(directory.write("junk", Bytes(5000, 'x'))).find("not a DTB"), std::string::npos);
    Bytes cut = make({}).blob();
    cut.resize(cut.size() / 2);
    EXPECT_NE(error(directory.write("cut", cut)).find("not a DTB"), std::string::npos);
    // Before version 16 a tree named its root otherwise, which libfdt only says that it can read.
    for (const uint32_t version : {1u, 15u}) {
        Bytes old = make({}).blob();
        fdt_set_version(old.data(), version);
        fdt_set_last_comp_version(old.data(), version);
        EXPECT_NE(error(directory.write("old", old)).find("not a DTB"), std::string::npos) << version;
    }
}

// A tree may say of any node that it is memory, and such nodes are replaced by one.
TEST(DeviceTree, ChosenIsThereEvenIfTheFileCallsItMemory) {
    const TemporaryDirectory directory;
    Bytes tree = make({}).blob();
    tree.resize(tree.size() + 4096);
    ASSERT_EQ(fdt_open_into(tree.data(), tree.data(), int(tree.size())), 0);
    ASSERT_EQ(
        fdt_setprop_string(tree.data(), fdt_path_offset(tree.data(), "/chosen"), "device_type", "memory"), 0);
    const BoardDescription board{.memory_base = layout::kRamBase, .memory_size = 256 << 20};
    auto adapted =
        adapt_device_tree(directory.write("tree.dtb", tree).native(), board, {.command_line = "new"});
    ASSERT_TRUE(adapted) << adapted.error();
    EXPECT_EQ(Tree(std::move(*adapted)).text("/chosen", "bootargs"), std::string("new\0", 4));
}

}  // namespace
}  // namespace arclight::guestos
