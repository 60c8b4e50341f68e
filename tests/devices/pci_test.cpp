// Configuration space, windows, interrupts and messages of PCI functions, by a toy function.
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using namespace pci;
using test::PciBoard;

/// BAR 0: ports; BAR 1: 32-bit memory with the MSI-X table; BAR 2: 64-bit memory. Reads give BAR and offset.
class Toy final : public Function {
  public:
    Toy()
        : Function({.vendor = 0x1234,
                    .device = 0x5678,
                    .revision = 3,
                    .class_code = 0x0880,
                    .subsystem_vendor = 0x9abc,
                    .subsystem = 0xdef0,
                    .interrupt_pin = 1}) {
        add_bar(0, BarKind::Ports, 0x20);
        add_msix(1, 3);
        add_bar(2, BarKind::Memory64Prefetchable, 0x4000);
        finish_config();
    }
    void raise(unsigned vector) { msix()->raise(vector); }
    void set_pin(bool level) { set_interrupt(level); }
    unsigned resets = 0;
    std::vector<std::array<uint64_t, 3>> writes;

  private:
    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned) override { return bar << 16 | offset; }
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned) override {
        writes.push_back({bar, offset, value});
    }
    void reset_device_state() override { resets++; }
};

class PciTest : public testing::Test, protected PciBoard {
  protected:
    static constexpr unsigned kDevfn = 5 << 3;
    static constexpr unsigned kMsixCapability = 0x40;

    PciTest() { EXPECT_TRUE(bridge.plug(toy, kDevfn)); }
    uint64_t get(unsigned offset, unsigned size = 4) { return config(0, kDevfn, offset, size); }
    void set(unsigned offset, uint64_t value, unsigned size = 4) {
        set_config(0, kDevfn, offset, value, size);
    }
    void place_bars() {
        set(0x10, 0x1000);
        set(0x14, 0x1000'0000);
        set(0x18, 0x0000'8000);
        set(0x1c, 0x80);
        set(kRegCommand, 7, 2);
    }
    void open_vector(unsigned vector, uint32_t masked = 0) {
        write(0x1000'0000 + vector * 16, 0x1111'0000 + vector * 4);
        write(0x1000'0004 + vector * 16, 2);
        write(0x1000'0008 + vector * 16, 0x70 + vector);
        write(0x1000'000c + vector * 16, masked);
    }
    void enable_msix(uint64_t control = 0x8000) { set(kMsixCapability + 2, control, 2); }
    test::MessageLog::Message message_of(unsigned vector) {
        return {kDevfn, uint64_t{0x2'1111'0000} + vector * 4, 0x70 + vector};
    }
    using Messages = std::vector<test::MessageLog::Message>;

    Toy toy;
};

TEST_F(PciTest, HeadersAreWhereTheyBelong) {
    EXPECT_EQ(config(0, 0, 0), 0x0008'1b36u);
    EXPECT_EQ(config(0, 0, kRegClass, 2), 0x0600u);
    EXPECT_EQ(get(0), 0x5678'1234u);
    EXPECT_EQ(get(kRegVendor, 2), 0x1234u);
    EXPECT_EQ(get(kRegDevice, 2), 0x5678u);
    EXPECT_EQ(get(kRegRevision), 0x0880'0003u);
    EXPECT_EQ(get(kRegSubsystemVendor), 0xdef0'9abcu);
    EXPECT_EQ(get(kRegInterruptPin, 1), 1u);
    EXPECT_EQ(get(0, 8), 0x0010'0000'5678'1234u) << "command 0, status with a capability list";
    // Nobody is there.
    for (const unsigned devfn : {kDevfn + 1, kDevfn + 8, 0xffu}) EXPECT_EQ(config(0, devfn, 0), 0xffff'ffffu);
    EXPECT_EQ(config(1, 0, 0), 0xffff'ffffu);
    EXPECT_EQ(config(255, 0xff, 0xffc), 0xffff'ffffu);
    set_config(1, 0, 4, 7);
}

TEST_F(PciTest, OnlyWritableBitsChange) {
    std::mt19937 random(1);
    for (unsigned offset = 0; offset < ConfigSpace::kSize; offset += 4) {
        if (offset >= 0x10 && offset < 0x28) continue;
        const uint64_t before = get(offset);
        set(offset, ~before);
        const uint64_t changed = get(offset) ^ before;
        const uint64_t expected = offset == kRegCommand         ? 0x0547u
                                  : offset == kRegCacheLine     ? 0xffu
                                  : offset == kRegInterruptLine ? 0xffu
                                  : offset == kMsixCapability   ? 0xc000'0000u
                                                                : 0;
        EXPECT_EQ(changed, expected) << std::hex << offset;
    }
    // Unaligned accesses, and those that cross into the next function's space.
    set(kRegInterruptLine, 0x21, 1);
    EXPECT_EQ(get(kRegInterruptLine - 1, 2), 0x2100u);
    EXPECT_EQ(get(0xfff, 2), 0xff00u);
    set(0xfff, 0xffff, 2);
}

TEST_F(PciTest, CapabilityListEnds) {
    ASSERT_EQ(get(kRegCapabilities, 1), kMsixCapability);
    EXPECT_EQ(get(kMsixCapability, 1), 0x11u);
    EXPECT_EQ(get(kMsixCapability + 1, 1), 0u);
    EXPECT_EQ(get(kMsixCapability + 2, 2), 2u) << "three vectors";
    EXPECT_EQ(get(kMsixCapability + 4), 1u) << "table at the start of BAR 1";
    EXPECT_EQ(get(kMsixCapability + 8), 0x801u);
}

TEST_F(PciTest, BarsTellTheirSizes) {
    for (unsigned bar = 0; bar < 6; bar++) set(0x10 + bar * 4, 0xffff'ffff);
    EXPECT_EQ(get(0x10), 0xffff'ffe1u);
    EXPECT_EQ(get(0x14), 0xffff'f000u);
    EXPECT_EQ(get(0x18), 0xffff'c00cu);
    EXPECT_EQ(get(0x1c), 0xffff'ffffu);
    EXPECT_EQ(get(0x20), 0u);
    EXPECT_EQ(get(0x30), 0u) << "no ROM";
}

TEST_F(PciTest, BarsMoveAtRunTime) {
    place_bars();
    EXPECT_EQ(read(layout::kPciPorts.base + 0x1008), 0x8u);
    EXPECT_EQ(read(0x80'0000'8010), 0x2'0010u);
    Bus::Mapping* const cached = bus.lookup(0x80'0000'8010, 4);
    ASSERT_NE(cached, nullptr);
    set(0x18, 0x0001'0000);
    EXPECT_EQ(read(0x80'0001'0010), 0x2'0010u);
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu) << "the window is open, and nobody answers";
    EXPECT_EQ(cached->read(0x80'0000'8010, 4), ~uint64_t{0}) << "a cached mapping does not answer elsewhere";
    // Into the 32-bit window, then out of both.
    set(0x1c, 0);
    set(0x18, 0x1100'0000);
    EXPECT_EQ(read(0x1100'0010), 0x2'0010u);
    set(0x18, 0x4000'0000);
    EXPECT_EQ(read(0x1100'0010), 0xffff'ffffu);
    uint64_t value;
    EXPECT_FALSE(bus.read(0x4000'0000, 4, value)) << "RAM is not for a BAR";
    set(0x18, 0x3eff'0000 - 0x2000);
    EXPECT_EQ(read(0x3efe'c000 + 0x10), 0x2'0010u) << "an address is a multiple of the size";
}

TEST_F(PciTest, WithoutDecodingNothingAnswers) {
    place_bars();
    set(kRegCommand, 6, 2);
    EXPECT_EQ(read(layout::kPciPorts.base + 0x1008), 0xffff'ffffu);
    EXPECT_EQ(read(0x80'0000'8010), 0x2'0010u);
    set(kRegCommand, 5, 2);
    EXPECT_EQ(read(layout::kPciPorts.base + 0x1008), 8u);
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu);
    set(kRegCommand, 0, 2);
    write(0x80'0000'8010, 1);
    EXPECT_TRUE(toy.writes.empty());
    set(kRegCommand, 2, 2);
    write(0x80'0000'8018, 0x77, 8);
    ASSERT_EQ(toy.writes.size(), 1u);
    EXPECT_EQ(toy.writes[0], (std::array<uint64_t, 3>{2, 0x18, 0x77}));
}

TEST_F(PciTest, OverlappingBarsWaitForTheirTurn) {
    Toy other;
    ASSERT_TRUE(bridge.plug(other, 6 << 3));
    EXPECT_FALSE(bridge.plug(other, kDevfn)) << "taken";
    EXPECT_FALSE(bridge.plug(other, 256));
    place_bars();
    // The other's BAR 2 at the same place: the first one stays.
    set_config(0, 6 << 3, 0x18, 0x8000);
    set_config(0, 6 << 3, 0x1c, 0x80);
    set_config(0, 6 << 3, kRegCommand, 2, 2);
    write(0x80'0000'8000, 1);
    EXPECT_EQ(toy.writes.size(), 1u);
    EXPECT_TRUE(other.writes.empty());
    // It has gone: the other one appears without having been touched.
    set(0x18, 0x2'0000);
    write(0x80'0000'8000, 2);
    EXPECT_EQ(toy.writes.size(), 1u);
    ASSERT_EQ(other.writes.size(), 1u);
    EXPECT_EQ(other.writes[0][2], 2u);
}

TEST_F(PciTest, RandomBarsNeverOverlapNorLeaveTheirWindows) {
    Toy others[6];
    for (unsigned i = 0; i < 6; i++) ASSERT_TRUE(bridge.plug(others[i], (8 + i) << 3));
    std::mt19937 random(7);
    for (unsigned round = 0; round < 3000; round++) {
        const unsigned devfn = (8 + random() % 6) << 3;
        const uint32_t interesting[] = {
            0,           0xffff'ffff, 0x80,        static_cast<uint32_t>(0x1000'0000 + random() % 8 * 0x1000),
            0x3efe'f000, 0x0000'ffe0, 0x4000'0000, static_cast<uint32_t>(random())};
        set_config(0, devfn, random() % 3 == 0 ? kRegCommand : 0x10 + random() % 6 * 4,
                   interesting[random() % std::size(interesting)]);
    }
    for (const uint64_t inside : {layout::kRamBase, layout::kPciEcam.base, layout::kUart.base})
        for (uint64_t offset = 0; offset < 0x10000; offset += 0x1000) {
            const Bus::Mapping* const found = bus.lookup(inside + offset, 4);
            EXPECT_TRUE(found == nullptr || found->base() == layout::kPciEcam.base);
        }
}

TEST_F(PciTest, PinsAreSharedAndTurned) {
    // Device 5, INTA: the second of the four lines.
    EXPECT_FALSE(wire(1));
    toy.set_pin(true);
    EXPECT_TRUE(wire(1));
    EXPECT_EQ(get(kRegStatus, 2) & 8, 8u);
    Toy other;
    ASSERT_TRUE(bridge.plug(other, 9 << 3));
    other.set_pin(true);
    toy.set_pin(false);
    EXPECT_TRUE(wire(1)) << "the other device's";
    set_config(0, 9 << 3, kRegCommand, 0x400, 2);
    EXPECT_FALSE(wire(1)) << "disabled";
    EXPECT_EQ(config(0, 9 << 3, kRegStatus, 2) & 8, 8u) << "and still wanted";
    set_config(0, 9 << 3, kRegCommand, 0, 2);
    EXPECT_TRUE(wire(1));
    other.set_pin(false);
    EXPECT_FALSE(wire(0) || wire(1) || wire(2) || wire(3));
}

// ---- MSI-X

TEST_F(PciTest, MessagesGoOutWhenEnabled) {
    place_bars();
    for (unsigned vector = 0; vector < 3; vector++) open_vector(vector);
    toy.raise(1);
    EXPECT_TRUE(messages.take().empty()) << "MSI-X is off";
    enable_msix();
    EXPECT_TRUE(messages.take().empty()) << "and what was raised then is gone";
    toy.raise(1);
    toy.raise(2);
    toy.raise(3);
    EXPECT_EQ(messages.take(), (Messages{message_of(1), message_of(2)}));
    set(kRegCommand, 2, 2);
    toy.raise(1);
    EXPECT_TRUE(messages.take().empty()) << "no bus master";
}

TEST_F(PciTest, MaskedVectorsArePending) {
    place_bars();
    open_vector(0);
    open_vector(1, 1);
    open_vector(2);
    enable_msix();
    toy.raise(1);
    toy.raise(1);
    EXPECT_TRUE(messages.take().empty());
    EXPECT_EQ(read(0x1000'0800), 2u);
    write(0x1000'001c, 0);
    EXPECT_EQ(messages.take(), Messages{message_of(1)});
    EXPECT_EQ(read(0x1000'0800), 0u);
    // All of them, by the function's mask.
    enable_msix(0xc000);
    toy.raise(2);
    toy.raise(0);
    EXPECT_EQ(read(0x1000'0800), 5u);
    write(0x1000'0008, 0x99);  // the message as it is when it goes out
    EXPECT_TRUE(messages.take().empty());
    enable_msix(0x8000);
    EXPECT_EQ(messages.take(), (Messages{{kDevfn, 0x2'1111'0000, 0x99}, message_of(2)}));
}

TEST_F(PciTest, TableHoldsWhatAVectorHas) {
    place_bars();
    EXPECT_EQ(read(0x1000'000c), 1u) << "masked after a reset";
    for (uint64_t offset = 0; offset < 0x1000; offset += 4) write(0x1000'0000 + offset, 0xffff'ffff);
    EXPECT_EQ(read(0x1000'0000), 0xffff'fffcu);
    EXPECT_EQ(read(0x1000'0004), 0xffff'ffffu);
    EXPECT_EQ(read(0x1000'000c), 1u);
    EXPECT_EQ(read(0x1000'0030), 0u) << "there are three";
    EXPECT_EQ(read(0x1000'0800, 8), 0u) << "pending bits are read-only";
    EXPECT_EQ(read(0x1000'0008, 8), 0x1'ffff'ffffu);
}

// ---- reset and state

TEST_F(PciTest, ResetForgetsAll) {
    place_bars();
    open_vector(0);
    enable_msix();
    bridge.reset();
    EXPECT_EQ(toy.resets, 1u);
    EXPECT_EQ(get(0x18), 0xcu);
    EXPECT_EQ(get(kRegCommand, 2), 0u);
    EXPECT_EQ(get(kMsixCapability + 2, 2), 2u);
    EXPECT_EQ(read(0x1000'0000), 0xffff'ffffu);
    toy.raise(0);
    EXPECT_TRUE(messages.take().empty());
}

TEST_F(PciTest, StateMovesToAnotherMachine) {
    place_bars();
    open_vector(0, 1);
    open_vector(1);
    enable_msix();
    toy.raise(0);
    toy.set_pin(true);
    const auto stream = test::save(toy);

    PciBoard board;
    Toy other;
    ASSERT_TRUE(board.bridge.plug(other, kDevfn));
    ASSERT_EQ(test::load(other, stream), "");
    EXPECT_EQ(board.read(0x80'0000'8010), 0xffff'ffffu) << "a load touches the part alone";
    other.resume();
    EXPECT_EQ(board.read(0x80'0000'8010), 0x2'0010u);
    EXPECT_EQ(board.read(0x1000'0800), 1u);
    EXPECT_EQ(test::save(other), stream);
    board.write(0x1000'000c, 0);
    EXPECT_EQ(board.messages.take(), Messages{message_of(0)});
    other.raise(1);
    EXPECT_EQ(board.messages.take(), Messages{message_of(1)});
    // A load that moves windows of a machine in use.
    ASSERT_EQ(test::load(toy, test::save(Toy())), "");
    toy.resume();
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu);
}

TEST_F(PciTest, DamagedStateIsRefused) {
    place_bars();
    open_vector(1);
    enable_msix();
    std::mt19937_64 random(3);
    test::survives_damage(test::save(toy), random, [&](const std::vector<uint8_t>& stream) {
        PciBoard board;
        Toy other;
        EXPECT_TRUE(board.bridge.plug(other, kDevfn));
        const bool loaded = test::load(other, stream).empty();
        other.resume();
        other.raise(1);
        return loaded;
    });
    EXPECT_NE(test::load(bridge.own_function(), test::save(toy)), "") << "another function's";
}

// ---- root ports

class RootPortTest : public testing::Test, protected PciBoard {
  protected:
    static constexpr unsigned kPort = 2 << 3;
    RootPortTest() {
        EXPECT_TRUE(bridge.plug(port, kPort));
        EXPECT_TRUE(bridge.plug_below(port, toy));
    }
    void open_bridge() {
        set_config(0, kPort, 0x18, 0x00'04'03'00);  // bus 3, up to 4
        set_config(0, kPort, 0x1c, 0x2010, 2);      // ports 0x1000 to 0x2fff
        set_config(0, kPort, 0x20, 0x1020'1010);    // memory 0x1010'0000 to 0x102f'ffff
        set_config(0, kPort, 0x24, 0x0011'0001);    // prefetchable: low half
        set_config(0, kPort, 0x28, 0x80);
        set_config(0, kPort, 0x2c, 0x80);
        set_config(0, kPort, kRegCommand, 7, 2);
    }
    void place_bars() {
        set_config(3, 0, 0x10, 0x1fe0);
        set_config(3, 0, 0x14, 0x1020'0000);
        set_config(3, 0, 0x18, 0x8000);
        set_config(3, 0, 0x1c, 0x80);
        set_config(3, 0, kRegCommand, 7, 2);
    }
    RootPort port{4};
    Toy toy;
};

TEST_F(RootPortTest, BusesAreWhereTheBridgeSays) {
    EXPECT_EQ(config(0, kPort, 0), 0x000c'1b36u);
    EXPECT_EQ(config(0, kPort, kRegClass, 2), 0x0604u);
    EXPECT_EQ(config(0, kPort, kRegHeaderType, 1), 1u);
    EXPECT_EQ(config(3, 0, 0), 0xffff'ffffu) << "no bus behind it yet";
    open_bridge();
    EXPECT_EQ(config(3, 0, 0), 0x5678'1234u);
    EXPECT_EQ(config(3, 8, 0), 0xffff'ffffu) << "one device";
    EXPECT_EQ(config(4, 0, 0), 0xffff'ffffu);
    EXPECT_EQ(config(2, 0, 0), 0xffff'ffffu);
    Toy second;
    EXPECT_FALSE(bridge.plug_below(port, second)) << "one device";
    // PCI Express: a root port with a slot, number 4, and a device in it.
    const auto express = static_cast<unsigned>(config(0, kPort, kRegCapabilities, 1));
    EXPECT_EQ(config(0, kPort, express, 1), 0x10u);
    EXPECT_EQ(config(0, kPort, express + 2, 2), 0x142u);
    EXPECT_EQ(config(0, kPort, express + 0x14) >> 19, 4u);
    EXPECT_EQ(config(0, kPort, express + 0x1a, 2) & 0x40, 0x40u);
}

TEST_F(RootPortTest, WindowsAreForwarded) {
    open_bridge();
    place_bars();
    EXPECT_EQ(read(0x80'0000'8010), 0x2'0010u);
    EXPECT_EQ(read(layout::kPciPorts.base + 0x1fe4), 4u);
    EXPECT_EQ(read(0x1020'000c), 1u);
    // Outside of the bridge's windows.
    set_config(3, 0, 0x14, 0x1030'0000);
    EXPECT_EQ(read(0x1030'000c), 0xffff'ffffu);
    set_config(3, 0, 0x14, 0x102f'f000);
    EXPECT_EQ(read(0x102f'f00c), 1u);
    set_config(0, kPort, 0x20, 0x1010'1020);
    EXPECT_EQ(read(0x102f'f00c), 0xffff'ffffu) << "a limit below the base: no window";
    set_config(0, kPort, kRegCommand, 0, 2);
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu);
    EXPECT_EQ(read(layout::kPciPorts.base + 0x1fe4), 0xffff'ffffu);
}

TEST_F(RootPortTest, MessagesAndPinsPassTheBridge) {
    open_bridge();
    place_bars();
    write(0x1020'0000, 0x100);
    write(0x1020'000c, 0);
    set_config(3, 0, 0x42, 0x8000, 2);
    toy.raise(0);
    EXPECT_EQ(messages.take(), (std::vector<test::MessageLog::Message>{{0x300, 0x100, 0}}));
    set_config(0, kPort, kRegCommand, 3, 2);
    toy.raise(0);
    EXPECT_TRUE(messages.take().empty()) << "the port does not pass it on";
    toy.set_pin(true);
    EXPECT_TRUE(wire(2)) << "device 0 behind device 2";
}

TEST_F(RootPortTest, SecondaryBusResetResetsTheDevice) {
    open_bridge();
    place_bars();
    set_config(0, kPort, 0x3e, 0x40, 2);
    EXPECT_EQ(toy.resets, 1u);
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu) << "its windows are gone at once";
    set_config(0, kPort, 0x3e, 0, 2);
    EXPECT_EQ(toy.resets, 1u);
    EXPECT_EQ(config(3, 0, kRegCommand, 2), 0u);
    EXPECT_EQ(read(0x80'0000'8010), 0xffff'ffffu);
    EXPECT_NE(config(0, kPort, kRegCommand, 2), 0u);
}

TEST_F(RootPortTest, StateMovesToAnotherMachine) {
    open_bridge();
    place_bars();
    PciBoard board;
    RootPort other_port(4);
    Toy other;
    ASSERT_TRUE(board.bridge.plug(other_port, kPort));
    ASSERT_TRUE(board.bridge.plug_below(other_port, other));
    ASSERT_EQ(test::load(other, test::save(toy)), "");
    ASSERT_EQ(test::load(other_port, test::save(port)), "");
    other_port.resume();
    other.resume();
    EXPECT_EQ(board.config(3, 0, 0), 0x5678'1234u);
    EXPECT_EQ(board.read(0x80'0000'8010), 0x2'0010u);
    board.write(0x1020'000c, 0);
    board.set_config(3, 0, 0x42, 0x8000, 2);
    other.raise(0);
    EXPECT_EQ(board.messages.take().size(), 1u);
}

TEST(PciMultifunction, FunctionZeroSaysSo) {
    PciBoard board;
    Toy first, second;
    ASSERT_TRUE(board.bridge.plug(second, 3 << 3 | 1));
    ASSERT_TRUE(board.bridge.plug(first, 3 << 3));
    EXPECT_EQ(board.config(0, 3 << 3, kRegHeaderType, 1), 0x80u);
    EXPECT_EQ(board.config(0, 3 << 3 | 1, kRegHeaderType, 1), 0u);
    EXPECT_EQ(board.config(0, 3 << 3 | 1, 0), 0x5678'1234u);
    EXPECT_EQ(board.bridge.free_slot(), 1u);
}

}  // namespace
}  // namespace arclight::devices
