#include "devices/pci/i6300esb.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/devices/pci_board.h"

namespace arclight::devices::test {
namespace {

class WatchdogHost final : public MachineHost {
  public:
    void say(const std::string&) override {}
    void pause(const std::string&) override {}
    void watchdog_expired() override { expired++; }
    std::atomic<unsigned> expired{0};
};

struct WatchdogTest : ::testing::Test {
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kBar = layout::kPciMemory32.base;

    WatchdogTest() {
        EXPECT_TRUE(board.bridge.plug(watchdog, kDevfn));
        loop.start();
        map();
    }
    ~WatchdogTest() override { loop.stop(); }

    void map() {
        board.set_config(0, kDevfn, 0x10, kBar);
        board.set_config(0, kDevfn, 0x04, 2, 2);
    }
    void unlock() {
        board.write(kBar + 0xc, 0x80, 2);
        board.write(kBar + 0xc, 0x86, 2);
    }
    void set_stages(uint32_t value) {
        for (const unsigned offset : {0u, 4u}) {
            unlock();
            board.write(kBar + offset, value, 4);
        }
    }
    void restart() {
        unlock();
        board.write(kBar + 0xc, 0x100, 2);
    }
    void set_lock(uint8_t value) { board.set_config(0, kDevfn, 0x68, value, 1); }
    uint64_t lock() { return board.config(0, kDevfn, 0x68, 1); }
    bool expires() {
        for (unsigned i = 0; i < 20000 && host.expired == 0; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return host.expired != 0;
    }
    static void a_while() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

    EventLoop loop;
    GuestClock clock;
    WatchdogHost host;
    PciBoard board;
    pci::I6300Esb watchdog{loop, clock, &host};
};

// One unit of the slow clock is almost a millisecond; two stages of five.
constexpr uint32_t kShort = 5, kLong = 0xfffff;

TEST_F(WatchdogTest, IsWhatLinuxLooksFor) {
    EXPECT_EQ(board.config(0, kDevfn, 0), 0x25ab'8086u);
    EXPECT_EQ(board.config(0, kDevfn, 8) >> 16, 0x0880u);
    board.set_config(0, kDevfn, 0x60, 0xffff, 2);
    EXPECT_EQ(board.config(0, kDevfn, 0x60, 2), 0x27u);
}

TEST_F(WatchdogTest, ExpiresOnceInAGuestThatDoesNotAttendToIt) {
    set_stages(kShort);
    a_while();
    EXPECT_EQ(host.expired, 0u) << "it is not enabled";
    set_lock(2);
    ASSERT_TRUE(expires());
    EXPECT_EQ(board.read(kBar + 0xc, 2), 0x1200u) << "the guest can tell";
    a_while();
    EXPECT_EQ(host.expired, 1u);
    EXPECT_EQ(lock(), 0u) << "it is not enabled any more";
    board.set_config(0, kDevfn, 0x04, 2, 2);
    EXPECT_EQ(lock(), 0u);
    unlock();
    board.write(kBar + 0xc, 0x200, 2);
    EXPECT_EQ(board.read(kBar + 0xc, 2), 0u);
}

TEST_F(WatchdogTest, WritesWithoutTheSequenceDoNothing) {
    board.write(kBar, kShort, 4);
    board.write(kBar + 4, kShort, 4);
    board.write(kBar + 0xc, 0x86, 2);
    board.write(kBar, kShort, 4);
    set_lock(2);
    a_while();
    EXPECT_EQ(host.expired, 0u) << "both stages are as long as they can be";
}

TEST_F(WatchdogTest, RestartedItDoesNotExpire) {
    // Two stages of 200 ms each; on a host that keeps this thread off its core for longer nothing is shown.
    set_stages(200);
    set_lock(2);
    const auto begin = std::chrono::steady_clock::now();
    auto last = begin;
    bool held_up = false;
    for (unsigned i = 0; i < 60; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        restart();
        const auto now = std::chrono::steady_clock::now();
        held_up |= now - last > std::chrono::milliseconds(150);
        last = now;
    }
    EXPECT_TRUE(host.expired == 0 || held_up);
    ASSERT_TRUE(expires());
}

TEST_F(WatchdogTest, StopsUnlessItIsLocked) {
    set_stages(kShort);
    set_lock(2);
    set_lock(0);
    EXPECT_EQ(lock(), 0u);
    a_while();
    const unsigned before = host.expired;
    a_while();
    EXPECT_EQ(host.expired, before);
    set_stages(kLong);
    set_lock(3);
    set_lock(0);
    EXPECT_EQ(lock(), 3u);
    // A reset unlocks it.
    watchdog.reset();
    map();
    EXPECT_EQ(lock(), 0u);
    EXPECT_EQ(host.expired, before);
}

TEST_F(WatchdogTest, WithoutAnEndItCountsOn) {
    board.set_config(0, kDevfn, 0x60, 0x20, 2);
    set_stages(kShort);
    set_lock(2 | 4);
    a_while();
    EXPECT_EQ(host.expired, 0u);
}

TEST_F(WatchdogTest, CountsGuestTimeAndGoesOnInAnotherMachine) {
    set_stages(100);
    set_lock(2);
    clock.quiesce();
    watchdog.quiesce();
    const unsigned before = host.expired;
    a_while(), a_while(), a_while();
    EXPECT_EQ(host.expired, before) << "a guest that stands cannot attend to it";
    StateWriter out;
    clock.save(out);
    watchdog.save(out);
    const auto saved = out.finish();
    ASSERT_TRUE(saved);

    GuestClock other_clock;
    WatchdogHost other_host;
    PciBoard other_board;
    pci::I6300Esb other(loop, other_clock, &other_host);
    ASSERT_TRUE(other_board.bridge.plug(other, kDevfn));
    other_clock.quiesce();
    other.quiesce();
    StateReader in(*saved);
    ASSERT_TRUE(other_clock.load(in));
    ASSERT_TRUE(other.load(in));
    ASSERT_TRUE(in.finish());
    other_clock.resume();
    other.resume();
    for (unsigned i = 0; i < 20000 && other_host.expired == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(other_host.expired, 1u);
}

}  // namespace
}  // namespace arclight::devices::test
