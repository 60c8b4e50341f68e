#include "devices/timer.h"

#include <gtest/gtest.h>

#include "tests/devices/fakes.h"

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
    GenericTimer timer{loop, controller, 1};
};

TEST_F(TimerTest, CounterKeepsTime) {
    // Long enough to pass from the clock to the calibrated TSC.
    const int64_t start_ns = EventLoop::now_ns();
    const uint64_t start = GenericTimer::count();
    uint64_t last = start;
    while (EventLoop::now_ns() < start_ns + 600'000'000) {
        const uint64_t now = GenericTimer::count();
        ASSERT_GE(now, last);
        last = now;
    }
    const auto ns = static_cast<double>(EventLoop::now_ns() - start_ns);
    const auto ticks = static_cast<double>(GenericTimer::count() - start);
    EXPECT_NEAR(ticks * 16 / ns, 1.0, 0.001);
}

TEST_F(TimerTest, CounterIsMonotonicAcrossThreads) {
    std::atomic<uint64_t> highest{0};
    std::atomic<bool> backwards{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&] {
            for (int i = 0; i < 200'000; i++) {
                const uint64_t before = highest.load();
                const uint64_t now = GenericTimer::count();
                if (now < before) backwards = true;
                uint64_t seen = before;
                while (seen < now && !highest.compare_exchange_weak(seen, now)) {
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_FALSE(backwards);
}

TEST_F(TimerTest, VirtualTimerFires) {
    const uint64_t due = GenericTimer::count() + ms(20);
    timer.write_cval(Kind::Virtual, due);
    timer.write_ctl(Kind::Virtual, kEnable);
    EXPECT_EQ(timer.read_ctl(Kind::Virtual) & kStatus, 0u);
    ASSERT_TRUE(eventually([&] { return wire(27); }));
    EXPECT_GE(GenericTimer::count(), due);
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), kEnable | kStatus);
    EXPECT_FALSE(wire(30)) << "the physical timer is its own";
    timer.write_ctl(Kind::Virtual, kEnable | kMasked);
    EXPECT_FALSE(wire(27));
    EXPECT_EQ(timer.read_ctl(Kind::Virtual), kEnable | kMasked | kStatus);
    timer.write_ctl(Kind::Virtual, kEnable);
    EXPECT_TRUE(wire(27)) << "level: still due";
    timer.write_cval(Kind::Virtual, GenericTimer::count() + ms(10000));
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
        due = GenericTimer::count() + ms(30);
        timer.write_cval(Kind::Virtual, due);
        const bool raised = wire(27);
        if (raised) {
            ASSERT_GE(GenericTimer::count(), due);
        }
    }
    ASSERT_TRUE(eventually([&] { return wire(27); }));
    EXPECT_GE(GenericTimer::count(), due);
}

}  // namespace
}  // namespace arclight::devices
