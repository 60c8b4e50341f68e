// GuestClock over host clocks that jump: stops of the process, suspended hosts, TSCs that are not what they seem.
#include "devices/host_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>
#include <vector>

#include "devices/guest_clock.h"
#include "devices/host_time_watch.h"
#include "devices/timer.h"
#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

constexpr int64_t kMs = 1'000'000, kSecond = 1000 * kMs;

/// A host whose time goes on only when it is told to; its TSC has 2.5 GHz.
class FakeHost final : public HostTime {
  public:
    mutable std::atomic<int64_t> ns{1'000'000 * kMs}, suspended{0}, cpu{0};
    mutable std::atomic<uint64_t> cycles{77'000'000'000};
    std::atomic<bool> invariant{true};
    bool reading_takes_time = true;

    int64_t monotonic_ns() const override {
        if (reading_takes_time) go_on(20, 50);
        return ns;
    }
    int64_t boottime_ns() const override { return monotonic_ns() + suspended; }
    int64_t cpu_ns() const override { return cpu; }
    uint64_t tsc() const override {
        if (reading_takes_time) go_on(20, 50);
        return cycles;
    }
    bool tsc_is_invariant() const override { return invariant; }

    void go_on(int64_t by_ns, uint64_t by_cycles) const {
        ns += by_ns;
        cycles += by_cycles;
    }
    /// The process may run, and uses this part of the time.
    void run(int64_t by_ns, double used = 0) {
        go_on(by_ns, static_cast<uint64_t>(by_ns) * 5 / 2);
        cpu += static_cast<int64_t>(static_cast<double>(by_ns) * used);
    }
    void stop(int64_t by_ns) { run(by_ns); }
    /// CLOCK_MONOTONIC stands.
    void suspend(int64_t by_ns, int64_t tsc_by_ns) {
        suspended += by_ns;
        cycles += static_cast<uint64_t>(tsc_by_ns * 5 / 2);
    }
};

/// A watched clock with readers that never see time go back, not even of another.
class HostTimeTest : public testing::TestWithParam<bool> {
  protected:
    HostTimeTest() { host_.invariant = GetParam(); }

    void begin(HostSuspend what, unsigned threads = 1) {
        clock_.emplace(&host_);
        clock_->begin_watch({.host_suspend = what, .busy_threads = threads});
        go_on(kSecond);  // the TSC is calibrated by then
    }
    int64_t read() {
        const auto now = static_cast<int64_t>(clock_->ticks()) * GuestClock::kNsPerTick;
        EXPECT_GE(now, last_);
        return last_ = now;
    }
    /// What a thread that has read nothing yet sees.
    int64_t read_elsewhere() {
        int64_t now = 0;
        std::thread([&] { now = static_cast<int64_t>(clock_->ticks()) * GuestClock::kNsPerTick; }).join();
        return now;
    }
    bool look() {
        const bool moved = clock_->look_at_host();
        read();
        return moved;
    }
    /// As on a host that is not busy, guest code included.
    void go_on(int64_t ns, double used = 0.9) {
        for (int64_t done = 0; done < ns; done += 100 * kMs) {
            for (int i = 0; i < 10; ++i) {
                host_.run(10 * kMs, used);
                read();
            }
            EXPECT_FALSE(look());
        }
    }
    /// How far the guest goes on by what `happens`, until the watch has looked twice.
    template <typename Happens>
    int64_t passes(Happens happens) {
        const int64_t before = read();
        happens();
        read();
        look();
        host_.run(100 * kMs, 0.9);
        read();
        look();
        return read() - before - 100 * kMs;
    }

    FakeHost host_;
    std::optional<GuestClock> clock_;
    int64_t last_ = 0;
};
// On the TSC, and on CLOCK_MONOTONIC.
INSTANTIATE_TEST_SUITE_P(Source, HostTimeTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tsc" : "Monotonic"; });

TEST_P(HostTimeTest, RunsAsTheHostDoes) {
    begin(HostSuspend::Pause);
    const int64_t guest = read(), host = host_.ns;
    go_on(20 * kSecond);
    EXPECT_NEAR(static_cast<double>(read() - guest), static_cast<double>(host_.ns - host), 100'000);
}

TEST_P(HostTimeTest, AStopIsNotSeen) {
    begin(HostSuspend::Pause);
    for (const int64_t seconds : {1, 5, 3600, 86400 * 365}) {
        const int64_t passed = passes([&] { host_.stop(seconds * kSecond); });
        EXPECT_LE(passed, GuestClock::kUnwatchedNs + kMs) << seconds;
        EXPECT_GE(passed, 0);
        go_on(kSecond);
    }
}

// All CPUs read before the watch has looked.
TEST_P(HostTimeTest, NobodySeesAStopBeforeTheWatch) {
    begin(HostSuspend::Pause);
    const int64_t before = read();
    host_.stop(10 * kSecond);
    EXPECT_LE(read(), before + GuestClock::kUnwatchedNs);
    EXPECT_LE(read_elsewhere(), before + GuestClock::kUnwatchedNs);
    look();
    EXPECT_LE(read_elsewhere(), before + GuestClock::kUnwatchedNs + kMs);
}

TEST_P(HostTimeTest, AStopPassesIfAskedFor) {
    begin(HostSuspend::Pass);
    EXPECT_NEAR(static_cast<double>(passes([&] { host_.stop(7 * kSecond); })), 7e9, 1e6);
    go_on(kSecond);
}

// A watch that waits for its turn, while the guest computes: no time may be lost.
TEST_P(HostTimeTest, ABusyHostIsNoStop) {
    for (const unsigned threads : {1u, 4u}) {
        begin(HostSuspend::Pause, threads);
        for (const int64_t late : {150, 400, 700, 2000, 9000}) {
            const double used = 0.9 * threads;
            EXPECT_NEAR(static_cast<double>(passes([&] { host_.run(late * kMs, used); })),
                        static_cast<double>(late * kMs), 1e6)
                << late << " ms late, " << threads << " threads";
        }
        last_ = 0;
    }
}

// Before and after the stop the guest computes on all of its CPUs.
TEST_P(HostTimeTest, AStopOfABusyGuestIsOne) {
    begin(HostSuspend::Pause, 8);
    const int64_t passed = passes([&] {
        host_.run(90 * kMs, 8);
        host_.stop(4 * kSecond);
        host_.run(20 * kMs, 8);
    });
    EXPECT_LE(passed, GuestClock::kUnwatchedNs + kMs);
}

// While the host is suspended its TSC stands, goes on, or starts anew.
TEST_P(HostTimeTest, ASuspendIsNotSeen) {
    for (const int64_t tsc : {int64_t{0}, 60 * kSecond, -20 * kSecond}) {
        begin(HostSuspend::Pause);
        EXPECT_LE(passes([&] { host_.suspend(60 * kSecond, tsc); }), GuestClock::kUnwatchedNs + kMs) << tsc;
        const int64_t guest = read(), host = host_.ns;
        go_on(3 * kSecond);
        EXPECT_NEAR(static_cast<double>(read() - guest), static_cast<double>(host_.ns - host), 1e6) << tsc;
        last_ = 0;
    }
}

TEST_P(HostTimeTest, ASuspendPassesIfAskedFor) {
    for (const int64_t tsc : {int64_t{0}, 60 * kSecond, -20 * kSecond}) {
        begin(HostSuspend::Pass);
        const int64_t before = read();
        host_.suspend(60 * kSecond, tsc);
        read();
        EXPECT_TRUE(look()) << "deadlines are set again";
        EXPECT_NEAR(static_cast<double>(read() - before), 60e9, 1e6) << tsc;
        go_on(kSecond);
        last_ = 0;
    }
}

TEST_P(HostTimeTest, NoTscTakesTimeBack) {
    begin(HostSuspend::Pause);
    for (const int64_t jump : {-kMs, -50 * kMs, -10 * kSecond, 10 * kSecond, 400 * kMs, 3 * kMs}) {
        const int64_t before = read(), host = host_.ns;
        host_.run(50 * kMs, 0.9);
        read();
        host_.cycles += static_cast<uint64_t>(jump * 5 / 2);
        read();
        host_.run(50 * kMs, 0.9);
        read();
        look();
        go_on(2 * kSecond);
        const auto off = static_cast<double>(read() - before - (host_.ns - host));
        EXPECT_GE(off, -1e6) << jump;
        EXPECT_LE(off, jump > 0 ? 201e6 : 1e6) << jump << ": what was seen until the watch looked";
    }
}

// A TSC that jumps all the time is left alone.
TEST_P(HostTimeTest, ATscThatJumpsIsNotUsed) {
    begin(HostSuspend::Pause);
    for (int i = 0; i < 40; ++i) {
        host_.cycles -= static_cast<uint64_t>(kSecond);
        look();
        go_on(kSecond);
    }
    const int64_t before = read();
    host_.cycles += static_cast<uint64_t>(100 * kSecond);
    host_.run(100 * kMs, 0.9);
    EXPECT_NEAR(static_cast<double>(read() - before), 100e6, 1e6) << "CLOCK_MONOTONIC is";
}

// A pause of the machine is none of the watch's business, nor is what happens in it.
TEST_P(HostTimeTest, PausesOfTheMachine) {
    begin(HostSuspend::Pass);
    const int64_t before = read();
    clock_->pause_counter();
    host_.stop(5 * kSecond);
    look();
    host_.suspend(5 * kSecond, 5 * kSecond);
    look();
    clock_->resume_counter();
    look();
    EXPECT_NEAR(static_cast<double>(read() - before), 0, 1e6);
    go_on(kSecond);
    clock_->end_watch();
    host_.run(10 * kSecond);
    EXPECT_NEAR(static_cast<double>(read() - before), 11e9, 1e6) << "without a watch there is no limit";
}

// A timer whose time has come by a jump of the counter, and one whose deadline only came nearer.
TEST(HostTimeWatch, TimersFollowAJump) {
    GuestClock clock;
    EventLoop loop;
    test::FakeController wires;
    GenericTimer timer(loop, clock, wires, 0);
    loop.start();
    const uint64_t start = clock.ticks();
    timer.write_cval(GenericTimer::Kind::Virtual, start + 1000 * GuestClock::kFrequency);
    timer.write_cval(GenericTimer::Kind::Physical, start + 1000 * GuestClock::kFrequency + 20'000'000);
    timer.write_ctl(GenericTimer::Kind::Virtual, 1);
    timer.write_ctl(GenericTimer::Kind::Physical, 1);
    clock.set_ticks(start + 1000 * GuestClock::kFrequency);
    timer.time_moved();
    EXPECT_TRUE(wires.ppis[0][layout::kPpiTimerVirtual]);
    EXPECT_TRUE(test::eventually([&] { return wires.ppis[0][layout::kPpiTimerPhysical].load(); }));
    loop.stop();
}

// The watch itself: on this host, which may be busy, the counter keeps time.
TEST(HostTimeWatch, CounterKeepsTime) {
    GuestClock clock;
    const HostTimeWatch watch(clock, {}, [] {});
    const int64_t start_ns = HostTime::real().monotonic_ns();
    const uint64_t start = clock.ticks();
    uint64_t last = start;
    while (HostTime::real().monotonic_ns() < start_ns + kSecond) {
        const uint64_t now = clock.ticks();
        ASSERT_GE(now, last);
        last = now;
    }
    // A watch that is late stops the counter for a while.
    EXPECT_TRUE(test::eventually([&] {
        const auto ns = static_cast<double>(HostTime::real().monotonic_ns() - start_ns);
        return std::abs(static_cast<double>(clock.ticks() - start) * 16 / ns - 1) < 0.001;
    }));
}

}  // namespace
}  // namespace arclight::devices
