// Which files are taken as disks: formats, sizes, locks; and what a guest cannot turn its disk into.
#include "devices/virtio/disk_image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "devices/virtio/host_file.h"
#include "tests/devices/blk_driver.h"

namespace arclight::devices {
namespace {

using namespace std::string_view_literals;
using namespace test;
using namespace virtio;

constexpr size_t kSize = 64 * 1024;

void put(const TemporaryImage& image, uint64_t offset, std::string_view bytes) {
    ASSERT_EQ(pwrite(image.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
}

std::string error_of(const std::string& path, const DiskImage::Options& options = {}) {
    const auto image = DiskImage::open(path, options);
    return image ? "" : image.error();
}

std::string vhd_footer() {
    std::string footer(512, '\0');
    footer.replace(0, 8, "conectix");
    footer[40] = 1;
    uint32_t sum = 0;
    for (const char c : footer) sum += static_cast<uint8_t>(c);
    const uint32_t checksum = __builtin_bswap32(~sum);
    std::memcpy(footer.data() + 64, &checksum, 4);
    return footer;
}

struct Sample {
    uint64_t offset;
    std::string bytes;
    std::string_view name;
    bool guest_may_write;
};

std::vector<Sample> samples() {
    return {{0, std::string("QFI\xfb\0\0\0\1"sv), "qcow (version 1)", false},
            {0, std::string("QFI\xfb\0\0\0\2"sv), "qcow2", false},
            {0, std::string("QFI\xfb\0\0\0\3"sv), "qcow2", false},
            {0, std::string("QED\0"sv), "qed", false},
            {0, "KDMV", "vmdk", false},
            {0, "COWD", "vmdk", false},
            {0, "# Disk DescriptorFile\nversion=1\nCID=fffffffe\n", "vmdk", false},
            {0, "# a\r\n#b\n   \n \r\nversion=3\r\n", "vmdk", false},
            {0, "conectix", "vhd", false},
            {kSize - 512, vhd_footer(), "vhd", false},
            {0, "vhdxfile", "vhdx", false},
            {64, "\x7f\x10\xda\xbe", "vdi", false},
            {0, "WithoutFreeSpace", "parallels", false},
            {0, "WithouFreSpacExt", "parallels", false},
            {0, "Bochs Virtual HD Image", "bochs", false},
            {0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0", "cloop", false},
            {0, "\x3a\xff\x26\xed", "Android's sparse image", false},
            {kSize - 512, std::string("koly\0\0\0\4\0\0\2\0"sv), "dmg", false},
            {0, "\x1f\x8b\x08", "gzip", true},
            {0, std::string("\xfd\x37zXZ\0"sv), "xz", true},
            {0, "\x28\xb5\x2f\xfd", "zstd", true},
            {0, "BZh51AY&SY", "bzip2", true},
            {0, "\x04\x22\x4d\x18", "lz4", true},
            {0, "PK\3\4", "zip", true}};
}

TEST(DiskImage, OtherFormatsAreRefused) {
    for (const Sample& sample : samples()) {
        TemporaryImage image(kSize);
        put(image, sample.offset, sample.bytes);
        for (const DiskImage::Options& options : {DiskImage::Options{}, DiskImage::Options{.readonly = true},
                                                  DiskImage::Options{.snapshot = true}}) {
            const std::string error = error_of(image.path, options);
            EXPECT_NE(error.find(sample.name), std::string::npos) << sample.name << ": " << error;
            EXPECT_NE(error.find("format=raw"), std::string::npos) << error;
            EXPECT_EQ(error.find("compressed") != std::string::npos, sample.guest_may_write) << error;
            EXPECT_EQ(error.find('\n'), std::string::npos) << error;
        }
        EXPECT_EQ(error_of(image.path, {.raw = true}), "") << sample.name;
    }
}

TEST(DiskImage, WhatIsRawStaysRaw) {
    const std::string damaged_footer = "conectix" + std::string(504, 'x');
    for (const auto& [offset, bytes] : {std::pair<uint64_t, std::string>{0, ""},
                                        {0, "LUKS\xba\xbe"},
                                        {1, "QFI\xfb"},
                                        {512, "KDMV"},
                                        {510, "\x55\xaa"},
                                        {kSize - 512, "EFI PART"},
                                        {kSize - 512, damaged_footer},
                                        {0, "# a comment\nversion=4\n"},
                                        {0, "version=1x"}}) {
        TemporaryImage image(kSize);
        put(image, offset, bytes);
        EXPECT_EQ(error_of(image.path), "") << bytes;
    }
}

// Every format, by one write of the guest, in one buffer and in many.
TEST(DiskImage, AGuestCannotMakeItsDiskAnotherFormat) {
    for (const Sample& sample : samples()) {
        for (const bool said_raw : {false, true}) {
            TemporaryImage image(kSize);
            auto disk = DiskImage::open(image.path, {.raw = said_raw});
            ASSERT_TRUE(disk.has_value()) << disk.error();
            const uint64_t sector = sample.offset / 512 * 512;
            const uint64_t start = sector == 0 ? 0 : sector - 1024;  // other sectors around it
            std::vector<uint8_t> bytes(1536, 0x11);
            std::memcpy(&bytes[sample.offset - start], sample.bytes.data(), sample.bytes.size());
            std::vector<std::span<uint8_t>> pieces;
            for (size_t i = 0; i < bytes.size(); i += 3) pieces.push_back(std::span(bytes).subspan(i, 3));
            const std::span<uint8_t> whole = bytes;
            for (const DiskBuffers buffers : {DiskBuffers(&whole, 1), DiskBuffers(pieces)}) {
                const DiskResult written = disk->write(start, buffers);
                EXPECT_EQ(written.has_value(), said_raw || sample.guest_may_write) << sample.name;
                if (!written) {
                    EXPECT_EQ(written.error().kind, DiskError::Kind::Refused);
                    EXPECT_EQ(written.error().format, sample.name);
                    EXPECT_EQ(image.byte(start + 700),
                              static_cast<uint8_t>((start + 700) / 512 + start + 700))
                        << "nothing of the request is written";
                }
            }
        }
    }
}

// Requests at the start, at the end, over all of it and of one sector, in odd pieces: what is checked is also written.
TEST(DiskImage, CheckedWritesAreWhole) {
    for (const uint64_t sectors : {1, 2, 3, 8}) {
        TemporaryImage image(sectors * 512);
        auto disk = DiskImage::open(image.path, {});
        ASSERT_TRUE(disk.has_value()) << disk.error();
        for (uint64_t first = 0; first < sectors; first++) {
            for (uint64_t count = 1; first + count <= sectors; count++) {
                std::vector<uint8_t> bytes(count * 512), back(count * 512);
                for (size_t i = 0; i < bytes.size(); i++)
                    bytes[i] = static_cast<uint8_t>(i * 7 + first + count);
                std::vector<std::span<uint8_t>> pieces;
                for (size_t i = 0; i < bytes.size(); i += 100)
                    pieces.push_back(std::span(bytes).subspan(i, std::min<size_t>(100, bytes.size() - i)));
                ASSERT_TRUE(disk->write(first * 512, pieces));
                ASSERT_EQ(pread(image.fd, back.data(), back.size(), static_cast<off_t>(first * 512)),
                          static_cast<ssize_t>(back.size()));
                ASSERT_EQ(bytes, back) << sectors << " " << first << " " << count;
            }
        }
    }
}

TEST(DiskImage, APartialSectorReadsAsZerosAndGrowsWhenWritten) {
    for (const bool snapshot : {false, true}) {
        TemporaryImage image(1000);
        auto disk = DiskImage::open(image.path, {.snapshot = snapshot});
        ASSERT_TRUE(disk.has_value()) << disk.error();
        EXPECT_EQ(disk->size(), 1024u);
        EXPECT_EQ(disk->length(), 1000u);
        std::vector<uint8_t> bytes(512, 0xee);
        const std::span<uint8_t> buffer = bytes;
        ASSERT_TRUE(disk->read(512, {&buffer, 1}));
        EXPECT_EQ(bytes[487], image.byte(999));
        for (size_t i = 488; i < 512; i++) ASSERT_EQ(bytes[i], 0);
        std::ranges::fill(bytes, 0xa5);
        ASSERT_TRUE(disk->write(512, {&buffer, 1}));
        std::ranges::fill(bytes, 0);
        ASSERT_TRUE(disk->read(512, {&buffer, 1}));
        EXPECT_EQ(bytes[511], 0xa5);
        EXPECT_EQ(lseek(image.fd, 0, SEEK_END), snapshot ? 1000 : 1024);
    }
}

TEST(DiskImage, AFileThatBecameShorterIsAnError) {
    TemporaryImage image(kSize);
    auto disk = DiskImage::open(image.path, {});
    ASSERT_TRUE(disk.has_value());
    ASSERT_EQ(ftruncate(image.fd, 4096), 0);
    std::vector<uint8_t> bytes(512);
    const std::span<uint8_t> buffer = bytes;
    EXPECT_TRUE(disk->read(0, {&buffer, 1}));
    const DiskResult read = disk->read(8192, {&buffer, 1});
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().number, EIO);
}

// ---- locks

// As QEMU locks: bytes 100 + n for what one does, 200 + n for what one forbids others.
bool lock_byte(int fd, off_t byte) {
    struct flock lock {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}
bool is_locked(int fd, off_t byte) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
constexpr off_t kReads = 100, kWrites = 101, kResizes = 103, kForbidsReads = 200, kForbidsWrites = 201,
                kForbidsResizes = 203;

TEST(DiskImageLocks, AreThoseThatQemuLooksAt) {
    TemporaryImage image(kSize), odd(kSize + 1);
    const auto locked = [](const TemporaryImage& of, const DiskImage::Options& options) {
        const auto disk = DiskImage::open(of.path, options);
        EXPECT_TRUE(disk.has_value()) << disk.error();
        std::vector<off_t> bytes;
        for (off_t byte = 90; byte < 220; byte++)
            if (is_locked(of.fd, byte)) bytes.push_back(byte);
        return bytes;
    };
    using Bytes = std::vector<off_t>;
    const Bytes reader = {kReads, kForbidsWrites, kForbidsResizes};
    EXPECT_EQ(locked(image, {}), (Bytes{kReads, kWrites, kForbidsWrites, kForbidsResizes}));
    EXPECT_EQ(locked(odd, {}), (Bytes{kReads, kWrites, kResizes, kForbidsWrites, kForbidsResizes}));
    EXPECT_EQ(locked(image, {.readonly = true}), reader);
    EXPECT_EQ(locked(image, {.snapshot = true}), reader);
    EXPECT_EQ(locked(image, {.locking = ImageLocking::Off}), Bytes{});
    EXPECT_FALSE(is_locked(image.fd, kReads)) << "closed with the image";
}

TEST(DiskImageLocks, WhatAnotherDoesOrForbidsCounts) {
    struct Case {
        std::vector<off_t> others;
        bool writer_refused, reader_refused;
    };
    const Case cases[] = {{{kReads}, false, false},
                          {{kReads, kForbidsWrites}, true, false},  // QEMU with readonly=on
                          {{kReads, kForbidsWrites, kForbidsResizes}, true, false},
                          {{kReads, kWrites, kForbidsWrites}, true, true},  // QEMU
                          {{kWrites}, true, true},
                          {{kResizes}, true, true},
                          {{kForbidsReads}, true, true},
                          {{kForbidsResizes}, false, false}};
    for (const Case& one : cases) {
        TemporaryImage image(kSize);
        for (const off_t byte : one.others) ASSERT_TRUE(lock_byte(image.fd, byte));
        EXPECT_EQ(error_of(image.path) != "", one.writer_refused) << one.others.back();
        EXPECT_EQ(error_of(image.path, {.readonly = true}) != "", one.reader_refused) << one.others.back();
        EXPECT_EQ(error_of(image.path, {.snapshot = true}) != "", one.reader_refused) << one.others.back();
        EXPECT_EQ(error_of(image.path, {.locking = ImageLocking::Off}), "");
    }
}

// Several transfers at once against a plain copy: one after the other, by io_uring, past the host's cache; buffers at odd places too.
TEST(DiskImage, TransfersAtOnce) {
    for (const bool direct : {false, true}) {
        for (const bool ring : {false, true}) {
            TemporaryImage file(16 * kSize);
            if (direct && !direct_io_possible(file.path)) continue;
            auto image = DiskImage::open(file.path, {.raw = true, .direct = direct, .ring = ring});
            ASSERT_TRUE(image.has_value()) << image.error();
            if (ring && !image->ring_error().empty()) continue;
            std::vector<uint8_t> model(16 * kSize);
            ASSERT_EQ(pread(file.fd, model.data(), model.size(), 0), static_cast<ssize_t>(model.size()));
            std::mt19937_64 random(11);
            for (int round = 0; round < 6; round++) {
                // None overlaps another: each has a part of its own.
                constexpr size_t kTransfers = 16, kPart = kSize;
                std::vector<std::vector<uint8_t>> bytes(kTransfers);
                std::vector<std::vector<std::span<uint8_t>>> buffers(kTransfers);
                std::vector<DiskTransfer> transfers(kTransfers);
                for (size_t i = 0; i < kTransfers; i++) {
                    const size_t length = 512 * (1 + random() % (kPart / 512)), shift = random() % 2 * 512;
                    bytes[i].resize(length + 4096 + 512);
                    const size_t at =
                        4096 - reinterpret_cast<uintptr_t>(bytes[i].data()) % 4096 + shift % 511;
                    const size_t cut = random() % length;
                    const std::span<uint8_t> all(bytes[i].data() + at, length);
                    buffers[i] = {all.first(cut), all.subspan(cut)};
                    const size_t part = i * kPart,
                                 offset = part + 512 * (random() % ((kPart - length) / 512 + 1));
                    transfers[i] = {.write = random() % 2 != 0, .offset = offset, .buffers = buffers[i]};
                    for (uint8_t& byte : all) byte = static_cast<uint8_t>(random());
                    if (transfers[i].write) std::memcpy(&model[offset], all.data(), length);
                }
                image->run(transfers);
                for (size_t i = 0; i < kTransfers; i++) {
                    ASSERT_TRUE(transfers[i].result.has_value()) << transfers[i].result.error().number;
                    uint64_t at = transfers[i].offset;
                    for (const auto& buffer : buffers[i]) {
                        ASSERT_EQ(std::memcmp(buffer.data(), &model[at], buffer.size()), 0);
                        at += buffer.size();
                    }
                }
            }
            ASSERT_TRUE(image->flush());
            std::vector<uint8_t> after(model.size());
            ASSERT_EQ(pread(file.fd, after.data(), after.size(), 0), static_cast<ssize_t>(after.size()));
            EXPECT_EQ(after, model) << "direct " << direct << ", ring " << ring;
        }
    }
}

// Whoever gets hold of a ring can do no more with it than reading and writing its file.
TEST(DiskImage, RingIsRestricted) {
    TemporaryImage file(kSize);
    const int other = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    const auto ring = IoRing::open(file.fd);
    if (!ring) GTEST_SKIP() << std::strerror(ring.error());
    // The ring's own descriptor is the last one.
    int ring_fd = -1;
    for (int fd = other + 1; fd < other + 8; fd++) {
        char link[64] = {};
        const std::string path = "/proc/self/fd/" + std::to_string(fd);
        if (readlink(path.c_str(), link, sizeof link - 1) > 0 && std::string_view(link).contains("io_uring"))
            ring_fd = fd;
    }
    close(other);
    ASSERT_GE(ring_fd, 0);
    const auto registers = [&](unsigned what) {
        return syscall(SYS_io_uring_register, ring_fd, what, nullptr, 0);
    };
    EXPECT_NE(registers(IORING_UNREGISTER_FILES), 0) << "another file cannot be put in its place";
    EXPECT_EQ(errno, EACCES);
}

TEST(DiskImageLocks, OneWriterOrManyReaders) {
    TemporaryImage image(kSize);
    {
        const auto writer = DiskImage::open(image.path, {});
        for (const DiskImage::Options& options : {DiskImage::Options{}, DiskImage::Options{.readonly = true},
                                                  DiskImage::Options{.snapshot = true}})
            EXPECT_NE(error_of(image.path, options).find("in use by another process"), std::string::npos);
        EXPECT_EQ(error_of(image.path, {.locking = ImageLocking::Off}), "");
    }
    const auto first = DiskImage::open(image.path, {.readonly = true});
    EXPECT_EQ(error_of(image.path, {.readonly = true}), "");
    EXPECT_EQ(error_of(image.path, {.snapshot = true}), "");
    EXPECT_NE(error_of(image.path), "");
}

TEST(DiskImageLocks, MountedBlockDevices) {
    char name[] = "/tmp/arclight-mounts-XXXXXX";
    close(mkstemp(name));
    std::ofstream(name) << "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro\n"
                           "23 1 254:16 / /mnt rw,relatime - ext4 /dev/vdb ro\n"
                           "broken line\n"
                           "24 1 254:32 /sub /srv/a\\040b ro,relatime - xfs /dev/vdc rw\n";
    EXPECT_EQ(mounted_for_writing(254, 0, name), "/");
    EXPECT_EQ(mounted_for_writing(254, 16, name), "") << "nobody writes it";
    EXPECT_EQ(mounted_for_writing(254, 32, name), "/srv/a\\040b") << "another mount may write it";
    EXPECT_EQ(mounted_for_writing(25, 40, name), "");
    unlink(name);
}

}  // namespace
}  // namespace arclight::devices
