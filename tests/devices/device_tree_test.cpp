#include <gtest/gtest.h>
#include <libfdt.h>

#include <algorithm>
#include <cstring>

#include "devices/fdt_writer.h"
#include "devices/gic_its.h"
#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "devices/pci/host_bridge.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pmu_interrupt.h"
#include "devices/timer.h"
#include "devices/virtio/mmio.h"
#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

using Blob = std::vector<uint8_t>;

std::string property(const Blob& blob, const char* path, const char* name) {
    const int node = fdt_path_offset(blob.data(), path);
    if (node < 0) return "no node";
    int length = 0;
    const void* data = fdt_getprop(blob.data(), node, name, &length);
    if (data == nullptr) return "no property";
    return std::string(static_cast<const char*>(data), static_cast<size_t>(length));
}

std::vector<uint32_t> cells(const Blob& blob, const char* path, const char* name) {
    const std::string bytes = property(blob, path, name);
    std::vector<uint32_t> result;
    for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
        fdt32_t word;
        std::memcpy(&word, bytes.data() + i, 4);
        result.push_back(fdt32_to_cpu(word));
    }
    return result;
}

using Cells = std::vector<uint32_t>;
using namespace std::string_literals;

// The expectations are what `qemu-system-aarch64 -M virt,dumpdtb=` writes, handles aside.
TEST(DeviceTree, MatchesVirt) {
    test::FakeSink sink;
    test::FakeTerminal terminal;
    EventLoop loop;
    GuestClock clock;
    GicV3 gic(2, sink);
    Pl011 uart(terminal, IrqLine());
    Pl031 rtc(loop, clock, IrqLine());
    mmu::GuestMemory memory(nullptr, layout::kRamBase, 0);
    virtio::Mmio slot(31, memory, IrqLine());
    Bus bus;
    gic.map(bus);
    bus.map(layout::kUart.base, layout::kUart.size, uart, "uart");
    bus.map(layout::kRtc.base, layout::kRtc.size, rtc, "rtc");
    bus.map(layout::virtio_slot_base(31), layout::kVirtioSlotSize, slot, "virtio31");

    FdtWriter fdt;
    fdt.begin_node("");
    bus.add_to_device_tree(fdt);
    GenericTimer::add_to_device_tree(fdt, 2, false);
    PmuInterrupt::add_to_device_tree(fdt, 2, false);
    add_clock_to_device_tree(fdt);
    fdt.end_node();
    const auto blob = fdt.finish();
    ASSERT_TRUE(blob.has_value()) << blob.error();
    ASSERT_EQ(fdt_check_full(blob->data(), blob->size()), 0);

    EXPECT_EQ(property(*blob, "/intc@8000000", "compatible"), "arm,gic-v3\0"s);
    EXPECT_EQ(cells(*blob, "/intc@8000000", "reg"),
              (Cells{0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000}));
    EXPECT_EQ(cells(*blob, "/intc@8000000", "#interrupt-cells"), Cells{3});
    EXPECT_EQ(property(*blob, "/intc@8000000", "interrupt-controller"), "");
    EXPECT_EQ(cells(*blob, "/timer", "interrupts"), (Cells{1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4}));
    EXPECT_EQ(property(*blob, "/timer", "compatible"), "arm,armv8-timer\0arm,armv7-timer\0"s);
    EXPECT_EQ(property(*blob, "/pmu", "compatible"), "arm,armv8-pmuv3\0"s);
    EXPECT_EQ(cells(*blob, "/pmu", "interrupts"), (Cells{1, 7, 4}));
    EXPECT_EQ(property(*blob, "/pl011@9000000", "compatible"), "arm,pl011\0arm,primecell\0"s);
    EXPECT_EQ(property(*blob, "/pl011@9000000", "clock-names"), "uartclk\0apb_pclk\0"s);
    EXPECT_EQ(cells(*blob, "/pl011@9000000", "interrupts"), (Cells{0, 1, 4}));
    EXPECT_EQ(cells(*blob, "/pl011@9000000", "clocks"),
              (Cells{layout::kPhandleClock, layout::kPhandleClock}));
    EXPECT_EQ(cells(*blob, "/pl031@9010000", "reg"), (Cells{0, 0x9010000, 0, 0x1000}));
    EXPECT_EQ(cells(*blob, "/virtio_mmio@a003e00", "interrupts"), (Cells{0, 0x2f, 1}));
    EXPECT_EQ(cells(*blob, "/virtio_mmio@a003e00", "reg"), (Cells{0, 0xa003e00, 0, 0x200}));
    EXPECT_EQ(cells(*blob, "/apb-pclk", "clock-frequency"), Cells{24000000});
    EXPECT_EQ(fdt_node_offset_by_phandle(blob->data(), layout::kPhandleGic),
              fdt_path_offset(blob->data(), "/intc@8000000"));
}

/// Rows of an interrupt-map without the controller's handle, sorted.
std::vector<Cells> interrupt_map(const Cells& cells) {
    std::vector<Cells> rows;
    for (size_t i = 0; i + 10 <= cells.size(); i += 10) {
        rows.emplace_back(cells.begin() + static_cast<ptrdiff_t>(i),
                          cells.begin() + static_cast<ptrdiff_t>(i + 10));
        EXPECT_EQ(rows.back()[4], layout::kPhandleGic);
        rows.back().erase(rows.back().begin() + 4);
    }
    std::ranges::sort(rows);
    return rows;
}

TEST(DeviceTree, PciExpressMatchesVirt) {
    test::FakeSink sink;
    std::vector<uint8_t> ram(4096);
    mmu::GuestMemory memory(ram.data(), layout::kRamBase, ram.size());
    GicV3 gic(2, sink, &memory);
    GicIts its(gic, memory);
    Bus bus;
    gic.map(bus);
    its.map(bus);
    pci::HostBridge bridge(bus, {}, &its);
    bridge.map();
    FdtWriter fdt;
    fdt.begin_node("");
    bus.add_to_device_tree(fdt);
    fdt.end_node();
    const auto blob = fdt.finish();
    ASSERT_TRUE(blob.has_value()) << blob.error();

    EXPECT_EQ(property(*blob, "/intc@8000000/its@8080000", "compatible"), "arm,gic-v3-its\0"s);
    EXPECT_EQ(property(*blob, "/intc@8000000/its@8080000", "msi-controller"), "");
    EXPECT_EQ(cells(*blob, "/intc@8000000/its@8080000", "#msi-cells"), Cells{1});
    EXPECT_EQ(cells(*blob, "/intc@8000000/its@8080000", "reg"), (Cells{0, 0x8080000, 0, 0x20000}));
    EXPECT_EQ(fdt_node_offset_by_phandle(blob->data(), layout::kPhandleMsi),
              fdt_path_offset(blob->data(), "/intc@8000000/its@8080000"));

    constexpr const char* kPcie = "/pcie@10000000";
    EXPECT_EQ(property(*blob, kPcie, "compatible"), "pci-host-ecam-generic\0"s);
    EXPECT_EQ(property(*blob, kPcie, "device_type"), "pci\0"s);
    EXPECT_EQ(property(*blob, kPcie, "dma-coherent"), "");
    EXPECT_EQ(cells(*blob, kPcie, "#address-cells"), Cells{3});
    EXPECT_EQ(cells(*blob, kPcie, "#size-cells"), Cells{2});
    EXPECT_EQ(cells(*blob, kPcie, "#interrupt-cells"), Cells{1});
    EXPECT_EQ(cells(*blob, kPcie, "linux,pci-domain"), Cells{0});
    EXPECT_EQ(cells(*blob, kPcie, "bus-range"), (Cells{0, 0xff}));
    EXPECT_EQ(cells(*blob, kPcie, "reg"), (Cells{0x40, 0x10000000, 0, 0x10000000}));
    EXPECT_EQ(
        cells(*blob, kPcie, "ranges"),
        (Cells{0x1000000,  0, 0,          0,         0x3eff0000, 0, 0x10000, 0x2000000, 0,    0x10000000, 0,
               0x10000000, 0, 0x2eff0000, 0x3000000, 0x80,       0, 0x80,    0,         0x80, 0}));
    EXPECT_EQ(cells(*blob, kPcie, "msi-map"), (Cells{0, layout::kPhandleMsi, 0, 0x10000}));
    EXPECT_EQ(cells(*blob, kPcie, "interrupt-map-mask"), (Cells{0x1800, 0, 0, 7}));
    EXPECT_EQ(interrupt_map(cells(*blob, kPcie, "interrupt-map")),
              (std::vector<Cells>{{0, 0, 0, 1, 0, 0, 0, 3, 4},
                                  {0, 0, 0, 2, 0, 0, 0, 4, 4},
                                  {0, 0, 0, 3, 0, 0, 0, 5, 4},
                                  {0, 0, 0, 4, 0, 0, 0, 6, 4},
                                  {0x800, 0, 0, 1, 0, 0, 0, 4, 4},
                                  {0x800, 0, 0, 2, 0, 0, 0, 5, 4},
                                  {0x800, 0, 0, 3, 0, 0, 0, 6, 4},
                                  {0x800, 0, 0, 4, 0, 0, 0, 3, 4},
                                  {0x1000, 0, 0, 1, 0, 0, 0, 5, 4},
                                  {0x1000, 0, 0, 2, 0, 0, 0, 6, 4},
                                  {0x1000, 0, 0, 3, 0, 0, 0, 3, 4},
                                  {0x1000, 0, 0, 4, 0, 0, 0, 4, 4},
                                  {0x1800, 0, 0, 1, 0, 0, 0, 6, 4},
                                  {0x1800, 0, 0, 2, 0, 0, 0, 3, 4},
                                  {0x1800, 0, 0, 3, 0, 0, 0, 4, 4},
                                  {0x1800, 0, 0, 4, 0, 0, 0, 5, 4}}));
}

TEST(DeviceTree, GicV2) {
    test::FakeSink sink;
    GicV2 gic(2, sink);
    FdtWriter fdt;
    fdt.begin_node("");
    gic.distributor().add_to_device_tree(fdt);
    GenericTimer::add_to_device_tree(fdt, 2, true);
    PmuInterrupt::add_to_device_tree(fdt, 2, true);
    fdt.end_node();
    const auto blob = fdt.finish();
    ASSERT_TRUE(blob.has_value()) << blob.error();
    EXPECT_EQ(property(*blob, "/intc@8000000", "compatible"), "arm,cortex-a15-gic\0"s);
    EXPECT_EQ(cells(*blob, "/intc@8000000", "reg"),
              (Cells{0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0, 0x10000}));
    EXPECT_EQ(cells(*blob, "/timer", "interrupts"),
              (Cells{1, 13, 0x304, 1, 14, 0x304, 1, 11, 0x304, 1, 10, 0x304}));
    EXPECT_EQ(cells(*blob, "/pmu", "interrupts"), (Cells{1, 7, 0x304}));
    EXPECT_EQ(property(*blob, "/intc@8000000/v2m@8020000", "compatible"), "arm,gic-v2m-frame\0"s);
    EXPECT_EQ(cells(*blob, "/intc@8000000/v2m@8020000", "reg"), (Cells{0, 0x8020000, 0, 0x1000}));
    EXPECT_EQ(fdt_node_offset_by_phandle(blob->data(), layout::kPhandleMsi),
              fdt_path_offset(blob->data(), "/intc@8000000/v2m@8020000"));
}

TEST(DeviceTree, GrowsBeyondItsFirstBuffer) {
    FdtWriter fdt;
    fdt.begin_node("");
    const std::vector<uint8_t> large(100'000, 0x5a);
    fdt.property("large", large);
    fdt.end_node();
    const auto blob = fdt.finish();
    ASSERT_TRUE(blob.has_value()) << blob.error();
    EXPECT_EQ(property(*blob, "/", "large").size(), large.size());
}

TEST(DeviceTree, ReportsMisuse) {
    FdtWriter open;
    open.begin_node("");
    EXPECT_FALSE(open.finish().has_value());
    FdtWriter closed;
    closed.end_node();
    EXPECT_FALSE(closed.finish().has_value());
}

}  // namespace
}  // namespace arclight::devices
