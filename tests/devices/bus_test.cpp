#include "devices/bus.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

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

TEST(Bus, CountsAndResets) {
    Bus bus;
    Recorder a;
    ASSERT_TRUE(bus.map(0x1000, 0x200, a, "a"));
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

// As a PCI device's base address register is written: the window goes to another place, and comes back.
TEST(Bus, WindowsMove) {
    Bus bus;
    Recorder fixed, bar;
    ASSERT_TRUE(bus.map(0x1000, 0x1000, fixed, "fixed"));
    Bus::Mapping& window = bus.add(0x100, bar, "bar");
    EXPECT_EQ(window.base(), Bus::Mapping::kNowhere);
    EXPECT_FALSE(window.contains(0, 4));
    EXPECT_FALSE(window.contains(~0ull, 1));
    uint64_t value = 0;
    const uint32_t nowhere = bus.epoch();
    ASSERT_TRUE(bus.place(window, 0x8000));
    const uint32_t first = bus.epoch();
    EXPECT_NE(first, nowhere);
    EXPECT_EQ(first % 2, 0u);
    Bus::Mapping* cached = bus.lookup(0x8010, 4);
    ASSERT_EQ(cached, &window);
    EXPECT_TRUE(bus.read(0x8010, 4, value));
    EXPECT_EQ(value, 0x1004u);
    EXPECT_FALSE(bus.place(window, 0x1f80)) << "over another window";
    EXPECT_FALSE(bus.place(window, ~0ull - 4)) << "wraps";
    EXPECT_EQ(window.base(), 0x8000u);
    EXPECT_EQ(bus.epoch(), first) << "what fails changes nothing";

    ASSERT_TRUE(bus.place(window, 0x8080)) << "over its own old place";
    EXPECT_NE(bus.epoch(), first);
    EXPECT_FALSE(bus.read(0x8010, 4, value));
    EXPECT_TRUE(bus.read(0x8090, 4, value));
    EXPECT_EQ(value, 0x1004u);
    EXPECT_FALSE(cached->contains(0x8010, 4)) << "a cached mapping goes by the new place";
    EXPECT_EQ(cached->read(0x8010, 4), ~0ull);
    bar.last_offset = 77;
    cached->write(0x8010, 4, 1);
    EXPECT_EQ(bar.last_offset, 77u);

    bus.unmap(window);
    EXPECT_FALSE(bus.read(0x8090, 4, value));
    EXPECT_EQ(cached->read(0x8090, 4), ~0ull);
    Recorder next;
    ASSERT_TRUE(bus.map(0x8000, 0x1000, next, "next")) << "its place is free";
    EXPECT_FALSE(bus.place(window, 0x8000));
    EXPECT_TRUE(bus.place(window, 0x9000));
    EXPECT_EQ(bus.lookup(0x9000, 4), &window);
    const auto stats = bus.stats();
    ASSERT_EQ(stats.size(), 3u);
    EXPECT_EQ(stats[1].name, "next");
    EXPECT_EQ(stats[2].reads, 4u);
}

TEST(Bus, ManyWindows) {
    Bus bus;
    std::vector<std::unique_ptr<Recorder>> devices;
    for (uint64_t i = 0; i < 300; i++) {
        devices.push_back(std::make_unique<Recorder>());
        ASSERT_TRUE(bus.map((i * 7919 % 300) * 0x1000, 0x800, *devices.back(), std::to_string(i)));
    }
    for (uint64_t i = 0; i < 300; i++) {
        const uint64_t base = (i * 7919 % 300) * 0x1000;
        ASSERT_TRUE(bus.write(base + 0x10, 4, i));
        EXPECT_EQ(devices[i]->last_value, i);
        EXPECT_EQ(bus.lookup(base + 0x800, 1), nullptr);
    }
}

// One thread moves a window, others access it by cached mappings and by lookup: what answers is the device at
// the offset that belongs to some place it had, or nothing.
TEST(Bus, MovesUnderAccesses) {
    struct Offsets final : Device {
        uint64_t read(uint64_t offset, unsigned) override {
            if (offset >= 0x100) wrong = true;
            return offset;
        }
        void write(uint64_t, uint64_t, unsigned) override {}
        std::atomic<bool> wrong{false};
    };
    Bus bus;
    Offsets device, neighbour;
    ASSERT_TRUE(bus.map(0x2000, 0x100, neighbour, "neighbour"));
    Bus::Mapping& window = bus.add(0x100, device, "bar");
    std::atomic<bool> done{false}, wrong{false};
    std::vector<std::thread> readers;
    for (unsigned t = 0; t < 2; t++) {
        readers.emplace_back([&, t] {
            set_current_cpu(t);
            Bus::Mapping* cached = nullptr;
            uint32_t epoch = 1;
            uint64_t hits = 0;
            for (uint64_t i = 0; !done || hits == 0; i++) {
                const uint64_t pa = 0x1000 + i % 2 * 0x40 + 0x60;
                if (cached == nullptr || epoch != bus.epoch() || !cached->contains(pa, 4)) {
                    epoch = bus.epoch();
                    cached = bus.lookup(pa, 4);
                    if (cached == nullptr) continue;
                }
                const uint64_t value = cached->read(pa, 4);
                hits++;
                if (value != ~0ull && value != pa - 0x1000 && value != pa - 0x1040) wrong = true;
            }
        });
    }
    for (int i = 0; i < 20'000; i++) {
        ASSERT_TRUE(bus.place(window, i % 2 != 0 ? 0x1000 : 0x1040));
        if (i % 3 == 0) bus.unmap(window);
    }
    ASSERT_TRUE(bus.place(window, 0x1040));
    done = true;
    for (auto& reader : readers) reader.join();
    EXPECT_FALSE(wrong);
    EXPECT_FALSE(device.wrong);
    EXPECT_FALSE(neighbour.wrong);
}

}  // namespace
}  // namespace arclight::devices
