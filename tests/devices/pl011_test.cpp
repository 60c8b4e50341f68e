#include "devices/pl011.h"

#include <gtest/gtest.h>

#include <random>

#include "devices/fdt_writer.h"
#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint64_t kDr = 0x00, kFr = 0x18, kLcrH = 0x2c, kCr = 0x30, kIfls = 0x34, kImsc = 0x38, kRis = 0x3c,
                   kMis = 0x40, kIcr = 0x44;
constexpr uint32_t kRx = 1 << 4, kTx = 1 << 5, kTimeout = 1 << 6;

struct Pl011Test : testing::Test {
    bool wire() const { return controller.spis[layout::kSpiUart]; }
    uint64_t get(uint64_t offset) { return uart.read(offset, 4); }
    void set(uint64_t offset, uint64_t value) { uart.write(offset, value, 4); }
    unsigned fill(const char* text) {
        unsigned taken = 0;
        while (text[taken] != 0 && test::type(uart, text[taken])) taken++;
        return taken;
    }
    test::FakeController controller;
    test::FakeTerminal terminal;
    Pl011 uart{terminal, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiUart)};
};

TEST_F(Pl011Test, ResetValues) {
    const std::pair<uint64_t, uint32_t> expected[] = {
        {kFr, 0x90},   {0x24, 0},     {0x28, 0},     {kLcrH, 0},    {kCr, 0x300},  {kIfls, 0x12},
        {kImsc, 0},    {kRis, 0},     {0xfe0, 0x11}, {0xfe4, 0x10}, {0xfe8, 0x14}, {0xfec, 0},
        {0xff0, 0x0d}, {0xff4, 0xf0}, {0xff8, 5},    {0xffc, 0xb1}};
    for (const auto& [offset, value] : expected) EXPECT_EQ(get(offset), value) << std::hex << offset;
}

TEST_F(Pl011Test, Transmits) {
    for (char c : std::string("hello")) set(kDr, static_cast<uint8_t>(c));
    EXPECT_EQ(terminal.text, "hello");
    EXPECT_EQ(get(kRis), kTx);
    EXPECT_FALSE(wire());
    set(kImsc, kTx);
    EXPECT_TRUE(wire());
    EXPECT_EQ(get(kMis), kTx);
    set(kIcr, kTx);
    EXPECT_FALSE(wire());
    EXPECT_EQ(get(kRis), 0u);
}

TEST_F(Pl011Test, OneByteWithoutFifo) {
    EXPECT_EQ(fill("ab"), 1u);
    EXPECT_EQ(get(kFr), 0x80u | 1 << 6) << "full";
    EXPECT_EQ(get(kRis), kRx);
    EXPECT_EQ(get(kDr), static_cast<uint64_t>('a'));
    EXPECT_EQ(get(kFr), 0x90u);
    EXPECT_EQ(get(kRis), 0u);
}

TEST_F(Pl011Test, FifoLevelsAndTimeout) {
    set(kLcrH, 1 << 4);
    set(kImsc, kRx);
    EXPECT_EQ(fill("1234567"), 7u);
    EXPECT_FALSE(wire()) << "below half";
    EXPECT_EQ(get(kRis), kTimeout);
    set(kImsc, kRx | kTimeout);
    EXPECT_TRUE(wire());
    fill("8");
    EXPECT_EQ(get(kRis), kRx | kTimeout);
    for (char c : std::string("12345678")) {
        EXPECT_TRUE(wire());
        EXPECT_EQ(get(kDr), static_cast<uint64_t>(c));
    }
    EXPECT_FALSE(wire());
    EXPECT_EQ(get(kDr), 0u) << "empty";
    set(kIfls, 4 << 3);  // seven eighths
    EXPECT_EQ(fill("0123456789abcdefgh"), 16u);
    EXPECT_EQ(get(kRis) & kRx, kRx);
    get(kDr), get(kDr), get(kDr);
    EXPECT_EQ(get(kRis) & kRx, 0u);
}

// A back end that holds the rest of pasted input gets asked for it, and the guest sees every byte in order.
TEST_F(Pl011Test, NoInputIsLost) {
    set(kLcrH, 1 << 4);
    std::string source;
    for (int i = 0; i < 1000; i++) source += static_cast<char>('a' + i % 26);
    size_t offered = 0;
    unsigned callbacks = 0;
    const auto offer = [&] {
        while (offered < source.size() && test::type(uart, source[offered])) offered++;
    };
    terminal.on_accept = [&] {
        callbacks++;
        offer();
    };
    offer();
    EXPECT_EQ(offered, 16u) << "a FIFO";
    std::string seen;
    while ((get(kFr) & 1 << 4) == 0) seen += static_cast<char>(get(kDr));
    EXPECT_EQ(seen, source);
    EXPECT_LT(callbacks, source.size() / 4) << "woken for half a FIFO, not for each byte";
}

TEST_F(Pl011Test, LoopbackAndNarrowAccess) {
    set(kCr, 0x381);
    uart.write(kDr, 'x', 1);
    EXPECT_EQ(terminal.text, "");
    EXPECT_EQ(uart.read(kDr, 1), static_cast<uint64_t>('x'));
    uart.write(kDr + 1, 'y', 1);  // not the data byte
    EXPECT_EQ(get(kFr) & 1 << 4, 1u << 4);
    uart.reset();
    EXPECT_EQ(get(kCr), 0x300u);
}

// With half a FIFO of input and more waiting outside.
TEST_F(Pl011Test, GoesOnAfterALoad) {
    set(kLcrH, 1 << 4);
    set(kImsc, kRx | kTimeout);
    EXPECT_EQ(fill("abcdefghijklmnopqrst"), 16u);
    for (const char c : std::string("abcd")) EXPECT_EQ(get(kDr), static_cast<uint64_t>(c));
    set(kDr, 'x');
    uart.quiesce();
    EXPECT_FALSE(test::type(uart, '!')) << "input stays outside";
    const auto stream = test::save(uart);

    test::FakeController other_controller;
    test::FakeTerminal other_terminal;
    Pl011 other{other_terminal, IrqLine(other_controller, layout::kFirstSpiIntid + layout::kSpiUart)};
    unsigned offered = 0;
    other_terminal.on_accept = [&] { offered++; };
    ASSERT_EQ(test::load(other, stream), "");
    EXPECT_FALSE(other_controller.spis[layout::kSpiUart]) << "loading drives nothing";
    other.resume();
    EXPECT_TRUE(other_controller.spis[layout::kSpiUart]);
    EXPECT_EQ(test::save(other), stream);
    EXPECT_EQ(other_terminal.text, "") << "what was sent is not sent again";
    EXPECT_EQ(other.read(kRis, 4), get(kRis));
    EXPECT_EQ(other.read(kFr, 4), get(kFr));
    std::string rest;
    while ((other.read(kFr, 4) & 0x10) == 0) rest += static_cast<char>(other.read(kDr, 4));
    EXPECT_EQ(rest, "efghijklmnop");
    EXPECT_EQ(offered, 1u) << "there is room for input again";
    EXPECT_FALSE(other_controller.spis[layout::kSpiUart]);
    // The first one goes on too, and asks for what it refused.
    bool again = false;
    terminal.on_accept = [&] { again = true; };
    uart.resume();
    while ((get(kFr) & 0x10) == 0) get(kDr);
    EXPECT_TRUE(again);
    EXPECT_TRUE(test::type(uart, '!'));
}

TEST_F(Pl011Test, ABreakIsReceivedAsSuch) {
    set(kLcrH, 1 << 4);
    set(kImsc, kTimeout);
    uart.event(CharEvent::Break);
    EXPECT_TRUE(wire());
    test::type(uart, 'h');
    EXPECT_EQ(get(kDr), 1u << 10);
    EXPECT_EQ(get(kDr), static_cast<uint64_t>('h'));
    uart.quiesce();
    uart.event(CharEvent::Break);
    uart.resume();
    EXPECT_EQ(get(kFr) & 0x10, 0x10u) << "a machine that stands has no line";
}

TEST_F(Pl011Test, TheSecondOneHasItsOwnPlace) {
    Pl011 second(terminal, IrqLine(), {layout::kSecondUart, layout::kSpiSecondUart});
    FdtWriter fdt;
    fdt.begin_node("");
    uart.add_to_device_tree(fdt);
    second.add_to_device_tree(fdt);
    fdt.end_node();
    const auto blob = fdt.finish();
    ASSERT_TRUE(blob);
    const std::string text(blob->begin(), blob->end());
    EXPECT_NE(text.find("pl011@9000000"), std::string::npos);
    EXPECT_NE(text.find("pl011@9040000"), std::string::npos);
}

TEST_F(Pl011Test, RefusesWhatItCannotBe) {
    std::mt19937_64 random(4);
    set(kLcrH, 1 << 4);
    fill("abcdefgh");
    test::survives_damage(test::save(uart), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeTerminal damaged_terminal;
        Pl011 damaged{damaged_terminal, IrqLine()};
        const bool loaded = test::load(damaged, stream).empty();
        damaged.resume();
        for (int i = 0; i < 20; i++) damaged.read(kDr, 4), test::type(damaged, 'x'), damaged.read(kRis, 4);
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices
