// Data by PRPs (section 4.3), and the NVM command set (section 6).
#include <algorithm>
#include <atomic>
#include <cerrno>

#include "devices/nvme/controller.h"
#include "devices/virtio/queue.h"
#include "host/memory_fault.h"

namespace arclight::devices::nvme {

using virtio::Disk;
using virtio::DiskImage;
using virtio::DiskResult;

namespace {

uint64_t first_block(const Command& command) {
    return command.cdw10 | static_cast<uint64_t>(command.cdw11) << 32;
}
uint64_t block_count(const Command& command) { return (command.cdw12 & 0xffff) + 1; }

constexpr uint32_t kForceUnitAccess = 1u << 30;
constexpr uint32_t kDeallocate = 1u << 25;

}  // namespace

// 4.3: the first entry may begin within a page, and so may the pointer to a list; other entries are whole pages. The last entry of a
// list's page points to the next page if there is more.
uint16_t Controller::map(const Command& command, uint64_t bytes, bool write,
                         std::vector<std::span<uint8_t>>& buffers) const {
    buffers.clear();
    if (bytes > kPage << kMaxTransferShift) return kInvalidField | kDoNotRetry;
    if (command.prp1 % 4 != 0) return kInvalidPrpOffset | kDoNotRetry;
    const auto add = [&](uint64_t address, uint64_t length) {
        return memory_.pieces(address, length, write,
                              [&](uint8_t* host, uint64_t size) { buffers.emplace_back(host, size); });
    };
    uint64_t step = std::min(bytes, kPage - command.prp1 % kPage);
    if (!add(command.prp1, step)) return kDataTransferError;
    bytes -= step;
    if (bytes == 0) return kSuccess;
    if (bytes <= kPage) {
        if (command.prp2 % kPage != 0) return kInvalidPrpOffset | kDoNotRetry;
        return add(command.prp2, bytes) ? uint16_t{kSuccess} : uint16_t{kDataTransferError};
    }
    uint64_t at = command.prp2;
    if (at % 8 != 0) return kInvalidPrpOffset | kDoNotRetry;
    while (bytes != 0) {
        uint64_t entry = 0;
        auto* to = reinterpret_cast<uint8_t*>(&entry);
        bool there = true;
        const bool inside = memory_.pieces(at, sizeof entry, false, [&](const uint8_t* host, uint64_t size) {
            there &= host::touch([&] { std::memcpy(to, host, size); });
            to += size;
        });
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (!inside || !there) return kDataTransferError;
        if (entry % kPage != 0) return kInvalidPrpOffset | kDoNotRetry;
        const bool last_of_page = at % kPage == kPage - sizeof entry;
        if (last_of_page && bytes > kPage) {
            // A chain ends: each page but the first has 511 entries, and a transfer at most 128 pages.
            at = entry;
            continue;
        }
        step = std::min(bytes, kPage);
        if (!add(entry, step)) return kDataTransferError;
        bytes -= step;
        at += sizeof entry;
    }
    return kSuccess;
}

uint16_t Controller::status_of(Disk::Operation operation, const DiskResult& result) {
    if (result) return kSuccess;
    switch (disk_.failed(operation, result.error())) {
        case Disk::Action::Stop: return kPostponed;
        case Disk::Action::Ignore: return kSuccess;
        case Disk::Action::Report: break;
    }
    if (result.error().kind == virtio::DiskError::Kind::Refused) return kAccessDenied | kDoNotRetry;
    if (result.error().number == ENOSPC) return kCapacityExceeded;
    return operation == Disk::Operation::Read ? kReadFault : kWriteFault;
}

uint16_t Controller::flush() { return status_of(Disk::Operation::Flush, disk_.image().flush()); }

std::optional<uint16_t> Controller::check_range(uint64_t block, uint64_t count) const {
    if (block > blocks() || count > blocks() - block) return kLbaOutOfRange | kDoNotRetry;
    return std::nullopt;
}

// Reads and writes that follow each other go to the host together.
void Controller::carry_out(std::span<const Command> commands, std::span<Answer> answers) {
    transfers_.clear();
    owners_.clear();
    bool stopped = false;
    const auto finish = [&] {
        if (transfers_.empty()) return;
        disk_.image().run(transfers_);
        bool durable = false;
        for (size_t i = 0; i < transfers_.size(); i++)
            durable |=
                transfers_[i].write && (!write_back_ || (commands[owners_[i]].cdw12 & kForceUnitAccess) != 0);
        const uint16_t flushed = durable ? flush() : uint16_t{kSuccess};
        for (size_t i = 0; i < transfers_.size(); i++) {
            const virtio::DiskTransfer& one = transfers_[i];
            uint16_t status = kPostponed;
            if (!stopped)
                status = status_of(one.write ? Disk::Operation::Write : Disk::Operation::Read, one.result);
            if (status == kSuccess && one.write) status = flushed;
            stopped |= status == kPostponed;
            answers[owners_[i]] = {status};
        }
        transfers_.clear();
        owners_.clear();
    };
    for (size_t i = 0; i < commands.size(); i++) {
        const Command& command = commands[i];
        const bool write = command.opcode == kWrite;
        if (!write && command.opcode != kRead) {
            finish();
            answers[i] = stopped ? Answer{kPostponed} : carry_out_alone(command);
            stopped |= answers[i].status == kPostponed;
            continue;
        }
        uint16_t status = kSuccess;
        if ((command.flags & 0xc3) != 0)
            status = kInvalidField | kDoNotRetry;
        else if (command.nsid != kNamespace)
            status = kInvalidNamespace | kDoNotRetry;
        else if (write && disk_.image().readonly())
            status = kAccessDenied | kDoNotRetry;
        else if (const auto wrong = check_range(first_block(command), block_count(command)))
            status = *wrong;
        else
            status = map(command, block_count(command) * DiskImage::kSectorSize, !write, buffers_[i]);
        answers[i] = {status};
        if (status != kSuccess) continue;
        transfers_.push_back({.write = write,
                              .offset = first_block(command) * DiskImage::kSectorSize,
                              .buffers = buffers_[i]});
        owners_.push_back(i);
    }
    finish();
}

Controller::Answer Controller::carry_out_alone(const Command& command) {
    if ((command.flags & 0xc3) != 0) return {kInvalidField | kDoNotRetry};
    const bool all = command.opcode == kFlush && command.nsid == ~0u;
    if (command.nsid != kNamespace && !all) return {kInvalidNamespace | kDoNotRetry};
    switch (command.opcode) {
        case kFlush: return {flush()};
        case kWriteZeroes: {
            if (disk_.image().readonly()) return {kAccessDenied | kDoNotRetry};
            const uint64_t block = first_block(command), count = block_count(command);
            if (const auto wrong = check_range(block, count)) return {*wrong};
            const uint16_t status = status_of(
                Disk::Operation::WriteZeroes,
                disk_.image().write_zeroes(block * DiskImage::kSectorSize, count * DiskImage::kSectorSize,
                                           (command.cdw12 & kDeallocate) != 0));
            const bool durable = !write_back_ || (command.cdw12 & kForceUnitAccess) != 0;
            return {status == kSuccess && durable ? flush() : status};
        }
        case kDatasetManagement: {
            // 6.7: ranges of 16 bytes; of the attributes only that the blocks are not needed has an effect.
            constexpr uint32_t kNotNeeded = 1u << 2;
            if (disk_.image().readonly()) return {kAccessDenied | kDoNotRetry};
            const uint64_t count = (command.cdw10 & 0xff) + 1;
            std::vector<uint8_t> list(count * 16);
            std::vector<std::span<uint8_t>> buffers;
            if (const uint16_t status = map(command, list.size(), false, buffers); status != kSuccess)
                return {status};
            if (virtio::gather(buffers, list) != list.size()) return {kDataTransferError};
            if ((command.cdw11 & kNotNeeded) == 0) return {kSuccess};
            for (uint64_t i = 0; i < count; i++) {
                uint32_t length = 0;
                uint64_t block = 0;
                std::memcpy(&length, list.data() + i * 16 + 4, sizeof length);
                std::memcpy(&block, list.data() + i * 16 + 8, sizeof block);
                if (const auto wrong = check_range(block, length)) return {*wrong};
                if (length == 0) continue;
                const uint16_t status =
                    status_of(Disk::Operation::Discard,
                              disk_.image().discard(block * DiskImage::kSectorSize,
                                                    uint64_t{length} * DiskImage::kSectorSize));
                if (status != kSuccess) return {status};
            }
            return {kSuccess};
        }
        default: return {kInvalidOpcode | kDoNotRetry};
    }
}

}  // namespace arclight::devices::nvme
