// A PCI device of the host's in the guest's hands, by a host that is not there (fake_vfio.h).
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "devices/vfio/function.h"
#include "devices/vfio/host_device.h"
#include "tests/devices/fake_vfio.h"
#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using namespace vfio;
using test::eventually;
using test::FakeVfio;
using test::PciBoard;
using Lines = std::vector<std::string>;
using Messages = std::vector<test::MessageLog::Message>;

class VfioTest : public testing::Test, protected PciBoard {
  protected:
    static constexpr unsigned kDevfn = 5 << 3;
    static constexpr uint64_t kPlace = 0x1000'0000, kPorts = 0x2000, kThird = 0x1010'0000;

    VfioTest() {
        open_function();
        EXPECT_TRUE(bridge.plug(*function, kDevfn));
        loop.start();
    }
    ~VfioTest() override { loop.stop(); }

    void open_function() {
        auto opened = Container::open(host.system());
        ASSERT_TRUE(opened) << opened.error();
        container = *opened;
        auto device = HostDevice::open(FakeVfio::kAddress, container);
        ASSERT_TRUE(device) << device.error();
        auto made = Function::make(*device, loop, memory, nullptr);
        ASSERT_TRUE(made) << made.error();
        function = std::move(*made);
    }
    uint64_t get(unsigned offset, unsigned size = 4) { return config(0, kDevfn, offset, size); }
    void set(unsigned offset, uint64_t value, unsigned size = 4) {
        set_config(0, kDevfn, offset, value, size);
    }
    void place_bars() {
        set(0x10, kPlace);
        set(0x18, kPorts);
        set(0x1c, kThird);
        set(pci::kRegCommand, 7, 2);
        host.take();
    }
    void set_vector(unsigned vector, uint64_t address, uint32_t data, bool masked) {
        const uint64_t entry = kPlace + 0x2000 + vector * 16;
        write(entry, address, 8);
        write(entry + 8, data);
        write(entry + 12, masked ? 1 : 0);
    }
    /// What the device has said has arrived when this is done.
    void raise(unsigned number) {
        host.raise(number);
        EXPECT_TRUE(eventually([&] { return host.is_taken(number); }));
        loop.drain();
    }
    uint64_t physical_command() const { return host.peek(FakeVfio::kConfig + pci::kRegCommand, 2); }

    FakeVfio host;
    EventLoop loop;
    std::shared_ptr<Container> container;
    std::unique_ptr<Function> function;
};

// ---- Configuration space

TEST_F(VfioTest, IsTheDeviceToTheGuest) {
    EXPECT_EQ(get(0), 0x5845'1af4u);
    EXPECT_EQ(get(8), 0x0108'0203u);
    EXPECT_EQ(get(0x0e, 1), 0u) << "one function";
    EXPECT_EQ(get(0x2c), 0x1100'1af4u);
    EXPECT_EQ(get(0x30), 0u) << "no ROM";
    EXPECT_EQ(get(0x3d, 1), 1u);
    EXPECT_EQ(get(pci::kRegStatus, 2), 0x10u) << "whether an interrupt waits is this machine's to say";
    host.poke(FakeVfio::kConfig + pci::kRegStatus, 0x2010, 2);
    EXPECT_EQ(get(pci::kRegStatus, 2), 0x2010u) << "what has gone wrong is the device's";
}

TEST_F(VfioTest, CapabilitiesAreThoseThatTheGuestCanUse) {
    std::vector<unsigned> list;
    for (auto at = static_cast<unsigned>(get(0x34, 1)); at != 0; at = static_cast<unsigned>(get(at + 1, 1)))
        list.push_back(at);
    EXPECT_EQ(list, (std::vector<unsigned>{0x40, 0x50, 0x80, 0x90, 0xd0}));
    EXPECT_EQ(get(FakeVfio::kHidden, 2), 0u);
    EXPECT_EQ(get(FakeVfio::kMsix + 2, 2), 3u) << "four vectors, switched off";
    EXPECT_EQ(get(FakeVfio::kExpress + 2, 2), 0x92u) << "an endpoint of the root complex";
    EXPECT_EQ(get(FakeVfio::kExpress + 0x0c), 0u) << "without a link";
    EXPECT_EQ(get(FakeVfio::kExpress + 0x2c), 0u);
    EXPECT_EQ(get(0x100), 0x1401'0000u) << "nothing, and where something is";
    EXPECT_EQ(get(0x140), 0x1801'0003u);
    EXPECT_EQ(get(0x144), 0x5566'7788u);
    EXPECT_EQ(get(0x148), 0x1122'3344u);
    EXPECT_EQ(get(0x150), 0u) << "no virtual functions";
    EXPECT_EQ(get(0x180), 0x0001'000bu);
    EXPECT_EQ(get(0x184), 0x0100'1234u);
}

TEST(VfioConfig, NothingGoesBeyondTheEnd) {
    std::vector<uint8_t> raw(4096);
    raw[pci::kRegStatus] = pci::kStatusCapabilities;
    raw[pci::kRegCapabilities] = 0xfc;
    raw[0xfc] = 0x11;
    raw[0xfd] = 0x40;
    raw[0x40] = 0x03;
    raw[0x41] = 0x40;
    const ConfigView view(raw);
    EXPECT_EQ(view.bytes[pci::kRegCapabilities], 0x40u) << "there is no room for MSI-X";
    EXPECT_EQ(view.msix, 0u);
    EXPECT_EQ(view.bytes[0x41], 0u) << "the list ends where it leads back";
}

// Whatever a device says of itself: lists end, and stay in the space.
TEST(VfioConfig, AnyBytes) {
    std::mt19937 random(18);
    for (int round = 0; round < 2000; round++) {
        std::vector<uint8_t> raw(round % 8 == 0 ? 256 : 4096);
        for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random() % 4 != 0 ? 0 : random());
        raw[pci::kRegStatus] |= pci::kStatusCapabilities;
        raw[pci::kRegCapabilities] = static_cast<uint8_t>(random());
        // Capabilities of kinds that are known, at places that lists lead to.
        constexpr std::array<uint8_t, 8> kKinds{0x01, 0x03, 0x05, 0x09, 0x10, 0x11, 0x13, 0x12};
        for (unsigned at = 0x40; at < 0x100; at += 4) {
            if (random() % 2 != 0) continue;
            raw[at] = kKinds.at(random() % kKinds.size());
            raw[at + 1] = static_cast<uint8_t>(0x40 + random() % 48 * 4);
        }
        for (unsigned at = 0x100; at < raw.size(); at += 4) {
            if (random() % 2 != 0) continue;
            const uint32_t extended = (random() % 2 != 0 ? 0x1'000b : 0x1'0003) | (0x100 + random() % 960 * 4)
                                                                                      << 20;
            std::memcpy(raw.data() + at, &extended, sizeof extended);
        }
        ConfigView view(raw);
        unsigned steps = 0;
        for (unsigned at = view.bytes[pci::kRegCapabilities]; at != 0; at = view.bytes[at + 1]) {
            ASSERT_GE(at, 0x40u);
            ASSERT_LT(steps++, 48u);
        }
        const auto header = [&](unsigned at) {
            uint32_t value = 0;
            std::memcpy(&value, view.bytes.data() + at, sizeof value);
            return value;
        };
        steps = 0;
        for (unsigned at = 0x100; at != 0; at = header(at) >> 20) {
            ASSERT_GE(at, 0x100u);
            ASSERT_LT(steps++, 500u);
        }
        view.integrate_endpoint();
        if (const auto table = msix_place(view)) {
            EXPECT_LE(table->vectors, 2048u);
        }
        for (unsigned i = 0; i < HostDevice::kBars; i++) bar_kind(raw, i);
    }
}

TEST_F(VfioTest, ADeviceBehindARootPortHasItsLink) {
    PciBoard board;
    FakeVfio other;
    auto opened = Container::open(other.system());
    auto device = HostDevice::open(FakeVfio::kAddress, *opened);
    auto made = Function::make(*device, loop, board.memory, nullptr);
    ASSERT_TRUE(made);
    pci::RootPort port(1);
    ASSERT_TRUE(board.bridge.plug(port, 2 << 3));
    ASSERT_TRUE(board.bridge.plug_below(port, **made));
    board.set_config(0, 2 << 3, 0x18, 0x03'03'00);
    EXPECT_EQ(board.config(3, 0, FakeVfio::kExpress + 2, 2), 0x02u);
    EXPECT_EQ(board.config(3, 0, FakeVfio::kExpress + 0x0c), 0x0004'1011u);
}

TEST_F(VfioTest, RegistersOfTheVendorAreTheDevices) {
    EXPECT_EQ(get(FakeVfio::kVendor + 4), 0x1234'5678u);
    set(FakeVfio::kVendor + 4, 0x8765'4321);
    EXPECT_EQ(host.peek(FakeVfio::kConfig + FakeVfio::kVendor + 4, 4), 0x8765'4321u);
    set(FakeVfio::kVendor, 0xff0b'ffff);
    EXPECT_EQ(host.peek(FakeVfio::kConfig + FakeVfio::kVendor, 4), 0xff0b'0009u) << "but for the list";
    EXPECT_EQ(get(FakeVfio::kVendor, 2), 0x0009u);
}

TEST_F(VfioTest, SleepIsTheGuestsAlone) {
    const uint64_t before = host.peek(FakeVfio::kConfig + FakeVfio::kPower + 4, 2);
    EXPECT_EQ(get(FakeVfio::kPower + 4, 2), 0x0008u) << "awake at first";
    set(FakeVfio::kPower + 4, 0x000b, 2);
    EXPECT_EQ(get(FakeVfio::kPower + 4, 2), 0x000bu);
    EXPECT_EQ(host.peek(FakeVfio::kConfig + FakeVfio::kPower + 4, 2), before);
}

TEST_F(VfioTest, MemoryIsNeverSwitchedOff) {
    EXPECT_EQ(physical_command(), 3u) << "no memory of the guest's is reached yet";
    place_bars();
    EXPECT_EQ(physical_command(), 7u);
    set(pci::kRegCommand, 0, 2);
    EXPECT_EQ(get(pci::kRegCommand, 2), 0u);
    EXPECT_EQ(physical_command(), 3u);
    EXPECT_EQ(read(kPlace), 0xffff'ffffu) << "the guest does not see it any more";
}

// ---- BARs

TEST_F(VfioTest, BarsHaveTheDevicesSizes) {
    for (unsigned at = 0x10; at < 0x28; at += 4) set(at, 0xffff'ffff);
    EXPECT_EQ(get(0x10), 0xffff'c004u);
    EXPECT_EQ(get(0x14), 0xffff'ffffu);
    EXPECT_EQ(get(0x18), 0xffff'ffe1u);
    EXPECT_EQ(get(0x1c), 0xffff'c000u);
    EXPECT_EQ(get(0x20), 0u);
}

TEST_F(VfioTest, AccessesReachTheDevice) {
    place_bars();
    write(kPlace + 0x10, 0x1122'3344);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x10, 4), 0x1122'3344u);
    write(kPlace + 0x18, 0x0102'0304'0506'0708, 8);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x18, 8), 0x0102'0304'0506'0708u);
    write(kPlace + 0x11, 0xaa, 1);
    write(kPlace + 0x12, 0xbbcc, 2);
    EXPECT_EQ(read(kPlace + 0x10), 0xbbcc'aa44u);
    const uint64_t ports = layout::kPciPorts.base + kPorts;
    write(ports + 4, 0x77, 1);
    EXPECT_EQ(host.peek(FakeVfio::kBar2 + 4, 1), 0x77u);
    host.poke(FakeVfio::kBar2 + 8, 0xabcd, 2);
    EXPECT_EQ(read(ports + 8, 2), 0xabcdu);
}

TEST_F(VfioTest, PagesThatCannotBeMappedAreReachedByCalls) {
    place_bars();
    for (const uint64_t at : {0x0ffcull, 0x1000ull, 0x1ffcull, 0x2000ull}) {
        write(kThird + at, 0x4000 + at);
        EXPECT_EQ(host.peek(FakeVfio::kBar3 + at, 4), 0x4000 + at);
        EXPECT_EQ(read(kThird + at), 0x4000 + at);
    }
}

TEST_F(VfioTest, BarsMove) {
    place_bars();
    write(kPlace + 0x20, 1);
    set(0x10, 0);
    set(0x14, 0x81);
    EXPECT_EQ(read(kPlace + 0x20), 0xffff'ffffu);
    EXPECT_EQ(read(0x81'0000'0020), 1u);
    write(0x81'0000'0020, 2);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x20, 4), 2u);
}

// ---- Interrupts

TEST_F(VfioTest, MsixIsThisMachines) {
    host.poke(FakeVfio::kBar0 + 0x2000, 0x5555'5555, 4);
    place_bars();
    set_vector(0, 0x0802'0040, 50, false);
    set_vector(1, 0x0802'0040, 51, true);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x2000, 4), 0x5555'5555u) << "the table is not the device's";
    EXPECT_EQ(read(kPlace + 0x2000), 0x0802'0040u);
    host.take();
    set(FakeVfio::kMsix + 2, 0x8000, 2);
    EXPECT_EQ(host.take(), (Lines{"stop 0", "start 2 4"}));
    raise(0);
    EXPECT_EQ(messages.take(), (Messages{{kDevfn, 0x0802'0040, 50}}));
    raise(1);
    EXPECT_TRUE(messages.take().empty());
    EXPECT_EQ(read(kPlace + 0x3000), 2u) << "pending";
    write(kPlace + 0x2000 + 16 + 12, 0);
    EXPECT_EQ(messages.take(), (Messages{{kDevfn, 0x0802'0040, 51}}));
    EXPECT_EQ(read(kPlace + 0x3000), 0u);
    set(FakeVfio::kMsix + 2, 0, 2);
    EXPECT_EQ(host.take(), (Lines{"stop 2", "start 0 1"}));
}

TEST_F(VfioTest, NoAccessReachesTheRealTableByItsEdges) {
    place_bars();
    host.poke(FakeVfio::kBar0 + 0x2000, 0, 8);
    write(kPlace + 0x1ffc, ~uint64_t{0}, 8);
    write(kPlace + 0x203c, ~uint64_t{0}, 8);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x2000, 8), 0u);
    EXPECT_EQ(host.peek(FakeVfio::kBar0 + 0x2038, 8), 0u);
}

TEST_F(VfioTest, Msi) {
    place_bars();
    EXPECT_EQ(get(FakeVfio::kMsi + 2, 2), 0x0184u) << "four, 64-bit, maskable";
    set(FakeVfio::kMsi + 4, 0x0802'0040);
    set(FakeVfio::kMsi + 8, 1);
    set(FakeVfio::kMsi + 12, 0x63, 2);
    set(FakeVfio::kMsi + 2, 0x0011, 2);  // two of them
    EXPECT_EQ(host.take(), (Lines{"stop 0", "start 1 2"}));
    EXPECT_EQ(host.peek(FakeVfio::kConfig + FakeVfio::kMsi + 4, 4), 0u)
        << "the device's own message is the host's";
    raise(0);
    raise(1);
    EXPECT_EQ(messages.take(), (Messages{{kDevfn, 0x1'0802'0040, 0x62}, {kDevfn, 0x1'0802'0040, 0x63}}));
    set(FakeVfio::kMsi + 0x10, 2);
    raise(1);
    EXPECT_TRUE(messages.take().empty());
    EXPECT_EQ(get(FakeVfio::kMsi + 0x14), 2u);
    set(FakeVfio::kMsi + 0x10, 0);
    EXPECT_EQ(messages.take(), (Messages{{kDevfn, 0x1'0802'0040, 0x63}}));
    EXPECT_EQ(get(FakeVfio::kMsi + 0x14), 0u);
    set(FakeVfio::kMsi + 2, 0, 2);
    EXPECT_EQ(host.take(), (Lines{"stop 1", "start 0 1"}));
}

TEST_F(VfioTest, ThePinStaysHighUntilTheDriverLooks) {
    place_bars();
    const unsigned line = function->interrupt_line();
    raise(0);
    EXPECT_TRUE(wire(line));
    EXPECT_EQ(get(pci::kRegStatus, 2) & 8, 8u);
    EXPECT_TRUE(host.take().empty()) << "the host has masked it";
    read(kPlace + 0x40);
    EXPECT_FALSE(wire(line));
    EXPECT_EQ(host.take(), (Lines{"unmask 0"}));
    read(kPlace + 0x40);
    EXPECT_TRUE(host.take().empty()) << "once";
    raise(0);
    EXPECT_TRUE(wire(line)) << "it still asked";
    write(kPlace + 0x44, 1);
    EXPECT_FALSE(wire(line));
    EXPECT_EQ(host.take(), (Lines{"unmask 0"}));
    set(pci::kRegCommand, 7 | pci::kCommandNoInterrupt, 2);
    raise(0);
    EXPECT_FALSE(wire(line)) << "the guest wants none";
}

// ---- Memory, reset, the end

TEST_F(VfioTest, ReachesAllOfRamUntilItIsGone) {
    const std::string range = fmt::format("{:x}+{:x}", layout::kRamBase, kRamSize);
    EXPECT_EQ(host.take(),
              (Lines{"reset", fmt::format("map {} at {:x}", range, reinterpret_cast<uint64_t>(ram.data()))}));
    place_bars();
    set(FakeVfio::kMsix + 2, 0x8000, 2);
    host.take();
    {
        const auto again = container->map(memory);
        ASSERT_TRUE(again);
        EXPECT_TRUE(host.take().empty()) << "once for all devices";
    }
    function.reset();
    EXPECT_EQ(host.take(), (Lines{"stop 2", "reset", "unmap " + range}))
        << "nothing reaches memory when it goes";
    EXPECT_EQ(physical_command(), 3u);
}

TEST_F(VfioTest, ResetsWithTheMachine) {
    place_bars();
    set(FakeVfio::kMsix + 2, 0x8000, 2);
    host.take();
    bridge.reset();
    EXPECT_EQ(host.take(), (Lines{"stop 2", "reset", "start 0 1"}));
    EXPECT_EQ(physical_command(), 3u);
    EXPECT_EQ(get(0x10), 4u);
    EXPECT_EQ(get(FakeVfio::kMsix + 2, 2), 3u);
}

TEST_F(VfioTest, HasNoStateToSave) {
    StateWriter out;
    function->save(out);
    EXPECT_EQ(out.finish().error(), "vfio-pci 0000:01:00.0: a device of the host's cannot be saved");
}

TEST(VfioDma, LeavesOutPagesThatAreElsewhere) {
    PciBoard board;
    const uint64_t base = layout::kRamBase;
    EXPECT_EQ(dma_ranges(board.memory),
              (std::vector<DmaRange>{{base, board.ram.data(), PciBoard::kRamSize}}));
    ASSERT_TRUE(board.overlay.prepare());
    std::vector<uint8_t> elsewhere(2 * mmu::PageOverlay::kPage);
    auto* const page =
        reinterpret_cast<uint8_t*>((reinterpret_cast<uint64_t>(elsewhere.data()) + 4095) & ~4095ull);
    board.overlay.set(base, {.backing = page, .flags = mmu::page_flag::kIntercepted});
    board.overlay.set(base + 0x5000, {.flags = mmu::page_flag::kIntercepted | mmu::page_flag::kNoWrite});
    EXPECT_EQ(
        dma_ranges(board.memory),
        (std::vector<DmaRange>{{base + 0x1000, board.ram.data() + 0x1000, 0x4000},
                               {base + 0x6000, board.ram.data() + 0x6000, PciBoard::kRamSize - 0x6000}}));
    board.overlay.set(base, {});
    board.overlay.set(base + 0x5000, {});
}

TEST(VfioDma, TakesBackWhatItHasMapped) {
    PciBoard board;
    FakeVfio host;
    host.map_error = ENOMEM;
    host.map_error_at = 1;
    ASSERT_TRUE(board.overlay.prepare());
    board.overlay.set(layout::kRamBase + 0x5000, {.flags = mmu::page_flag::kIntercepted});
    auto container = Container::open(host.system());
    const auto mapped = (*container)->map(board.memory);
    ASSERT_FALSE(mapped);
    EXPECT_EQ(mapped.error(),
              "1 MiB of guest RAM cannot be pinned for devices of the host's: Cannot allocate memory (ulimit "
              "-l, or "
              "too little memory)");
    const Lines log = host.take();
    ASSERT_EQ(log.size(), 2u);
    EXPECT_EQ(log.back(), "unmap 40000000+5000");
    board.overlay.set(layout::kRamBase + 0x5000, {});
}

// ---- What a person does wrong

std::string error_of(FakeVfio& host, const std::string& address = FakeVfio::kAddress) {
    const auto container = Container::open(host.system());
    if (!container) return container.error();
    const auto device = HostDevice::open(address, *container);
    return device ? "" : device.error();
}

TEST(VfioErrors, TellWhatIsMissing) {
    FakeVfio host;
    EXPECT_EQ(error_of(host), "");
    EXPECT_EQ(error_of(host, "0000:02:00.0"), "the host has no such PCI device");
    host.add_device("0000:02:00.0", "nvme", "8");
    EXPECT_EQ(error_of(host, "0000:02:00.0"), "it is bound to nvme, not to vfio-pci (docs/vfio.md says how)");
    host.add_device("0000:02:00.0", "", "8");
    EXPECT_EQ(error_of(host, "0000:02:00.0"),
              "it is bound to no driver, not to vfio-pci (docs/vfio.md says how)");
    host.add_device("0000:02:00.0", "vfio-pci", "");
    EXPECT_EQ(error_of(host, "0000:02:00.0"),
              "it has no IOMMU group: the host's IOMMU is off (intel_iommu=on)");
    host.add_device("0000:02:00.0", "vfio-pci", "8");
    const std::string group = host.root() / "dev/vfio/8";
    EXPECT_EQ(error_of(host, "0000:02:00.0"), group + ": No such file or directory");
    host.viable = false;
    EXPECT_EQ(error_of(host), "the other devices of IOMMU group 7 are bound to drivers of the host's");
    host.viable = true;
    host.iommu_error = EPERM;
    EXPECT_EQ(error_of(host), "the IOMMU does not remap interrupts, and the host wants that (docs/vfio.md)");
    host.iommu_error = 0;
    host.poke(FakeVfio::kConfig + pci::kRegHeaderType, 1, 1);
    EXPECT_EQ(error_of(host), "it is a bridge");
    std::filesystem::remove(host.root() / "dev/vfio/vfio");
    EXPECT_EQ(error_of(host),
              (host.root() / "dev/vfio/vfio").string() + ": No such file or directory (modprobe vfio-pci)");
}

// On x86 the host's own message-signalled interrupts are at 0xfee0'0000.
TEST(VfioErrors, MemoryThatTheIommuDoesNotReach) {
    FakeVfio host;
    const auto container = Container::open(host.system());
    ASSERT_TRUE(HostDevice::open(FakeVfio::kAddress, *container));
    const auto check = [&](uint64_t base, uint64_t bytes) {
        const auto checked = (*container)->check(base, bytes);
        return checked ? "" : checked.error();
    };
    EXPECT_EQ(check(layout::kRamBase, uint64_t{3054} << 20), "");
    EXPECT_EQ(check(layout::kRamBase, uint64_t{3055} << 20),
              "the host's IOMMU reaches no memory from 0xfee00000 on: -m is 3054 MiB at most");
    EXPECT_EQ(check(0xfee0'0000, 4096), "the host's IOMMU does not reach 0xfee00000, where guest RAM begins");
}

TEST(VfioAddress, AsPeopleWriteIt) {
    EXPECT_EQ(full_address("01:00.0"), "0000:01:00.0");
    EXPECT_EQ(full_address("1:2.3"), "0000:01:02.3");
    EXPECT_EQ(full_address("10000:E1:1f.7"), "10000:e1:1f.7");
    for (const char* wrong : {"", "1", "01:00", "01.00.0", "g1:00.0", "0000:00:100.0", "0:0:0.10",
                              "0000:01:00.0 ", "../../etc", "1:2:3:4.5"})
        EXPECT_EQ(full_address(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace arclight::devices
