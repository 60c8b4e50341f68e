// Layouts and numbers of the NVM Express base specification 1.4.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace arclight::devices::nvme {

/// Section 4.2: a submission queue entry. In memory as here, little-endian.
struct Command {
    uint8_t opcode;
    uint8_t flags;  ///< bits 7:6: data by SGL; bits 1:0: fused
    uint16_t id;
    uint32_t nsid;
    uint64_t reserved;
    uint64_t metadata;
    uint64_t prp1;
    uint64_t prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(Command) == 64);

/// Section 4.6: a completion queue entry.
struct Completion {
    uint32_t result;
    uint32_t reserved;
    uint16_t sq_head;
    uint16_t sq_id;
    uint16_t id;
    uint16_t status;  ///< the phase tag in bit 0
};
static_assert(sizeof(Completion) == 16);

/// Section 4.6.1: status code type << 8 | status code.
enum Status : uint16_t {
    kSuccess = 0x000,
    kInvalidOpcode = 0x001,
    kInvalidField = 0x002,
    kDataTransferError = 0x004,
    kInternalError = 0x006,
    kInvalidNamespace = 0x00b,
    kInvalidPrpOffset = 0x013,
    kLbaOutOfRange = 0x080,
    kCapacityExceeded = 0x081,
    kInvalidCompletionQueue = 0x100,
    kInvalidQueueId = 0x101,
    kInvalidQueueSize = 0x102,
    kTooManyEvents = 0x105,
    kInvalidVector = 0x108,
    kInvalidLogPage = 0x109,
    kInvalidQueueDeletion = 0x10c,
    kFeatureNotChangeable = 0x10e,
    kWriteFault = 0x280,
    kReadFault = 0x281,
    kCompareFailed = 0x285,
    kAccessDenied = 0x286,
};
constexpr uint16_t kDoNotRetry = 0x4000;
/// No status: the command is completed later, or tried again.
constexpr uint16_t kPending = 0xffff, kPostponed = 0xfffe;

/// Section 5: admin commands.
enum AdminOpcode : uint8_t {
    kDeleteSq = 0x00,
    kCreateSq = 0x01,
    kGetLogPage = 0x02,
    kDeleteCq = 0x04,
    kCreateCq = 0x05,
    kIdentify = 0x06,
    kAbort = 0x08,
    kSetFeatures = 0x09,
    kGetFeatures = 0x0a,
    kAsyncEvent = 0x0c,
};

/// Section 6: commands of the NVM command set.
enum IoOpcode : uint8_t {
    kFlush = 0x00,
    kWrite = 0x01,
    kRead = 0x02,
    kWriteZeroes = 0x08,
    kDatasetManagement = 0x09,
};

/// Section 5.21.1
enum Feature : uint8_t {
    kArbitration = 0x01,
    kPowerManagement = 0x02,
    kTemperature = 0x04,
    kErrorRecovery = 0x05,
    kWriteCache = 0x06,
    kQueueCount = 0x07,
    kCoalescing = 0x08,
    kVectorConfiguration = 0x09,
    kWriteAtomicity = 0x0a,
    kAsyncEvents = 0x0b,
    kFeatures = 0x0c,  ///< those that are kept
};

constexpr unsigned kPageShift = 12;
constexpr uint64_t kPage = 1u << kPageShift;
constexpr uint32_t kNamespace = 1;  ///< the only one

template <typename T>
void store_le(std::span<uint8_t> bytes, size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

}  // namespace arclight::devices::nvme
