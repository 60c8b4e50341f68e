#include "devices/gic_v3.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint32_t icc(unsigned crn, unsigned crm, unsigned op2) {
    return 3u << 14 | crn << 7 | crm << 3 | op2;
}
constexpr uint32_t kPmr = icc(4, 6, 0), kIar0 = icc(12, 8, 0), kEoir0 = icc(12, 8, 1),
                   kHppir0 = icc(12, 8, 2), kBpr0 = icc(12, 8, 3), kAp1r0 = icc(12, 9, 0),
                   kDir = icc(12, 11, 1), kRpr = icc(12, 11, 3), kSgi1r = icc(12, 11, 5),
                   kSgi0r = icc(12, 11, 7), kIar1 = icc(12, 12, 0), kEoir1 = icc(12, 12, 1),
                   kHppir1 = icc(12, 12, 2), kBpr1 = icc(12, 12, 3), kCtlr = icc(12, 12, 4),
                   kSre = icc(12, 12, 5), kIgrpen0 = icc(12, 12, 6), kIgrpen1 = icc(12, 12, 7);

constexpr uint64_t kSgiFrame = 0x10000;
constexpr unsigned kNone = 1023;

struct GicV3Test : testing::Test {
    static constexpr unsigned kCpus = 4;

    // What Linux does at boot: everything group 1 at priority 0xa0, CPU interfaces open.
    GicV3Test() {
        dist(0x0000, 3);
        for (unsigned n = 1; n < 9; n++) dist(0x80 + n * 4, ~0u);
        for (unsigned i = 32; i < 288; i += 4) dist(0x400 + i, 0xa0a0a0a0);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) {
            redist(cpu, kSgiFrame + 0x80, ~0u);
            redist(cpu, kSgiFrame + 0x100, ~0u);
            for (unsigned i = 0; i < 32; i += 4) redist(cpu, kSgiFrame + 0x400 + i, 0xa0a0a0a0);
            set(cpu, kPmr, 0xf0);
            set(cpu, kIgrpen1, 1);
        }
    }

    void dist(uint64_t offset, uint64_t value, unsigned size = 4) {
        gic.distributor().write(offset, value, size);
    }
    uint64_t dist_get(uint64_t offset) { return gic.distributor().read(offset, 4); }
    void redist(unsigned cpu, uint64_t offset, uint64_t value, unsigned size = 4) {
        gic.redistributors().write(cpu * 0x20000 + offset, value, size);
    }
    uint64_t redist_get(unsigned cpu, uint64_t offset, unsigned size = 4) {
        return gic.redistributors().read(cpu * 0x20000 + offset, size);
    }
    uint64_t get(unsigned cpu, uint32_t reg) {
        uint64_t value = 0xdead;
        EXPECT_TRUE(gic.read_sysreg(cpu, reg, value)) << std::hex << reg;
        return value;
    }
    void set(unsigned cpu, uint32_t reg, uint64_t value) {
        EXPECT_TRUE(gic.write_sysreg(cpu, reg, value)) << std::hex << reg;
    }
    void enable_spi(unsigned intid, uint8_t priority, uint64_t route = 0) {
        dist(0x400 + intid, priority, 1);
        dist(0x6000 + intid * 8, route, 8);
        dist(0x100 + intid / 32 * 4, 1u << (intid % 32));
    }

    test::FakeSink sink;
    GicV3 gic{kCpus, sink};
};

// Reset values, read out of QEMU 7.2's virt board by a bare-metal program. TYPER and IIDR differ where we do
// not claim LPIs and do route 1-of-N.
TEST(GicV3Reset, Values) {
    test::FakeSink sink;
    GicV3 gic(2, sink);
    const std::pair<uint64_t, uint32_t> distributor[] = {
        {0x0000, 0x50}, {0x0004, 0x0178'0007}, {0x0008, 0x43b}, {0x0c00, 0},    {0x0c04, 0},
        {0x0400, 0},    {0x0420, 0},           {0xffd0, 0x44},  {0xffe0, 0x92}, {0xffe4, 0xb4},
        {0xffe8, 0x3b}, {0xfff0, 0x0d},        {0xfffc, 0xb1},
    };
    for (const auto& [offset, value] : distributor) {
        EXPECT_EQ(gic.distributor().read(offset, 4), value) << std::hex << offset;
    }
    const std::pair<uint64_t, uint32_t> redistributor[] = {
        {0x0000, 0},  {0x0004, 0x43b},       {0x0008, 0},  {0x000c, 0},  {0x0014, 6},       {0xffe8, 0x3b},
        {0x10080, 0}, {0x10c00, 0xaaaaaaaa}, {0x10c04, 0}, {0x10400, 0}, {0x20008, 0x0110}, {0x2000c, 1},
    };
    for (const auto& [offset, value] : redistributor) {
        EXPECT_EQ(gic.redistributors().read(offset, 4), value) << std::hex << offset;
    }
    const std::pair<uint32_t, uint64_t> registers[] = {
        {kCtlr, 0x8c00}, {kSre, 7},      {kPmr, 0},        {kBpr0, 2},       {kBpr1, 3},  {kRpr, 0xff},
        {kIar0, kNone},  {kIar1, kNone}, {kHppir0, kNone}, {kHppir1, kNone}, {kAp1r0, 0}, {kIgrpen1, 0}};
    for (const auto& [reg, expected] : registers) {
        uint64_t value = 0;
        ASSERT_TRUE(gic.read_sysreg(0, reg, value));
        EXPECT_EQ(value, expected) << std::hex << reg;
    }
    uint64_t value;
    EXPECT_FALSE(gic.read_sysreg(0, kSgi1r, value)) << "write-only";
    EXPECT_FALSE(gic.read_sysreg(0, icc(12, 8, 5), value)) << "AP0R1 needs more priority bits";
    EXPECT_FALSE(gic.write_sysreg(0, kIar1, 0)) << "read-only";
    EXPECT_FALSE(gic.read_sysreg(7, kPmr, value)) << "no such CPU";
}

TEST_F(GicV3Test, LevelInterruptRunsItsCourse) {
    enable_spi(33, 0xa0);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_FALSE(sink.fiqs[0]);
    EXPECT_EQ(get(0, kHppir1), 33u);
    EXPECT_EQ(get(0, kIar1), 33u);
    EXPECT_FALSE(sink.irqs[0]) << "active: not delivered again";
    EXPECT_EQ(get(0, kRpr), 0xa0u);
    EXPECT_EQ(dist_get(0x304), 2u) << "active";
    EXPECT_EQ(dist_get(0x204), 2u) << "and pending, by the wire";
    set(0, kEoir1, 33);
    EXPECT_TRUE(sink.irqs[0]) << "the wire is still high";
    EXPECT_EQ(get(0, kIar1), 33u);
    gic.set_spi(1, false);
    set(0, kEoir1, 33);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar1), kNone);
    EXPECT_EQ(get(0, kRpr), 0xffu);
}

TEST_F(GicV3Test, EdgeIsLatched) {
    enable_spi(40, 0xa0);
    dist(0xc08, 2u << ((40 - 32) * 2));
    gic.set_spi(8, true);
    gic.set_spi(8, false);
    EXPECT_TRUE(sink.irqs[0]) << "remembered";
    EXPECT_EQ(get(0, kIar1), 40u);
    gic.set_spi(8, true);  // again while in service
    EXPECT_FALSE(sink.irqs[0]);
    set(0, kEoir1, 40);
    EXPECT_EQ(get(0, kIar1), 40u) << "the second edge counts";
    set(0, kEoir1, 40);
    EXPECT_EQ(get(0, kIar1), kNone) << "a high wire is not an edge";
}

TEST_F(GicV3Test, PendingByWrite) {
    enable_spi(50, 0xa0);
    dist(0x204, 1u << 18);
    EXPECT_TRUE(sink.irqs[0]);
    dist(0x284, 1u << 18);
    EXPECT_FALSE(sink.irqs[0]);
    gic.set_spi(18, true);
    dist(0x284, 1u << 18);
    EXPECT_TRUE(sink.irqs[0]) << "the wire holds it";
}

TEST_F(GicV3Test, MaskAndEnables) {
    enable_spi(33, 0xa0);
    set(0, kPmr, 0xa0);
    gic.set_spi(1, true);
    EXPECT_FALSE(sink.irqs[0]) << "not below the mask";
    EXPECT_EQ(get(0, kHppir1), 33u) << "which HPPIR does not consult";
    set(0, kPmr, 0xa8);
    EXPECT_TRUE(sink.irqs[0]);
    set(0, kPmr, 0xff);
    EXPECT_EQ(get(0, kPmr), 0xf8u) << "five bits";
    set(0, kIgrpen1, 0);
    EXPECT_FALSE(sink.irqs[0]);
    set(0, kIgrpen1, 1);
    dist(0, 0);
    EXPECT_FALSE(sink.irqs[0]);
    dist(0, 2);
    EXPECT_TRUE(sink.irqs[0]);
    dist(0x184, 2);
    EXPECT_FALSE(sink.irqs[0]) << "disabled while pending";
}

TEST_F(GicV3Test, PriorityOrderAndPreemption) {
    enable_spi(33, 0xa0);
    enable_spi(34, 0x80);
    enable_spi(35, 0x80);
    for (unsigned spi : {1u, 2u, 3u}) gic.set_spi(spi, true);
    EXPECT_EQ(get(0, kIar1), 34u) << "lowest value, then lowest number";
    EXPECT_FALSE(sink.irqs[0]) << "an equal does not preempt";
    enable_spi(36, 0x40);
    gic.set_spi(4, true);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar1), 36u);
    EXPECT_EQ(get(0, kRpr), 0x40u);
    EXPECT_EQ(get(0, kAp1r0), 1u << 8 | 1u << 16);
    for (unsigned spi : {2u, 4u}) gic.set_spi(spi, false);
    set(0, kEoir1, 36);
    EXPECT_EQ(get(0, kRpr), 0x80u);
    EXPECT_FALSE(sink.irqs[0]);
    set(0, kEoir1, 34);
    EXPECT_EQ(get(0, kIar1), 35u);
    set(0, kEoir1, 35);
}

TEST_F(GicV3Test, BinaryPointLimitsPreemption) {
    enable_spi(33, 0xa0);
    enable_spi(34, 0x90);
    set(0, kBpr1, 6);  // group priority is bits 7:6
    gic.set_spi(1, true);
    EXPECT_EQ(get(0, kIar1), 33u);
    EXPECT_EQ(get(0, kRpr), 0x80u) << "the subpriority does not show";
    gic.set_spi(2, true);
    EXPECT_FALSE(sink.irqs[0]);
    set(0, kBpr1, 0);
    EXPECT_EQ(get(0, kBpr1), 3u) << "minimum";
    set(0, kCtlr, 1);
    set(0, kBpr0, 4);
    EXPECT_EQ(get(0, kBpr1), 5u) << "common binary point: BPR0 + 1";
    set(0, kBpr1, 7);
    set(0, kCtlr, 0);
    EXPECT_EQ(get(0, kBpr1), 3u) << "writes were ignored";
}

TEST_F(GicV3Test, SeparateDeactivation) {
    set(0, kCtlr, 2);
    enable_spi(33, 0xa0);
    enable_spi(34, 0xa0);
    gic.set_spi(1, true);
    EXPECT_EQ(get(0, kIar1), 33u);
    set(0, kEoir1, 33);
    EXPECT_EQ(get(0, kRpr), 0xffu);
    EXPECT_EQ(dist_get(0x304), 2u) << "still active";
    EXPECT_FALSE(sink.irqs[0]);
    gic.set_spi(2, true);
    EXPECT_EQ(get(0, kIar1), 34u) << "others pass";
    set(0, kDir, 33);
    EXPECT_EQ(dist_get(0x304), 4u);
    set(0, kEoir1, 34);
    EXPECT_EQ(get(0, kIar1), 33u);
    set(0, kCtlr, 0);
    set(0, kDir, 33);
    EXPECT_EQ(dist_get(0x304) & 2, 2u) << "DIR does nothing without EOImode";
}

TEST_F(GicV3Test, DisableAndClearWhileActive) {
    enable_spi(33, 0xa0);
    gic.set_spi(1, true);
    EXPECT_EQ(get(0, kIar1), 33u);
    dist(0x184, 2);
    set(0, kEoir1, 33);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(dist_get(0x304), 0u);
    dist(0x104, 2);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar1), 33u);
    dist(0x384, 2);  // ICACTIVER ends it without EOI
    EXPECT_FALSE(sink.irqs[0]) << "running priority stands";
    set(0, kEoir1, 33);
    EXPECT_TRUE(sink.irqs[0]);
}

TEST_F(GicV3Test, WrongEndOfInterruptIsIgnored) {
    enable_spi(33, 0xa0);
    gic.set_spi(1, true);
    EXPECT_EQ(get(0, kIar1), 33u);
    set(0, kEoir0, 33);
    EXPECT_EQ(get(0, kRpr), 0xa0u);
    set(0, kEoir1, kNone);
    EXPECT_EQ(get(0, kRpr), 0xa0u);
    set(0, kEoir1, 33);
    set(0, kEoir1, 33);
    EXPECT_EQ(get(0, kRpr), 0xffu);
}

TEST_F(GicV3Test, GroupZeroIsFiq) {
    set(0, kIgrpen0, 1);
    enable_spi(33, 0x80);
    dist(0x84, ~2u);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.fiqs[0]);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(get(0, kIar1), kNone);
    EXPECT_EQ(get(0, kHppir1), kNone);
    EXPECT_EQ(get(0, kHppir0), 33u);
    EXPECT_EQ(get(0, kIar0), 33u);
    set(0, kEoir1, 33);
    EXPECT_EQ(get(0, kRpr), 0x80u);
    gic.set_spi(1, false);
    set(0, kEoir0, 33);
    EXPECT_EQ(get(0, kRpr), 0xffu);
    EXPECT_FALSE(sink.fiqs[0]);
}

TEST_F(GicV3Test, SoftwareGeneratedInterrupts) {
    set(0, kSgi1r, 5ull << 24 | 0b0110);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_TRUE(sink.irqs[1]);
    EXPECT_TRUE(sink.irqs[2]);
    EXPECT_FALSE(sink.irqs[3]);
    EXPECT_EQ(redist_get(1, kSgiFrame + 0x200), 1u << 5);
    EXPECT_EQ(get(1, kIar1), 5u);
    set(1, kEoir1, 5);
    EXPECT_FALSE(sink.irqs[1]);
    EXPECT_EQ(get(2, kIar1), 5u);
    set(2, kEoir1, 5);
    set(1, kSgi1r, 1ull << 40 | 3ull << 24);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_FALSE(sink.irqs[1]) << "all but self";
    EXPECT_TRUE(sink.irqs[2]);
    EXPECT_TRUE(sink.irqs[3]);
    EXPECT_EQ(get(0, kIar1), 3u);
    set(0, kEoir1, 3);
    set(0, kSgi1r, 1ull << 16 | 7ull << 24 | 1);
    set(0, kSgi1r, 1ull << 44 | 7ull << 24 | 1);
    set(0, kSgi1r, 1ull << 32 | 7ull << 24 | 1);
    EXPECT_FALSE(sink.irqs[0]) << "no CPU has those affinities";
    set(0, kSgi0r, 7ull << 24 | 1);
    EXPECT_FALSE(sink.irqs[0]) << "SGI 7 is group 1";
    set(0, kSgi1r, 7ull << 24 | 1);
    EXPECT_TRUE(sink.irqs[0]) << "to oneself";
}

TEST_F(GicV3Test, PrivatePeripheralInterrupts) {
    gic.set_ppi(2, 27, true);
    EXPECT_TRUE(sink.irqs[2]);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_EQ(get(2, kIar1), 27u);
    set(2, kEoir1, 27);
    EXPECT_TRUE(sink.irqs[2]);
    gic.set_ppi(2, 27, false);
    EXPECT_FALSE(sink.irqs[2]);
    gic.set_ppi(9, 27, true);
    gic.set_ppi(0, 99, true);
    gic.set_spi(4000, true);
}

TEST_F(GicV3Test, AffinityRouting) {
    enable_spi(33, 0xa0, 3);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[3]);
    EXPECT_FALSE(sink.irqs[0]);
    dist(0x6000 + 33 * 8, 1, 8);  // moves while pending
    EXPECT_FALSE(sink.irqs[3]);
    EXPECT_TRUE(sink.irqs[1]);
    dist(0x6000 + 33 * 8, 0x100, 8);
    EXPECT_FALSE(sink.irqs[1]) << "nobody there";
    dist(0x6000 + 33 * 8, ~0ull, 8);
    EXPECT_EQ(gic.distributor().read(0x6000 + 33 * 8, 8), 0xff'80ff'ffffull);
}

// 64 CPUs: 16 of each Aff1.
TEST(GicV3, ManyCpus) {
    constexpr unsigned kAll = layout::kMaxCpus;
    test::FakeSink sink;
    GicV3 gic(kAll, sink);
    gic.distributor().write(0, 2, 4);
    gic.distributor().write(0x84, ~0u, 4);
    for (unsigned cpu = 0; cpu < kAll; ++cpu) {
        const uint64_t frame = cpu * layout::kGicRedistributorStride;
        gic.redistributors().write(frame + kSgiFrame + 0x80, ~0u, 4);
        gic.redistributors().write(frame + kSgiFrame + 0x100, ~0u, 4);
        EXPECT_TRUE(gic.write_sysreg(cpu, kPmr, 0xf0));
        EXPECT_TRUE(gic.write_sysreg(cpu, kIgrpen1, 1));
        const uint64_t affinity = uint64_t{cpu / 16} << 8 | cpu % 16;
        EXPECT_EQ(gic.redistributors().read(frame + 8, 8),
                  affinity << 32 | cpu << 8 | (cpu == kAll - 1 ? 16 : 0));
        EXPECT_EQ(layout::cpu_of(affinity), cpu);
    }
    for (const uint64_t nowhere : {0x10ull, 0x400ull, 0x1'0000ull, 0x1'0000'0000ull})
        EXPECT_EQ(layout::cpu_of(nowhere), layout::kNoCpu) << nowhere;
    const auto receivers = [&](unsigned sender, uint64_t value) {
        sink.sgis.clear();
        EXPECT_TRUE(gic.write_sysreg(sender, kSgi1r, uint64_t{5} << 24 | value));
        std::vector<unsigned> all;
        for (unsigned cpu = 0; cpu < kAll; ++cpu) {
            if (!sink.irqs[cpu]) continue;
            all.push_back(cpu);
            uint64_t iar = 0;
            EXPECT_TRUE(gic.read_sysreg(cpu, kIar1, iar));
            EXPECT_EQ(iar, 5u);
            EXPECT_TRUE(gic.write_sysreg(cpu, kEoir1, iar));
        }
        std::vector<unsigned> told;
        for (const auto& [from, to] : sink.sgis) {
            EXPECT_EQ(from, sender);
            told.push_back(to);
        }
        EXPECT_EQ(told, all);
        return all;
    };
    using Cpus = std::vector<unsigned>;
    EXPECT_EQ(receivers(0, 1 << 16 | 1 << 3), (Cpus{19}));
    EXPECT_EQ(receivers(63, 3 << 16 | 0x8001), (Cpus{48, 63}));
    EXPECT_EQ(receivers(20, uint64_t{1} << 40).size(), kAll - 1);
    EXPECT_EQ(receivers(0, 0xffff).size(), 16u);
    // Aff0 from 16 on, and other values of Aff1, 2 and 3: nobody is there.
    for (const uint64_t nobody : {uint64_t{1} << 44, uint64_t{4} << 16, uint64_t{1} << 32, uint64_t{1} << 48})
        EXPECT_EQ(receivers(0, nobody | 0xffff), Cpus{}) << nobody;
    // Shared interrupts.
    gic.distributor().write(0x104, 2, 4);
    gic.distributor().write(0x6000 + 33 * 8, 0x20f, 8);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[47]);
    gic.distributor().write(0x6000 + 33 * 8, 47, 8);
    EXPECT_FALSE(sink.irqs[47]) << "Aff0 47 is nobody";
}

TEST_F(GicV3Test, TheSinkIsToldOfEnds) {
    enable_spi(33, 0xa0, 2);
    gic.set_spi(1, true);
    EXPECT_EQ(get(2, kIar1), 33u);
    EXPECT_TRUE(sink.ended.empty());
    set(2, kEoir1, 33);
    EXPECT_EQ(sink.ended, std::vector<unsigned>{2});
}

TEST_F(GicV3Test, OneOfN) {
    enable_spi(33, 0xa0, 1ull << 31);
    enable_spi(34, 0xa0, 1ull << 31);
    gic.set_spi(1, true);
    EXPECT_TRUE(sink.irqs[0]);
    EXPECT_FALSE(sink.irqs[1]) << "one, not all";
    EXPECT_EQ(get(0, kIar1), 33u);
    gic.set_spi(2, true);
    EXPECT_FALSE(sink.irqs[0]);
    EXPECT_TRUE(sink.irqs[1]) << "the first is busy";
    set(1, kIgrpen1, 0);
    EXPECT_FALSE(sink.irqs[1]);
    EXPECT_TRUE(sink.irqs[2]) << "moves on when a CPU leaves";
    EXPECT_EQ(get(2, kIar1), 34u);
    gic.set_spi(1, false);
    gic.set_spi(2, false);
    set(0, kEoir1, 33);
    set(2, kEoir1, 34);
    for (unsigned cpu = 0; cpu < kCpus; cpu++) EXPECT_FALSE(sink.irqs[cpu]) << cpu;
}

TEST_F(GicV3Test, ResetKeepsWires) {
    enable_spi(33, 0xa0);
    gic.set_spi(1, true);
    gic.reset();
    EXPECT_FALSE(sink.irqs[0]);
    dist(0, 2);
    dist(0x84, ~0u);
    enable_spi(33, 0xa0);
    set(0, kPmr, 0xf0);
    set(0, kIgrpen1, 1);
    EXPECT_TRUE(sink.irqs[0]) << "the device still asks";
}

TEST_F(GicV3Test, NarrowAndWideAccess) {
    dist(0x420 + 5, 0x48, 1);
    EXPECT_EQ(dist_get(0x424), 0xa0a048a0u);
    EXPECT_EQ(gic.distributor().read(0x425, 1), 0x48u);
    EXPECT_EQ(redist_get(3, 8, 8), 3ull << 32 | 3u << 8 | 1u << 4);
    redist(0, 0x14, 0);
    EXPECT_EQ(redist_get(0, 0x14), 0u) << "awake";
}

// In the middle of everything: an SPI in service, a more urgent one pending, SGIs, a level high, 1-of-N
// routing.
TEST_F(GicV3Test, GoesOnAfterALoad) {
    enable_spi(40, 0xa0);
    enable_spi(41, 0x20);
    enable_spi(50, 0x60, 1ull << 31);
    dist(0xc00 + 41 / 16 * 4, 2u << (41 % 16 * 2));  // edge
    gic.set_spi(8, true);
    EXPECT_EQ(get(0, kIar1), 40u);
    gic.set_spi(9, true);
    gic.set_spi(18, true);
    set(2, kSgi1r, 5ull << 24 | 3);
    set(1, kCtlr, 3);
    gic.set_ppi(3, 27, true);

    test::FakeSink other_sink;
    GicV3 other{kCpus, other_sink};
    const auto stream = test::save(gic);
    ASSERT_EQ(test::load(other, stream), "");
    EXPECT_EQ(other_sink.changes, 0u) << "loading drives nothing";
    other.resume();
    EXPECT_EQ(test::save(other), stream);
    for (unsigned cpu = 0; cpu < kCpus; cpu++) EXPECT_EQ(other_sink.irqs[cpu], sink.irqs[cpu]) << cpu;
    const auto drive = [&](GicV3& g, test::FakeSink& s) {
        std::vector<uint64_t> out;
        const auto note = [&](unsigned cpu, uint32_t reg) {
            uint64_t value = 0;
            EXPECT_TRUE(g.read_sysreg(cpu, reg, value));
            out.push_back(value);
            return value;
        };
        note(0, kRpr), note(0, kIar1), note(0, kRpr), note(1, kCtlr);
        g.write_sysreg(0, kEoir1, 41);
        for (int i = 0; i < 2; i++) {
            note(0, kHppir1);
            g.set_spi(9, i != 0);
        }
        g.set_spi(8, false);
        g.write_sysreg(0, kEoir1, 40);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) {
            for (int i = 0; i < 4; i++) {
                g.write_sysreg(cpu, kEoir1, note(cpu, kIar1));
                out.push_back(s.irqs[cpu]);
            }
        }
        return out;
    };
    const auto here = drive(gic, sink), there = drive(other, other_sink);
    EXPECT_EQ(here, there);
    EXPECT_EQ(here[1], 41u);
}

TEST_F(GicV3Test, RefusesWhatItCannotBe) {
    test::FakeSink other_sink;
    GicV3 other{2, other_sink};
    EXPECT_EQ(test::load(other, test::save(gic)), "another number of CPUs");
    std::mt19937_64 random(3);
    test::survives_damage(test::save(gic), random, [&](const std::vector<uint8_t>& stream) {
        test::FakeSink damaged_sink;
        GicV3 damaged{kCpus, damaged_sink};
        const bool loaded = test::load(damaged, stream).empty();
        damaged.resume();
        for (uint64_t offset = 0; offset < 0x10000; offset += 4) damaged.distributor().read(offset, 4);
        for (uint64_t offset = 0; offset < 0x20000; offset += 8) damaged.redistributors().read(offset, 8);
        for (unsigned cpu = 0; cpu < kCpus; cpu++) {
            uint64_t value = 0;
            for (const uint32_t reg : {kIar0, kIar1, kRpr, kHppir1, kBpr0, kBpr1})
                damaged.read_sysreg(cpu, reg, value);
            damaged.write_sysreg(cpu, kEoir1, 40);
        }
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices
