#include "devices/pl031.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

constexpr uint64_t dr = 0, mr = 4, lr = 8, cr = 0xc, imsc = 0x10, ris = 0x14, mis = 0x18, icr = 0x1c;

struct Pl031Test : testing::Test {
    Pl031Test() { loop.start(); }
    bool wire() const { return controller.spis[layout::spi_rtc]; }
    test::FakeController controller;
    EventLoop loop;
    Pl031 rtc{loop, IrqLine(controller, layout::first_spi_intid + layout::spi_rtc)};
};

TEST_F(Pl031Test, TellsTheTime) {
    EXPECT_NEAR(static_cast<double>(rtc.read(dr, 4)), static_cast<double>(time(nullptr)), 2);
    EXPECT_EQ(rtc.read(cr, 4), 1u);
    EXPECT_EQ(rtc.read(0xfe0, 4), 0x31u);
    rtc.write(lr, 1000, 4);
    EXPECT_EQ(rtc.read(lr, 4), 1000u);
    EXPECT_NEAR(static_cast<double>(rtc.read(dr, 4)), 1000, 2);
}

TEST_F(Pl031Test, Alarm) {
    rtc.write(imsc, 1, 4);
    const auto due = static_cast<uint32_t>(rtc.read(dr, 4)) + 1;
    rtc.write(mr, due, 4);
    EXPECT_EQ(rtc.read(ris, 4), 0u);
    ASSERT_TRUE(test::eventually([&] { return wire(); }));
    EXPECT_GE(rtc.read(dr, 4), due);
    EXPECT_EQ(rtc.read(mis, 4), 1u);
    rtc.write(imsc, 0, 4);
    EXPECT_FALSE(wire());
    EXPECT_EQ(rtc.read(ris, 4), 1u);
    rtc.write(icr, 1, 4);
    rtc.write(imsc, 1, 4);
    EXPECT_FALSE(wire());
}

}  // namespace
}  // namespace arclight::devices
