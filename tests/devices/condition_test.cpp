// What a register shows and the wire that it drives change together, for every device: nobody reads that an
// interrupt is due while its wire is low. The event loop does not run here, or the thread that drives a wire
// is held up right before the wire rises, as on a busy host.
#include <gtest/gtest.h>

#include <future>

#include "devices/gic_v2.h"
#include "devices/gic_v3.h"
#include "devices/pl031.h"
#include "devices/timer.h"
#include "devices/virtio/rng.h"
#include "tests/devices/fakes.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices {
namespace {

using Kind = GenericTimer::Kind;

// ---- Time has come, and the event loop has not noticed

struct LateLoop : testing::Test {
    /// Waits by reading: true once `shows`, with the wire as it was right after the last reading.
    template <typename Shows>
    static bool high_when(const std::atomic<bool>& wire, Shows&& shows) {
        bool high = false;
        const bool shown = test::eventually([&] {
            if (!shows()) return false;
            high = wire;
            return true;
        });
        return shown && high;
    }
    void start(Kind kind, uint64_t control = 1) {
        timer.write_ctl(kind, 0);
        timer.write_cval(kind, clock.ticks() + GuestClock::kFrequency / 500);
        timer.write_ctl(kind, control);
    }

    test::FakeController controller;
    EventLoop loop;
    GuestClock clock;
    GenericTimer timer{loop, clock, controller, 1};
};

TEST_F(LateLoop, TimerStatusValueAndCounter) {
    for (const auto& [kind, ppi] : {std::pair{Kind::Virtual, 27u}, {Kind::Physical, 30u}}) {
        const auto& wire = controller.ppis[1][ppi];
        start(kind);
        EXPECT_TRUE(high_when(wire, [&] { return (timer.read_ctl(kind) & 4) != 0; })) << ppi;
        start(kind);
        EXPECT_TRUE(high_when(wire, [&] { return (timer.read_tval(kind) & 0x8000'0000) != 0; })) << ppi;
        start(kind);
        const uint64_t due = timer.read_cval(kind);
        EXPECT_TRUE(high_when(wire, [&] {
            const uint64_t now = clock.ticks();
            timer.counter_read(now);
            return now >= due;
        })) << ppi;
    }
}

TEST_F(LateLoop, AMaskedOrStoppedTimerDrivesNothing) {
    const auto& wire = controller.ppis[1][27];
    start(Kind::Virtual, 3);
    EXPECT_FALSE(high_when(wire, [&] { return (timer.read_ctl(Kind::Virtual) & 4) != 0; }));
    timer.counter_read(clock.ticks());
    EXPECT_FALSE(wire);
    timer.write_ctl(Kind::Virtual, 1);
    EXPECT_TRUE(wire);
    timer.write_ctl(Kind::Virtual, 0);
    timer.counter_read(clock.ticks());
    EXPECT_FALSE(wire);
}

TEST_F(LateLoop, RtcAlarmAndTime) {
    constexpr uint64_t kDr = 0, kMr = 4, kImsc = 0x10, kRis = 0x14, kMis = 0x18, kIcr = 0x1c;
    const auto& wire = controller.spis[layout::kSpiRtc];
    Pl031 rtc(loop, clock, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiRtc));
    rtc.write(kImsc, 1, 4);
    // The next second comes soon: the time of day is moved to just before it. Again, if this thread was held
    // up, so that the second passed before the match was set.
    const auto start = [&] {
        do {
            rtc.write(kIcr, 1, 4);
            clock.set_wall_offset_ns(clock.wall_offset_ns() + 990'000'000 - clock.wall_ns() % 1'000'000'000);
            rtc.write(kMr, rtc.read(kDr, 4) + 1, 4);
        } while (rtc.read(kDr, 4) >= rtc.read(kMr, 4) && !wire);
    };
    start();
    EXPECT_TRUE(high_when(wire, [&] { return rtc.read(kRis, 4) == 1; }));
    start();
    EXPECT_TRUE(high_when(wire, [&] { return rtc.read(kMis, 4) == 1; }));
    start();
    EXPECT_TRUE(high_when(wire, [&] { return rtc.read(kDr, 4) >= rtc.read(kMr, 4); }));
}

// ---- The thread that drives a wire is held up

/// While a wire is about to rise, `shows` is asked from another thread: it may answer no, or wait.
template <typename Shows>
class Onlooker {
  public:
    explicit Onlooker(Shows shows) : shows_(std::move(shows)) {}
    void look() {
        ++looks;
        answer_ = std::async(std::launch::async, shows_);
        if (answer_.wait_for(std::chrono::milliseconds(20)) == std::future_status::ready)
            ahead |= answer_.get();
    }
    /// Once the wire is high.
    void finish() {
        if (answer_.valid()) answer_.get();
    }
    unsigned looks = 0;
    bool ahead = false;  ///< shown before the wire was high

  private:
    Shows shows_;
    std::future<bool> answer_;
};

TEST(HeldUp, Pl011) {
    constexpr uint64_t kFr = 0x18, kImsc = 0x38, kRis = 0x3c, kMis = 0x40;
    for (const uint64_t reg : {kFr, kRis, kMis}) {
        test::FakeController controller;
        test::FakeTerminal terminal;
        Pl011 uart(terminal, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiUart));
        uart.write(kImsc, 0x7ff, 4);
        const uint64_t before = uart.read(reg, 4);
        Onlooker onlooker([&] { return uart.read(reg, 4) != before; });
        controller.before_rise = [&] { onlooker.look(); };
        EXPECT_TRUE(test::type(uart, 'x'));
        onlooker.finish();
        EXPECT_EQ(onlooker.looks, 1u);
        EXPECT_FALSE(onlooker.ahead) << reg;
        EXPECT_NE(uart.read(reg, 4), before);
        EXPECT_TRUE(controller.spis[layout::kSpiUart]);
    }
}

TEST(HeldUp, Virtio) {
    constexpr uint64_t kInterruptStatus = 0x60;
    test::VirtioDriver driver(std::make_unique<virtio::Rng>());
    driver.start();
    Onlooker onlooker([&] { return driver.get(kInterruptStatus) != 0; });
    uint16_t used_at_rise = 0;
    driver.controller.before_rise = [&] {
        used_at_rise = driver.used_index();
        onlooker.look();
    };
    driver.describe(driver.kDescriptors, 0, driver.kData, 16, driver.kWrite);
    driver.offer(0);
    ASSERT_TRUE(test::eventually([&] { return driver.wire(); }));
    onlooker.finish();
    EXPECT_EQ(onlooker.looks, 1u);
    EXPECT_FALSE(onlooker.ahead);
    EXPECT_EQ(used_at_rise, 1u) << "whoever is interrupted finds the used buffer";
    EXPECT_EQ(driver.get(kInterruptStatus), 1u);
}

TEST(HeldUp, Gic) {
    constexpr unsigned kSpi = 40, kIntid = kSpi + layout::kFirstSpiIntid;
    constexpr uint64_t kEnable = 0x100 + kIntid / 32 * 4, kPending = 0x200 + kIntid / 32 * 4;
    test::FakeSink sink;
    const auto check = [&](auto& gic, auto& distributor) {
        Onlooker onlooker([&] { return (distributor.read(kPending, 4) >> kIntid % 32 & 1) != 0; });
        sink.before_rise = [&] { onlooker.look(); };
        gic.set_spi(kSpi, true);
        onlooker.finish();
        sink.before_rise = {};
        EXPECT_EQ(onlooker.looks, 1u);
        EXPECT_FALSE(onlooker.ahead);
        EXPECT_TRUE(sink.irqs[0]);
        sink.irqs[0] = false;
    };
    {
        GicV2 gic(1, sink);
        gic.distributor().write(0, 1, 4);
        gic.distributor().write(kEnable, 1u << kIntid % 32, 4);
        gic.cpu_interface().write(4, 0xff, 4);
        gic.cpu_interface().write(0, 1, 4);
        check(gic, gic.distributor());
    }
    {
        constexpr uint32_t kPmr = 3u << 14 | 4u << 7 | 6u << 3, kIgrpen1 = 3u << 14 | 12u << 7 | 12u << 3 | 7;
        GicV3 gic(1, sink);
        gic.distributor().write(0, 2, 4);
        gic.distributor().write(0x80 + kIntid / 32 * 4, ~0u, 4);
        gic.distributor().write(kEnable, 1u << kIntid % 32, 4);
        ASSERT_TRUE(gic.write_sysreg(0, kPmr, 0xff));
        ASSERT_TRUE(gic.write_sysreg(0, kIgrpen1, 1));
        check(gic, gic.distributor());
    }
}

}  // namespace
}  // namespace arclight::devices
