// Admin commands (section 5).
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "devices/nvme/controller.h"
#include "devices/virtio/queue.h"

namespace arclight::devices::nvme {

namespace {

void put_text(std::span<uint8_t> bytes, size_t at, size_t width, std::string_view text) {
    for (size_t i = 0; i < width; i++)
        bytes[at + i] = i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{' '};
}

constexpr uint32_t kContiguous = 1, kInterrupts = 2;

}  // namespace

Controller::Answer Controller::administer(const Command& command) {
    if ((command.flags & 0xc0) != 0) return {kInvalidField | kDoNotRetry};
    switch (command.opcode) {
        case kDeleteSq: return delete_queue(command, false);
        case kCreateSq: return create_sq(command);
        case kGetLogPage: return log_page(command);
        case kDeleteCq: return delete_queue(command, true);
        case kCreateCq: return create_cq(command);
        case kIdentify: return identify(command);
        // 5.1: what was fetched is done; the rest is not stopped.
        case kAbort: return {kSuccess, 1};
        case kSetFeatures: return set_feature(command);
        case kGetFeatures: return get_feature(command);
        case kAsyncEvent:
            if (event_requests_.size() == kMaxEvents) return {kTooManyEvents | kDoNotRetry};
            event_requests_.push_back(command.id);
            return {kPending};
        default: return {kInvalidOpcode | kDoNotRetry};
    }
}

// 5.3
Controller::Answer Controller::create_cq(const Command& command) {
    const auto number = static_cast<uint16_t>(command.cdw10),
               vector = static_cast<uint16_t>(command.cdw11 >> 16);
    const uint32_t size = (command.cdw10 >> 16) + 1;
    if (number == 0 || number > kMaxIoQueues || cqs_.contains(number)) return {kInvalidQueueId | kDoNotRetry};
    if (size < 2 || size > kMaxEntries) return {kInvalidQueueSize | kDoNotRetry};
    if (vector >= kVectors) return {kInvalidVector | kDoNotRetry};
    if ((command.cdw11 & kContiguous) == 0) return {kInvalidField | kDoNotRetry};
    if (!queue_fits(command.prp1, size, sizeof(Completion))) return {kInvalidPrpOffset | kDoNotRetry};
    cqs_[number] = {.base = command.prp1,
                    .size = size,
                    .vector = vector,
                    .interrupts = (command.cdw11 & kInterrupts) != 0};
    return {kSuccess};
}

// 5.4
Controller::Answer Controller::create_sq(const Command& command) {
    const auto number = static_cast<uint16_t>(command.cdw10),
               completions = static_cast<uint16_t>(command.cdw11 >> 16);
    const uint32_t size = (command.cdw10 >> 16) + 1;
    if (completions == 0 || !cqs_.contains(completions)) return {kInvalidCompletionQueue | kDoNotRetry};
    if (number == 0 || number > kMaxIoQueues || sqs_.contains(number)) return {kInvalidQueueId | kDoNotRetry};
    if (size < 2 || size > kMaxEntries) return {kInvalidQueueSize | kDoNotRetry};
    if ((command.cdw11 & kContiguous) == 0) return {kInvalidField | kDoNotRetry};
    if (!queue_fits(command.prp1, size, sizeof(Command))) return {kInvalidPrpOffset | kDoNotRetry};
    sqs_[number] = {.base = command.prp1, .size = size, .completions = completions};
    return {kSuccess};
}

// 5.5, 5.6
Controller::Answer Controller::delete_queue(const Command& command, bool completions) {
    const auto number = static_cast<uint16_t>(command.cdw10);
    if (number == 0) return {kInvalidQueueId | kDoNotRetry};
    if (!completions)
        return sqs_.erase(number) != 0 ? Answer{kSuccess} : Answer{kInvalidQueueId | kDoNotRetry};
    if (std::ranges::any_of(sqs_, [&](const auto& one) { return one.second.completions == number; }))
        return {kInvalidQueueDeletion | kDoNotRetry};
    if (cqs_.erase(number) == 0) return {kInvalidQueueId | kDoNotRetry};
    update_interrupt();
    return {kSuccess};
}

uint16_t Controller::send(const Command& command, std::span<const uint8_t> bytes) {
    std::vector<std::span<uint8_t>> buffers;
    if (const uint16_t status = map(command, bytes.size(), true, buffers); status != kSuccess) return status;
    return virtio::scatter(bytes, buffers) == bytes.size() ? kSuccess : kDataTransferError;
}

// ---- identify (5.15)

std::vector<uint8_t> Controller::identify_controller() const {
    std::vector<uint8_t> bytes(kPage);
    const std::string& serial = disk_.options().serial;
    store_le<uint16_t>(bytes, 0, 0x1b36);
    store_le<uint16_t>(bytes, 2, 0x1af4);
    put_text(bytes, 4, 20, serial);
    put_text(bytes, 24, 40, "QEMU NVMe Ctrl");
    put_text(bytes, 64, 8, "1.0");
    bytes[72] = 6;  // recommended arbitration burst
    bytes[73] = 0x00, bytes[74] = 0x54, bytes[75] = 0x52;
    bytes[77] = kMaxTransferShift;
    store_le<uint32_t>(bytes, 80, 0x0001'0400);  // version
    bytes[258] = 3;                              // commands that may be aborted at once, less one
    bytes[259] = kMaxEvents - 1;
    bytes[260] = 3;                       // one firmware slot, read-only
    store_le<uint16_t>(bytes, 266, 343);  // kelvins
    store_le<uint16_t>(bytes, 268, 373);
    bytes[512] = 0x66, bytes[513] = 0x44;  // sizes of entries, as powers of two
    store_le<uint32_t>(bytes, 516, kNamespace);
    store_le<uint16_t>(bytes, 520,
                       disk_.image().readonly() ? 0 : 1 << 2 | 1 << 3);  // deallocate, write zeroes
    bytes[525] = 1;                                                      // a volatile write cache
    const std::string name = fmt::format("nqn.2019-08.org.qemu:{}", serial);
    std::copy_n(name.begin(), std::min<size_t>(name.size(), 255), bytes.begin() + 768);
    store_le<uint16_t>(bytes, 2048, 2500);  // power state 0: 25 W
    store_le<uint32_t>(bytes, 2052, 16);
    store_le<uint32_t>(bytes, 2056, 4);
    return bytes;
}

std::vector<uint8_t> Controller::identify_namespace() const {
    std::vector<uint8_t> bytes(kPage);
    for (const size_t at : {0, 8, 16}) store_le<uint64_t>(bytes, at, blocks());
    constexpr uint8_t kThin = 1 << 0, kReadsZeros = 1, kZerosDeallocate = 1 << 3, kWriteProtected = 1;
    if (!disk_.image().readonly()) bytes[24] = kThin;
    bytes[33] = kReadsZeros | kZerosDeallocate;
    if (disk_.image().readonly()) bytes[99] = kWriteProtected;
    bytes[128 + 2] = 9;  // blocks of 512 bytes
    return bytes;
}

Controller::Answer Controller::identify(const Command& command) {
    enum : uint8_t { kOfNamespace, kOfController, kActiveList, kDescriptors, kOfCommandSet = 6 };
    const auto what = static_cast<uint8_t>(command.cdw10);
    std::vector<uint8_t> bytes(kPage);
    switch (what) {
        case kOfNamespace:
            if (command.nsid != kNamespace && command.nsid != ~0u) return {kInvalidNamespace | kDoNotRetry};
            bytes = identify_namespace();
            break;
        case kOfController: bytes = identify_controller(); break;
        case kActiveList:
            if (command.nsid >= 0xffff'fffe) return {kInvalidNamespace | kDoNotRetry};
            if (command.nsid < kNamespace) store_le<uint32_t>(bytes, 0, kNamespace);
            break;
        case kDescriptors: {
            if (command.nsid != kNamespace) return {kInvalidNamespace | kDoNotRetry};
            // A UUID that stays the same for a serial number (RFC 4122, version 8 of its successor).
            constexpr uint8_t kUuid = 3;
            bytes[0] = kUuid, bytes[1] = 16;
            uint64_t hash = 0xcbf2'9ce4'8422'2325;
            for (size_t i = 0; i < 16; i++) {
                const std::string& serial = disk_.options().serial;
                hash = (hash ^ (i < serial.size() ? static_cast<uint8_t>(serial[i]) : i)) * 0x100'0000'01b3;
                bytes[4 + i] = static_cast<uint8_t>(hash >> 32);
            }
            bytes[4 + 6] = (bytes[4 + 6] & 0x0f) | 0x80;
            bytes[4 + 8] = (bytes[4 + 8] & 0x3f) | 0x80;
            break;
        }
        case kOfCommandSet:
            if (command.cdw11 >> 24 != 0) return {kInvalidField | kDoNotRetry};
            break;
        default: return {kInvalidField | kDoNotRetry};
    }
    return {send(command, bytes)};
}

// 5.14
Controller::Answer Controller::log_page(const Command& command) {
    constexpr uint8_t kErrors = 1, kHealth = 2, kFirmware = 3;
    constexpr uint32_t kRetain = 1u << 15;
    const auto page = static_cast<uint8_t>(command.cdw10);
    const uint64_t length =
        ((command.cdw10 >> 16 | static_cast<uint64_t>(command.cdw11 & 0xffff) << 16) + 1) * 4;
    const uint64_t offset = command.cdw12 | static_cast<uint64_t>(command.cdw13) << 32;
    std::vector<uint8_t> bytes(page == kErrors ? 64 : 512);
    switch (page) {
        case kErrors:
            if ((command.cdw10 & kRetain) == 0) events_masked_ = 0;
            break;
        case kHealth:
            store_le<uint16_t>(bytes, 1, 323);
            bytes[3] = 100, bytes[4] = 10;
            break;
        case kFirmware:
            bytes[0] = 1;
            put_text(bytes, 8, 8, "1.0");
            break;
        default: return {kInvalidLogPage | kDoNotRetry};
    }
    if (offset > bytes.size() || offset % 4 != 0) return {kInvalidField | kDoNotRetry};
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(offset));
    bytes.resize(std::min<uint64_t>(bytes.size(), length));
    return {bytes.empty() ? uint16_t{kSuccess} : send(command, bytes)};
}

// ---- features (5.9, 5.21)

Controller::Answer Controller::get_feature(const Command& command) const {
    enum : uint8_t { kCurrent, kDefault, kSaved, kSupported };
    const auto feature = static_cast<uint8_t>(command.cdw10);
    const uint32_t select = command.cdw10 >> 8 & 7;
    if (feature == 0 || feature >= kFeatures || feature == 3 || select > kSupported)
        return {kInvalidField | kDoNotRetry};
    constexpr uint32_t kChangeable = 4;
    if (select == kSupported) return {kSuccess, kChangeable};
    uint32_t value = select == kCurrent ? features_[feature] : 0;
    if (feature == kQueueCount) value = (kMaxIoQueues - 1) << 16 | (kMaxIoQueues - 1);
    if (feature == kWriteCache) value = select == kCurrent ? write_back_ : !disk_.options().write_through;
    if (feature == kTemperature && value == 0) value = 343;
    return {kSuccess, value};
}

Controller::Answer Controller::set_feature(const Command& command) {
    constexpr uint32_t kSave = 1u << 31;
    const auto feature = static_cast<uint8_t>(command.cdw10);
    if (feature == 0 || feature >= kFeatures || feature == 3) return {kInvalidField | kDoNotRetry};
    if ((command.cdw10 & kSave) != 0) return {kFeatureNotChangeable | kDoNotRetry};
    if (feature == kQueueCount) {
        if ((command.cdw11 & 0xffff) == 0xffff || command.cdw11 >> 16 == 0xffff)
            return {kInvalidField | kDoNotRetry};
        return {kSuccess, (kMaxIoQueues - 1) << 16 | (kMaxIoQueues - 1)};
    }
    if (feature == kWriteCache) {
        const bool write_back = (command.cdw11 & 1) != 0;
        // What was written before is as durable as what is written from now on.
        if (write_back_ && !write_back)
            if (const uint16_t status = flush(); status != kSuccess) return {status};
        write_back_ = write_back;
        return {kSuccess};
    }
    features_[feature] = command.cdw11;
    return {kSuccess};
}

}  // namespace arclight::devices::nvme
