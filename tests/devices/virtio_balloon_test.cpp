#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>

#include "devices/virtio/balloon.h"
#include "tests/devices/balloon_driver.h"

namespace arclight::devices::test {
namespace {

using virtio::Balloon;

constexpr uint64_t kRam = VirtioDriver::kRamSize;
constexpr uint64_t kFirst = layout::kRamBase + 0x40000;  // of the pages that are given

struct BalloonTest : ::testing::Test {
    BalloonTest() {
        auto made = std::make_unique<Balloon>(
            loop, Balloon::Options{
                      .ram_bytes = kRam, .deflate_on_oom = true, .free_page_reporting = true, .host = &host});
        balloon = made.get();
        driver = std::make_unique<BalloonDriver>(std::move(made));
        loop.start();
    }
    ~BalloonTest() override { loop.stop(); }

    bool wait_done(unsigned queue, uint16_t count) {
        return wait_for([&] { return driver->done(queue) == count; });
    }
    template <typename Condition>
    static bool wait_for(Condition condition) {
        for (unsigned i = 0; i < 20000; ++i) {
            if (condition()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    std::span<uint8_t> host_pages(uint64_t pa, uint64_t pages) {
        return {driver->ram.data() + (pa - layout::kRamBase), pages * 4096};
    }
    uint32_t config(uint64_t offset) { return driver->get(0x100 + offset); }

    EventLoop loop;
    BalloonHost host;
    Balloon* balloon = nullptr;
    std::unique_ptr<BalloonDriver> driver;
};

bool same(std::span<uint8_t> a, std::span<uint8_t> b) { return a.data() == b.data() && a.size() == b.size(); }

TEST_F(BalloonTest, GivenPagesGoBackInRuns) {
    driver->start_balloon();
    std::memset(driver->memory.host(kFirst, 0x6000), 0xaa, 0x6000);
    // Backwards as Linux may have them, one of them twice, and two outside RAM.
    const uint32_t first = BalloonDriver::page_number(kFirst);
    const std::array<uint32_t, 7> pages{first + 2, first + 1, first, first + 4, first + 1, 0, ~0u};
    driver->give(0, pages);
    ASSERT_TRUE(wait_done(0, 1));
    const auto given = host.given();
    ASSERT_EQ(given.size(), 2u);
    EXPECT_TRUE(same(given[0], host_pages(kFirst, 3)));
    EXPECT_TRUE(same(given[1], host_pages(kFirst + 0x4000, 1)));
    EXPECT_EQ(driver->at<uint8_t>(kFirst + 0x2fff), 0);
    EXPECT_EQ(driver->at<uint8_t>(kFirst + 0x3000), 0xaa);
    // What it takes back costs nothing.
    driver->give(1, pages);
    ASSERT_TRUE(wait_done(1, 1));
    EXPECT_TRUE(host.given().empty());
}

TEST_F(BalloonTest, ReportedPagesGoBackUnlessTheGuestFillsThem) {
    driver->start_balloon();
    const auto report = [&](uint64_t pa, uint32_t bytes) {
        driver->describe(BalloonDriver::table(3), 0, pa, bytes, BalloonDriver::kWrite | BalloonDriver::kNext,
                         1);
        driver->describe(BalloonDriver::table(3), 1, kFirst + 0x20000, 0x2000, BalloonDriver::kWrite);
        driver->offer_in(3, 0);
    };
    report(kFirst + 0x10, 0x3000);  // whole pages only
    ASSERT_TRUE(wait_done(3, 1));
    auto given = host.given();
    ASSERT_EQ(given.size(), 2u);
    EXPECT_TRUE(same(given[0], host_pages(kFirst + 0x1000, 2)));
    EXPECT_TRUE(same(given[1], host_pages(kFirst + 0x20000, 2)));
    driver->set(0x100 + 12, 0xaaaaaaaa);
    EXPECT_EQ(config(12), 0xaaaaaaaau);
    report(kFirst, 0x3000);
    ASSERT_TRUE(wait_done(3, 2));
    EXPECT_TRUE(host.given().empty());
}

TEST_F(BalloonTest, InterceptedPagesStayAndTrackedOnesAreWritten) {
    driver->start_balloon();
    ASSERT_TRUE(driver->overlay.prepare());
    alignas(4096) static std::array<uint8_t, 4096> elsewhere;
    elsewhere.fill(0x77);
    using namespace mmu::page_flag;
    driver->overlay.set(kFirst, {.backing = elsewhere.data(), .flags = kIntercepted});
    driver->overlay.set(kFirst + 0x1000, {.flags = kIntercepted | kNoWrite});
    driver->overlay.set(kFirst + 0x2000, {.flags = kIntercepted | kTracked});
    const uint32_t first = BalloonDriver::page_number(kFirst);
    for (const uint32_t page : {first, first + 1, first + 2}) {
        const uint16_t before = driver->done(0);
        driver->give(0, {&page, 1});
        ASSERT_TRUE(wait_done(0, static_cast<uint16_t>(before + 1)));
    }
    for (const std::span<uint8_t> given : host.given())
        EXPECT_TRUE(same(given, host_pages(kFirst + 0x2000, 1)) || given.data() == elsewhere.data());
    EXPECT_EQ(driver->overlay.take_marks(kFirst + 0x2000),
              mmu::PageOverlay::kAccessed | mmu::PageOverlay::kDirty);
}

TEST_F(BalloonTest, TheUserAsksAndTheGuestTells) {
    EXPECT_EQ(balloon->actual(), kRam);
    balloon->set_target(kRam / 2);
    driver->start_balloon();
    EXPECT_EQ(config(0), kRam / 2 / 4096);
    balloon->set_target(kRam + 4096);
    EXPECT_EQ(config(0), 0u);
    EXPECT_TRUE(driver->wire());
    balloon->set_target(4096 * 3 + 1);
    EXPECT_EQ(config(0), kRam / 4096 - 3);
    driver->set(0x100 + 4, 16);
    EXPECT_EQ(balloon->actual(), kRam - 16 * 4096);
    EXPECT_EQ(host.sizes(), std::vector<uint64_t>{kRam - 16 * 4096});
    driver->set(0x100 + 4, ~0u);
    EXPECT_EQ(balloon->actual(), 0u);
    // A reset by the driver: nothing is given any more, and what is wanted stays.
    driver->set(0x70, 0);
    EXPECT_EQ(balloon->actual(), kRam);
    driver->start_balloon();
    EXPECT_EQ(config(0), kRam / 4096 - 3);
}

TEST_F(BalloonTest, StatisticsComeWhenTheyAreAskedFor) {
    driver->start_balloon();
    const auto tell = [&](uint64_t free) {
        uint8_t* bytes = driver->memory.host(BalloonDriver::kData, 30);
        const uint16_t tags[] = {4, 99, 0};
        const uint64_t values[] = {free, 1, 7};
        for (unsigned i = 0; i < 3; ++i) {
            std::memcpy(bytes + i * 10, &tags[i], 2);
            std::memcpy(bytes + i * 10 + 2, &values[i], 8);
        }
        driver->describe(BalloonDriver::table(2), 0, BalloonDriver::kData, 30, 0);
        driver->offer_in(2, 0);
    };
    EXPECT_EQ(balloon->statistics().updated, 0);
    tell(1000);
    EXPECT_EQ(balloon->statistics().values[4], 1000u);
    EXPECT_EQ(balloon->statistics().values[0], 7u);
    EXPECT_EQ(balloon->statistics().values[1], std::nullopt);
    EXPECT_NE(balloon->statistics().updated, 0);
    EXPECT_EQ(driver->done(2), 0) << "the buffer stays until somebody asks";
    // A saved machine waits for none of them.
    driver->device.quiesce();
    driver->device.resume();
    balloon->set_poll_interval(1);
    ASSERT_TRUE(wait_done(2, 1));
    tell(2000);
    EXPECT_EQ(balloon->statistics().values[4], 2000u);
    ASSERT_TRUE(wait_done(2, 2)) << "it asks again";
    balloon->set_poll_interval(0);
}

TEST_F(BalloonTest, IsTheSameInAnotherMachine) {
    driver->start_balloon();
    balloon->set_target(kRam / 4);
    driver->set(0x100 + 4, 5);
    driver->set(0x100 + 12, 6);
    driver->device.quiesce();
    StateWriter out;
    driver->device.save(out);
    const auto saved = out.finish();
    ASSERT_TRUE(saved);
    auto made = std::make_unique<Balloon>(
        loop, Balloon::Options{
                  .ram_bytes = kRam, .deflate_on_oom = true, .free_page_reporting = true, .host = &host});
    const Balloon& second = *made;
    BalloonDriver other(std::move(made));
    StateReader in(*saved);
    ASSERT_TRUE(other.device.load(in));
    ASSERT_TRUE(in.finish());
    other.device.resume();
    EXPECT_EQ(other.get(0x100), kRam / 4096 * 3 / 4);
    EXPECT_EQ(second.actual(), kRam - 5 * 4096);
    EXPECT_EQ(other.get(0x10c), 6u);
}

}  // namespace
}  // namespace arclight::devices::test
