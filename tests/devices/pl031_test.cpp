#include "devices/pl031.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

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

// The alarm is waited for in one place and comes in the other; one that is overdue comes at once.
TEST_F(Pl031Test, GoesOnAfterALoad) {
    rtc.write(kLr, 5000, 4);
    rtc.write(kImsc, 1, 4);
    rtc.write(kMr, 5002, 4);
    rtc.quiesce();
    EXPECT_EQ(loop.pending_timers(), 0u);
    const auto stream = test::save(rtc);
    const auto make = [&](test::FakeController& wires, GuestClock& time) {
        auto other =
            std::make_unique<Pl031>(loop, time, IrqLine(wires, layout::kFirstSpiIntid + layout::kSpiRtc));
        EXPECT_EQ(test::load(*other, stream), "");
        other->resume();
        return other;
    };
    test::FakeController soon, late;
    GuestClock later_clock;
    later_clock.set_wall_offset_ns(10'000'000'000);
    const auto other = make(soon, clock);
    const auto overdue = make(late, later_clock);
    EXPECT_TRUE(late.spis[layout::kSpiRtc]);
    EXPECT_NEAR(static_cast<double>(overdue->read(kDr, 4)), 5010, 2);
    EXPECT_FALSE(soon.spis[layout::kSpiRtc]);
    EXPECT_NEAR(static_cast<double>(other->read(kDr, 4)), 5000, 2);
    EXPECT_EQ(other->read(kLr, 4), 5000u);
    ASSERT_TRUE(test::eventually([&] { return soon.spis[layout::kSpiRtc].load(); }));
    EXPECT_GE(other->read(kDr, 4), 5002u);
    EXPECT_FALSE(wire()) << "quiesced";
    rtc.resume();
    EXPECT_TRUE(wire());
}

TEST_F(Pl031Test, RefusesWhatItCannotBe) {
    std::mt19937_64 random(5);
    rtc.write(kMr, 0x1000'0000, 4);
    test::survives_damage(test::save(rtc), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeController wires;
        Pl031 damaged(loop, clock, IrqLine(wires, layout::kFirstSpiIntid + layout::kSpiRtc));
        const bool loaded = test::load(damaged, stream).empty();
        damaged.resume();
        damaged.read(kDr, 4);
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices
