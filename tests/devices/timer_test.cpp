#include "devices/timer.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::eventually;
using Kind = GenericTimer::Kind;

constexpr uint64_t kEnable = 1;
constexpr uint64_t kMasked = 2;
constexpr uint64_t kStatus = 4;

struct TimerTest : testing::Test {
    TimerTest() { loop.start(); }
    bool wire(unsigned ppi) const { return controller.ppis[1][ppi]; }
    static uint64_t ms(uint64_t n) { return n * GenericTimer::kFrequency / 1000; }

    test::FakeController controller;
    EventLoop loop;
    GuestClock clock;
    GenericTimer timer{loop, clock, controller, 1};
};

TEST_F(TimerTest, VirtualTimerFires) {
    const uint64_t due = clock.ticks() + ms(20);
    timer.write_cval(Kind::Virtual, due);
    timer.write_ctl(Kind::Virtual, kEnable);
    EXPECT_EQ(timer.read_ctl(Kind::Virtual) & kStatus, 0u);
    ASSERT_TRUE(eventually([&] { return wire(27); }));
    EXPECT_GE(clock.ticks(), due);
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), kEnable | kStatus);
    EXPECT_FALSE(wire(30)) << "the physical timer is its own";
    timer.write_ctl(Kind::Virtual, kEnable | kMasked);
    EXPECT_FALSE(wire(27));
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), kEnable | kMasked | kStatus);
    timer.write_ctl(Kind::Virtual, kEnable);
    EXPECT_TRUE(wire(27)) << "level: still due";
    timer.write_cval(Kind::Virtual, clock.ticks() + ms(10000));
    EXPECT_FALSE(wire(27));
    timer.write_ctl(Kind::Virtual, 0);
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), 0u);
}

TEST_F(TimerTest, TimerValueIsSignedAndCountsDown) {
    timer.write_tval(Kind::Physical, 0xffff'ffff);  // -1: due already
    timer.write_ctl(Kind::Physical, kEnable);
    EXPECT_TRUE(wire(30));
    EXPECT_GT(static_cast<int32_t>(0), static_cast<int32_t>(timer.read_tval(Kind::Physical)));
    EXPECT_EQ(timer.read_tval(Kind::Physical) >> 32, 0u);
    timer.write_tval(Kind::Physical, ms(15));
    EXPECT_FALSE(wire(30));
    EXPECT_LE(timer.read_tval(Kind::Physical), ms(15));
    EXPECT_TRUE(eventually([&] { return wire(30); }));
}

TEST_F(TimerTest, ComparesUnsigned) {
    timer.write_cval(Kind::Virtual, ~0ull);
    timer.write_ctl(Kind::Virtual, kEnable);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(wire(27));
    timer.write_cval(Kind::Virtual, 0);
    EXPECT_TRUE(wire(27));
    timer.reset();
    EXPECT_FALSE(wire(27));
}

// As Linux does it: each deadline replaced by a later one many times before any comes.
TEST_F(TimerTest, ReplacedDeadlinesDoNotFireEarly) {
    timer.write_ctl(Kind::Virtual, kEnable);
    uint64_t due = 0;
    for (int i = 0; i < 2000; i++) {
        due = clock.ticks() + ms(30);
        timer.write_cval(Kind::Virtual, due);
        const bool raised = wire(27);
        if (raised) {
            ASSERT_GE(clock.ticks(), due);
        }
    }
    ASSERT_TRUE(eventually([&] { return wire(27); }));
    EXPECT_GE(clock.ticks(), due);
}

// Half way to its deadline the timer moves to another machine whose clock stood elsewhere.
TEST_F(TimerTest, SavedTimerFiresInTheNewMachine) {
    const uint64_t due = clock.ticks() + ms(40);
    timer.write_cval(Kind::Virtual, due);
    timer.write_ctl(Kind::Virtual, kEnable);
    timer.write_cval(Kind::Physical, clock.ticks());
    timer.write_ctl(Kind::Physical, kEnable);
    ASSERT_TRUE(wire(30));

    test::FakeController other_controller;
    GuestClock other_clock;
    GenericTimer other(loop, other_clock, other_controller, 1);
    StatefulParts from, to;
    from.add("clock", clock), from.add("timer", timer);
    to.add("clock", other_clock), to.add("timer", other);
    from.quiesce();
    EXPECT_EQ(loop.pending_timers(), 0u);
    const auto stream = from.save().value();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_FALSE(wire(27)) << "no time passes for a guest that is paused";
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), kEnable);
    EXPECT_EQ(from.save().value(), stream) << "and nothing changes";
    to.quiesce();
    ASSERT_TRUE(to.load(stream).has_value());
    EXPECT_FALSE(other_controller.ppis[1][30]) << "loading drives nothing";
    to.resume();
    EXPECT_TRUE(other_controller.ppis[1][30]);
    EXPECT_FALSE(other_controller.ppis[1][27]);
    EXPECT_EQ(other.read_cval(Kind::Virtual), due);
    EXPECT_LT(other_clock.ticks(), due);
    ASSERT_TRUE(eventually([&] { return other_controller.ppis[1][27].load(); }));
    EXPECT_GE(other_clock.ticks(), due);
    // The first machine goes on as well.
    from.resume();
    EXPECT_TRUE(eventually([&] { return wire(27); }));
}

TEST_F(TimerTest, RefusesWhatItCannotBe) {
    std::mt19937_64 random(6);
    timer.write_ctl(Kind::Virtual, kEnable);
    test::survives_damage(test::save(timer), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeController wires;
        GenericTimer damaged(loop, clock, wires, 1);
        const bool loaded = test::load(damaged, stream).empty();
        damaged.resume();
        damaged.read_tval(Kind::Virtual);
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices
