#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "devices/virtio/rng.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices {
namespace {

using test::VirtioDriver;
using namespace virtio;

constexpr uint16_t kNext = VirtioDriver::kNext, kWrite = VirtioDriver::kWrite,
                   kIndirect = VirtioDriver::kIndirect;
constexpr uint64_t kRamEnd = layout::kRamBase + VirtioDriver::kRamSize;

// The entropy device serves requests at once, which makes it the simplest device to drive the queue code by.
struct VirtioTest : testing::Test {
    VirtioDriver driver{std::make_unique<Rng>()};
};

TEST(GuestMemory, NeverReachesOutside) {
    std::vector<uint8_t> ram(0x1000);
    uint8_t* const byte = ram.data();
    const mmu::GuestMemory memory(byte, 0x4000'0000, 0x1000);
    EXPECT_EQ(memory.host(0x4000'0000, 0x1000), byte);
    EXPECT_EQ(memory.host(0x4000'0fff, 1), byte + 0xfff);
    EXPECT_EQ(memory.host(0x4000'0fff, 2), nullptr);
    EXPECT_EQ(memory.host(0x3fff'ffff, 2), nullptr);
    EXPECT_EQ(memory.host(0x4000'1001, 0), nullptr);
    EXPECT_EQ(memory.host(0x4000'0000, ~0ull), nullptr);
    EXPECT_EQ(memory.host(~0ull, 2), nullptr);
    EXPECT_EQ(memory.host(0x4000'0800, ~0ull - 0x100), nullptr);
}

TEST(VirtioEmptySlot, ShowsNoDevice) {
    mmu::GuestMemory memory(nullptr, layout::kRamBase, 0);
    Mmio slot(0, memory, IrqLine());
    EXPECT_EQ(slot.read(0, 4), 0x74726976u);
    EXPECT_EQ(slot.read(4, 4), 2u);
    EXPECT_EQ(slot.read(8, 4), 0u);
    slot.write(0x70, 1, 4);
    EXPECT_EQ(slot.read(0x70, 4), 0u);
    slot.reset();
}

TEST_F(VirtioTest, Identity) {
    EXPECT_EQ(driver.get(0), 0x74726976u);
    EXPECT_EQ(driver.get(4), 2u);
    EXPECT_EQ(driver.get(8), 4u);
    EXPECT_EQ(driver.get(0x34), 8u);
    driver.set(0x30, 1);
    EXPECT_EQ(driver.get(0x34), 0u) << "no second queue";
    driver.set(0x14, 1);
    EXPECT_EQ(driver.get(0x10), 1u) << "VERSION_1";
    driver.set(0x14, 2);
    EXPECT_EQ(driver.get(0x10), 0u);
    EXPECT_EQ(driver.get(0xb0), ~0u) << "no shared memory";
}

TEST_F(VirtioTest, FeatureNegotiation) {
    driver.negotiate(0);
    EXPECT_EQ(driver.get(0x70), 3u) << "legacy drivers are refused";
    driver.set(0x70, 7);
    EXPECT_EQ(driver.get(0x70), 3u) << "and cannot start";
    driver.negotiate(kFeatureVersion1 | 1ull << 40);
    EXPECT_EQ(driver.get(0x70), 3u) << "not offered";
    driver.negotiate(kFeatureVersion1);
    EXPECT_EQ(driver.get(0x70), 0xbu);
}

// What was checked is what is used: whatever the driver stores meanwhile, no buffer lies outside RAM.
TEST(VirtioQueue, DescriptorsThatChangeAreReadOnce) {
    constexpr uint64_t kTable = layout::kRamBase + 0x4000;
    std::vector<uint8_t> ram(VirtioDriver::kRamSize);
    const mmu::GuestMemory memory(ram.data(), layout::kRamBase, ram.size());
    Queue queue;
    queue.size = 8;
    queue.descriptors = VirtioDriver::kDescriptors;
    queue.available = VirtioDriver::kAvailable;
    queue.used = VirtioDriver::kUsed;
    ASSERT_TRUE(queue.enable(memory, false, true));
    const auto store = [&](uint64_t pa, uint64_t value) {
        std::atomic_ref(*reinterpret_cast<uint64_t*>(memory.host(pa, 8)))
            .store(value, std::memory_order_relaxed);
    };
    const auto second = [](uint64_t length, uint64_t flags, uint64_t following) {
        return length | flags << 32 | following << 48;
    };
    std::atomic<bool> end{false};
    std::thread driver([&] {
        std::mt19937_64 random(1);
        while (!end) {
            // A chain of three in the queue's table, or an indirect one; each half good or far too much.
            for (unsigned k = 0; k < 3; k++) {
                const uint64_t flags = k < 2 ? kWrite | kNext : kWrite;
                const bool nested = k == 0 && random() % 4 == 0;
                const uint64_t base = random() % 2 != 0 ? kTable : layout::kRamBase + 0x8000;
                store(VirtioDriver::kDescriptors + 16 * k, random() % 4 != 0 ? base : random());
                store(VirtioDriver::kDescriptors + 16 * k + 8,
                      second(random() % 4 != 0 ? 32 : random() >> 32, nested ? kIndirect : flags, k + 1));
                store(kTable + 16 * k, random() % 4 != 0 ? base : random());
                store(kTable + 16 * k + 8, second(random() % 4 != 0 ? 16 : random() >> 32, flags, k + 1));
            }
        }
    });
    unsigned good = 0, bad = 0;
    Chain chain;
    // On a busy host the driver's thread has to wait for its turn.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (unsigned k = 1; k <= 200'000 || good < 1000 || bad < 1000; k++) {
        if (k % 1024 == 0 && std::chrono::steady_clock::now() > limit) break;
        std::atomic_ref(*reinterpret_cast<uint16_t*>(memory.host(VirtioDriver::kAvailable + 2, 2)))
            .store(static_cast<uint16_t>(k));
        if (queue.pop(chain) != Queue::Pop::Chain) {
            bad++;
            continue;
        }
        good++;
        EXPECT_TRUE(chain.readable.empty());
        for (const auto& buffer : chain.writable) {
            EXPECT_GE(buffer.data(), ram.data());
            EXPECT_LE(buffer.data() + buffer.size(), ram.data() + ram.size());
        }
    }
    end = true;
    driver.join();
    EXPECT_GE(good, 1000u);
    EXPECT_GE(bad, 1000u);
}

TEST_F(VirtioTest, ServesRequests) {
    driver.start();
    driver.describe(driver.kDescriptors, 0, driver.kData, 100, kWrite | kNext, 1);
    driver.describe(driver.kDescriptors, 1, driver.kData + 0x1000, 28, kWrite);
    driver.offer(0);
    ASSERT_EQ(driver.used_index(), 1);
    EXPECT_EQ(driver.used_id(0), 0u);
    EXPECT_EQ(driver.used_length(0), 128u);
    EXPECT_TRUE(driver.wire());
    EXPECT_EQ(driver.get(0x60), 1u);
    driver.set(0x64, 1);
    EXPECT_FALSE(driver.wire());
    const uint8_t* bytes = &driver.at<uint8_t>(driver.kData);
    EXPECT_NE(std::count(bytes, bytes + 100, 0), 100);
    EXPECT_EQ(bytes[100], 0);
    for (int i = 0; i < 100; i++) driver.offer(0);  // the indices wrap round the ring
    EXPECT_EQ(driver.used_index(), 101);
    EXPECT_FALSE(driver.broken());
}

TEST_F(VirtioTest, Indirect) {
    driver.start(kFeatureVersion1 | kFeatureIndirect);
    const uint64_t table = driver.kData + 0x8000;
    for (unsigned i = 0; i < 20; i++) {
        driver.describe(table, i, driver.kData + i * 64, 64, kWrite | (i < 19 ? kNext : 0),
                        static_cast<uint16_t>(i + 1));
    }
    driver.describe(driver.kDescriptors, 3, table, 20 * 16, kIndirect);
    driver.offer(3);
    ASSERT_EQ(driver.used_index(), 1);
    EXPECT_EQ(driver.used_id(0), 3u);
    EXPECT_EQ(driver.used_length(0), 1280u);
}

TEST_F(VirtioTest, InterruptSuppression) {
    driver.start();
    driver.describe(driver.kDescriptors, 0, driver.kData, 8, kWrite);
    driver.at<uint16_t>(driver.kAvailable) = 1;
    driver.offer(0);
    EXPECT_EQ(driver.used_index(), 1);
    EXPECT_FALSE(driver.wire());
    driver.at<uint16_t>(driver.kAvailable) = 0;
    driver.offer(0);
    EXPECT_TRUE(driver.wire());
}

TEST_F(VirtioTest, EventIndex) {
    driver.start(kFeatureVersion1 | kFeatureEventIndex);
    driver.describe(driver.kDescriptors, 0, driver.kData, 8, kWrite);
    uint16_t& used_event = driver.at<uint16_t>(driver.kAvailable + 4 + driver.size * 2);
    const auto round = [&](uint16_t event) {
        driver.set(0x64, 1);
        used_event = event;
        driver.offer(0);
        return driver.wire();
    };
    EXPECT_TRUE(round(0));
    EXPECT_FALSE(round(5)) << "used index 2, wanted past 5";
    EXPECT_TRUE(round(2));
    EXPECT_FALSE(round(0xfff0));
    EXPECT_EQ(driver.at<uint16_t>(driver.kUsed + 4 + driver.size * 8), 4) << "avail_event asks for the next";
}

struct Malformed {
    const char* name;
    void (*prepare)(VirtioDriver&);
};

class VirtioMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(VirtioMalformed, NeedsReset) {
    VirtioDriver driver(std::make_unique<Rng>());
    driver.start(kFeatureVersion1 | kFeatureIndirect);
    GetParam().prepare(driver);
    EXPECT_TRUE(driver.broken());
    EXPECT_EQ(driver.get(0x60) & 2, 2u) << "configuration interrupt";
    EXPECT_EQ(driver.used_index(), 0);
    // Nothing more is served until the reset; then all is well again.
    driver.describe(driver.kDescriptors, 0, driver.kData, 8, kWrite);
    driver.offer(0);
    EXPECT_EQ(driver.used_index(), 0);
    driver.start();
    EXPECT_FALSE(driver.broken());
    driver.describe(driver.kDescriptors, 0, driver.kData, 8, kWrite);
    driver.offer(0);
    EXPECT_EQ(driver.used_index(), 1);
}

const Malformed malformed[] = {
    {"head_outside", [](VirtioDriver& d) { d.offer(8); }},
    {"next_outside",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 8, kWrite | kNext, 8);
         d.offer(0);
     }},
    {"loop",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 8, kWrite | kNext, 1);
         d.describe(d.kDescriptors, 1, d.kData, 8, kWrite | kNext, 0);
         d.offer(0);
     }},
    {"below_ram",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, layout::kRamBase - 4, 8, kWrite);
         d.offer(0);
     }},
    {"across_the_end",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, kRamEnd - 4, 8, kWrite);
         d.offer(0);
     }},
    {"wrapping",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, ~0ull - 3, 0xffffffff, kWrite);
         d.offer(0);
     }},
    {"read_after_write",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 8, kWrite | kNext, 1);
         d.describe(d.kDescriptors, 1, d.kData, 8, 0);
         d.offer(0);
     }},
    {"available_index_too_far",
     [](VirtioDriver& d) {
         d.at<uint16_t>(d.kAvailable + 2) = 9;
         d.set(0x50, 0);
     }},
    {"indirect_length",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 17, kIndirect);
         d.offer(0);
     }},
    {"indirect_empty",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 0, kIndirect);
         d.offer(0);
     }},
    {"indirect_outside",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, kRamEnd - 16, 32, kIndirect);
         d.offer(0);
     }},
    {"indirect_and_next",
     [](VirtioDriver& d) {
         d.describe(d.kDescriptors, 0, d.kData, 16, kIndirect | kNext, 1);
         d.offer(0);
     }},
    {"indirect_in_indirect",
     [](VirtioDriver& d) {
         d.describe(d.kData, 0, d.kData + 0x100, 16, kIndirect);
         d.describe(d.kDescriptors, 0, d.kData, 16, kIndirect);
         d.offer(0);
     }},
    {"indirect_loop",
     [](VirtioDriver& d) {
         d.describe(d.kData, 0, d.kData + 0x100, 16, kWrite | kNext, 0);
         d.describe(d.kDescriptors, 0, d.kData, 0x8000, kIndirect);
         d.offer(0);
     }},
};

INSTANTIATE_TEST_SUITE_P(All, VirtioMalformed, testing::ValuesIn(malformed),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(VirtioTest, IndirectMustBeNegotiated) {
    driver.start();
    driver.describe(driver.kData, 0, driver.kData + 0x100, 16, kWrite);
    driver.describe(driver.kDescriptors, 0, driver.kData, 16, kIndirect);
    driver.offer(0);
    EXPECT_TRUE(driver.broken());
}

TEST_F(VirtioTest, BadQueuePlacement) {
    const auto refused = [&](uint16_t size, uint64_t desc, uint64_t avail, uint64_t used) {
        driver.negotiate(kFeatureVersion1);
        driver.size = size;
        driver.place_queue(desc, avail, used);
        const bool ready = driver.get(0x44) != 0;
        EXPECT_EQ(ready, !driver.broken());
        driver.size = 8;
        return !ready;
    };
    using D = VirtioDriver;
    EXPECT_FALSE(refused(8, D::kDescriptors, D::kAvailable, D::kUsed));
    for (uint16_t size : {0, 3, 16, 0x8000})
        EXPECT_TRUE(refused(size, D::kDescriptors, D::kAvailable, D::kUsed)) << size;
    EXPECT_TRUE(refused(8, D::kDescriptors + 8, D::kAvailable, D::kUsed));
    EXPECT_TRUE(refused(8, D::kDescriptors, D::kAvailable + 1, D::kUsed));
    EXPECT_TRUE(refused(8, D::kDescriptors, D::kAvailable, D::kUsed + 2));
    EXPECT_TRUE(refused(8, kRamEnd - 64, D::kAvailable, D::kUsed));
    EXPECT_TRUE(refused(8, D::kDescriptors, kRamEnd - 4, D::kUsed));
    EXPECT_TRUE(refused(8, D::kDescriptors, D::kAvailable, 0x1000));
    EXPECT_TRUE(refused(8, ~0ull << 4, D::kAvailable, D::kUsed));
}

TEST_F(VirtioTest, RunningQueueKeepsItsPlace) {
    driver.start();
    driver.set(0x38, 0xffff);
    driver.set(0x80, 0);
    driver.set(0xa4, 0x7fff);
    driver.describe(driver.kDescriptors, 0, driver.kData, 8, kWrite);
    driver.offer(0);
    EXPECT_EQ(driver.used_index(), 1);
}

// Random rings: whatever is in RAM, the device neither crashes nor writes outside (the sanitizers watch).
TEST_F(VirtioTest, RandomRings) {
    std::mt19937_64 random(20240131);
    for (int round = 0; round < 3000; round++) {
        driver.start(kFeatureVersion1 | (random() & (kFeatureIndirect | kFeatureEventIndex)));
        for (unsigned i = 0; i < 8; i++) {
            const uint64_t address =
                random() % 8 == 0 ? random() : layout::kRamBase + random() % (VirtioDriver::kRamSize + 64);
            const auto length = static_cast<uint32_t>(random() % 4 == 0 ? random() : random() % 512);
            driver.describe(driver.kDescriptors, i, address, length, static_cast<uint16_t>(random() % 8),
                            static_cast<uint16_t>(random() % 9));
        }
        for (int i = 0; i < 4; i++) driver.offer(static_cast<uint16_t>(random() % 9));
    }
}

}  // namespace
}  // namespace arclight::devices
