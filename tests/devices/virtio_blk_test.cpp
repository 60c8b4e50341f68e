#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "devices/virtio/blk.h"
#include "devices/virtio/shared_disk.h"
#include "tests/devices/blk_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::eventually;
using test::VirtioDriver;
using namespace virtio;
using namespace test;

constexpr size_t kSize = 1 << 20;

TEST(VirtioBlk, ReadsAndWrites) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {}));
    EXPECT_EQ(driver.get(8), 2u);
    EXPECT_EQ(driver.device.read(0x100, 8), kSize / 512);
    EXPECT_EQ(driver.device.read(0x114, 4), 512u);
    EXPECT_EQ(driver.request(kIn, 3, 1024), 0);
    EXPECT_EQ(driver.used_length(0), 1025u);
    EXPECT_EQ(driver.byte(0), image.byte(3 * 512));
    EXPECT_EQ(driver.byte(1023), image.byte(3 * 512 + 1023));
    for (unsigned i = 0; i < 512; i++) driver.at<uint8_t>(driver.kPayload + i) = 0xa5;
    EXPECT_EQ(driver.request(kOut, 7, 512), 0);
    EXPECT_EQ(image.byte(7 * 512), 0xa5) << "in the file when acknowledged";
    EXPECT_EQ(driver.request(kFlush, 0, 0), 0);
    EXPECT_EQ(driver.request(kIn, kSize / 512 - 1, 512), 0);
    EXPECT_TRUE(eventually([&] { return driver.wire(); }));
}

TEST(VirtioBlk, RefusesWhatIsOutside) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {}));
    EXPECT_EQ(driver.request(kIn, kSize / 512, 512), 1);
    EXPECT_EQ(driver.request(kIn, kSize / 512 - 1, 1024), 1);
    EXPECT_EQ(driver.request(kOut, ~0ull, 512), 1);
    EXPECT_EQ(driver.request(kOut, ~0ull / 512, 512), 1);
    EXPECT_EQ(driver.request(kIn, 0, 100), 1) << "not whole sectors";
    EXPECT_EQ(driver.request(77, 0, 512), 2);
    EXPECT_FALSE(driver.broken());
}

TEST(VirtioBlk, ShortRequestsAreMalformed) {
    TemporaryImage image(kSize);
    BlkDriver no_status(open_blk(image.path, {}));
    no_status.describe(no_status.kDescriptors, 0, no_status.kData, 16, 0);
    no_status.offer(0);
    EXPECT_TRUE(eventually([&] { return no_status.broken(); }));
    no_status.start();
    no_status.describe(no_status.kDescriptors, 0, no_status.kData, 15, VirtioDriver::kNext, 1);
    no_status.describe(no_status.kDescriptors, 1, no_status.kData, 1, VirtioDriver::kWrite);
    no_status.offer(0);
    EXPECT_TRUE(eventually([&] { return no_status.broken(); }));
}

TEST(VirtioBlk, ScatteredHeaderAndStatus) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {}));
    constexpr auto kNext = VirtioDriver::kNext, kWrite = VirtioDriver::kWrite;
    driver.at<uint32_t>(driver.kData) = kIn;
    driver.at<uint64_t>(driver.kData + 8) = 2;
    driver.describe(driver.kDescriptors, 0, driver.kData, 5, kNext, 1);
    driver.describe(driver.kDescriptors, 1, driver.kData + 5, 11, kNext, 2);
    driver.describe(driver.kDescriptors, 2, driver.kPayload, 200, kWrite | kNext, 3);
    driver.describe(driver.kDescriptors, 3, driver.kPayload + 200, 313,
                    kWrite);  // 312 of kData, and the status
    driver.offer(0);
    ASSERT_TRUE(eventually([&] { return driver.used_index() == 1; }));
    EXPECT_EQ(driver.byte(512), 0);
    EXPECT_EQ(driver.byte(511), image.byte(2 * 512 + 511));
}

TEST(VirtioBlk, ReadOnly) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {.image = {.readonly = true}}));
    driver.set(0x14, 0);
    EXPECT_EQ(driver.get(0x10) & kBlkReadonly, kBlkReadonly);
    const uint8_t before = image.byte(0);
    driver.at<uint8_t>(driver.kPayload) = static_cast<uint8_t>(~before);
    EXPECT_EQ(driver.request(kOut, 0, 512), 1);
    EXPECT_EQ(driver.request(kDiscard, 0, 16), 1);
    EXPECT_EQ(image.byte(0), before);
    EXPECT_EQ(driver.request(kIn, 0, 512), 0);
}

// Random reads and writes against a plain copy; the file never changes.
TEST(VirtioBlk, SnapshotKeepsWritesInMemory) {
    constexpr size_t kOddSize = 5 * 65536 + 3 * 512;
    TemporaryImage image(kOddSize);
    std::vector<uint8_t> model(kOddSize);
    ASSERT_EQ(pread(image.fd, model.data(), kOddSize, 0), static_cast<ssize_t>(kOddSize));
    const std::vector<uint8_t> original = model;
    BlkDriver driver(open_blk(image.path, {.image = {.snapshot = true}}));
    std::mt19937_64 random(7);
    for (int round = 0; round < 300; round++) {
        const uint64_t sectors = 1 + random() % 300;
        const uint64_t first = random() % (kOddSize / 512 - sectors);
        const auto bytes = static_cast<uint32_t>(sectors * 512);
        uint8_t* kPayload = &driver.at<uint8_t>(driver.kPayload);
        if (random() % 2 != 0) {
            for (uint32_t i = 0; i < bytes; i++) kPayload[i] = static_cast<uint8_t>(random());
            std::memcpy(&model[first * 512], kPayload, bytes);
            ASSERT_EQ(driver.request(kOut, first, bytes), 0);
        } else {
            ASSERT_EQ(driver.request(kIn, first, bytes), 0);
            ASSERT_EQ(std::memcmp(kPayload, &model[first * 512], bytes), 0) << round;
        }
    }
    std::vector<uint8_t> after(kOddSize);
    ASSERT_EQ(pread(image.fd, after.data(), kOddSize, 0), static_cast<ssize_t>(kOddSize));
    EXPECT_EQ(after, original);
}

TEST(VirtioBlk, DiscardAndWriteZeroes) {
    TemporaryImage image(kSize);
    for (const bool snapshot : {false, true}) {
        BlkDriver driver(open_blk(image.path, {.image = {.snapshot = snapshot}}));
        const auto range = [&](unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags) {
            driver.at<uint64_t>(driver.kPayload + i * 16) = sector;
            driver.at<uint32_t>(driver.kPayload + i * 16 + 8) = sectors;
            driver.at<uint32_t>(driver.kPayload + i * 16 + 12) = flags;
        };
        range(0, 10, 2, 0);
        range(1, 200, 300, 1);
        EXPECT_EQ(driver.request(kWriteZeroes, 0, 32), 0);
        for (uint64_t sector : {10, 11, 200, 499}) {
            ASSERT_EQ(driver.request(kIn, sector, 512), 0);
            for (unsigned i = 0; i < 512; i++) ASSERT_EQ(driver.byte(i), 0);
        }
        ASSERT_EQ(driver.request(kIn, 12, 512), 0);
        EXPECT_EQ(driver.byte(5), image.byte(12 * 512 + 5));
        range(0, 0, 8, 0);
        EXPECT_EQ(driver.request(kDiscard, 0, 16), 0);
        range(0, 0, 8, 1);
        EXPECT_EQ(driver.request(kDiscard, 0, 16), 2) << "flags";
        range(0, kSize / 512 - 1, 2, 0);
        EXPECT_EQ(driver.request(kDiscard, 0, 16), 1) << "outside";
        EXPECT_EQ(driver.request(kDiscard, 0, 15), 1) << "not whole ranges";
    }
}

TEST(VirtioBlk, IdAndWriteCache) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {.serial = "disk0"}), kFeatureVersion1 | kBlkFlush | kBlkWce);
    EXPECT_EQ(driver.request(kGetId, 0, 20), 0);
    EXPECT_STREQ(reinterpret_cast<const char*>(&driver.at<uint8_t>(driver.kPayload)), "disk0");
    EXPECT_EQ(driver.device.read(0x120, 1), 1u);
    driver.device.write(0x120, 0, 1);
    EXPECT_EQ(driver.device.read(0x120, 1), 0u);
    EXPECT_EQ(driver.request(kOut, 1, 512), 0);
}

// Notified from one thread, reset from another, many times.
TEST(VirtioBlk, ResetWithRequestsInFlight) {
    TemporaryImage image(kSize);
    BlkDriver driver(open_blk(image.path, {}));
    for (int round = 0; round < 200; round++) {
        driver.start();
        driver.at<uint32_t>(driver.kData) = kIn;
        driver.at<uint64_t>(driver.kData + 8) = 0;
        driver.describe(driver.kDescriptors, 0, driver.kData, 16, VirtioDriver::kNext, 1);
        driver.describe(driver.kDescriptors, 1, driver.kPayload, 0x8000,
                        VirtioDriver::kNext | VirtioDriver::kWrite, 2);
        driver.describe(driver.kDescriptors, 2, driver.kData + 0x800, 1, VirtioDriver::kWrite);
        for (int i = 0; i < 8; i++) driver.offer(0);
        driver.set(0x70, 0);
        EXPECT_EQ(driver.get(0x70), 0u);
        const auto used = driver.used_index();
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        EXPECT_EQ(driver.used_index(), used) << "nothing is written after the reset";
    }
}

TEST(VirtioBlk, UserErrors) {
    TemporaryImage image(kSize), empty(0);
    const auto error = [](const std::string& path, Blk::Options options = {}) {
        const auto blk = Blk::open(path, options);
        return blk ? std::string() : blk.error();
    };
    EXPECT_EQ(error("/nonexistent/disk"),
              "disk image '/nonexistent/disk': cannot open: No such file or directory");
    EXPECT_NE(error("/tmp"), "");
    EXPECT_NE(error("/tmp", {.image = {.readonly = true}}), "");
    EXPECT_NE(error(empty.path), "");
    const auto first = open_blk(image.path, {});
    EXPECT_NE(error(image.path).find("in use"), std::string::npos);
    EXPECT_NE(error(image.path, {.image = {.snapshot = true}}).find("in use"), std::string::npos);
}

// Requests pour in while the machine is saved again and again, and goes on in another one each time: no
// request is lost, none is done twice in a way that shows, and the disk ends as the driver wrote it.
TEST(VirtioBlk, MovesUnderLoad) {
    TemporaryImage image(kSize);
    auto driver = std::make_unique<BlkDriver>(open_blk(image.path, {.image = {.snapshot = true}}));
    std::vector<uint8_t> model(kSize);
    ASSERT_EQ(pread(image.fd, model.data(), kSize, 0), static_cast<ssize_t>(kSize));
    std::mt19937_64 random(9);
    for (int round = 0; round < 25; round++) {
        // Two writes at once, each of one sector; the machine moves at some point of them.
        for (unsigned slot = 0; slot < 2; slot++) {
            const uint64_t header = BlkDriver::kData + slot * 0x100;
            const uint64_t payload = BlkDriver::kPayload + slot * 512;
            const uint64_t sector = random() % (kSize / 512 / 2) * 2 + slot;
            driver->at<uint32_t>(header) = kOut;
            driver->at<uint64_t>(header + 8) = sector;
            driver->at<uint8_t>(header + 0x80) = 0xee;
            for (unsigned i = 0; i < 512; i++)
                model[sector * 512 + i] = driver->at<uint8_t>(payload + i) = static_cast<uint8_t>(random());
            const uint64_t d = BlkDriver::kDescriptors;
            const auto first = static_cast<uint16_t>(slot * 3);
            driver->describe(d, first, header, 16, VirtioDriver::kNext, static_cast<uint16_t>(first + 1));
            driver->describe(d, first + 1u, payload, 512, VirtioDriver::kNext,
                             static_cast<uint16_t>(first + 2));
            driver->describe(d, first + 2u, header + 0x80, 1, VirtioDriver::kWrite);
        }
        const uint16_t before = driver->used_index();
        driver->offer(0);
        driver->offer(3);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 60));
        driver->device.quiesce();
        const uint16_t done = static_cast<uint16_t>(driver->used_index() - before);
        const auto stream = test::save(driver->device);
        auto next = std::make_unique<BlkDriver>(open_blk(image.path, {.image = {.snapshot = true}}));
        std::ranges::copy(driver->ram, next->ram.begin());
        next->device.reset();
        std::ranges::copy(driver->ram, next->ram.begin());
        ASSERT_EQ(test::load(next->device, stream), "");
        driver = std::move(next);
        EXPECT_EQ(static_cast<uint16_t>(driver->used_index() - before), done);
        driver->device.resume();
        ASSERT_TRUE(eventually([&] { return driver->used_index() == static_cast<uint16_t>(before + 2); }));
        EXPECT_EQ(driver->at<uint8_t>(BlkDriver::kData + 0x80), 0);
        EXPECT_EQ(driver->at<uint8_t>(BlkDriver::kData + 0x180), 0);
    }
    for (uint64_t sector = 0; sector < kSize / 512; sector += 64) {
        ASSERT_EQ(driver->request(kIn, sector, 64 * 512), 0);
        ASSERT_EQ(std::memcmp(&driver->at<uint8_t>(BlkDriver::kPayload), &model[sector * 512], 64 * 512), 0);
    }
}

TEST(VirtioBlk, StateIsOfThisDisk) {
    TemporaryImage image(kSize), smaller(kSize / 2);
    BlkDriver driver(open_blk(image.path, {.image = {.readonly = true}}));
    BlkDriver other(open_blk(smaller.path, {.image = {.readonly = true}}));
    BlkDriver writable(open_blk(smaller.path, {.image = {.snapshot = true}}));
    driver.device.quiesce(), other.device.quiesce(), writable.device.quiesce();
    const auto stream = test::save(driver.device);
    EXPECT_EQ(test::load(other.device, stream), "a disk of another size");
    EXPECT_EQ(other.get(0x70), 0u) << "the refused device is in reset";
    EXPECT_EQ(test::load(writable.device, test::save(other.device)),
              "a disk that is read-only there or here");
}

TEST(VirtioBlk, DamagedOverlaysAreSurvived) {
    TemporaryImage image(4 * 65536 + 512);
    BlkDriver driver(open_blk(image.path, {.image = {.snapshot = true}}));
    EXPECT_EQ(driver.request(kOut, 3, 512), 0);
    EXPECT_EQ(driver.request(kOut, 512, 512), 0);
    driver.device.quiesce();
    const auto stream = test::save(driver.device);
    std::mt19937_64 random(10);
    unsigned refused = 0;
    for (int round = 0; round < 60; round++) {
        BlkDriver damaged(open_blk(image.path, {.image = {.snapshot = true}}));
        auto bytes = stream;
        // Around the fields, not in the middle of the clusters.
        bytes.resize(bytes.size() - random() % 700);
        bytes[12 + random() % 300] ^= static_cast<uint8_t>(1 << random() % 8);
        refused += test::load(damaged.device, test::sealed(bytes)).empty() ? 0 : 1;
        damaged.device.resume();
        damaged.set(0x70, 0);
        damaged.start(kFeatureVersion1 | kBlkFlush);
        EXPECT_EQ(damaged.request(kIn, 0, 512), 0);
    }
    EXPECT_GT(refused, 30u);
}

// LightV's share of a disk: the driver's queue goes on where it was, whoever answers.
TEST(VirtioBlk, ImagesAnswerInTurn) {
    TemporaryImage own(kSize), other(kSize), small(kSize / 2);
    SharedDisk* shared = nullptr;
    auto disk = Disk::open_shared(own.path, {}, shared);
    ASSERT_TRUE(disk) << disk.error();
    BlkDriver driver(std::make_unique<Blk>(std::move(*disk)));
    const auto write = [&](uint8_t value) {
        std::memset(&driver.at<uint8_t>(driver.kPayload), value, 512);
        return driver.request(kOut, 7, 512);
    };
    const auto number = shared->add(other.path);
    ASSERT_TRUE(number) << number.error();
    EXPECT_EQ(*number, 1u);
    EXPECT_NE(shared->add(small.path).error().find("cannot stand in for"), std::string::npos);
    EXPECT_FALSE(shared->add("/no/such/image"));
    EXPECT_EQ(write(0xa1), 0);
    ASSERT_TRUE(shared->select(1));
    EXPECT_EQ(driver.request(kIn, 7, 512), 0);
    EXPECT_EQ(driver.byte(0), other.byte(7 * 512));
    EXPECT_EQ(write(0xb2), 0);
    EXPECT_EQ(driver.request(kFlush, 0, 0), 0);
    EXPECT_EQ(other.byte(7 * 512), 0xb2);
    EXPECT_EQ(own.byte(7 * 512), 0xa1);
    EXPECT_FALSE(shared->select(2));
    ASSERT_TRUE(shared->select(0));
    EXPECT_EQ(driver.request(kIn, 7, 512), 0);
    EXPECT_EQ(driver.byte(0), 0xa1);
    shared->refuse(true);
    EXPECT_EQ(driver.request(kIn, 7, 512), 1);
    EXPECT_EQ(write(1), 1);
    shared->refuse(false);
    EXPECT_EQ(driver.request(kIn, 7, 512), 0);
    EXPECT_EQ(driver.byte(0), 0xa1);
}

}  // namespace
}  // namespace arclight::devices
