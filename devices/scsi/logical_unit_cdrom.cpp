// Removable media, and what only CD and DVD drives have (MMC-6).
#include <array>

#include "devices/scsi/logical_unit.h"

namespace arclight::devices::scsi {

namespace {

constexpr uint8_t kTrackLeadOut = 0xaa;
constexpr uint8_t kDataTrack = 0x14;  // ADR 1, a data track without copies forbidden
/// Minutes, seconds and frames: 75 a second, the first one two seconds in.
constexpr uint64_t kFramesPerSecond = 75, kFirstFrame = 150;
/// What is larger than a CD holds is told to be a DVD: as QEMU, 80 minutes.
constexpr uint64_t kMaxCdBlocks = 80 * 60 * kFramesPerSecond;

constexpr uint16_t kProfileCdRom = 0x0008, kProfileDvdRom = 0x0010;

void append_address(std::vector<uint8_t>& to, uint64_t block, bool in_frames) {
    if (in_frames) {
        const uint64_t frame = block + kFirstFrame;
        to.insert(to.end(), {0, static_cast<uint8_t>(frame / kFramesPerSecond / 60),
                             static_cast<uint8_t>(frame / kFramesPerSecond % 60),
                             static_cast<uint8_t>(frame % kFramesPerSecond)});
    } else {
        const size_t at = to.size();
        to.resize(at + 4);
        store_be(to, at, 4, block);
    }
}

}  // namespace

// SBC-3 section 5.25, MMC-6 section 6.42
Reply LogicalUnit::start_stop(const Command& command) {
    const bool start = (command.cdb[4] & 1) != 0, load_or_eject = (command.cdb[4] & 2) != 0;
    const uint8_t power = command.cdb[4] >> 4;
    if (!cdrom() || !load_or_eject || power != 0) return {};
    // The tray stays shut with a medium in it that must not be taken out.
    if (!start && removal_prevented_ && has_medium()) return check(kRemovalPrevented);
    if (start == !tray_open_) return {};
    tray_open_ = !start;
    medium_event_ = true;
    if (start && disk_) attention_ = kMediumChanged;
    return {};
}

// MMC-6 section 6.6
Reply LogicalUnit::event_status(const Command& command) {
    constexpr uint8_t kPolled = 1, kClassMedia = 4, kMaskMedia = 1u << kClassMedia;
    constexpr uint8_t kNothing = 0, kNewMedia = 2, kMediaRemoval = 3;
    if ((command.cdb[1] & kPolled) == 0) return check(kInvalidField);
    std::vector<uint8_t> bytes{0, 0, 0x80, kMaskMedia};  // no class that was asked for
    if ((command.cdb[4] & kMaskMedia) != 0) {
        uint8_t event = kNothing;
        if (medium_event_) event = has_medium() ? kNewMedia : kMediaRemoval;
        medium_event_ = false;
        bytes[2] = kClassMedia;
        bytes.insert(bytes.end(),
                     {event, static_cast<uint8_t>((has_medium() ? 2 : 0) | (tray_open_ ? 1 : 0)), 0, 0});
    }
    store_be(bytes, 0, 2, bytes.size() - 2);
    return data(std::move(bytes), load_be(command.cdb, 7, 2));
}

// MMC-6 section 6.25: one session with one track, and the lead-out behind it.
Reply LogicalUnit::read_toc(const Command& command) const {
    const bool in_frames = (command.cdb[1] & 2) != 0;
    // The older form has the format elsewhere.
    const uint8_t format = (command.cdb[2] & 0xf) != 0 ? command.cdb[2] & 0xf : command.cdb[9] >> 6;
    const uint8_t first = command.cdb[6];
    std::vector<uint8_t> bytes{0, 0, 1, 1};
    switch (format) {
        case 0:
            if (first > 1 && first != kTrackLeadOut) return check(kInvalidField);
            if (first <= 1) {
                bytes.insert(bytes.end(), {0, kDataTrack, 1, 0});
                append_address(bytes, 0, in_frames);
            }
            bytes.insert(bytes.end(), {0, kDataTrack, kTrackLeadOut, 0});
            append_address(bytes, blocks(), in_frames);
            break;
        case 1:
            bytes.insert(bytes.end(), {0, kDataTrack, 1, 0});
            append_address(bytes, 0, in_frames);
            break;
        case 2:
            for (const auto& [point, block] :
                 {std::pair<uint8_t, uint64_t>{0xa0, 0}, {0xa1, 0}, {0xa2, blocks()}, {0x01, 0}}) {
                bytes.insert(bytes.end(), {1, kDataTrack, 0, point, 0, 0, 0});
                if (point == 0xa0 || point == 0xa1)
                    bytes.insert(bytes.end(), {0, 1, 0, 0});
                else
                    append_address(bytes, block, true);
            }
            break;
        default: return check(kInvalidField);
    }
    store_be(bytes, 0, 2, bytes.size() - 2);
    return data(std::move(bytes), load_be(command.cdb, 7, 2));
}

// MMC-6 section 6.5: features of a drive that reads.
Reply LogicalUnit::configuration(const Command& command) const {
    constexpr uint8_t kRequestMask = 3, kRequestCurrent = 1, kRequestOne = 2;
    constexpr uint8_t kCurrent = 1, kPersistent = 2, kVersion = 4;
    const uint8_t request = command.cdb[1] & kRequestMask;
    if (request > kRequestOne) return check(kInvalidField);
    const uint64_t wanted = load_be(command.cdb, 2, 2);
    const bool dvd = blocks() > kMaxCdBlocks;
    const uint16_t profile = !has_medium() ? 0 : dvd ? kProfileDvdRom : kProfileCdRom;
    std::vector<uint8_t> bytes(8);
    store_be(bytes, 6, 2, profile);
    struct Feature {
        uint16_t code;
        uint8_t flags;
        std::vector<uint8_t> content;
    };
    const auto flag_if = [](bool holds) { return holds ? kCurrent : uint8_t{0}; };
    const std::vector<Feature> features = {
        // Profile list
        {0x0000,
         kPersistent | kCurrent,
         {0, kProfileDvdRom, flag_if(profile == kProfileDvdRom), 0, 0, kProfileCdRom,
          flag_if(profile == kProfileCdRom), 0}},
        // Core: SCSI, with events of devices
        {0x0001, kPersistent | kCurrent | 2 * kVersion, {0, 0, 0, 1, 1, 0, 0, 0}},
        // Removable medium: a tray that can be locked and ejects
        {0x0003, kPersistent | kCurrent, {0x29, 0, 0, 0}},
        // Random readable
        {0x0010, flag_if(has_medium()), {0, 0, kCdromBlock >> 8, 0, 0, 1, 0, 0}},
        // CD read, DVD read
        {0x001e, flag_if(profile == kProfileCdRom), {0, 0, 0, 0}},
        {0x001f, flag_if(profile == kProfileDvdRom), {0, 0, 0, 0}},
    };
    for (const Feature& feature : features) {
        if (request == kRequestOne ? feature.code != wanted : feature.code < wanted) continue;
        if (request == kRequestCurrent && (feature.flags & kCurrent) == 0) continue;
        bytes.insert(bytes.end(), {0, static_cast<uint8_t>(feature.code), feature.flags,
                                   static_cast<uint8_t>(feature.content.size())});
        bytes.insert(bytes.end(), feature.content.begin(), feature.content.end());
    }
    store_be(bytes, 0, 4, bytes.size() - 4);
    return data(std::move(bytes), load_be(command.cdb, 7, 2));
}

// MMC-6 section 6.21: one complete session, not to be written.
Reply LogicalUnit::disc_information(const Command& command) const {
    if ((command.cdb[1] & 7) != 0) return check(kInvalidField);
    std::vector<uint8_t> bytes(34);
    store_be(bytes, 0, 2, bytes.size() - 2);
    bytes[2] = 0x0e;  // complete, last session complete
    bytes[3] = bytes[4] = bytes[5] = bytes[6] = 1;
    bytes[7] = 0x20;  // for use without restrictions
    return data(std::move(bytes), load_be(command.cdb, 7, 2));
}

}  // namespace arclight::devices::scsi
