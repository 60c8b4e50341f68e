#include "devices/scsi/logical_unit.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "devices/virtio/queue.h"

// Section numbers are those of SPC-3, unless another standard is named.
namespace arclight::devices::scsi {

namespace {

constexpr uint8_t kTypeDisk = 0x00, kTypeCdrom = 0x05;
constexpr uint8_t kRemovable = 0x80;

constexpr uint8_t kPageErrorRecovery = 0x01;
constexpr uint8_t kPageCaching = 0x08;
constexpr uint8_t kPageCapabilities = 0x2a;
constexpr uint8_t kAllPages = 0x3f;
constexpr uint8_t kWriteCacheEnabled = 0x04;

// Mode parameter header, device-specific byte (SBC-3 section 6.4.1).
constexpr uint8_t kModeWriteProtected = 0x80;
constexpr uint8_t kModeForcesUnitAccess = 0x10;

void append(std::vector<uint8_t>& to, std::string_view text, size_t width) {
    for (size_t i = 0; i < width; i++)
        to.push_back(i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{' '});
}

}  // namespace

LogicalUnit::LogicalUnit(std::optional<virtio::Disk> disk, Options options)
    : disk_(std::move(disk)),
      options_(std::move(options)),
      write_back_(!disk_ || !disk_->options().write_through),
      medium_event_(disk_.has_value()) {}

void LogicalUnit::reset() {
    attention_ = kPowerOnOrReset;
    write_back_ = !disk_ || !disk_->options().write_through;
    removal_prevented_ = false;
}

Reply LogicalUnit::check(const Sense& sense) { return {.status = Status::CheckCondition, .sense = sense}; }

Reply LogicalUnit::data(std::vector<uint8_t> bytes, uint64_t allocated) {
    bytes.resize(std::min<uint64_t>(bytes.size(), allocated));
    Reply reply;
    reply.transferred = bytes.size();
    reply.bytes = std::move(bytes);
    return reply;
}

Reply LogicalUnit::execute(const Command& command) {
    const auto opcode = static_cast<Opcode>(command.cdb[0]);
    const unsigned length = cdb_length(command.cdb[0]);
    if (length == 0 || length > command.cdb.size()) return check(kInvalidOpcode);
    // SAM-5 section 5.14: these do not report a unit attention; REQUEST SENSE gives it as data.
    const bool silent = opcode == Opcode::Inquiry || opcode == Opcode::ReportLuns ||
                        opcode == Opcode::RequestSense || opcode == Opcode::GetEventStatus ||
                        opcode == Opcode::GetConfiguration;
    if (attention_ != kNoSense && !silent) return check(std::exchange(attention_, kNoSense));
    return dispatch({command.cdb.first(length), command.out, command.in});
}

// Those that need no medium.
Reply LogicalUnit::dispatch(const Command& command) {
    const std::span<const uint8_t> cdb = command.cdb;
    switch (static_cast<Opcode>(cdb[0])) {
        case Opcode::Inquiry: return inquiry(command);
        case Opcode::RequestSense:
            // 6.27: descriptor format is not there.
            if ((cdb[1] & 1) != 0) return check(kInvalidField);
            return data(fixed_sense(std::exchange(attention_, kNoSense)), cdb[4]);
        case Opcode::ModeSense6:
        case Opcode::ModeSense10: return mode_sense(command);
        case Opcode::ModeSelect6:
        case Opcode::ModeSelect10: return mode_select(command);
        // One initiator has the unit to itself.
        case Opcode::Reserve6:
        case Opcode::Release6: return {};
        case Opcode::SendDiagnostic: return (cdb[1] & 4) != 0 ? Reply{} : check(kInvalidField);
        case Opcode::StartStopUnit: return start_stop(command);
        case Opcode::PreventAllowRemoval:
            if (!cdrom()) return check(kInvalidOpcode);
            removal_prevented_ = (cdb[4] & 1) != 0;
            return {};
        case Opcode::GetEventStatus: return cdrom() ? event_status(command) : check(kInvalidOpcode);
        case Opcode::GetConfiguration: return cdrom() ? configuration(command) : check(kInvalidOpcode);
        case Opcode::MechanismStatus:
            return cdrom() ? data(std::vector<uint8_t>(8), load_be(cdb, 8, 2)) : check(kInvalidOpcode);
        default: break;
    }
    if (!has_medium()) return check(tray_open_ ? kNoMediumTrayOpen : kNoMedium);
    return dispatch_medium(command);
}

Reply LogicalUnit::dispatch_medium(const Command& command) {
    const std::span<const uint8_t> cdb = command.cdb;
    switch (static_cast<Opcode>(cdb[0])) {
        case Opcode::TestUnitReady: return {};
        case Opcode::ReadCapacity10: return read_capacity10(command);
        case Opcode::ServiceActionIn16:
            return (cdb[1] & 0x1f) == kServiceReadCapacity16 ? read_capacity16(command)
                                                             : check(kInvalidField);
        case Opcode::Read6:
        case Opcode::Read10:
        case Opcode::Read12:
        case Opcode::Read16: return transfer(command, Flow::FromDisk);
        case Opcode::Verify10:
        case Opcode::Verify12:
        case Opcode::Verify16: return transfer(command, Flow::Compare);
        case Opcode::Seek10: return inside(load_be(cdb, 2, 4), 1) ? Reply{} : check(kBlockOutOfRange);
        case Opcode::ReadToc: return cdrom() ? read_toc(command) : check(kInvalidOpcode);
        case Opcode::ReadDiscInformation: return cdrom() ? disc_information(command) : check(kInvalidOpcode);
        case Opcode::SynchronizeCache10:
        case Opcode::SynchronizeCache16: return flush();
        default: break;
    }
    if (cdrom()) return check(kInvalidOpcode);
    switch (static_cast<Opcode>(cdb[0])) {
        case Opcode::Write6:
        case Opcode::Write10:
        case Opcode::Write12:
        case Opcode::Write16:
        case Opcode::WriteVerify10:
        case Opcode::WriteVerify16: return transfer(command, Flow::ToDisk);
        case Opcode::Unmap: return unmap(command);
        case Opcode::WriteSame10:
        case Opcode::WriteSame16: return write_same(command);
        default: return check(kInvalidOpcode);
    }
}

// ---- identity

// 6.4
Reply LogicalUnit::inquiry(const Command& command) const {
    if ((command.cdb[1] & 1) != 0) return vital_product_data(command);
    if (command.cdb[2] != 0) return check(kInvalidField);
    std::vector<uint8_t> bytes{cdrom() ? kTypeCdrom : kTypeDisk,
                               cdrom() ? kRemovable : uint8_t{0},
                               0x05,  // SPC-3
                               0x12,  // hierarchical LUNs, response format 2
                               31,
                               0,
                               0,
                               0x12};  // wide, command queueing
    append(bytes, "QEMU", 8);
    append(bytes, cdrom() ? "QEMU CD-ROM" : "QEMU HARDDISK", 16);
    append(bytes, "2.5+", 4);
    return data(std::move(bytes), load_be(command.cdb, 3, 2));
}

// 7.6
Reply LogicalUnit::vital_product_data(const Command& command) const {
    const uint8_t page = command.cdb[2];
    std::vector<uint8_t> bytes{cdrom() ? kTypeCdrom : kTypeDisk, page, 0, 0};
    switch (page) {
        case 0x00:
            bytes.push_back(0x00);
            if (!options_.serial.empty()) bytes.push_back(0x80);
            bytes.push_back(0x83);
            if (!cdrom()) bytes.insert(bytes.end(), {0xb0, 0xb1, 0xb2});
            break;
        case 0x80:
            if (options_.serial.empty()) return check(kInvalidField);
            append(bytes, options_.serial, std::min(options_.serial.size(), kMaxSerial));
            break;
        case 0x83: {
            const std::string& id = options_.device_id.empty() ? options_.serial : options_.device_id;
            if (id.empty()) break;
            constexpr uint8_t kAscii = 2;
            const size_t length = std::min<size_t>(id.size(), 255 - 8);
            bytes.insert(bytes.end(), {kAscii, 0, 0, static_cast<uint8_t>(length)});
            append(bytes, id, length);
            break;
        }
        case 0xb0: {  // SBC-3 section 6.5.3: block limits
            if (cdrom()) return check(kInvalidField);
            bytes.resize(64);
            bytes[4] = 1;  // WRITE SAME of no blocks is not all blocks
            store_be(bytes, 20, 4, virtio::DiskImage::kMaxRangeSectors);
            store_be(bytes, 24, 4, 255);
            store_be(bytes, 28, 4, 1);
            store_be(bytes, 36, 8, virtio::DiskImage::kMaxRangeSectors);
            break;
        }
        case 0xb1:  // SBC-3 section 6.5.2: no rotation rate is told
            if (cdrom()) return check(kInvalidField);
            bytes.resize(64);
            break;
        case 0xb2:  // SBC-3 section 6.5.4: UNMAP, WRITE SAME with UNMAP; thin
            if (cdrom()) return check(kInvalidField);
            bytes.insert(bytes.end(), {0, 0xe0, 2, 0});
            break;
        default: return check(kInvalidField);
    }
    store_be(bytes, 2, 2, bytes.size() - 4);
    return data(std::move(bytes), load_be(command.cdb, 3, 2));
}

// ---- mode pages (7.4)

std::optional<std::vector<uint8_t>> LogicalUnit::mode_page(uint8_t page, bool changeable) const {
    switch (page) {
        case kPageErrorRecovery: {
            std::vector<uint8_t> bytes(12);
            bytes[0] = page, bytes[1] = 10;
            if (!changeable) bytes[2] = 0x80;  // AWRE
            if (cdrom()) bytes[1] = 6, bytes.resize(8);
            if (!changeable && cdrom()) bytes[2] = 0, bytes[3] = 0x20;
            return bytes;
        }
        case kPageCaching: {
            std::vector<uint8_t> bytes(20);
            bytes[0] = page, bytes[1] = 18;
            if (changeable ? !cdrom() : write_back_ && !cdrom()) bytes[2] = kWriteCacheEnabled;
            return bytes;
        }
        case kPageCapabilities: {
            if (!cdrom()) return std::nullopt;
            std::vector<uint8_t> bytes(22);
            bytes[0] = page, bytes[1] = 20;
            if (changeable) return bytes;
            bytes[2] = 0x3b;  // reads CD-R, CD-RW, DVD-ROM, DVD-R and DVD-RAM
            bytes[4] = 0x7f;  // as QEMU's
            bytes[5] = 0xff;
            bytes[6] = 0x2d | (removal_prevented_ ? 2 : 0);  // a tray that can be locked, and opens on demand
            store_be(bytes, 8, 2, 50 * 176);                 // 50x, for those who believe in it
            store_be(bytes, 10, 2, 2);
            store_be(bytes, 12, 2, 2048);
            store_be(bytes, 14, 2, 16 * 176);
            store_be(bytes, 18, 2, 16 * 176);
            store_be(bytes, 20, 2, 16 * 176);
            return bytes;
        }
        default: return std::nullopt;
    }
}

// 6.9, 6.10
Reply LogicalUnit::mode_sense(const Command& command) const {
    const std::span<const uint8_t> cdb = command.cdb;
    const bool large = static_cast<Opcode>(cdb[0]) == Opcode::ModeSense10;
    const uint8_t page = cdb[2] & 0x3f, control = cdb[2] >> 6;
    constexpr uint8_t kChangeable = 1, kSaved = 3;
    if (control == kSaved) return check(kSavingNotSupported);
    std::vector<uint8_t> bytes(large ? 8 : 4);
    if (!cdrom())
        bytes[large ? 3 : 2] =
            static_cast<uint8_t>((readonly() ? kModeWriteProtected : 0) | kModeForcesUnitAccess);
    const bool descriptor = (cdb[1] & 8) == 0 && !cdrom();
    if (descriptor) {
        std::vector<uint8_t> block(8);
        store_be(block, 0, 4, std::min<uint64_t>(blocks(), 0xff'ffff));
        store_be(block, 5, 3, block_size());
        bytes[large ? 7 : 3] = 8;
        bytes.insert(bytes.end(), block.begin(), block.end());
    }
    constexpr uint8_t kPages[] = {kPageErrorRecovery, kPageCaching, kPageCapabilities};
    bool found = page == kAllPages;
    for (const uint8_t one : kPages) {
        if (page != one && page != kAllPages) continue;
        const auto content = mode_page(one, control == kChangeable);
        if (!content) continue;
        found = true;
        bytes.insert(bytes.end(), content->begin(), content->end());
    }
    if (!found) return check(kInvalidField);
    if (large)
        store_be(bytes, 0, 2, bytes.size() - 2);
    else
        bytes[0] = static_cast<uint8_t>(bytes.size() - 1);
    return data(std::move(bytes), large ? load_be(cdb, 7, 2) : cdb[4]);
}

// 6.7, 6.8: of all that could be changed, the write cache can.
Reply LogicalUnit::mode_select(const Command& command) {
    const std::span<const uint8_t> cdb = command.cdb;
    const bool large = static_cast<Opcode>(cdb[0]) == Opcode::ModeSelect10;
    // Pages in SPC's format, and nothing that is to be kept for ever.
    if ((cdb[1] & 0x11) != 0x10) return check(kInvalidField);
    std::vector<uint8_t> bytes(large ? load_be(cdb, 7, 2) : cdb[4]);
    if (bytes.empty()) return {};
    if (virtio::gather(command.out, bytes) != bytes.size()) return {.overrun = true};
    const size_t header = large ? 8 : 4;
    if (bytes.size() < header) return check(kParameterLengthError);
    const size_t descriptors = large ? load_be(bytes, 6, 2) : bytes[3];
    bool write_back = write_back_;
    for (size_t at = header + descriptors; at < bytes.size();) {
        if (at + 2 > bytes.size()) return check(kParameterLengthError);
        const uint8_t page = bytes[at] & 0x3f;
        const auto current = mode_page(page, false), changeable = mode_page(page, true);
        if (!current || (bytes[at] & 0x40) != 0) return check(kInvalidParameter);
        if (bytes[at + 1] != (*current)[1] || at + current->size() > bytes.size())
            return check(kParameterLengthError);
        for (size_t i = 2; i < current->size(); i++)
            if (((bytes[at + i] ^ (*current)[i]) & ~(*changeable)[i]) != 0) return check(kInvalidParameter);
        if (page == kPageCaching && !cdrom()) write_back = (bytes[at + 2] & kWriteCacheEnabled) != 0;
        at += current->size();
    }
    // What was written before is as durable as what is written from now on.
    if (write_back_ && !write_back && has_medium())
        if (Reply flushed = flush(); flushed.status != Status::Good || flushed.postponed) return flushed;
    write_back_ = write_back;
    Reply reply;
    reply.transferred = bytes.size();
    return reply;
}

// ---- state

void LogicalUnit::save(StateWriter& out) const {
    out.section("scsi-unit", 1, [&] {
        out(static_cast<uint8_t>(options_.kind), disk_.has_value());
        out(attention_.key, attention_.code, attention_.qualifier, write_back_, tray_open_,
            removal_prevented_, medium_event_);
        if (!disk_) return;
        out(disk_->image().size(), disk_->image().readonly());
        disk_->image().save(out);
    });
}

StateResult LogicalUnit::load(StateReader& in) {
    return in.section("scsi-unit", 1, [&]() -> StateResult {
        uint8_t kind = 0;
        bool medium = false;
        Sense attention;
        bool write_back = true, tray_open = false, prevented = false, event = false;
        in(kind, medium);
        in(attention.key, attention.code, attention.qualifier, write_back, tray_open, prevented, event);
        in.require(kind == static_cast<uint8_t>(options_.kind), "another kind of SCSI device");
        in.require(medium == disk_.has_value(), "a medium there or here only");
        in.require(!tray_open || cdrom(), "a disk with a tray");
        if (in.ok() && disk_) {
            uint64_t size = 0;
            bool readonly = false;
            in(size, readonly);
            in.require(size == disk_->image().size(), "a disk of another size");
            in.require(readonly == disk_->image().readonly(), "a disk that is read-only there or here");
            if (in.ok())
                if (const auto loaded = disk_->image().load(in); !loaded) return loaded;
        }
        if (!in.ok()) return in.result();
        attention_ = attention;
        write_back_ = write_back;
        tray_open_ = tray_open;
        removal_prevented_ = prevented;
        medium_event_ = event;
        return {};
    });
}

}  // namespace arclight::devices::scsi
