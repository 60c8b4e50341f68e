// The SCSI host behind its transport: addresses, answers, task management.
#include <gtest/gtest.h>

#include <cstring>

#include "devices/scsi/logical_unit.h"
#include "devices/virtio/scsi.h"
#include "tests/devices/blk_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::eventually;
using test::TemporaryImage;
using test::VirtioDriver;
using virtio::Scsi;

constexpr size_t kSize = 1 << 20;
constexpr unsigned kControl = 0, kRequests = 2;

std::unique_ptr<Scsi> make_host(const TemporaryImage& image, unsigned queues = 1) {
    auto host = std::make_unique<Scsi>(queues);
    const auto add = [&](std::optional<unsigned> target, unsigned lun) {
        auto disk = virtio::Disk::open(image.path, {.image = {.readonly = true, .raw = true}});
        EXPECT_TRUE(disk.has_value());
        return host->attach(
            target, lun, std::make_unique<scsi::LogicalUnit>(std::move(*disk), scsi::LogicalUnit::Options{}));
    };
    EXPECT_TRUE(add(std::nullopt, 0));
    EXPECT_TRUE(add(3, 5));
    EXPECT_FALSE(add(3, 5)) << "taken";
    EXPECT_FALSE(add(256, 0));
    EXPECT_FALSE(add(0, 256));
    return host;
}

// One request at a time, on a queue of its own rings.
struct ScsiDriver : VirtioDriver {
    explicit ScsiDriver(std::unique_ptr<Scsi> host) : VirtioDriver(std::move(host)) { up(); }
    static constexpr uint64_t kRings = 0x4000;  // of the request queue, behind those of the first
    static constexpr uint64_t kPayload = kData + 0x1000, kAnswer = kData + 0x800;

    void up() {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(virtio::kFeatureVersion1);
        for (const unsigned queue : {kControl, kRequests}) {
            const uint64_t at = queue == kControl ? 0 : kRings;
            set(0x30, queue);
            set(0x38, size);
            set(0x80, kDescriptors + at), set(0x84, 0);
            set(0x90, kAvailable + at), set(0x94, 0);
            set(0xa0, kUsed + at), set(0xa4, 0);
            set(0x44, 1);
        }
        set(0x70, 0xf);
    }
    void send(unsigned queue, uint32_t request, uint32_t out, uint32_t answer, uint32_t in) {
        const uint64_t at = queue == kControl ? 0 : kRings, table = kDescriptors + at;
        uint16_t next = 1;
        describe(table, 0, kData, request, kNext, next);
        if (out != 0) describe(table, next, kPayload, out, kNext, static_cast<uint16_t>(next + 1)), next++;
        describe(table, next, kAnswer, answer, static_cast<uint16_t>(kWrite | (in != 0 ? kNext : 0)),
                 static_cast<uint16_t>(next + 1));
        if (in != 0) describe(table, next + 1u, kPayload, in, kWrite);
        auto& index = this->at<uint16_t>(kAvailable + at + 2);
        const uint16_t before = std::atomic_ref(this->at<uint16_t>(kUsed + at + 2)).load();
        this->at<uint16_t>(kAvailable + at + 4 + index % size * 2) = 0;
        std::atomic_ref(index).store(static_cast<uint16_t>(index + 1));
        set(0x50, queue);
        EXPECT_TRUE(eventually([&] {
            return broken() || std::atomic_ref(this->at<uint16_t>(kUsed + at + 2)).load() != before;
        }));
    }
    void lun(uint64_t at, uint8_t target, uint16_t number) {
        std::memset(&this->at<uint8_t>(at), 0, 8);
        this->at<uint8_t>(at) = 1;
        this->at<uint8_t>(at + 1) = target;
        this->at<uint8_t>(at + 2) = static_cast<uint8_t>(0x40 | number >> 8);
        this->at<uint8_t>(at + 3) = static_cast<uint8_t>(number);
    }
    /// The response byte.
    uint8_t command(uint8_t target, uint16_t number, const std::vector<uint8_t>& cdb, uint32_t out,
                    uint32_t in) {
        std::memset(&at<uint8_t>(kData), 0, 0x1000);
        lun(kData, target, number);
        std::memcpy(&at<uint8_t>(kData + 19), cdb.data(), cdb.size());
        send(kRequests, 19 + 32, out, 12 + 96, in);
        return at<uint8_t>(kAnswer + 11);
    }
    uint8_t status() { return at<uint8_t>(kAnswer + 10); }
    uint32_t residual() { return at<uint32_t>(kAnswer + 4); }
    uint8_t sense_key() { return at<uint32_t>(kAnswer) >= 3 ? at<uint8_t>(kAnswer + 12 + 2) : uint8_t{0}; }
    uint8_t manage(uint32_t function, uint8_t target, uint16_t number) {
        std::memset(&at<uint8_t>(kData), 0, 0x1000);
        at<uint8_t>(kAnswer) = 0xee;
        at<uint32_t>(kData + 4) = function;
        lun(kData + 8, target, number);
        send(kControl, 24, 0, 1, 0);
        return at<uint8_t>(kAnswer);
    }
};

const std::vector<uint8_t> kReady{0, 0, 0, 0, 0, 0};

TEST(VirtioScsi, Configuration) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image, 3));
    EXPECT_EQ(driver.get(8), 8u);
    EXPECT_EQ(driver.get(0x100), 3u);
    EXPECT_EQ(driver.get(0x100 + 20), 96u);
    EXPECT_EQ(driver.get(0x100 + 24), 32u);
    driver.set(0x100 + 20, 18);
    EXPECT_EQ(driver.get(0x100 + 20), 18u);
    driver.set(0x100 + 24, ~0ull);
    EXPECT_LE(driver.get(0x100 + 24), 256u) << "no more than the device can take";
    driver.set(0x70, 0);
    EXPECT_EQ(driver.get(0x100 + 20), 96u) << "as after a reset";
}

TEST(VirtioScsi, Commands) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image));
    EXPECT_EQ(driver.command(0, 0, kReady, 0, 0), 0);
    EXPECT_EQ(driver.status(), 2);
    EXPECT_EQ(driver.sense_key(), 6) << "attention after power-on";
    EXPECT_EQ(driver.command(0, 0, kReady, 0, 0), 0);
    EXPECT_EQ(driver.status(), 0);

    std::vector<uint8_t> read{0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0};
    EXPECT_EQ(driver.command(0, 0, read, 0, 1024 + 100), 0);
    EXPECT_EQ(driver.residual(), 100u);
    for (unsigned i = 0; i < 1024; i++)
        ASSERT_EQ(driver.at<uint8_t>(ScsiDriver::kPayload + i), image.byte(7 * 512 + i)) << i;
    EXPECT_EQ(driver.command(0, 0, read, 0, 1000), 1) << "no room: overrun";
    EXPECT_EQ(driver.command(3, 5, kReady, 0, 0), 0);
    EXPECT_EQ(driver.command(1, 0, kReady, 0, 0), 3) << "no such target";
}

TEST(VirtioScsi, LunsThatAreNotThere) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image));
    EXPECT_EQ(driver.command(3, 0, {0x12, 0, 0, 0, 36, 0}, 0, 36), 0);
    EXPECT_EQ(driver.status(), 0);
    EXPECT_EQ(driver.at<uint8_t>(ScsiDriver::kPayload), 0x7f);
    EXPECT_EQ(driver.command(3, 0, kReady, 0, 0), 0);
    EXPECT_EQ(driver.status(), 2);
    EXPECT_EQ(driver.sense_key(), 5);
    // LUN 0, whether it is there or not, and the others.
    EXPECT_EQ(driver.command(3, 0, {0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 0, 256), 0);
    EXPECT_EQ(driver.residual(), 256 - 24u);
    EXPECT_EQ(driver.at<uint8_t>(ScsiDriver::kPayload + 3), 16);
    EXPECT_EQ(driver.at<uint8_t>(ScsiDriver::kPayload + 17), 5);
}

TEST(VirtioScsi, TaskManagement) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image));
    driver.command(0, 0, kReady, 0, 0);
    driver.command(3, 5, kReady, 0, 0);
    EXPECT_EQ(driver.manage(5, 0, 0), 0);
    driver.command(3, 5, kReady, 0, 0);
    EXPECT_EQ(driver.status(), 0) << "another unit was reset";
    driver.command(0, 0, kReady, 0, 0);
    EXPECT_EQ(driver.sense_key(), 6) << "and this one tells";
    EXPECT_EQ(driver.manage(0, 0, 0), 0) << "abort: it is finished";
    EXPECT_EQ(driver.manage(4, 3, 5), 0);
    driver.command(3, 5, kReady, 0, 0);
    EXPECT_EQ(driver.sense_key(), 6);
    EXPECT_EQ(driver.manage(5, 0, 9), 12) << "no such LUN";
    EXPECT_EQ(driver.manage(5, 9, 0), 3) << "no such target";
    EXPECT_EQ(driver.manage(99, 0, 0), 11) << "no such function";
    driver.at<uint32_t>(ScsiDriver::kData) = 2;  // which asynchronous events
    driver.send(kControl, 16, 0, 5, 0);
    EXPECT_EQ(driver.at<uint8_t>(ScsiDriver::kAnswer + 4), 0);
    EXPECT_FALSE(driver.broken());
}

TEST(VirtioScsi, MalformedRequests) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image));
    driver.send(kRequests, 50, 0, 108, 0);
    EXPECT_TRUE(driver.broken()) << "a request that ends in the CDB";
    driver.up();
    driver.send(kRequests, 51, 0, 107, 0);
    EXPECT_TRUE(driver.broken()) << "no room for the answer";
    driver.up();
    driver.send(kControl, 23, 0, 1, 0);
    EXPECT_TRUE(driver.broken()) << "a short task request";
    driver.up();
    EXPECT_EQ(driver.command(0, 0, kReady, 0, 0), 0) << "all well again";
}

TEST(VirtioScsi, SavesAndLoads) {
    const TemporaryImage image(kSize);
    ScsiDriver driver(make_host(image)), other(make_host(image));
    driver.command(0, 0, kReady, 0, 0);
    driver.device.quiesce();
    other.device.quiesce();
    const auto stream = test::save(driver.device);
    ASSERT_EQ(test::load(other.device, stream), "");
    EXPECT_EQ(test::save(other.device), stream);
    std::mt19937_64 random(5);
    for (int i = 0; i < 300; i++) test::load(other.device, test::damage(stream, random));
    EXPECT_EQ(test::load(other.device, stream), "");
    driver.device.resume();
    other.device.resume();
}

}  // namespace
}  // namespace arclight::devices
