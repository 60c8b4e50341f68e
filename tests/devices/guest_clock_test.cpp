#include "devices/guest_clock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "devices/event_loop.h"

namespace arclight::devices {
namespace {

constexpr uint64_t ms(uint64_t n) { return n * GuestClock::kFrequency / 1000; }
void sleep_ms(int n) { std::this_thread::sleep_for(std::chrono::milliseconds(n)); }

TEST(GuestClock, CounterKeepsTime) {
    GuestClock clock;
    // Long enough to pass from the clock to the calibrated TSC.
    const int64_t start_ns = EventLoop::now_ns();
    const uint64_t start = clock.ticks();
    uint64_t last = start;
    while (EventLoop::now_ns() < start_ns + 600'000'000) {
        const uint64_t now = clock.ticks();
        ASSERT_GE(now, last);
        last = now;
    }
    const auto ns = static_cast<double>(EventLoop::now_ns() - start_ns);
    const auto ticks = static_cast<double>(clock.ticks() - start);
    EXPECT_NEAR(ticks * 16 / ns, 1.0, 0.001);
}

TEST(GuestClock, CounterIsMonotonicAcrossThreads) {
    GuestClock clock;
    std::atomic<uint64_t> highest{0};
    std::atomic<bool> backwards{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&] {
            for (int i = 0; i < 200'000; i++) {
                const uint64_t before = highest.load();
                const uint64_t now = clock.ticks();
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

// Before and after the counter has gone over to the TSC.
TEST(GuestClock, PauseStopsTheCounter) {
    GuestClock clock;
    for (int round = 0; round < 2; round++) {
        clock.pause_counter();
        const uint64_t stopped = clock.ticks();
        sleep_ms(10);
        EXPECT_EQ(clock.ticks(), stopped);
        clock.resume_counter();
        const uint64_t after = clock.ticks();
        EXPECT_GE(after, stopped);
        sleep_ms(10);
        EXPECT_GE(clock.ticks(), after + ms(10) - 2);
        sleep_ms(250);
        clock.ticks();
    }
}

// Readers on other threads never see time go back, whatever is done to the clock.
TEST(GuestClock, MonotonicAcrossPauses) {
    GuestClock clock;
    std::atomic<bool> done{false}, backwards{false};
    std::vector<std::thread> readers;
    for (int t = 0; t < 2; t++) {
        readers.emplace_back([&] {
            uint64_t last = 0;
            while (!done) {
                const uint64_t now = clock.ticks();
                if (now < last) backwards = true;
                last = now;
            }
        });
    }
    for (int i = 0; i < 3000; i++) {
        clock.pause_counter();
        clock.resume_counter();
        if (i % 1000 == 0) sleep_ms(120);
    }
    done = true;
    for (auto& reader : readers) reader.join();
    EXPECT_FALSE(backwards);
}

TEST(GuestClock, GoesOnFromWhatWasSaved) {
    GuestClock clock, other;
    clock.set_ticks(ms(1'000'000));
    clock.set_wall_offset_ns(-5'000'000'000);
    clock.pause_counter();
    StateWriter out;
    clock.save(out);
    const auto stream = out.finish().value();
    StateReader in(stream);
    other.pause_counter();
    ASSERT_TRUE(other.load(in).has_value());
    ASSERT_TRUE(in.finish().has_value());
    EXPECT_EQ(other.ticks(), clock.ticks());
    other.resume_counter();
    sleep_ms(5);
    EXPECT_GE(other.ticks(), ms(1'000'005) - 2);
    EXPECT_LT(other.ticks(), ms(1'060'000));
    EXPECT_NEAR(static_cast<double>(other.wall_ns()), static_cast<double>(GuestClock().wall_ns()) - 5e9, 1e9);
}

TEST(GuestClock, DeadlinesAreHostTime) {
    GuestClock clock;
    const int64_t now = EventLoop::now_ns();
    const int64_t deadline = clock.deadline_ns(clock.ticks() + ms(1000));
    EXPECT_NEAR(static_cast<double>(deadline - now), 1e9, 1e8);
    const int64_t past = clock.deadline_ns(0);
    EXPECT_LE(past, EventLoop::now_ns());
    EXPECT_GT(clock.deadline_ns(~0ull), now) << "no overflow";
}

}  // namespace
}  // namespace arclight::devices
