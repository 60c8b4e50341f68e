// Reading and writing (SBC-3).
#include <algorithm>
#include <cstring>

#include "devices/scsi/logical_unit.h"
#include "devices/virtio/queue.h"
#include "host/memory_fault.h"

namespace arclight::devices::scsi {

using virtio::Disk;
using virtio::DiskResult;

namespace {

constexpr uint8_t kForceUnitAccess = 0x08;

/// The first block and the number of blocks of a command that has both.
struct Extent {
    uint64_t block;
    uint64_t count;
};
Extent extent_of(std::span<const uint8_t> cdb) {
    switch (cdb.size()) {
        case 6: {
            const uint64_t count = cdb[4];
            return {load_be(cdb, 1, 3) & 0x1f'ffff, count != 0 ? count : 256};
        }
        case 10: return {load_be(cdb, 2, 4), load_be(cdb, 7, 2)};
        case 12: return {load_be(cdb, 2, 4), load_be(cdb, 6, 4)};
        default: return {load_be(cdb, 2, 8), load_be(cdb, 10, 4)};
    }
}

uint64_t total(virtio::DiskBuffers buffers) {
    uint64_t bytes = 0;
    for (const auto& buffer : buffers) bytes += buffer.size();
    return bytes;
}

std::vector<std::span<uint8_t>> first_bytes(virtio::DiskBuffers buffers, uint64_t bytes) {
    std::vector<std::span<uint8_t>> parts;
    for (const auto& buffer : buffers) {
        const auto take = std::min<uint64_t>(buffer.size(), bytes);
        if (take != 0) parts.push_back(buffer.first(take));
        bytes -= take;
    }
    return parts;
}

}  // namespace

uint64_t LogicalUnit::blocks() const { return has_medium() ? disk().image().size() / block_size() : 0; }

bool LogicalUnit::inside(uint64_t block, uint64_t count) const {
    return block <= blocks() && count <= blocks() - block;
}

Reply LogicalUnit::read_capacity10(const Command& command) const {
    if (load_be(command.cdb, 2, 4) != 0 || (command.cdb[8] & 1) != 0) return check(kInvalidField);
    if (blocks() == 0) return check(kBlockOutOfRange);
    std::vector<uint8_t> bytes(8);
    store_be(bytes, 0, 4, std::min<uint64_t>(blocks() - 1, 0xffff'ffff));
    store_be(bytes, 4, 4, block_size());
    const uint64_t size = bytes.size();
    return data(std::move(bytes), size);
}

Reply LogicalUnit::read_capacity16(const Command& command) const {
    if (blocks() == 0) return check(kBlockOutOfRange);
    std::vector<uint8_t> bytes(32);
    store_be(bytes, 0, 8, blocks() - 1);
    store_be(bytes, 8, 4, block_size());
    constexpr uint8_t kThin = 0x80;  // LBPME
    if (!readonly()) bytes[14] = kThin;
    return data(std::move(bytes), load_be(command.cdb, 10, 4));
}

// What the host says of a request, as sense data.
Reply LogicalUnit::finish(Disk::Operation operation, const DiskResult& result, uint64_t transferred) {
    Reply reply;
    reply.transferred = transferred;
    if (result) return reply;
    switch (disk().failed(operation, result.error())) {
        case Disk::Action::Stop: reply.postponed = true; return reply;
        case Disk::Action::Ignore: return reply;
        case Disk::Action::Report: break;
    }
    using Kind = virtio::DiskError::Kind;
    if (result.error().kind == Kind::Refused) return check(kWriteProtected);
    if (result.error().number == ENOSPC) return check(kNoSpace);
    if (operation == Disk::Operation::Read) return check(kReadError);
    return check(operation == Disk::Operation::Flush ? kTargetFailure : kWriteError);
}

Reply LogicalUnit::flush() { return finish(Disk::Operation::Flush, disk().image().flush(), 0); }

Reply LogicalUnit::transfer(const Command& command, Flow flow) {
    const auto [block, count] = extent_of(command.cdb);
    const auto opcode = static_cast<Opcode>(command.cdb[0]);
    // SBC-3 section 5.8: protection information is not there.
    if (command.cdb.size() > 6 && (command.cdb[1] & 0xe0) != 0) return check(kInvalidField);
    if (flow == Flow::ToDisk && readonly()) return check(kWriteProtected);
    if (!inside(block, count)) return check(kBlockOutOfRange);
    if (count == 0) return {};
    const uint64_t offset = block * block_size(), bytes = count * block_size();
    virtio::DiskImage& image = disk().image();
    if (flow == Flow::Compare) return compare(command, offset, bytes);
    const virtio::DiskBuffers buffers = flow == Flow::FromDisk ? command.in : command.out;
    if (total(buffers) < bytes) return {.overrun = true};
    const auto parts = first_bytes(buffers, bytes);
    if (flow == Flow::FromDisk) return finish(Disk::Operation::Read, image.read(offset, parts), bytes);
    Reply reply = finish(Disk::Operation::Write, image.write(offset, parts), bytes);
    const bool forced = command.cdb.size() > 6 && opcode != Opcode::WriteVerify10 &&
                        opcode != Opcode::WriteVerify16 && (command.cdb[1] & kForceUnitAccess) != 0;
    if (reply.status != Status::Good || reply.postponed || (write_back_ && !forced)) return reply;
    Reply flushed = flush();
    flushed.transferred = flushed.status == Status::Good ? bytes : 0;
    return flushed;
}

// VERIFY: whether the blocks can be read, or are what the initiator has.
Reply LogicalUnit::compare(const Command& command, uint64_t offset, uint64_t length) {
    const unsigned check_bytes = command.cdb[1] >> 1 & 3;
    if (check_bytes == 0) return {};
    if (check_bytes != 1) return check(kInvalidField);
    if (total(command.out) < length) return {.overrun = true};
    constexpr uint64_t kStep = 64 * 1024;
    std::vector<uint8_t> there(std::min(kStep, length)), given(there.size());
    const auto parts = first_bytes(command.out, length);
    uint64_t at = offset;
    bool same = true;
    for (std::span<uint8_t> rest : parts) {
        while (!rest.empty()) {
            // A read takes whole sectors: the part of them that this buffer has is compared.
            const uint64_t sector = at / virtio::DiskImage::kSectorSize * virtio::DiskImage::kSectorSize;
            const uint64_t skip = at - sector;
            const uint64_t take = std::min<uint64_t>({rest.size(), kStep - skip, offset + length - at});
            const uint64_t whole = (skip + take + virtio::DiskImage::kSectorSize - 1) /
                                   virtio::DiskImage::kSectorSize * virtio::DiskImage::kSectorSize;
            there.resize(whole), given.resize(take);
            const std::span<uint8_t> to(there);
            if (const auto read = disk().image().read(sector, {&to, 1}); !read)
                return finish(Disk::Operation::Read, read, 0);
            const std::span<uint8_t> from = rest.first(take);
            if (virtio::gather({&from, 1}, given) != take) return check(kTargetFailure);
            same &= std::memcmp(there.data() + skip, given.data(), take) == 0;
            at += take;
            rest = rest.subspan(take);
        }
    }
    if (!same) return check(kMiscompare);
    Reply reply;
    reply.transferred = length;
    return reply;
}

// SBC-3 section 5.28
Reply LogicalUnit::unmap(const Command& command) {
    if (readonly()) return check(kWriteProtected);
    if ((command.cdb[1] & 1) != 0) return check(kInvalidField);
    std::vector<uint8_t> list(load_be(command.cdb, 7, 2));
    if (list.empty()) return {};
    if (virtio::gather(command.out, list) != list.size()) return {.overrun = true};
    if (list.size() < 8) return check(kParameterLengthError);
    const uint64_t length = load_be(list, 2, 2);
    if (length % 16 != 0 || length + 8 > list.size()) return check(kParameterLengthError);
    // All descriptors are checked before the first has an effect.
    for (const bool act : {false, true}) {
        for (uint64_t at = 8; at < length + 8; at += 16) {
            const uint64_t block = load_be(list, at, 8), count = load_be(list, at + 8, 4);
            if (!inside(block, count)) return check(kBlockOutOfRange);
            if (count > virtio::DiskImage::kMaxRangeSectors) return check(kInvalidParameter);
            if (!act || count == 0) continue;
            const DiskResult done = disk().image().discard(block * block_size(), count * block_size());
            if (!done) return finish(Disk::Operation::Discard, done, 0);
        }
    }
    if (!write_back_)
        if (Reply flushed = flush(); flushed.status != Status::Good || flushed.postponed) return flushed;
    Reply reply;
    reply.transferred = list.size();
    return reply;
}

// SBC-3 section 5.45
Reply LogicalUnit::write_same(const Command& command) {
    constexpr uint8_t kUnmap = 0x08, kNoData = 0x01;
    if (readonly()) return check(kWriteProtected);
    const auto [block, count] = extent_of(command.cdb);
    const bool no_data = command.cdb.size() == 16 && (command.cdb[1] & kNoData) != 0;
    // Protection, anchors and, in the older form, logical block data are not there.
    if ((command.cdb[1] & ~(kUnmap | kNoData)) != 0 ||
        (command.cdb.size() == 10 && (command.cdb[1] & kNoData) != 0))
        return check(kInvalidField);
    if (count == 0 || count > virtio::DiskImage::kMaxRangeSectors) return check(kInvalidField);
    if (!inside(block, count)) return check(kBlockOutOfRange);
    std::vector<uint8_t> pattern(block_size());
    if (!no_data && virtio::gather(command.out, pattern) != pattern.size()) return {.overrun = true};
    const uint64_t offset = block * block_size(), length = count * block_size();
    virtio::DiskImage& image = disk().image();
    Reply reply;
    if (std::ranges::all_of(pattern, [](uint8_t byte) { return byte == 0; })) {
        reply = finish(Disk::Operation::WriteZeroes,
                       image.write_zeroes(offset, length, (command.cdb[1] & kUnmap) != 0), 0);
    } else {
        constexpr uint64_t kStep = 64 * 1024;
        std::vector<uint8_t> copies;
        while (copies.size() < std::min(kStep, length))
            copies.insert(copies.end(), pattern.begin(), pattern.end());
        for (uint64_t done = 0; done < length;) {
            const std::span<uint8_t> part(copies.data(), std::min(kStep, length - done));
            if (const auto written = image.write(offset + done, {&part, 1}); !written)
                return finish(Disk::Operation::Write, written, 0);
            done += part.size();
        }
    }
    if (reply.status != Status::Good || reply.postponed) return reply;
    if (!write_back_) reply = flush();
    if (reply.status == Status::Good && !no_data) reply.transferred = pattern.size();
    return reply;
}

}  // namespace arclight::devices::scsi
