#include "devices/event_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "tests/devices/fakes.h"

namespace arclight::devices {
namespace {

using test::eventually;

TEST(EventLoop, FiresInTime) {
    EventLoop loop;
    std::atomic<int64_t> fired{0};
    EventLoop::Timer timer(loop, [&] { fired = EventLoop::now_ns(); });
    loop.start();
    const int64_t deadline = EventLoop::now_ns() + 20'000'000;
    timer.arm(deadline);
    ASSERT_TRUE(eventually([&] { return fired != 0; }));
    EXPECT_GE(fired, deadline);
    loop.stop();
}

TEST(EventLoop, EarlierDeadlineOvertakes) {
    EventLoop loop;
    std::atomic<int> count{0};
    EventLoop::Timer late(loop, [] {});
    EventLoop::Timer early(loop, [&] { count++; });
    loop.start();
    late.arm(EventLoop::now_ns() + 60'000'000'000);
    early.arm(EventLoop::now_ns() + 1'000'000);
    EXPECT_TRUE(eventually([&] { return count == 1; }));
}

TEST(EventLoop, LaterDeadlineReplaces) {
    EventLoop loop;
    std::atomic<int64_t> fired{0};
    EventLoop::Timer timer(loop, [&] { fired = EventLoop::now_ns(); });
    loop.start();
    timer.arm(EventLoop::now_ns() + 10'000'000);
    const int64_t deadline = EventLoop::now_ns() + 60'000'000;
    timer.arm(deadline);  // without a system call; the early wake-up must lead to a later one
    ASSERT_TRUE(eventually([&] { return fired != 0; }));
    EXPECT_GE(fired, deadline);
}

TEST(EventLoop, CancelAndPast) {
    EventLoop loop;
    std::atomic<int> cancelled{0}, past{0};
    EventLoop::Timer a(loop, [&] { cancelled++; });
    EventLoop::Timer b(loop, [&] { past++; });
    a.arm(EventLoop::now_ns() + 5'000'000);
    a.cancel();
    b.arm(-1);
    loop.start();
    EXPECT_TRUE(eventually([&] { return past == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(cancelled, 0);
}

// Four threads re-arm against the running loop: no deadline may be lost.
TEST(EventLoop, NoDeadlineIsLost) {
    EventLoop loop;
    struct Slot {
        explicit Slot(EventLoop& loop) : timer(loop, [this] { fired++; }) {}
        std::atomic<unsigned> fired{0};
        EventLoop::Timer timer;
    };
    std::vector<std::unique_ptr<Slot>> slots;
    for (int i = 0; i < 4; i++) slots.push_back(std::make_unique<Slot>(loop));
    loop.start();
    std::vector<std::thread> threads;
    std::atomic<bool> failed{false};
    for (unsigned t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            Slot& slot = *slots[t];
            for (unsigned i = 1; i <= 300 && !failed; i++) {
                slot.timer.arm(EventLoop::now_ns() + (t * 37 + i * 101) % 400 * 1000);
                if (!eventually([&] { return slot.fired >= i; })) failed = true;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_FALSE(failed);
}

// As an operating system's tick does, on a host that may be late.
TEST(EventLoop, RegularDeadlinesCostTheCallerNothing) {
    EventLoop loop;
    std::atomic<int64_t> fired{0};
    EventLoop::Timer timer(loop, [&] { fired = EventLoop::now_ns(); });
    loop.start();
    constexpr int64_t kPeriod = 2'000'000;
    constexpr unsigned kRounds = 300;
    int64_t deadline = EventLoop::now_ns() + kPeriod;
    for (unsigned i = 0; i < kRounds; ++i) {
        // Each time computed anew, and so a little off.
        const int64_t asked = deadline + static_cast<int64_t>(i * 7919 % 3000);
        fired = 0;
        timer.arm(asked);
        ASSERT_TRUE(eventually([&] { return fired != 0; }));
        ASSERT_GE(fired, asked) << i;
        while (deadline <= EventLoop::now_ns()) deadline += kPeriod;
    }
    EXPECT_LT(loop.armed_from_outside(), kRounds / 2);
    // What comes before the expected time still does, and what comes after it is not early.
    for (const int64_t after : {kPeriod / 8, kPeriod * 3}) {
        fired = 0;
        const int64_t asked = EventLoop::now_ns() + after;
        timer.arm(asked);
        ASSERT_TRUE(eventually([&] { return fired != 0; }));
        EXPECT_GE(fired, asked);
    }
}

TEST(EventLoop, IrregularDeadlinesAreToldAtOnce) {
    EventLoop loop;
    std::atomic<int64_t> fired{0};
    EventLoop::Timer timer(loop, [&] { fired = EventLoop::now_ns(); });
    loop.start();
    for (unsigned i = 0; i < 50; ++i) {
        fired = 0;
        const int64_t asked = EventLoop::now_ns() + 1'000'000 + static_cast<int64_t>(i * i % 17) * 100'000;
        timer.arm(asked);
        ASSERT_TRUE(eventually([&] { return fired != 0; }));
        ASSERT_GE(fired, asked);
    }
    EXPECT_GT(loop.armed_from_outside(), 25u);
}

TEST(EventLoop, DescriptorsPauseAndResume) {
    EventLoop loop;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    std::atomic<int> bytes{0};
    ASSERT_TRUE(loop.add_fd(ends[0], EPOLLIN, [&](uint32_t) {
        char c;
        if (read(ends[0], &c, 1) == 1) bytes++;
    }));
    EXPECT_FALSE(loop.add_fd(ends[0], EPOLLIN, [](uint32_t) {})) << "twice";
    loop.start();
    ASSERT_EQ(write(ends[1], "ab", 2), 2);
    EXPECT_TRUE(eventually([&] { return bytes == 2; }));
    loop.modify_fd(ends[0], 0);
    ASSERT_EQ(write(ends[1], "c", 1), 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(bytes, 2);
    loop.modify_fd(ends[0], EPOLLIN);
    EXPECT_TRUE(eventually([&] { return bytes == 3; }));
    loop.remove_fd(ends[0]);
    close(ends[0]);
    close(ends[1]);
}

TEST(EventLoop, RegularFilesAreAlwaysReady) {
    EventLoop loop;
    FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(write(fileno(file), "xyz", 3), 3);
    lseek(fileno(file), 0, SEEK_SET);
    std::atomic<int> bytes{0};
    loop.start();
    ASSERT_TRUE(loop.add_fd(fileno(file), EPOLLIN, [&](uint32_t) {
        char c;
        if (read(fileno(file), &c, 1) == 1) {
            bytes++;
        } else {
            loop.remove_fd(fileno(file));
        }
    }));
    EXPECT_TRUE(eventually([&] { return bytes == 3; }));
    loop.stop();
    std::fclose(file);
}

TEST(EventLoop, Post) {
    EventLoop loop;
    std::atomic<bool> on_loop{false};
    const auto here = std::this_thread::get_id();
    loop.start();
    loop.post([&] { on_loop = std::this_thread::get_id() != here; });
    EXPECT_TRUE(eventually([&] { return on_loop.load(); }));
}

TEST(EventLoop, DrainWaitsForWhatWasPostedAndWhatRuns) {
    EventLoop loop;
    std::atomic<int> ran{0};
    loop.post([&] { ran++; });
    loop.drain();
    EXPECT_EQ(ran, 1) << "not started: the caller runs it";
    loop.start();
    for (int round = 0; round < 50; round++) {
        std::atomic<bool> begun{false}, ended{false};
        EventLoop::Timer timer(loop, [&] {
            begun = true;
            std::this_thread::sleep_for(std::chrono::microseconds(300));
            ended = true;
        });
        timer.arm(0);
        ASSERT_TRUE(eventually([&] { return begun.load(); }));
        const int before = ran;
        for (int i = 0; i < 10; i++) loop.post([&] { ran++; });
        loop.drain();
        EXPECT_TRUE(ended);
        EXPECT_EQ(ran, before + 10);
    }
    std::atomic<bool> nested{false};
    loop.post([&] {
        loop.post([&] { nested = true; });
        loop.drain();
        ran = nested ? -1 : -2;
    });
    loop.drain();
    EXPECT_EQ(ran, -1) << "from a callback";
}

TEST(EventLoop, CountsPendingTimers) {
    EventLoop loop;
    EventLoop::Timer a(loop, [] {}), b(loop, [] {});
    EXPECT_EQ(loop.pending_timers(), 0u);
    a.arm(EventLoop::now_ns() + 60'000'000'000);
    b.arm(EventLoop::now_ns() + 60'000'000'000);
    EXPECT_EQ(loop.pending_timers(), 2u);
    a.cancel();
    EXPECT_EQ(loop.pending_timers(), 1u);
}

}  // namespace
}  // namespace arclight::devices
