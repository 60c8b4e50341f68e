// A temporary image, and the guest's side of a disk.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/blk.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices::test {

constexpr uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8, kDiscard = 11, kWriteZeroes = 13;
constexpr uint64_t kBlkFlush = 1 << 9, kBlkReadonly = 1 << 5, kBlkWce = 1 << 11;

struct TemporaryImage {
    explicit TemporaryImage(size_t bytes) {
        char name[] = "/tmp/arclight-blk-XXXXXX";
        fd = mkstemp(name);
        path = name;
        std::vector<uint8_t> content(bytes);
        for (size_t i = 0; i < bytes; i++) content[i] = static_cast<uint8_t>(i / 512 + i);
        EXPECT_EQ(pwrite(fd, content.data(), bytes, 0), static_cast<ssize_t>(bytes));
    }
    ~TemporaryImage() {
        close(fd);
        unlink(path.c_str());
    }
    uint8_t byte(uint64_t offset) const {
        uint8_t value = 0;
        EXPECT_EQ(pread(fd, &value, 1, static_cast<off_t>(offset)), 1);
        return value;
    }
    int fd;
    std::string path;
};

inline std::unique_ptr<virtio::Blk> open_blk(const std::string& path, virtio::Blk::Options options) {
    auto blk = virtio::Blk::open(path, std::move(options));
    EXPECT_TRUE(blk.has_value()) << blk.error();
    return blk ? std::move(*blk) : nullptr;
}

// One request at a time: header at kData, kPayload at kData + 0x1000, status at kData + 0x800.
struct BlkDriver : VirtioDriver {
    explicit BlkDriver(std::unique_ptr<virtio::Blk> blk,
                       uint64_t features = virtio::kFeatureVersion1 | kBlkFlush)
        : VirtioDriver(std::move(blk)) {
        start(features);
    }
    static constexpr uint64_t kPayload = kData + 0x1000;

    uint8_t request(uint32_t type, uint64_t sector, uint32_t length) {
        at<uint32_t>(kData) = type;
        at<uint64_t>(kData + 8) = sector;
        at<uint8_t>(kData + 0x800) = 0xee;
        const bool to_guest = type == kIn || type == kGetId;
        describe(kDescriptors, 0, kData, 16, kNext, length != 0 ? 1 : 2);
        describe(kDescriptors, 1, kPayload, length, static_cast<uint16_t>(kNext | (to_guest ? kWrite : 0)),
                 2);
        describe(kDescriptors, 2, kData + 0x800, 1, kWrite);
        const auto before = used_index();
        offer(0);
        EXPECT_TRUE(eventually([&] { return used_index() != before; }));
        return at<uint8_t>(kData + 0x800);
    }
    uint8_t byte(uint64_t i) { return at<uint8_t>(kPayload + i); }
};

}  // namespace arclight::devices::test
