// What a guest and its user see when the host fails requests; what a power cut leaves of acknowledged writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "devices/machine_host.h"
#include "tests/devices/blk_driver.h"

namespace arclight::devices {
namespace {

using namespace test;
using namespace virtio;

constexpr uint64_t kDiskSize = 64 * 512;

struct Entry {
    bool flush;
    uint64_t offset;
    std::vector<uint8_t> bytes;
};

// A disk in memory: fails what it is told to, and remembers writes and flushes in their order.
struct TestStorage final : DiskStorage {
    DiskResult result() {
        const int error = failing.load();
        if (error == 0) return {};
        failures++;
        return std::unexpected(DiskError{error});
    }
    DiskResult read(uint64_t offset, DiskBuffers buffers) override {
        if (auto failed = result(); !failed) return failed;
        for (const auto& buffer : buffers) {
            std::memcpy(buffer.data(), &content[offset], buffer.size());
            offset += buffer.size();
        }
        return {};
    }
    DiskResult write(uint64_t offset, DiskBuffers buffers) override {
        if (auto failed = result(); !failed) return failed;
        for (const auto& buffer : buffers) {
            std::memcpy(&content[offset], buffer.data(), buffer.size());
            entries.push_back({false, offset, {buffer.begin(), buffer.end()}});
            offset += buffer.size();
        }
        return {};
    }
    DiskResult flush() override {
        if (auto failed = result(); !failed) return failed;
        entries.push_back({true, 0, {}});
        return {};
    }
    DiskResult discard(uint64_t, uint64_t) override { return result(); }
    DiskResult zero(uint64_t, uint64_t, bool) override { return std::unexpected(DiskError{EOPNOTSUPP}); }

    std::vector<uint8_t> content = std::vector<uint8_t>(kDiskSize);
    std::vector<Entry> entries;
    std::atomic<int> failing{0};
    std::atomic<int> failures{0};
};

struct TestHost final : MachineHost {
    void say(const std::string& line) override {
        const std::lock_guard guard(lock);
        said.push_back(line);
    }
    void pause(const std::string& why) override {
        say(why);
        pauses++;
    }
    std::mutex lock;
    std::vector<std::string> said;
    std::atomic<int> pauses{0};
};

struct BadDisk {
    explicit BadDisk(OnDiskError on_write = OnDiskError::Enospc, OnDiskError on_read = OnDiskError::Report)
        : storage(new TestStorage), driver(make(on_write, on_read), kFeatureVersion1 | kBlkFlush | kBlkWce) {}
    std::unique_ptr<Blk> make(OnDiskError on_write, OnDiskError on_read) {
        Blk::Options options;
        options.on_write_error = on_write;
        options.on_read_error = on_read;
        options.host = &host;
        DiskImage image("d.img", std::unique_ptr<DiskStorage>(storage), kDiskSize, {.raw = true});
        return std::make_unique<Blk>(Disk(std::move(image), options));
    }
    // A request of each kind: status.
    uint8_t request(uint32_t type) {
        driver.at<uint64_t>(BlkDriver::kPayload) = 2;
        driver.at<uint32_t>(BlkDriver::kPayload + 8) = 4;
        driver.at<uint32_t>(BlkDriver::kPayload + 12) = 0;
        const bool ranges = type == kDiscard || type == kWriteZeroes;
        return driver.request(type, 0, type == kFlush ? 0 : ranges ? 16 : 512);
    }
    TestHost host;
    TestStorage* storage;
    BlkDriver driver;
};

constexpr uint32_t kAll[] = {kIn, kOut, kFlush, kDiscard, kWriteZeroes};

TEST(VirtioBlkErrors, ReportedOrIgnoredAndSaidOnce) {
    for (const bool ignore : {false, true}) {
        for (const uint32_t type : kAll) {
            const OnDiskError action = ignore ? OnDiskError::Ignore : OnDiskError::Report;
            BadDisk disk(action, action);
            disk.storage->failing = EIO;
            for (int i = 0; i < 3; i++) EXPECT_EQ(disk.request(type), ignore ? 0 : 1) << type;
            ASSERT_EQ(disk.host.said.size(), 1u) << type;
            EXPECT_NE(disk.host.said[0].find("'d.img'"), std::string::npos);
            EXPECT_NE(disk.host.said[0].find("Input/output error"), std::string::npos);
            EXPECT_EQ(disk.host.pauses, 0);
        }
    }
}

TEST(VirtioBlkErrors, DefaultsAreQemus) {
    for (const uint32_t type : kAll) {
        BadDisk disk;
        disk.storage->failing = EIO;
        EXPECT_EQ(disk.request(type), 1);
        EXPECT_EQ(disk.host.pauses, 0) << "EIO is reported";
    }
    BadDisk disk;
    disk.storage->failing = ENOSPC;
    EXPECT_EQ(disk.request(kIn), 1) << "reads do not stop";
    EXPECT_EQ(disk.host.pauses, 0);
}

// The request stays in the queue while the machine is paused, is done once it goes on, and a reset forgets it.
TEST(VirtioBlkErrors, StopsAndTriesAgain) {
    for (const uint32_t type : {kIn, kOut, kDiscard, kWriteZeroes}) {
        BadDisk disk(type == kOut ? OnDiskError::Enospc : OnDiskError::Stop, OnDiskError::Stop);
        disk.storage->failing = type == kOut ? ENOSPC : EIO;
        std::thread user([&] {
            for (int round = 1; round <= 3; round++) {
                EXPECT_TRUE(eventually([&] { return disk.host.pauses == round; }));
                disk.driver.device.quiesce();
                EXPECT_EQ(disk.driver.used_index(), 0) << "not answered";
                disk.driver.set(0x50, 0);
                if (round == 3) disk.storage->failing = 0;
                disk.driver.device.resume();
            }
        });
        EXPECT_EQ(disk.request(type), 0) << type;
        user.join();
        EXPECT_EQ(disk.storage->failures, 3) << "a notification alone tries nothing";
        EXPECT_EQ(disk.host.said.size(), 3u) << "each pause is said";
    }
    BadDisk disk(OnDiskError::Stop);
    disk.storage->failing = EIO;
    std::thread user([&] {
        EXPECT_TRUE(eventually([&] { return disk.host.pauses == 1; }));
        disk.storage->failing = 0;
        disk.driver.start(kFeatureVersion1 | kBlkFlush);
        EXPECT_EQ(disk.driver.used_index(), 0);
        EXPECT_EQ(disk.request(kIn), 0) << "a driver that starts again is served";
    });
    disk.driver.describe(BlkDriver::kDescriptors, 0, BlkDriver::kData, 16, VirtioDriver::kNext, 1);
    disk.driver.describe(BlkDriver::kDescriptors, 1, BlkDriver::kData + 0x800, 1, VirtioDriver::kWrite);
    disk.driver.at<uint32_t>(BlkDriver::kData) = kFlush;
    disk.driver.offer(0);
    user.join();
}

TEST(VirtioBlkErrors, AFailedFlushIsNeverForgotten) {
    BadDisk disk;
    EXPECT_EQ(disk.request(kOut), 0);
    disk.storage->failing = EIO;
    EXPECT_EQ(disk.request(kFlush), 1);
    disk.storage->failing = 0;
    for (int i = 0; i < 3; i++) EXPECT_EQ(disk.request(kFlush), 1);
    EXPECT_EQ(disk.request(kIn), 0);
    EXPECT_EQ(disk.request(kOut), 0);
    disk.driver.device.write(0x120, 0, 1);  // write-through: a write is a flush too
    EXPECT_EQ(disk.request(kOut), 1);
    EXPECT_EQ(disk.host.said.size(), 1u);
}

// Blocks of one sector say which they are and how often they were written. Cut at every point, with any of the writes
// since the last flush lost: all that was acknowledged before is there.
TEST(VirtioBlkErrors, APowerCutLosesNothingAcknowledged) {
    for (const bool write_through : {false, true}) {
        BadDisk disk;
        if (write_through) disk.driver.device.write(0x120, 0, 1);
        std::mt19937_64 random(write_through ? 5 : 4);
        struct Acknowledged {
            size_t position;
            std::vector<uint32_t> generations;
        };
        std::vector<Acknowledged> acknowledged;
        std::vector<uint32_t> written(kDiskSize / 512);
        for (uint32_t generation = 1; generation <= 150; generation++) {
            const uint64_t sector = random() % written.size();
            for (unsigned i = 0; i < 512; i += 8) {
                disk.driver.at<uint32_t>(BlkDriver::kPayload + i) = static_cast<uint32_t>(sector);
                disk.driver.at<uint32_t>(BlkDriver::kPayload + i + 4) = generation;
            }
            ASSERT_EQ(disk.driver.request(kOut, sector, 512), 0);
            written[sector] = generation;
            const bool flushes = random() % 6 == 0;
            if (flushes) {
                ASSERT_EQ(disk.driver.request(kFlush, 0, 0), 0);
            }
            if (flushes || write_through) acknowledged.push_back({disk.storage->entries.size(), written});
        }
        const auto& entries = disk.storage->entries;
        std::vector<uint8_t> durable(kDiskSize);
        std::vector<const Entry*> pending;
        for (size_t cut = 0; cut <= entries.size(); cut++) {
            std::vector<uint8_t> content = durable;
            for (const Entry* entry : pending)
                if (random() % 2 != 0) std::ranges::copy(entry->bytes, &content[entry->offset]);
            const auto after = std::ranges::upper_bound(acknowledged, cut, {}, &Acknowledged::position);
            for (size_t sector = 0; after != acknowledged.begin() && sector < written.size(); sector++) {
                uint32_t found[2];
                std::memcpy(found, &content[sector * 512], sizeof found);
                const uint32_t wanted = std::prev(after)->generations[sector];
                ASSERT_GE(found[1], wanted) << "sector " << sector << ", cut at " << cut;
                ASSERT_TRUE(wanted == 0 || found[0] == sector);
            }
            if (cut == entries.size()) break;
            if (entries[cut].flush) {
                for (const Entry* entry : pending) std::ranges::copy(entry->bytes, &durable[entry->offset]);
                pending.clear();
            } else {
                pending.push_back(&entries[cut]);
            }
        }
    }
}

}  // namespace
}  // namespace arclight::devices
