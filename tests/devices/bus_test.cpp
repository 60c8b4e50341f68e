#include "devices/bus.h"

#include <gtest/gtest.h>

namespace arclight::devices {
namespace {

struct Recorder final : Device {
    uint64_t read(uint64_t offset, unsigned size) override { return offset << 8 | size; }
    void write(uint64_t offset, uint64_t value, unsigned size) override {
        last_offset = offset;
        last_value = value;
        last_size = size;
    }
    void reset() override { resets++; }
    uint64_t last_offset = 0, last_value = 0;
    unsigned last_size = 0, resets = 0;
};

TEST(Bus, RoutesByAddress) {
    Bus bus;
    Recorder a, b;
    ASSERT_TRUE(bus.map(0x2000, 0x1000, b, "b"));
    ASSERT_TRUE(bus.map(0x1000, 0x200, a, "a"));
    uint64_t value = 0;
    ASSERT_TRUE(bus.read(0x1010, 4, value));
    EXPECT_EQ(value, 0x1004u);
    ASSERT_TRUE(bus.write(0x2ff8, 8, 0x1234));
    EXPECT_EQ(b.last_offset, 0xff8u);
    EXPECT_EQ(b.last_value, 0x1234u);
    EXPECT_EQ(b.last_size, 8u);
}

TEST(Bus, NothingThere) {
    Bus bus;
    Recorder a;
    ASSERT_TRUE(bus.map(0x1000, 0x200, a, "a"));
    uint64_t value = 0;
    EXPECT_FALSE(bus.read(0xfff, 1, value));
    EXPECT_FALSE(bus.read(0x1200, 4, value));
    EXPECT_FALSE(bus.read(0x11fe, 4, value)) << "runs out of the device";
    EXPECT_FALSE(bus.read(0xffe, 4, value)) << "runs into the device";
    EXPECT_FALSE(bus.read(~0ull, 8, value));
    for (unsigned size : {0u, 3u, 5u, 16u}) EXPECT_FALSE(bus.write(0x1000, size, 0)) << size;
}

TEST(Bus, RefusesOverlap) {
    Bus bus;
    Recorder a;
    ASSERT_TRUE(bus.map(0x1000, 0x1000, a, "a"));
    EXPECT_FALSE(bus.map(0x1fff, 1, a, "inside"));
    EXPECT_FALSE(bus.map(0x0, 0x1001, a, "front"));
    EXPECT_FALSE(bus.map(0x3000, 0, a, "empty"));
    EXPECT_FALSE(bus.map(~0xfffull, 0x2000, a, "wraps"));
    EXPECT_TRUE(bus.map(0x2000, 1, a, "behind"));
    EXPECT_TRUE(bus.map(0x0, 0x1000, a, "before"));
}

TEST(Bus, FindAndStats) {
    Bus bus;
    Recorder a;
    ASSERT_TRUE(bus.map(0x1000, 0x200, a, "a"));
    uint64_t offset = 0;
    EXPECT_EQ(bus.find(0x11ff, &offset), &a);
    EXPECT_EQ(offset, 0x1ffu);
    EXPECT_EQ(bus.find(0x1200, &offset), nullptr);
    uint64_t value;
    bus.read(0x1000, 4, value);
    bus.read(0x1000, 4, value);
    bus.write(0x1000, 4, 1);
    const auto stats = bus.stats();
    ASSERT_EQ(stats.size(), 1u);
    EXPECT_EQ(stats[0].name, "a");
    EXPECT_EQ(stats[0].reads, 2u);
    EXPECT_EQ(stats[0].writes, 1u);
    bus.reset();
    EXPECT_EQ(a.resets, 1u);
}

TEST(Bus, MappingsAreForRepeatedUse) {
    Bus bus;
    Recorder a;
    ASSERT_TRUE(bus.map(0x1000, 0x200, a, "a"));
    EXPECT_EQ(bus.lookup(0x11fe, 4), nullptr);
    Bus::Mapping* mapping = bus.lookup(0x1010, 4);
    ASSERT_NE(mapping, nullptr);
    EXPECT_TRUE(mapping->contains(0x1000, 8));
    EXPECT_TRUE(mapping->contains(0x11fc, 4));
    for (const uint64_t pa : {0xfffull, 0x11fdull, 0x1200ull, ~0ull})
        EXPECT_FALSE(mapping->contains(pa, 4)) << pa;
    EXPECT_EQ(mapping->read(0x1020, 2), 0x2002u);
    set_current_cpu(5);
    EXPECT_EQ(mapping->read(0x1020, 2), 0x2002u);
    mapping->write(0x1024, 4, 9);
    set_current_cpu(0);
    EXPECT_EQ(a.last_offset, 0x24u);
    EXPECT_EQ(bus.stats()[0].reads, 2u) << "of all CPUs";
    EXPECT_EQ(bus.stats()[0].writes, 1u);
}

}  // namespace
}  // namespace arclight::devices
