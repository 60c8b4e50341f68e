#include "devices/gic_v2.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint64_t kCtlr = 0, kPmr = 4, kBpr = 8, kIar = 0xc, kEoir = 0x10, kRpr = 0x14, kHppir = 0x18,
                   kAbpr = 0x1c, kAiar = 0x20, kAeoir = 0x24, kAhppir = 0x28, kDir = 0x1000;
constexpr unsigned kNone = 1023;

struct GicV2Test : testing::Test {
    // As Linux: group 0 delivered as IRQ.
    GicV2Test() {
        dist(0, 1);
        for (unsigned i = 32; i < 288; i += 4) dist(0x400 + i, 0xa0a0a0a0);
        for (unsigned cpu = 0; cpu < 4; cpu++) {
            set_current_cpu(cpu);
            for (unsigned i = 0; i < 32; i += 4) dist(0x400 + i, 0xa0a0a0a0);
            dist(0x100, ~0u);
            set(cpu, kPmr, 0xf0);
            set(cpu, kCtlr, 1);
        }
        set_current_cpu(0);
    }
    ~GicV2Test() override { set_current_cpu(0); }

    void dist(uint64_t offset, uint64_t value, unsigned size = 4) {
        gic.distributor().write(offset, value, size);
    }
    uint64_t dist_get(uint64_t offset, unsigned size = 4) { return gic.distributor().read(offset, size); }
    uint64_t get(unsigned cpu, uint64_t offset) {
        set_current_cpu(cpu);
        return gic.cpu_interface().read(offset, 4);
    }
    void set(unsigned cpu, uint64_t offset, uint64_t value) {
        set_current_cpu(cpu);
        gic.cpu_interface().write(offset, value, 4);
    }
    void enable_spi(unsigned intid, uint8_t priority, uint8_t targets = 1) {
        dist(0x400 + intid, priority, 1);
        dist(0x800 + intid, targets, 1);
        dist(0x100 + intid / 32 * 4, 1u << (intid % 32));
    }
    test::FakeSink sink;
    GicV2 gic{4, sink};
};

// Read out of QEMU 7.2's virt board with two CPUs by a bare-metal program.
TEST(GicV2Reset, Values) {
    test::FakeSink sink;
    GicV2 gic(2, sink);
    const std::pair<uint64_t, uint32_t> distributor[] = {
        {0x000, 0},          {0x004, 0x28}, {0x008, 0x43b}, {0x080, 0}, {0x100, 0xffff},
        {0xc00, 0xaaaaaaaa}, {0xc04, 0},    {0x400, 0},     {0x820, 0}, {0x800, 0x01010101},
        {0xfe0, 0x90},       {0xfe8, 0x2b}, {0xfd0, 4}};
    for (const auto& [offset, value] : distributor) {
        EXPECT_EQ(gic.distributor().read(offset, 4), value) << std::hex << offset;
    }
    const std::pair<uint64_t, uint32_t> interface[] = {{kCtlr, 0},    {kPmr, 0},       {kBpr, 0},
                                                       {kAbpr, 1},    {kRpr, 0xff},    {kHppir, kNone},
                                                       {kIar, kNone}, {0xfc, 0x2043b}, {0xd0, 0}};
    for (const auto& [offset, value] : interface) {
        EXPECT_EQ(gic.cpu_interface().read(offset, 4), value) << std::hex << offset;
    }
    gic.cpu_interface().write(kCtlr, ~0u, 4);
    EXPECT_EQ(gic.cpu_interface().read(kCtlr, 4), 0x21fu);
    gic.distributor().write(0, ~0u, 4);
    EXPECT_EQ(gic.distributor().read(0, 4), 3u);
}

TEST_F(GicV2Test, LevelInterrupt) {
    enable_spi(33, 0xa0, 0b0010);
    gic.set_spi(1, true);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_TRUE(sink.irqs[1]);
    EXPECT_EQ(get(0, kIar), kNone);
    EXPECT_EQ(get(1, kIar), 33u);
    EXPECT_EQ(get(1, kRpr), 0xa0u);
    EXPECT_FALSE(sink.irqs[1]);
    set(1, kEoir, 33);
    EXPECT_TRUE(sink.irqs[1]);
    gic.set_spi(1, false);
    EXPECT_FALSE(sink.irqs[1]);
}

TEST_F(GicV2Test, FirstTakerWins) {
    enable_spi(33, 0xa0, 0b1111);
    gic.set_spi(1, true);
    for (unsigned cpu = 0; cpu < 4; cpu++) EXPECT_TRUE(sink.irqs[cpu]);
    EXPECT_EQ(get(2, kIar), 33u);
    for (unsigned cpu = 0; cpu < 4; cpu++) EXPECT_FALSE(sink.irqs[cpu]) << cpu;
    EXPECT_EQ(get(0, kIar), kNone);
}

TEST_F(GicV2Test, SgiPerSource) {
    set_current_cpu(2);
    dist(0xf00, 0b0010u << 16 | 6);
    set_current_cpu(3);
    dist(0xf00, 0b0010u << 16 | 6);
    set_current_cpu(1);
    EXPECT_EQ(dist_get(0xf24, 4), 0b1100u << 16) << "SPENDSGIR shows both senders";
    EXPECT_EQ(get(1, kHppir), 2u << 10 | 6);
    EXPECT_EQ(get(1, kIar), 2u << 10 | 6);
    set(1, kEoir, 2u << 10 | 6);
    EXPECT_EQ(get(1, kIar), 3u << 10 | 6) << "one interrupt for each sender";
    set(1, kEoir, 3u << 10 | 6);
    EXPECT_EQ(get(1, kIar), kNone);
    set_current_cpu(0);
    dist(0xf00, 1u << 24 | 2);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_TRUE(sink.irqs[1] && sink.irqs[2] && sink.irqs[3]);
    dist(0xf00, 2u << 24 | 2);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar), 2u);
    set_current_cpu(1);
    dist(0xf12, 1, 1);  // CPENDSGIR: drop what CPU 0 sent
    EXPECT_FALSE(sink.irqs[1]);
}

TEST_F(GicV2Test, PreemptionAndSeparateDeactivation) {
    for (unsigned cpu = 0; cpu < 1; cpu++) set(cpu, kCtlr, 0x201);
    enable_spi(33, 0xa0);
    enable_spi(34, 0x40);
    gic.set_spi(1, true);
    EXPECT_EQ(get(0, kIar), 33u);
    gic.set_spi(2, true);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar), 34u);
    EXPECT_EQ(get(0, kRpr), 0x40u);
    set(0, kEoir, 34);
    EXPECT_EQ(get(0, kRpr), 0xa0u);
    EXPECT_EQ(dist_get(0x304), 6u);
    EXPECT_FALSE(sink.irqs[0]);
    set(0, kDir, 34);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(dist_get(0x304), 2u);
}

TEST_F(GicV2Test, Groups) {
    dist(0, 3);
    set(0, kCtlr, 0b1011);  // both groups, group 0 as FIQ
    enable_spi(33, 0xa0);
    dist(0x84, 2);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_FALSE(sink.fiqs[0]);
    EXPECT_EQ(get(0, kHppir), 1022u) << "group 1 needs the alias or AckCtl";
    EXPECT_EQ(get(0, kIar), 1022u);
    EXPECT_EQ(get(0, kAhppir), 33u);
    EXPECT_EQ(get(0, kAiar), 33u);
    gic.set_spi(1, false);
    set(0, kAeoir, 33);
    EXPECT_EQ(get(0, kRpr), 0xffu);
    enable_spi(34, 0xa0);
    gic.set_spi(2, true);
    EXPECT_TRUE(sink.fiqs[0]);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(get(0, kAiar), kNone);
    EXPECT_EQ(get(0, kIar), 34u);
}

TEST_F(GicV2Test, BankedRegisters) {
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        set_current_cpu(cpu);
        EXPECT_EQ(dist_get(0x800), 0x01010101u << cpu);
        dist(0x41c, 0x10u * cpu, 1);
    }
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        set_current_cpu(cpu);
        EXPECT_EQ(dist_get(0x41c, 1), 0x10u * cpu);
    }
    dist(0x820, ~0u);
    EXPECT_EQ(dist_get(0x820), 0x0f0f0f0fu) << "no more targets than CPUs";
    dist(0x180, ~0u);
    EXPECT_EQ(dist_get(0x100), 0xffffu) << "SGIs stay enabled";
    dist(0x200, ~0u);
    EXPECT_EQ(dist_get(0x200), 0xffff0000u) << "and are not pended here";
}

TEST(GicV2OneCpu, EverythingTargetsIt) {
    test::FakeSink sink;
    GicV2 gic(1, sink);
    gic.distributor().write(0, 1, 4);
    gic.distributor().write(0x104, 2, 4);
    gic.cpu_interface().write(kPmr, 0xff, 4);
    gic.cpu_interface().write(kCtlr, 1, 4);
    EXPECT_EQ(gic.distributor().read(0x800, 4), 0u);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[0]);
}

// In the middle of everything: an SPI in service, a more urgent one and SGIs of two CPUs pending, a level
// high.
TEST_F(GicV2Test, GoesOnAfterALoad) {
    enable_spi(40, 0xa0);
    enable_spi(41, 0x20);
    enable_spi(50, 0x60, 2);
    dist(0xc00 + 41 / 16 * 4, 2u << (41 % 16 * 2));  // edge
    gic.set_spi(8, true);
    EXPECT_EQ(get(0, kIar), 40u);
    gic.set_spi(9, true);
    gic.set_spi(18, true);
    set_current_cpu(2);
    dist(0xf00, 1u << 16 | 5);
    set_current_cpu(3);
    dist(0xf00, 1u << 16 | 5);
    set_current_cpu(0);

    test::FakeSink other_sink;
    GicV2 other{4, other_sink};
    const auto stream = test::save(gic);
    ASSERT_EQ(test::load(other, stream), "");
    EXPECT_EQ(other_sink.changes, 0u) << "loading drives nothing";
    other.resume();
    EXPECT_EQ(test::save(other), stream);
    for (unsigned cpu = 0; cpu < 4; cpu++) EXPECT_EQ(other_sink.irqs[cpu], sink.irqs[cpu]) << cpu;
    // The same happens to both from here on.
    const auto both = [&](auto&& act) {
        act(gic, sink);
        act(other, other_sink);
    };
    std::vector<uint64_t> log[2];
    unsigned which = 0;
    both([&](GicV2& g, test::FakeSink& s) {
        auto& out = log[which++];
        const auto note = [&](uint64_t offset) { out.push_back(g.cpu_interface().read(offset, 4)); };
        set_current_cpu(0);
        note(kRpr), note(kIar), note(kRpr);
        g.cpu_interface().write(kEoir, 41, 4);
        for (int i = 0; i < 2; i++) {
            note(kHppir);
            g.set_spi(9, i != 0);  // a level that is high already is no new edge
        }
        g.set_spi(8, false);
        g.cpu_interface().write(kEoir, 40, 4);
        for (int i = 0; i < 4; i++) {
            note(kIar);
            g.cpu_interface().write(kEoir, out.back(), 4);
            out.push_back(s.irqs[0]);
        }
        set_current_cpu(1);
        note(kIar), note(kRpr);
        set_current_cpu(0);
    });
    EXPECT_EQ(log[0], log[1]);
    EXPECT_EQ(log[0][1], 41u);
}

TEST_F(GicV2Test, RefusesWhatItCannotBe) {
    test::FakeSink other_sink;
    GicV2 other{2, other_sink};
    EXPECT_EQ(test::load(other, test::save(gic)), "another number of CPUs");
    std::mt19937_64 random(2);
    test::survives_damage(test::save(gic), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeSink damaged_sink;
        GicV2 damaged{4, damaged_sink};
        const bool loaded = test::load(damaged, stream).empty();
        damaged.resume();
        for (unsigned cpu = 0; cpu < 4; cpu++) {
            set_current_cpu(cpu);
            for (uint64_t offset = 0; offset < 0x1000; offset += 4) damaged.distributor().read(offset, 4);
            for (uint64_t offset = 0; offset < 0x100; offset += 4) damaged.cpu_interface().read(offset, 4);
            damaged.cpu_interface().write(kEoir, 40, 4);
        }
        set_current_cpu(0);
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices
