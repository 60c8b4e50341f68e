// The legacy interface of virtio-mmio (virtio 1.2 section 4.2.4), with what a driver must not do. A program that uses it
// sanely runs beside QEMU in tests/baremetal.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "devices/virtio/mmio.h"
#include "devices/virtio/mmio_legacy.h"
#include "devices/virtio/rng.h"
#include "tests/devices/fakes.h"
#include "tests/devices/net_frames.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using namespace virtio;

/// Fills what it is given, and has a feature on each side of bit 32.
class Filler final : public Backend {
  public:
    std::string_view name() const override { return "toy-filler"; }
    uint32_t device_id() const override { return 77; }
    uint64_t features() const override { return uint64_t{1} << 40 | 4; }
    std::vector<QueueDescription> queues() const override {
        return {{8, Service::Inline}, {4, Service::Inline}};
    }
    uint8_t read_config(uint64_t offset) override { return static_cast<uint8_t>(offset + 1); }
    void set_features(uint64_t accepted) override { features_seen = accepted; }
    void activate(Transport&) override { ++activations; }
    Served process(unsigned, Chain& chain) override {
        for (const auto& part : chain.writable) std::memset(part.data(), 0xab, part.size());
        return Served::done(static_cast<uint32_t>(chain.writable_size()));
    }
    uint64_t features_seen = ~uint64_t{0};
    int activations = 0;
};

struct LegacyDriver {
    static constexpr uint64_t kRamSize = 1 << 20;
    static constexpr uint64_t kQueue = layout::kRamBase + 0x4000, kData = layout::kRamBase + 0x10000;

    explicit LegacyDriver(std::unique_ptr<Backend> backend = std::make_unique<Filler>())
        : device(31, memory, IrqLine(controller, 32 + 16 + 31), std::move(backend)) {}

    uint32_t get(uint64_t offset) { return static_cast<uint32_t>(device.read(offset, 4)); }
    void set(uint64_t offset, uint64_t value) { device.write(offset, value, 4); }
    bool wire() const { return controller.spis[16 + 31]; }
    Filler& filler() { return static_cast<Filler&>(*device.backend()); }

    void place(uint32_t entries = 8, uint32_t alignment = 4096, uint64_t at = kQueue, uint32_t page = 4096) {
        set(0x28, page);
        set(0x30, 0);
        if (entries != 0) set(0x38, entries);
        set(0x3c, alignment);
        set(0x40, at / page);
    }
    void start() {
        set(0x70, 0);
        set(0x70, 3);
        set(0x20, 4);
        place();
        set(0x70, 7);
    }
    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(memory.host(pa, sizeof(T)));
    }
    /// Offers a buffer of 64 bytes; the used ring's index then.
    unsigned offer(uint32_t entries = 8, uint64_t alignment = 4096, uint64_t queue = kQueue) {
        at<uint64_t>(queue) = kData;
        at<uint32_t>(queue + 8) = 64;
        at<uint16_t>(queue + 12) = 2;
        const uint64_t available = queue + 16 * entries;
        const uint16_t index = at<uint16_t>(available + 2);
        at<uint16_t>(available + 4 + index % entries * 2u) = 0;
        at<uint16_t>(available + 2) = static_cast<uint16_t>(index + 1);
        set(0x50, 0);
        const uint64_t used = (available + 6 + 2 * entries + alignment - 1) & ~(alignment - 1);
        return at<uint16_t>(used + 2);
    }

    std::vector<uint8_t> ram = std::vector<uint8_t>(kRamSize);
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, kRamSize};
    test::FakeController controller;
    MmioLegacy device;
};

constexpr uint32_t kAnyLayout = 1u << 27, kRings = 3u << 28;

TEST(VirtioLegacy, SaysWhatItIs) {
    LegacyDriver driver;
    EXPECT_EQ(driver.get(0), 0x74726976u);
    EXPECT_EQ(driver.get(4), 1u);
    EXPECT_EQ(driver.get(8), 77u);
    EXPECT_EQ(driver.get(0x100), 0x04030201u);
    EXPECT_EQ(driver.get(0x34), 8u);
    EXPECT_EQ(driver.get(0xfc), 0u) << "no generation of the configuration";
    LegacyDriver empty{nullptr};
    EXPECT_EQ(empty.get(4), 1u);
    EXPECT_EQ(empty.get(8), 0u);
    empty.start();
    EXPECT_EQ(empty.get(0x70), 0u);
}

TEST(VirtioLegacy, FeaturesEndAtBit31) {
    LegacyDriver driver;
    driver.set(0x70, 3);
    EXPECT_EQ(driver.get(0x10), 4 | kAnyLayout | kRings);
    driver.set(0x14, 1);
    EXPECT_EQ(driver.get(0x10), 0u);
    driver.set(0x20,
               ~0u);  // no FEATURES_OK by which the device could refuse: what it has not offered is not taken
    driver.set(0x24, 1);
    driver.set(0x20, ~0u);
    driver.place();
    driver.set(0x70, 7);
    EXPECT_EQ(driver.filler().features_seen, 4 | kAnyLayout | kRings);
    EXPECT_EQ(driver.filler().activations, 1);
    driver.set(0x24, 0);
    driver.set(0x20, 0);
    driver.set(0x70, 7);
    EXPECT_EQ(driver.filler().activations, 1);
}

TEST(VirtioLegacy, QueuesOfEverySizeAndAlignment) {
    for (const uint32_t entries : {1u, 2u, 4u, 8u})
        for (const uint32_t alignment : {4u, 64u, 4096u, 65536u}) {
            LegacyDriver driver;
            driver.set(0x70, 3);
            driver.place(entries, alignment);
            driver.set(0x70, 7);
            EXPECT_EQ(driver.get(0x40), LegacyDriver::kQueue >> 12);
            EXPECT_EQ(driver.offer(entries, alignment), 1u) << entries << ", " << alignment;
            EXPECT_EQ(driver.offer(entries, alignment), 2u) << entries << ", " << alignment;
            EXPECT_EQ(driver.at<uint8_t>(LegacyDriver::kData + 63), 0xab);
            EXPECT_TRUE(driver.wire());
            driver.set(0x64, 3);
            EXPECT_FALSE(driver.wire());
        }
}

TEST(VirtioLegacy, DriversThatStartEarly) {
    LegacyDriver driver;
    driver.set(0x70, 3);
    driver.place(0);  // as many entries as there may be
    EXPECT_EQ(driver.offer(), 1u) << "3.1.2: the device is used before DRIVER_OK";
    EXPECT_EQ(driver.filler().activations, 1);
    driver.set(0x70, 7);
    EXPECT_EQ(driver.filler().activations, 1);
    LegacyDriver nobody;
    nobody.place();
    EXPECT_EQ(nobody.offer(), 0u) << "no driver yet";
}

TEST(VirtioLegacy, AQueueIsTakenAwayAndPlacedAgain) {
    LegacyDriver driver;
    driver.start();
    EXPECT_EQ(driver.offer(), 1u);
    constexpr uint64_t kOther = LegacyDriver::kQueue + 0x4000;
    driver.set(0x40, kOther >> 12);
    EXPECT_EQ(driver.get(0x40), LegacyDriver::kQueue >> 12) << "a queue in use keeps its place";
    driver.set(0x40, 0);
    EXPECT_EQ(driver.get(0x40), 0u);
    EXPECT_EQ(driver.offer(), 1u);
    driver.set(0x40, kOther >> 12);
    EXPECT_EQ(driver.offer(8, 4096, kOther), 1u);
    driver.set(0x70, 0);
    EXPECT_EQ(driver.get(0x40), 0u);
    EXPECT_EQ(driver.get(0x70), 0u);
    driver.set(0x70, 3);
    driver.set(0x40, kOther >> 12);  // GuestPageSize is set once, before the first reset
    EXPECT_EQ(driver.get(0x40), kOther >> 12);
}

// Whatever it writes, it breaks its own device at most, and does not learn of it by bits that it cannot know.
TEST(VirtioLegacy, WhatADriverMustNotDo) {
    for (const uint32_t alignment : {0u, 3u, 4097u, ~0u}) {
        LegacyDriver driver;
        driver.set(0x70, 3);
        driver.place(8, alignment);
        driver.set(0x70, 7);
        EXPECT_EQ(driver.offer(), 0u) << alignment;
        EXPECT_EQ(driver.get(0x70), 7u);
        EXPECT_FALSE(driver.wire());
        driver.set(0x70, 0);
        driver.start();
        EXPECT_EQ(driver.offer(), 2u) << "after a reset, what was left as well";
    }
    for (const uint32_t page : {0u, 1u, 0x8000'0000u}) {
        LegacyDriver driver;
        driver.set(0x70, 3);
        driver.set(0x28, page);
        driver.set(0x40, ~0u);
        driver.set(0x70, 7);
        driver.set(0x50, 0);
        EXPECT_FALSE(driver.wire());
    }
    for (const uint32_t entries : {3u, 9u, 0x8000u, ~0u}) {
        LegacyDriver driver;
        driver.set(0x70, 3);
        driver.place(entries);
        driver.set(0x70, 7);
        driver.set(0x50, 0);
        EXPECT_FALSE(driver.wire()) << entries;
    }
    std::mt19937_64 random(5);
    LegacyDriver driver;
    for (int i = 0; i < 200'000; ++i) {
        if (i % 1000 == 0) driver.start();
        const uint64_t offset = random() % 0x110;
        const uint64_t value = random() % 4 == 0 ? random() : random() % 9;
        const unsigned size = 1u << random() % 4;
        if (random() % 3 == 0)
            driver.device.read(offset, size);
        else
            driver.device.write(offset, value, size);
    }
}

TEST(VirtioLegacy, MovesToAnotherMachine) {
    LegacyDriver driver{std::make_unique<Rng>()}, other{std::make_unique<Rng>()};
    driver.set(0x70, 3);
    driver.place(8, 256);
    driver.set(0x70, 7);
    EXPECT_EQ(driver.offer(8, 256), 1u);
    driver.device.quiesce();
    const auto state = test::save(driver.device);
    std::ranges::copy(driver.ram, other.ram.begin());
    ASSERT_EQ(test::load(other.device, state), "");
    other.device.resume();
    EXPECT_EQ(other.get(0x40), LegacyDriver::kQueue >> 12);
    EXPECT_EQ(other.offer(8, 256), 2u);
    other.set(0x40, 0);
    other.set(0x40, LegacyDriver::kQueue >> 12);
    EXPECT_EQ(other.offer(8, 256), 3u) << "the alignment moved with it, and the device counts anew";

    Mmio modern(31, driver.memory, IrqLine(), std::make_unique<Rng>());
    EXPECT_NE(test::load(modern, state), "") << "the other version";
    EXPECT_NE(test::load(driver.device, test::save(modern)), "");
    std::mt19937_64 random(6);
    for (int i = 0; i < 2000; ++i) {
        LegacyDriver victim{std::make_unique<Rng>()};
        if (test::load(victim.device, test::damage(state, random)) == "") {
            victim.device.resume();
            victim.set(0x50, 0);
        }
    }
}

// As firmware has it: without the count of buffers, unless the driver takes several for a frame.
TEST(VirtioLegacy, NetworkHeadersAreShort) {
    for (const auto& [mergeable, headers] : {std::pair(false, false), {false, true}, {true, false}}) {
        test::FakeNetwork network(true, headers);
        LegacyDriver driver(std::make_unique<Net>(network, Net::Options{}));
        constexpr unsigned kEntries = 8;
        driver.set(0x70, 3);
        driver.set(0x20, mergeable ? kNetFeatureMergeable : 0);
        const auto queue_at = [](unsigned queue) { return LegacyDriver::kQueue + queue * 0x4000; };
        const auto offer = [&](unsigned queue, uint64_t data, uint32_t length, uint16_t flags) {
            const uint64_t table = queue_at(queue), available = table + 16 * kEntries;
            driver.at<uint64_t>(table) = data;
            driver.at<uint32_t>(table + 8) = length;
            driver.at<uint16_t>(table + 12) = flags;
            ++driver.at<uint16_t>(available + 2);
            driver.set(0x50, queue);
        };
        for (unsigned queue = 0; queue < 2; ++queue) {
            driver.set(0x28, 4096);
            driver.set(0x30, queue);
            driver.set(0x38, kEntries);
            driver.set(0x3c, 4096);
            driver.set(0x40, queue_at(queue) / 4096);
        }
        driver.set(0x70, 7);
        const size_t header = mergeable ? 12 : 10;
        const test::Bytes frame = test::frame_to(test::kGuest, 60);
        std::ranges::copy(frame, driver.memory.host(LegacyDriver::kData + header, frame.size()));
        offer(1, LegacyDriver::kData, static_cast<uint32_t>(header + frame.size()), 0);
        network.run();
        ASSERT_EQ(network.sent.size(), 1u);
        test::Bytes expected(headers ? sizeof(NetHeader) : 0);
        expected.insert(expected.end(), frame.begin(), frame.end());
        EXPECT_EQ(network.sent[0], expected) << mergeable << headers;

        constexpr uint64_t kRoom = LegacyDriver::kData + 0x1000;
        offer(0, kRoom, 2048, 2);
        network.receive(frame);
        EXPECT_EQ(driver.at<uint32_t>(queue_at(0) + 4096 + 8), header + frame.size());
        const uint8_t* const got = driver.memory.host(kRoom + header, frame.size());
        EXPECT_EQ(test::Bytes(got, got + frame.size()), frame) << mergeable << headers;
    }
}

}  // namespace
}  // namespace arclight::devices
