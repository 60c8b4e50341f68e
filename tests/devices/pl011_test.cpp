#include "devices/pl011.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

constexpr uint64_t dr = 0x00, fr = 0x18, lcr_h = 0x2c, cr = 0x30, ifls = 0x34, imsc = 0x38, ris = 0x3c,
                   mis = 0x40, icr = 0x44;
constexpr uint32_t rx = 1 << 4, tx = 1 << 5, timeout = 1 << 6;

struct Pl011Test : testing::Test {
    bool wire() const { return controller.spis[layout::spi_uart]; }
    uint64_t get(uint64_t offset) { return uart.read(offset, 4); }
    void set(uint64_t offset, uint64_t value) { uart.write(offset, value, 4); }
    unsigned fill(const char* text) {
        unsigned taken = 0;
        while (text[taken] != 0 && uart.receive(static_cast<uint8_t>(text[taken]))) taken++;
        return taken;
    }
    test::FakeController controller;
    test::FakeTerminal terminal;
    Pl011 uart{terminal, IrqLine(controller, layout::first_spi_intid + layout::spi_uart)};
};

TEST_F(Pl011Test, ResetValues) {
    const std::pair<uint64_t, uint32_t> expected[] = {
        {fr, 0x90},    {0x24, 0},     {0x28, 0},     {lcr_h, 0},    {cr, 0x300},   {ifls, 0x12},
        {imsc, 0},     {ris, 0},      {0xfe0, 0x11}, {0xfe4, 0x10}, {0xfe8, 0x14}, {0xfec, 0},
        {0xff0, 0x0d}, {0xff4, 0xf0}, {0xff8, 5},    {0xffc, 0xb1}};
    for (const auto& [offset, value] : expected) EXPECT_EQ(get(offset), value) << std::hex << offset;
}

TEST_F(Pl011Test, Transmits) {
    for (char c : std::string("hello")) set(dr, static_cast<uint8_t>(c));
    EXPECT_EQ(terminal.text, "hello");
    EXPECT_EQ(get(ris), tx);
    EXPECT_FALSE(wire());
    set(imsc, tx);
    EXPECT_TRUE(wire());
    EXPECT_EQ(get(mis), tx);
    set(icr, tx);
    EXPECT_FALSE(wire());
    EXPECT_EQ(get(ris), 0u);
}

TEST_F(Pl011Test, OneByteWithoutFifo) {
    EXPECT_EQ(fill("ab"), 1u);
    EXPECT_EQ(get(fr), 0x80u | 1 << 6) << "full";
    EXPECT_EQ(get(ris), rx);
    EXPECT_EQ(get(dr), static_cast<uint64_t>('a'));
    EXPECT_EQ(get(fr), 0x90u);
    EXPECT_EQ(get(ris), 0u);
}

TEST_F(Pl011Test, FifoLevelsAndTimeout) {
    set(lcr_h, 1 << 4);
    set(imsc, rx);
    EXPECT_EQ(fill("1234567"), 7u);
    EXPECT_FALSE(wire()) << "below half";
    EXPECT_EQ(get(ris), timeout);
    set(imsc, rx | timeout);
    EXPECT_TRUE(wire());
    fill("8");
    EXPECT_EQ(get(ris), rx | timeout);
    for (char c : std::string("12345678")) {
        EXPECT_TRUE(wire());
        EXPECT_EQ(get(dr), static_cast<uint64_t>(c));
    }
    EXPECT_FALSE(wire());
    EXPECT_EQ(get(dr), 0u) << "empty";
    set(ifls, 4 << 3);  // seven eighths
    EXPECT_EQ(fill("0123456789abcdefgh"), 16u);
    EXPECT_EQ(get(ris) & rx, rx);
    get(dr), get(dr), get(dr);
    EXPECT_EQ(get(ris) & rx, 0u);
}

// A back end that holds the rest of pasted input gets asked for it, and the guest sees every byte in order.
TEST_F(Pl011Test, NoInputIsLost) {
    set(lcr_h, 1 << 4);
    std::string source;
    for (int i = 0; i < 1000; i++) source += static_cast<char>('a' + i % 26);
    size_t offered = 0;
    unsigned callbacks = 0;
    const auto offer = [&] {
        while (offered < source.size() && uart.receive(static_cast<uint8_t>(source[offered]))) offered++;
    };
    uart.set_space_callback([&] {
        callbacks++;
        offer();
    });
    offer();
    EXPECT_EQ(uart.space(), 0u);
    std::string seen;
    while ((get(fr) & 1 << 4) == 0) seen += static_cast<char>(get(dr));
    EXPECT_EQ(seen, source);
    EXPECT_LT(callbacks, source.size() / 4) << "woken for half a FIFO, not for each byte";
}

TEST_F(Pl011Test, LoopbackAndNarrowAccess) {
    set(cr, 0x381);
    uart.write(dr, 'x', 1);
    EXPECT_EQ(terminal.text, "");
    EXPECT_EQ(uart.read(dr, 1), static_cast<uint64_t>('x'));
    uart.write(dr + 1, 'y', 1);  // not the data byte
    EXPECT_EQ(get(fr) & 1 << 4, 1u << 4);
    uart.reset();
    EXPECT_EQ(get(cr), 0x300u);
}

}  // namespace
}  // namespace arclight::devices
