#include <gtest/gtest.h>

#include <random>
#include <string>

#include "devices/pci/serial.h"
#include "tests/devices/pci_board.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices::test {
namespace {

class Wire final : public CharBackend {
  public:
    void write(std::span<const uint8_t> bytes) override { text.append(bytes.begin(), bytes.end()); }
    void connect(CharFrontend* to) override { frontend = to; }
    void accept_input() override { asked++; }
    size_t type(std::string_view input) {
        return frontend->receive({reinterpret_cast<const uint8_t*>(input.data()), input.size()});
    }
    CharFrontend* frontend = nullptr;
    std::string text;
    unsigned asked = 0;
};

struct PciSerialTest : ::testing::Test {
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kPort = 0x1000, kBar = layout::kPciPorts.base + kPort;

    PciSerialTest() {
        EXPECT_TRUE(board.bridge.plug(serial, kDevfn));
        board.set_config(0, kDevfn, 0x10, kPort);
        board.set_config(0, kDevfn, 0x04, 1, 2);
    }
    uint8_t get(unsigned reg) { return static_cast<uint8_t>(board.read(kBar + reg, 1)); }
    void set(unsigned reg, uint8_t value) { board.write(kBar + reg, value, 1); }
    bool wire() { return board.wire(serial.interrupt_line()); }

    PciBoard board;
    Wire line;
    pci::Serial serial{line};
};

TEST_F(PciSerialTest, IsQemus) {
    EXPECT_EQ(board.config(0, kDevfn, 0), 0x0002'1b36u);
    EXPECT_EQ(board.config(0, kDevfn, 8), 0x0700'0201u) << "a serial port of 16550's kind";
    EXPECT_EQ(board.config(0, kDevfn, 0x2c), 0x1100'1af4u);
    EXPECT_EQ(board.config(0, kDevfn, 0x3d, 1), 1u);
    board.set_config(0, kDevfn, 0x10, 0xffff'ffff);
    EXPECT_EQ(board.config(0, kDevfn, 0x10), 0xffff'fff9u) << "eight ports";
}

// As drivers look for a 16550A: scratch, divisor, FIFOs, the loop.
TEST_F(PciSerialTest, IsFound) {
    set(7, 0xa5);
    EXPECT_EQ(get(7), 0xa5);
    set(3, 0x83);
    set(0, 1), set(1, 2);
    EXPECT_EQ(get(0), 1);
    EXPECT_EQ(get(1), 2);
    set(3, 3);
    EXPECT_EQ(get(1), 0) << "interrupts are not the divisor";
    EXPECT_EQ(get(2), 0x01);
    set(2, 1);
    EXPECT_EQ(get(2), 0xc1);
    set(4, 0x1a);
    EXPECT_EQ(get(6) & 0xf0, 0x90) << "RTS and OUT2 are CTS and DCD";
    set(0, 'x');
    EXPECT_EQ(get(5), 0x61);
    EXPECT_EQ(get(0), 'x');
    EXPECT_EQ(line.text, "");
    set(4, 0);
    EXPECT_EQ(get(6), 0xb0);
    EXPECT_EQ(get(5), 0x60);
}

TEST_F(PciSerialTest, Sends) {
    for (const char c : std::string_view("hello")) set(0, static_cast<uint8_t>(c));
    EXPECT_EQ(line.text, "hello");
    EXPECT_FALSE(wire());
    set(1, 2);
    EXPECT_TRUE(wire()) << "it is empty already";
    EXPECT_EQ(get(2), 2);
    EXPECT_FALSE(wire()) << "reading it ends it";
    EXPECT_EQ(get(2), 1);
    set(0, '!');
    EXPECT_TRUE(wire());
    set(1, 0);
    EXPECT_FALSE(wire());
}

TEST_F(PciSerialTest, Receives) {
    EXPECT_EQ(line.type("ab"), 1u) << "without FIFOs there is room for one";
    EXPECT_FALSE(wire());
    set(1, 1);
    EXPECT_TRUE(wire());
    EXPECT_EQ(get(2), 4);
    EXPECT_EQ(line.asked, 0u);
    EXPECT_EQ(get(0), 'a');
    EXPECT_EQ(line.asked, 1u);
    EXPECT_FALSE(wire());
    set(2, 0x81);  // FIFOs; an interrupt at eight
    EXPECT_EQ(line.type("0123456789abcdefgh"), 16u);
    EXPECT_EQ(get(2), 0xc4);
    for (unsigned i = 0; i < 9; i++) EXPECT_EQ(get(0), "012345678"[i]);
    EXPECT_EQ(line.asked, 2u);
    EXPECT_EQ(get(2), 0xcc) << "what is left times out";
    EXPECT_TRUE(wire());
    set(2, 0x83);
    EXPECT_FALSE(wire()) << "emptied";
    EXPECT_EQ(get(5), 0x60);
    EXPECT_EQ(get(0), 0);
}

TEST_F(PciSerialTest, TellsOfABreak) {
    set(2, 1);
    set(1, 5);
    line.frontend->event(CharEvent::Break);
    EXPECT_EQ(line.type("k"), 1u);
    EXPECT_TRUE(wire());
    EXPECT_EQ(get(2), 0xc6);
    EXPECT_EQ(get(5), 0x60 | 0x80 | 0x10 | 1);
    EXPECT_EQ(get(5), 0x61) << "told once";
    EXPECT_EQ(get(0), 0);
    EXPECT_EQ(get(0), 'k');
    // An overrun, by the loop.
    set(2, 0), set(4, 0x10);
    set(0, 'x'), set(0, 'y');
    EXPECT_EQ(get(2), 6);
    EXPECT_EQ(get(5), 0x63);
    EXPECT_EQ(get(0), 'x');
}

TEST_F(PciSerialTest, MovesWithItsState) {
    set(3, 3), set(2, 0xc1), set(1, 3);
    EXPECT_EQ(line.type("abc"), 3u);
    serial.quiesce();
    EXPECT_EQ(line.type("d"), 0u) << "the machine stands";
    const auto stream = test::save(serial);
    serial.resume();
    EXPECT_EQ(line.asked, 1u);
    std::mt19937_64 random(9);
    test::survives_damage(stream, random, [&](const std::vector<uint8_t>& damaged) {
        PciBoard there;
        Wire wire;
        pci::Serial moved{wire};
        there.bridge.plug(moved, kDevfn);
        moved.quiesce();
        const bool loaded = test::load(moved, damaged).empty();
        moved.resume();
        wire.type("xyz");
        for (unsigned i = 0; i < 8; i++) there.read(kBar + i, 1);
        moved.reset();
        return loaded;
    });
    PciBoard there;
    Wire wire;
    pci::Serial moved{wire};
    there.bridge.plug(moved, kDevfn);
    moved.quiesce();
    ASSERT_EQ(test::load(moved, stream), "");
    EXPECT_EQ(test::save(moved), stream);
    moved.resume();
    EXPECT_TRUE(there.wire(moved.interrupt_line()));
    EXPECT_EQ(there.read(kBar + 0, 1), 'a');
}

}  // namespace
}  // namespace arclight::devices::test
