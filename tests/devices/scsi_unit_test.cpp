// SCSI disks and CD-ROM drives, command by command.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "devices/scsi/logical_unit.h"
#include "tests/devices/blk_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices::scsi {
namespace {

using test::TemporaryImage;
using Cdb = std::vector<uint8_t>;

constexpr size_t kSize = 1 << 20;

struct Unit {
    explicit Unit(LogicalUnit::Kind kind = LogicalUnit::Kind::Disk, virtio::DiskOptions options = {},
                  size_t size = kSize)
        : image(size),
          unit(open(std::move(options)), {.kind = kind, .serial = "S123", .device_id = "drive-a"}) {
        EXPECT_EQ(run({0, 0, 0, 0, 0, 0}).sense, kPowerOnOrReset);
    }
    std::optional<virtio::Disk> open(virtio::DiskOptions options) const {
        auto disk = virtio::Disk::open(image.path, std::move(options));
        EXPECT_TRUE(disk.has_value()) << disk.error();
        return std::move(*disk);
    }
    /// `out`: from the initiator; `room`: for what goes to it.
    Reply run(const Cdb& cdb, size_t room = 4096) {
        in.assign(room, 0xee);
        // In two pieces, at no boundary of anything.
        std::vector<std::span<uint8_t>> to, from;
        if (room > 7) to = {std::span(in).first(7), std::span(in).subspan(7)};
        if (room != 0 && room <= 7) to = {std::span(in)};
        if (out.size() > 5) from = {std::span(out).first(5), std::span(out).subspan(5)};
        Reply reply = unit.execute({cdb, from, to});
        for (size_t i = 0; i < std::min(reply.bytes.size(), room); i++) in[i] = reply.bytes[i];
        return reply;
    }
    Sense sense(const Cdb& cdb, size_t room = 4096) {
        const Reply reply = run(cdb, room);
        return reply.status == Status::CheckCondition ? reply.sense : kNoSense;
    }
    uint64_t word(size_t at, unsigned size) const { return load_be(in, at, size); }
    std::string text(size_t at, size_t size) const {
        return {in.begin() + static_cast<ptrdiff_t>(at), in.begin() + static_cast<ptrdiff_t>(at + size)};
    }

    TemporaryImage image;
    std::vector<uint8_t> in, out;
    LogicalUnit unit;
};

// A command of each length for a block and a number of blocks.
Cdb transfer_cdb(Opcode opcode, uint64_t block, uint32_t count, uint8_t flags = 0) {
    Cdb cdb(cdb_length(static_cast<uint8_t>(opcode)));
    cdb[0] = static_cast<uint8_t>(opcode);
    switch (cdb.size()) {
        case 6: store_be(cdb, 1, 3, block), cdb[4] = static_cast<uint8_t>(count); break;
        case 10: cdb[1] = flags, store_be(cdb, 2, 4, block), store_be(cdb, 7, 2, count); break;
        case 12: cdb[1] = flags, store_be(cdb, 2, 4, block), store_be(cdb, 6, 4, count); break;
        default: cdb[1] = flags, store_be(cdb, 2, 8, block), store_be(cdb, 10, 4, count); break;
    }
    return cdb;
}

TEST(ScsiUnit, SaysWhatItIs) {
    Unit disk;
    EXPECT_EQ(disk.run({0x12, 0, 0, 0, 255, 0}).transferred, 36u);
    EXPECT_EQ(disk.word(0, 1), 0u);
    EXPECT_EQ(disk.text(8, 24), "QEMU    QEMU HARDDISK   ");
    EXPECT_EQ(disk.run({0x12, 0, 0, 0, 5, 0}).transferred, 5u) << "no more than was allocated";
    disk.run({0x12, 1, 0, 0, 255, 0});
    for (size_t i = 0; i < disk.word(2, 2); i++)
        EXPECT_EQ(disk.unit.execute({Cdb{0x12, 1, disk.in[4 + i], 0, 255, 0}, {}, {}}).status, Status::Good)
            << "page " << int{disk.in[4 + i]};
    disk.run({0x12, 1, 0x80, 0, 255, 0});
    EXPECT_EQ(disk.text(4, disk.word(2, 2)), "S123");
    disk.run({0x12, 1, 0x83, 0, 255, 0});
    EXPECT_EQ(disk.text(8, disk.word(7, 1)), "drive-a");
    EXPECT_EQ(disk.sense({0x12, 1, 0x99, 0, 255, 0}), kInvalidField);
    EXPECT_EQ(disk.sense({0x12, 0, 1, 0, 255, 0}), kInvalidField) << "a page without the bit for pages";

    Unit cdrom(LogicalUnit::Kind::Cdrom);
    cdrom.run({0x12, 0, 0, 0, 255, 0});
    EXPECT_EQ(cdrom.word(0, 2), 0x0580u);
}

TEST(ScsiUnit, CapacityAndBlocks) {
    Unit disk;
    disk.run(Cdb{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    EXPECT_EQ(disk.word(0, 4), kSize / 512 - 1);
    EXPECT_EQ(disk.word(4, 4), 512u);
    Cdb capacity16(16);
    capacity16[0] = 0x9e, capacity16[1] = 0x10, capacity16[13] = 32;
    disk.run(capacity16);
    EXPECT_EQ(disk.word(0, 8), kSize / 512 - 1);
    EXPECT_EQ(disk.word(14, 1) & 0x80, 0x80u) << "can be unmapped";

    for (const Opcode read : {Opcode::Read6, Opcode::Read10, Opcode::Read12, Opcode::Read16}) {
        EXPECT_EQ(disk.run(transfer_cdb(read, 5, 3)).transferred, 3 * 512u);
        for (size_t i = 0; i < 3 * 512; i++) ASSERT_EQ(disk.in[i], disk.image.byte(5 * 512 + i)) << i;
        EXPECT_EQ(disk.in[3 * 512], 0xee) << "nothing behind it";
    }
    for (const Opcode write : {Opcode::Write6, Opcode::Write10, Opcode::Write12, Opcode::Write16}) {
        disk.out.assign(1024, static_cast<uint8_t>(0x40 + static_cast<int>(write)));
        EXPECT_EQ(disk.run(transfer_cdb(write, 9, 2), 0).transferred, 1024u);
        EXPECT_EQ(disk.image.byte(9 * 512), disk.out[0]);
        EXPECT_EQ(disk.image.byte(11 * 512 - 1), disk.out[0]);
        EXPECT_NE(disk.image.byte(11 * 512), disk.out[0]);
    }
    // 256 blocks are written as none in the oldest form.
    EXPECT_EQ(disk.run(transfer_cdb(Opcode::Read6, 0, 0), 256 * 512).transferred, 256 * 512u);
    EXPECT_EQ(disk.run(transfer_cdb(Opcode::Read10, 0, 0)).transferred, 0u);
}

TEST(ScsiUnit, RefusesWhatIsOutside) {
    Unit disk;
    const uint64_t end = kSize / 512;
    for (const Opcode opcode : {Opcode::Read10, Opcode::Write16, Opcode::Verify12, Opcode::WriteSame16}) {
        disk.out.assign(4096, 1);
        EXPECT_EQ(disk.sense(transfer_cdb(opcode, end, 1)), kBlockOutOfRange);
        EXPECT_EQ(disk.sense(transfer_cdb(opcode, end - 1, 2)), kBlockOutOfRange);
    }
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::Read16, ~0ull, 2)), kBlockOutOfRange) << "the sum wraps";
    EXPECT_TRUE(disk.run(transfer_cdb(Opcode::Read10, 0, 2), 1023).overrun);
    disk.out.resize(1023);
    EXPECT_TRUE(disk.run(transfer_cdb(Opcode::Write10, 0, 2), 0).overrun);
    EXPECT_EQ(disk.sense({0x08, 0, 0}), kInvalidOpcode) << "a CDB that ends early";
    EXPECT_EQ(disk.sense({0x04, 0, 0, 0, 0, 0}), kInvalidOpcode);
    EXPECT_EQ(disk.sense({0xff, 0, 0, 0, 0, 0}), kInvalidOpcode);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::Read10, 0, 1, 0x20)), kInvalidField) << "protection";
}

TEST(ScsiUnit, AttentionIsToldOnce) {
    Unit disk;
    disk.unit.reset();
    EXPECT_EQ(disk.sense({0x12, 0, 0, 0, 36, 0}), kNoSense) << "INQUIRY leaves it";
    disk.run({0x03, 0, 0, 0, 18, 0});
    EXPECT_EQ(disk.word(2, 1), kPowerOnOrReset.key) << "REQUEST SENSE gives it as data";
    EXPECT_EQ(disk.sense({0, 0, 0, 0, 0, 0}), kNoSense);
    disk.unit.reset();
    EXPECT_EQ(disk.sense({0, 0, 0, 0, 0, 0}), kPowerOnOrReset);
    EXPECT_EQ(disk.sense({0, 0, 0, 0, 0, 0}), kNoSense);
    disk.run({0x03, 0, 0, 0, 18, 0});
    EXPECT_EQ(disk.word(2, 1), 0u);
}

TEST(ScsiUnit, ReadOnlyAndCache) {
    Unit readonly(LogicalUnit::Kind::Disk, {.image = {.readonly = true}});
    readonly.out.assign(512, 1);
    for (const Opcode opcode : {Opcode::Write6, Opcode::Write10, Opcode::WriteSame10})
        EXPECT_EQ(readonly.sense(transfer_cdb(opcode, 0, 1)), kWriteProtected);
    readonly.out.assign(24, 0);
    EXPECT_EQ(readonly.sense({0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0}), kWriteProtected);
    readonly.run({0x1a, 0, 0x3f, 0, 255, 0});
    EXPECT_EQ(readonly.word(2, 1) & 0x80, 0x80u);

    Unit disk;
    disk.run({0x1a, 8, 8, 0, 255, 0});
    EXPECT_EQ(disk.word(0, 1), 4 + 20 - 1u);
    EXPECT_EQ(disk.word(6, 1), 4u) << "write-back";
    disk.run({0x1a, 8, 0x48, 0, 255, 0});
    EXPECT_EQ(disk.word(6, 1), 4u) << "can be changed";
    EXPECT_EQ(disk.sense({0x1a, 8, 0xc8, 0, 255, 0}), kSavingNotSupported);
    EXPECT_EQ(disk.sense({0x1a, 8, 0x33, 0, 255, 0}), kInvalidField);
    disk.run({0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0});
    EXPECT_EQ(disk.word(6, 2), 8u) << "a block descriptor";
    EXPECT_EQ(disk.word(13, 3), 512u);
    // The cache off, and on again.
    for (const uint8_t cache : {0, 4}) {
        disk.out.assign(24, 0);
        disk.out[4] = 8, disk.out[5] = 18, disk.out[6] = cache;
        EXPECT_EQ(disk.sense({0x15, 0x10, 0, 0, 24, 0}, 0), kNoSense);
        disk.run({0x1a, 8, 8, 0, 255, 0});
        EXPECT_EQ(disk.word(6, 1), cache);
    }
    disk.out[7] = 1;
    EXPECT_EQ(disk.sense({0x15, 0x10, 0, 0, 24, 0}, 0), kInvalidParameter) << "what cannot be changed";
    EXPECT_EQ(disk.sense({0x15, 0x10, 0, 0, 23, 0}, 0), kParameterLengthError);
    EXPECT_EQ(disk.sense({0x15, 0x11, 0, 0, 24, 0}, 0), kInvalidField) << "to be kept";
}

TEST(ScsiUnit, UnmapWriteSameAndVerify) {
    Unit disk;
    disk.out.assign(8 + 32, 0);
    store_be(disk.out, 0, 2, 38), store_be(disk.out, 2, 2, 32);
    store_be(disk.out, 8, 8, 8), store_be(disk.out, 16, 4, 8);
    store_be(disk.out, 24, 8, 64), store_be(disk.out, 32, 4, 16);
    const Cdb unmap{0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0};
    EXPECT_EQ(disk.sense(unmap, 0), kNoSense);
    EXPECT_EQ(disk.image.byte(8 * 512 + 1), 0);
    EXPECT_EQ(disk.image.byte(16 * 512 - 1), 0);
    EXPECT_EQ(disk.image.byte(64 * 512 + 1), 0);
    EXPECT_NE(disk.image.byte(7 * 512 + 1), 0);
    store_be(disk.out, 8, 8, 24), store_be(disk.out, 24, 8, kSize / 512);
    EXPECT_EQ(disk.sense(unmap, 0), kBlockOutOfRange);
    EXPECT_NE(disk.image.byte(24 * 512 + 1), 0) << "none of it is done then";
    store_be(disk.out, 2, 2, 33);
    EXPECT_EQ(disk.sense(unmap, 0), kParameterLengthError);

    disk.out.assign(512, 0xa7);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::WriteSame10, 100, 300), 0), kNoSense);
    for (const uint64_t block : {100, 250, 399}) EXPECT_EQ(disk.image.byte(block * 512 + 17), 0xa7);
    EXPECT_NE(disk.image.byte(400 * 512 + 1), 0xa7);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::WriteSame16, 100, 2, 0x09), 0), kNoSense) << "zeros, by a hole";
    EXPECT_EQ(disk.image.byte(101 * 512), 0);
    EXPECT_EQ(disk.image.byte(102 * 512), 0xa7);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::WriteSame16, 0, 0)), kInvalidField);

    disk.out.assign(3 * 512, 0xa7);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::Verify10, 102, 3, 2), 0), kNoSense);
    disk.out[2 * 512 + 100] = 1;
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::Verify10, 102, 3, 2), 0), kMiscompare);
    EXPECT_EQ(disk.sense(transfer_cdb(Opcode::Verify10, 102, 3), 0), kNoSense) << "without comparing";
}

TEST(ScsiUnit, CdromReadsAndEjects) {
    Unit cdrom(LogicalUnit::Kind::Cdrom);
    cdrom.run(Cdb{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    EXPECT_EQ(cdrom.word(0, 4), kSize / 2048 - 1);
    EXPECT_EQ(cdrom.word(4, 4), 2048u);
    EXPECT_EQ(cdrom.run(transfer_cdb(Opcode::Read10, 3, 1)).transferred, 2048u);
    EXPECT_EQ(cdrom.in[9], cdrom.image.byte(3 * 2048 + 9));
    EXPECT_EQ(cdrom.sense(transfer_cdb(Opcode::Write10, 0, 1)), kInvalidOpcode);

    cdrom.run({0x43, 0, 0, 0, 0, 0, 1, 1, 0, 0});
    EXPECT_EQ(cdrom.word(0, 2), 18u) << "a track and the lead-out";
    EXPECT_EQ(cdrom.word(16, 4), kSize / 2048) << "which begins behind the track";
    cdrom.run({0x43, 2, 0, 0, 0, 0, 1, 1, 0, 0});
    EXPECT_EQ(cdrom.word(8, 4), 0x0000'0200u) << "the first block is at two seconds";
    cdrom.run({0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0});
    EXPECT_EQ(cdrom.word(6, 2), 8u) << "a CD, for its size";
    cdrom.run({0x46, 2, 0, 3, 0, 0, 0, 1, 0, 0});
    EXPECT_EQ(cdrom.word(0, 4), 12u) << "one feature, since one was asked for";

    const Cdb event{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0};
    cdrom.run(event);
    EXPECT_EQ(cdrom.word(4, 2), 0x0202u) << "new medium, present";
    cdrom.run(event);
    EXPECT_EQ(cdrom.word(4, 2), 0x0002u);
    EXPECT_EQ(cdrom.sense({0x1e, 0, 0, 0, 1, 0}), kNoSense);
    EXPECT_EQ(cdrom.sense({0x1b, 0, 0, 0, 2, 0}), kRemovalPrevented);
    EXPECT_EQ(cdrom.sense({0x1e, 0, 0, 0, 0, 0}), kNoSense);
    EXPECT_EQ(cdrom.sense({0x1b, 0, 0, 0, 2, 0}), kNoSense);
    EXPECT_EQ(cdrom.sense({0, 0, 0, 0, 0, 0}), kNoMediumTrayOpen);
    EXPECT_EQ(cdrom.sense(transfer_cdb(Opcode::Read10, 3, 1)), kNoMediumTrayOpen);
    cdrom.run(event);
    EXPECT_EQ(cdrom.word(4, 2), 0x0301u) << "removed, tray open";
    EXPECT_EQ(cdrom.sense({0x1b, 0, 0, 0, 3, 0}), kNoSense);
    EXPECT_EQ(cdrom.sense({0, 0, 0, 0, 0, 0}), kMediumChanged);
    EXPECT_EQ(cdrom.run(transfer_cdb(Opcode::Read10, 3, 1)).transferred, 2048u);

    LogicalUnit empty(std::nullopt, {.kind = LogicalUnit::Kind::Cdrom, .serial = {}, .device_id = {}});
    EXPECT_EQ(empty.execute({Cdb{0, 0, 0, 0, 0, 0}, {}, {}}).sense, kPowerOnOrReset);
    EXPECT_EQ(empty.execute({Cdb{0, 0, 0, 0, 0, 0}, {}, {}}).sense, kNoMedium);
}

// Fails as the host does, or pauses.
struct FailingStorage final : virtio::DiskStorage {
    explicit FailingStorage(int error) : number(error) {}
    virtio::DiskResult fail() const { return std::unexpected(virtio::DiskError{number}); }
    virtio::DiskResult read(uint64_t, virtio::DiskBuffers) override { return fail(); }
    virtio::DiskResult write(uint64_t, virtio::DiskBuffers) override { return fail(); }
    virtio::DiskResult flush() override { return fail(); }
    virtio::DiskResult discard(uint64_t, uint64_t) override { return fail(); }
    virtio::DiskResult zero(uint64_t, uint64_t, bool) override { return fail(); }
    const int number;
};
struct CountingHost final : MachineHost {
    void say(const std::string&) override {}
    void pause(const std::string&) override { pauses++; }
    unsigned pauses = 0;
};

TEST(ScsiUnit, ErrorsOfTheHost) {
    CountingHost host;
    const auto unit_that_fails = [&](int number, virtio::OnDiskError action) {
        virtio::DiskOptions options;
        options.image.raw = true;
        options.on_read_error = options.on_write_error = action;
        options.host = &host;
        virtio::DiskImage image("d.img", std::make_unique<FailingStorage>(number), kSize, options.image);
        auto unit =
            std::make_unique<LogicalUnit>(virtio::Disk(std::move(image), options), LogicalUnit::Options{});
        unit->execute({Cdb{0, 0, 0, 0, 0, 0}, {}, {}});
        return unit;
    };
    std::vector<uint8_t> bytes(512, 1);
    const std::span<uint8_t> buffer(bytes);
    const Cdb read = transfer_cdb(Opcode::Read10, 0, 1), write = transfer_cdb(Opcode::Write10, 0, 1),
              flush = transfer_cdb(Opcode::SynchronizeCache10, 0, 0);
    const auto run = [&](LogicalUnit& unit, const Cdb& cdb) {
        return unit.execute({cdb, {&buffer, 1}, {&buffer, 1}});
    };
    auto unit = unit_that_fails(EIO, virtio::OnDiskError::Report);
    EXPECT_EQ(run(*unit, read).sense, kReadError);
    EXPECT_EQ(run(*unit, write).sense, kWriteError);
    EXPECT_EQ(run(*unit, flush).sense, kTargetFailure);
    EXPECT_EQ(run(*unit_that_fails(ENOSPC, virtio::OnDiskError::Report), write).sense, kNoSpace);
    EXPECT_EQ(run(*unit_that_fails(EIO, virtio::OnDiskError::Ignore), write).status, Status::Good);
    EXPECT_EQ(host.pauses, 0u);
    EXPECT_TRUE(run(*unit_that_fails(EIO, virtio::OnDiskError::Stop), write).postponed);
    EXPECT_EQ(host.pauses, 1u);
}

TEST(ScsiUnit, SavesAndLoads) {
    Unit cdrom(LogicalUnit::Kind::Cdrom), other(LogicalUnit::Kind::Cdrom), disk;
    cdrom.run({0x1b, 0, 0, 0, 2, 0});
    const auto stream = test::save(cdrom.unit);
    EXPECT_EQ(test::load(other.unit, stream), "");
    EXPECT_EQ(other.sense({0, 0, 0, 0, 0, 0}), kNoMediumTrayOpen);
    EXPECT_EQ(test::save(other.unit), stream);
    EXPECT_NE(test::load(disk.unit, stream), "");
    std::mt19937_64 random(3);
    for (int i = 0; i < 200; i++) test::load(other.unit, test::damage(stream, random));
    EXPECT_EQ(test::load(other.unit, stream), "");
}

}  // namespace
}  // namespace arclight::devices::scsi
