#include "devices/pl031.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

constexpr uint64_t kDr = 0, kMr = 4, kLr = 8, kCr = 0xc, kImsc = 0x10, kRis = 0x14, kMis = 0x18, kIcr = 0x1c;

struct Pl031Test : testing::Test {
    Pl031Test() { loop.start(); }
    bool wire() const { return controller.spis[layout::kSpiRtc]; }
    test::FakeController controller;
    EventLoop loop;
    GuestClock clock;
    Pl031 rtc{loop, clock, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiRtc)};
};

TEST_F(Pl031Test, TellsTheTime) {
    EXPECT_NEAR(static_cast<double>(rtc.read(kDr, 4)), static_cast<double>(time(nullptr)), 2);
    EXPECT_EQ(rtc.read(kCr, 4), 1u);
    EXPECT_EQ(rtc.read(0xfe0, 4), 0x31u);
    rtc.write(kLr, 1000, 4);
    EXPECT_EQ(rtc.read(kLr, 4), 1000u);
    EXPECT_NEAR(static_cast<double>(rtc.read(kDr, 4)), 1000, 2);
}

TEST_F(Pl031Test, Alarm) {
    rtc.write(kImsc, 1, 4);
    const auto due = static_cast<uint32_t>(rtc.read(kDr, 4)) + 1;
    rtc.write(kMr, due, 4);
    EXPECT_EQ(rtc.read(kRis, 4), 0u);
    ASSERT_TRUE(test::eventually([&] { return wire(); }));
    EXPECT_GE(rtc.read(kDr, 4), due);
    EXPECT_EQ(rtc.read(kMis, 4), 1u);
    rtc.write(kImsc, 0, 4);
    EXPECT_FALSE(wire());
    EXPECT_EQ(rtc.read(kRis, 4), 1u);
    rtc.write(kIcr, 1, 4);
    rtc.write(kImsc, 1, 4);
    EXPECT_FALSE(wire());
}

}  // namespace
}  // namespace arclight::devices
