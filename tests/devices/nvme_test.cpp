#include <gtest/gtest.h>

#include "tests/devices/blk_driver.h"
#include "tests/devices/nvme_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using namespace nvme;
using test::eventually;
using test::NvmeDriver;
using test::TemporaryImage;

constexpr size_t kSize = 1 << 20;

virtio::Disk open_disk(const TemporaryImage& image, virtio::DiskOptions options = {}) {
    options.serial = "nv1";
    auto disk = virtio::Disk::open(image.path, std::move(options));
    EXPECT_TRUE(disk.has_value());
    return std::move(*disk);
}

TEST(Nvme, Identity) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    EXPECT_EQ(driver.config(0, NvmeDriver::kDevfn, 0), 0x0010'1b36u);
    EXPECT_EQ(driver.config(0, NvmeDriver::kDevfn, 8) >> 8, 0x010802u);
    EXPECT_EQ(driver.get(8), 0x0001'0400u);
    driver.enable();
    EXPECT_EQ(driver.get(0x1c), 1u) << "ready";
    Command identify{.opcode = kIdentify, .prp1 = NvmeDriver::kData};
    identify.cdw10 = 1;
    EXPECT_EQ(driver.admin(identify), 0);
    EXPECT_EQ(std::memcmp(&driver.at<char>(NvmeDriver::kData + 4), "nv1                 ", 20), 0);
    EXPECT_EQ(driver.at<uint32_t>(NvmeDriver::kData + 516), 1u);
    identify.cdw10 = 0, identify.nsid = 1;
    EXPECT_EQ(driver.admin(identify), 0);
    EXPECT_EQ(driver.at<uint64_t>(NvmeDriver::kData), kSize / 512);
    identify.nsid = 2;
    EXPECT_EQ(driver.admin(identify), kInvalidNamespace);
    identify.cdw10 = 2, identify.nsid = 0;
    EXPECT_EQ(driver.admin(identify), 0);
    EXPECT_EQ(driver.at<uint64_t>(NvmeDriver::kData), 1u) << "namespace 1 and no more";
}

TEST(Nvme, ReadsAndWrites) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    ASSERT_TRUE(driver.start());
    // Within a page, across two, and by a list; not from a page's start.
    for (const auto& [blocks, offset] : {std::pair(1u, 0ull), {8u, 0x200ull}, {100u, 0xe00ull}}) {
        EXPECT_EQ(driver.transfer(kRead, 40, blocks, offset), 0);
        for (uint64_t i = 0; i < blocks * 512ull; i++)
            ASSERT_EQ(driver.at<uint8_t>(NvmeDriver::kData + offset + i), image.byte(40 * 512 + i)) << i;
    }
    for (unsigned i = 0; i < 3 * 512; i++)
        driver.at<uint8_t>(NvmeDriver::kData + i) = static_cast<uint8_t>(i ^ 0x5a);
    EXPECT_EQ(driver.transfer(kWrite, 700, 3), 0);
    for (unsigned i = 0; i < 3 * 512; i++)
        ASSERT_EQ(image.byte(700 * 512 + i), static_cast<uint8_t>(i ^ 0x5a));
    EXPECT_EQ(driver.request(1, {.opcode = kFlush, .nsid = 1}), 0);
    EXPECT_EQ(driver.transfer(kRead, kSize / 512, 1), kLbaOutOfRange);
    EXPECT_EQ(driver.transfer(kWrite, kSize / 512 - 1, 2), kLbaOutOfRange);
    EXPECT_EQ(driver.transfer(kRead, ~0ull, 2), kLbaOutOfRange);

    Command zeroes{.opcode = kWriteZeroes, .nsid = 1};
    zeroes.cdw10 = 700, zeroes.cdw12 = 1;
    EXPECT_EQ(driver.request(1, zeroes), 0);
    EXPECT_EQ(image.byte(701 * 512 + 7), 0);
    EXPECT_NE(image.byte(702 * 512 + 7), 0);
    Command deallocate{.opcode = kDatasetManagement, .nsid = 1, .prp1 = NvmeDriver::kData};
    deallocate.cdw11 = 4;
    std::memset(&driver.at<uint8_t>(NvmeDriver::kData), 0, 16);
    driver.at<uint32_t>(NvmeDriver::kData + 4) = 8, driver.at<uint64_t>(NvmeDriver::kData + 8) = 720;
    EXPECT_EQ(driver.request(1, deallocate), 0);
    EXPECT_EQ(image.byte(727 * 512 + 7), 0);
    driver.at<uint64_t>(NvmeDriver::kData + 8) = kSize / 512;
    EXPECT_EQ(driver.request(1, deallocate), kLbaOutOfRange);
}

// As many as the queue holds, at once; each is completed, in whatever order.
TEST(Nvme, ManyAtOnceAndWrappedQueues) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image, {.image = {.ring = true}}));
    ASSERT_TRUE(driver.start());
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < NvmeDriver::kEntries - 1; i++) {
            Command read{.opcode = kRead, .nsid = 1, .prp1 = NvmeDriver::kData + i * 0x1000};
            read.cdw10 = round * 8 + i, read.cdw12 = 7;
            driver.put(1, read);
        }
        driver.ring(1);
        for (unsigned i = 0; i < NvmeDriver::kEntries - 1; i++) {
            const auto done = driver.take(1);
            ASSERT_TRUE(done.has_value());
            EXPECT_EQ(done->status >> 1, 0);
        }
        for (unsigned i = 0; i < NvmeDriver::kEntries - 1; i++)
            ASSERT_EQ(driver.at<uint8_t>(NvmeDriver::kData + i * 0x1000 + 5),
                      image.byte((round * 8 + i) * 512 + 5));
    }
}

TEST(Nvme, WrongPointers) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    ASSERT_TRUE(driver.start());
    const auto read = [&](uint64_t prp1, uint64_t prp2, uint32_t blocks) {
        Command command{.opcode = kRead, .nsid = 1, .prp1 = prp1, .prp2 = prp2};
        command.cdw12 = blocks - 1;
        return driver.request(1, command);
    };
    EXPECT_EQ(read(0, 0, 1), kDataTransferError) << "nowhere";
    EXPECT_EQ(read(NvmeDriver::kData + 1, 0, 1), kInvalidPrpOffset);
    EXPECT_EQ(read(NvmeDriver::kData, NvmeDriver::kData + 0x1200, 16), kInvalidPrpOffset);
    EXPECT_EQ(read(NvmeDriver::kData, layout::kRamBase + NvmeDriver::kRamSize - 8, 64), kDataTransferError)
        << "a list that goes on nowhere";
    EXPECT_EQ(read(NvmeDriver::kData, ~7ull, 64), kDataTransferError) << "a list nowhere";
    EXPECT_EQ(read(NvmeDriver::kData, NvmeDriver::kList, 2048), kInvalidField) << "longer than it may be";
    // A list whose page's last entry leads back to that page ends, since a transfer is short.
    for (unsigned i = 0; i < 512; i++) driver.at<uint64_t>(NvmeDriver::kList + i * 8) = NvmeDriver::kData;
    driver.at<uint64_t>(NvmeDriver::kList + 511 * 8) = NvmeDriver::kList;
    EXPECT_EQ(read(NvmeDriver::kData, NvmeDriver::kList + 511 * 8, 1024), 0);
    EXPECT_EQ(driver.get(0x1c), 1u) << "still ready";
}

TEST(Nvme, Queues) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    driver.enable();
    Command create{.opcode = kCreateSq, .prp1 = NvmeDriver::kIoSq};
    create.cdw10 = 7 << 16 | 1, create.cdw11 = 1 << 16 | 1;
    EXPECT_EQ(driver.admin(create), kInvalidCompletionQueue);
    create.opcode = kCreateCq, create.prp1 = NvmeDriver::kIoCq, create.cdw11 = 3;
    create.cdw10 = 7 << 16;
    EXPECT_EQ(driver.admin(create), kInvalidQueueId);
    create.cdw10 = 0xffff'0001;
    EXPECT_EQ(driver.admin(create), kInvalidQueueSize);
    create.cdw10 = 7 << 16 | 1, create.cdw11 = 999 << 16 | 3;
    EXPECT_EQ(driver.admin(create), kInvalidVector);
    create.cdw11 = 3, create.prp1 = layout::kRamBase + NvmeDriver::kRamSize;
    EXPECT_EQ(driver.admin(create), kInvalidPrpOffset);
    create.prp1 = NvmeDriver::kIoCq;
    EXPECT_EQ(driver.admin(create), 0);
    EXPECT_EQ(driver.admin(create), kInvalidQueueId) << "taken";
    create.opcode = kCreateSq, create.prp1 = NvmeDriver::kIoSq, create.cdw11 = 1 << 16 | 1;
    EXPECT_EQ(driver.admin(create), 0);
    Command remove{.opcode = kDeleteCq};
    remove.cdw10 = 1;
    EXPECT_EQ(driver.admin(remove), kInvalidQueueDeletion) << "in use";
    remove.opcode = kDeleteSq;
    EXPECT_EQ(driver.admin(remove), 0);
    remove.opcode = kDeleteCq;
    EXPECT_EQ(driver.admin(remove), 0);
    EXPECT_EQ(driver.admin(remove), kInvalidQueueId);
    EXPECT_EQ(driver.admin({.opcode = 0x77}), kInvalidOpcode);
}

TEST(Nvme, FeaturesAndEvents) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    driver.enable();
    Command feature{.opcode = kGetFeatures};
    feature.cdw10 = kQueueCount;
    EXPECT_EQ(driver.admin(feature), 0);
    EXPECT_EQ(driver.result, 0x003f'003fu);
    feature.cdw10 = kWriteCache;
    EXPECT_EQ(driver.admin(feature), 0);
    EXPECT_EQ(driver.result, 1u);
    feature.opcode = kSetFeatures, feature.cdw11 = 0;
    EXPECT_EQ(driver.admin(feature), 0);
    feature.opcode = kGetFeatures;
    EXPECT_EQ(driver.admin(feature), 0);
    EXPECT_EQ(driver.result, 0u);
    feature.cdw10 = 0x77;
    EXPECT_EQ(driver.admin(feature), kInvalidField);

    // A doorbell that is not there: the event that was asked for, once until the log is read.
    driver.put(0, {.opcode = kAsyncEvent});
    driver.ring(0);
    EXPECT_FALSE(driver.take(0, std::chrono::milliseconds(30)).has_value());
    driver.set(0x1000 + 9 * 8, 1);
    const auto event = driver.take(0);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->result, 0x0001'0000u);
    Command log{.opcode = kGetLogPage, .prp1 = NvmeDriver::kData};
    log.cdw10 = 15 << 16 | 1;
    EXPECT_EQ(driver.admin(log), 0);
    log.cdw10 = 15 << 16 | 0x99;
    EXPECT_EQ(driver.admin(log), kInvalidLogPage);
    for (unsigned i = 0; i < 4; i++) driver.put(0, {.opcode = kAsyncEvent});
    EXPECT_EQ(driver.admin({.opcode = kAsyncEvent}), kTooManyEvents);
}

TEST(Nvme, InterruptsByPinAndByMessage) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    driver.enable();
    Command identify{.opcode = kIdentify, .prp1 = NvmeDriver::kData};
    identify.cdw10 = 1;
    driver.put(0, identify);
    driver.ring(0);
    const unsigned line = driver.device->interrupt_line();
    EXPECT_TRUE(eventually([&] { return driver.wire(line); }));
    driver.set(0x0c, 1);
    EXPECT_FALSE(driver.wire(line)) << "masked";
    driver.set(0x10, 1);
    EXPECT_TRUE(driver.wire(line));
    driver.take(0);
    EXPECT_FALSE(driver.wire(line)) << "read";
    driver.write(NvmeDriver::kTable, 0x1000);
    driver.write(NvmeDriver::kTable + 8, 7);
    driver.write(NvmeDriver::kTable + 12, 0);
    driver.set_config(0, NvmeDriver::kDevfn, 0x40 + 2, 0x8000, 2);
    driver.admin(identify);
    EXPECT_TRUE(eventually([&] { return driver.messages.take().size() == 1; }));
    EXPECT_FALSE(driver.wire(line));
}

TEST(Nvme, ResetAndShutdown) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image));
    ASSERT_TRUE(driver.start());
    driver.set(0x14, 0x0046'4001);
    EXPECT_TRUE(eventually([&] { return (driver.get(0x1c) & 0xc) == 8; })) << "shut down";
    driver.set(0x14, 0);
    EXPECT_EQ(driver.get(0x1c), 0u);
    ASSERT_TRUE(driver.start());
    EXPECT_EQ(driver.transfer(kRead, 0, 1), 0) << "up again";
    driver.set(0x14, 0);
    driver.set(0x28, layout::kRamBase + NvmeDriver::kRamSize, 8);
    driver.set(0x14, 0x0046'0001);
    EXPECT_EQ(driver.get(0x1c) & 3, 2u) << "an admin queue outside of RAM is fatal";
    driver.bridge.reset();
    EXPECT_EQ(driver.read(NvmeDriver::kRegisters), 0xffff'ffffu) << "no window";
}

TEST(Nvme, SavesAndLoads) {
    const TemporaryImage image(kSize);
    NvmeDriver driver(open_disk(image, {.image = {.readonly = true}}));
    ASSERT_TRUE(driver.start());
    driver.put(0, {.opcode = kAsyncEvent});
    EXPECT_EQ(driver.transfer(kRead, 3, 1), 0);
    EXPECT_EQ(driver.transfer(kWrite, 3, 1), kAccessDenied);
    driver.device->quiesce();
    driver.put(1, {.opcode = kFlush, .nsid = 1});
    driver.ring(1);
    const auto stream = test::save(*driver.device);
    NvmeDriver other(open_disk(image, {.image = {.readonly = true}}));
    other.ram = driver.ram;
    other.device->quiesce();
    ASSERT_EQ(test::load(*other.device, stream), "");
    EXPECT_EQ(test::save(*other.device), stream);
    std::copy(std::begin(driver.queues), std::end(driver.queues), std::begin(other.queues));
    other.device->resume();
    const auto done = other.take(1);
    ASSERT_TRUE(done.has_value()) << "what was in the queue is carried out there";
    std::mt19937_64 random(5);
    other.device->quiesce();
    for (int i = 0; i < 300; i++) test::load(*other.device, test::damage(stream, random));
    EXPECT_EQ(test::load(*other.device, stream), "");
    other.device->resume();
    driver.device->resume();
}

}  // namespace
}  // namespace arclight::devices
