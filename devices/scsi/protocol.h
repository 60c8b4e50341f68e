// Words of the SCSI standards: SPC-3 (commands of all devices), SBC-3 (disks), MMC-6 (CD and DVD drives), SAM-5 (status, tasks).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace arclight::devices::scsi {

/// SPC-3 table 62: the first byte of a command descriptor block (CDB).
enum class Opcode : uint8_t {
    TestUnitReady = 0x00,
    RequestSense = 0x03,
    Read6 = 0x08,
    Write6 = 0x0a,
    Inquiry = 0x12,
    ModeSelect6 = 0x15,
    Reserve6 = 0x16,
    Release6 = 0x17,
    ModeSense6 = 0x1a,
    StartStopUnit = 0x1b,
    SendDiagnostic = 0x1d,
    PreventAllowRemoval = 0x1e,
    ReadCapacity10 = 0x25,
    Read10 = 0x28,
    Write10 = 0x2a,
    Seek10 = 0x2b,
    WriteVerify10 = 0x2e,
    Verify10 = 0x2f,
    SynchronizeCache10 = 0x35,
    WriteSame10 = 0x41,
    Unmap = 0x42,
    ReadToc = 0x43,
    GetConfiguration = 0x46,
    GetEventStatus = 0x4a,
    ReadDiscInformation = 0x51,
    ModeSelect10 = 0x55,
    ModeSense10 = 0x5a,
    Read16 = 0x88,
    Write16 = 0x8a,
    WriteVerify16 = 0x8e,
    Verify16 = 0x8f,
    SynchronizeCache16 = 0x91,
    WriteSame16 = 0x93,
    ServiceActionIn16 = 0x9e,
    ReportLuns = 0xa0,
    Read12 = 0xa8,
    Write12 = 0xaa,
    Verify12 = 0xaf,
    MechanismStatus = 0xbd,
};
constexpr uint8_t kServiceReadCapacity16 = 0x10;

/// SAM-5 table 34.
enum class Status : uint8_t { Good = 0x00, CheckCondition = 0x02, Busy = 0x08 };

/// Sense key, additional sense code and its qualifier (SPC-3 section 4.5).
struct Sense {
    uint8_t key = 0, code = 0, qualifier = 0;
    bool operator==(const Sense&) const = default;
};
inline constexpr Sense kNoSense{};
inline constexpr Sense kNoMedium{0x02, 0x3a, 0x00};
inline constexpr Sense kNoMediumTrayOpen{0x02, 0x3a, 0x02};
inline constexpr Sense kReadError{0x03, 0x11, 0x00};
inline constexpr Sense kWriteError{0x03, 0x0c, 0x00};
inline constexpr Sense kTargetFailure{0x04, 0x44, 0x00};
inline constexpr Sense kParameterLengthError{0x05, 0x1a, 0x00};
inline constexpr Sense kInvalidOpcode{0x05, 0x20, 0x00};
inline constexpr Sense kBlockOutOfRange{0x05, 0x21, 0x00};
inline constexpr Sense kInvalidField{0x05, 0x24, 0x00};
inline constexpr Sense kUnitNotSupported{0x05, 0x25, 0x00};
inline constexpr Sense kInvalidParameter{0x05, 0x26, 0x00};
inline constexpr Sense kSavingNotSupported{0x05, 0x39, 0x00};
inline constexpr Sense kRemovalPrevented{0x05, 0x53, 0x02};
inline constexpr Sense kMediumChanged{0x06, 0x28, 0x00};
inline constexpr Sense kPowerOnOrReset{0x06, 0x29, 0x00};
inline constexpr Sense kWriteProtected{0x07, 0x27, 0x00};
inline constexpr Sense kNoSpace{0x07, 0x27, 0x07};
inline constexpr Sense kMiscompare{0x0e, 0x1d, 0x00};

constexpr size_t kFixedSenseSize = 18;
/// SPC-3 section 4.5.3: fixed format, of a current error.
inline std::vector<uint8_t> fixed_sense(const Sense& sense) {
    std::vector<uint8_t> bytes(kFixedSenseSize);
    bytes[0] = 0x70;
    bytes[2] = sense.key;
    bytes[7] = kFixedSenseSize - 8;
    bytes[12] = sense.code;
    bytes[13] = sense.qualifier;
    return bytes;
}

/// Big-endian integers; what lies outside of the bytes reads as zero.
inline uint64_t load_be(std::span<const uint8_t> bytes, size_t at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) value = value << 8 | (at + i < bytes.size() ? bytes[at + i] : 0);
    return value;
}
inline void store_be(std::span<uint8_t> bytes, size_t at, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; i++)
        if (at + i < bytes.size()) bytes[at + i] = static_cast<uint8_t>(value >> (size - 1 - i) * 8);
}

/// The length of a CDB with this first byte (SPC-3 section 4.3.4); 0: vendor-specific, or of variable length.
inline unsigned cdb_length(uint8_t opcode) {
    constexpr uint8_t kLengths[] = {6, 10, 10, 0, 16, 12, 0, 0};
    return kLengths[opcode >> 5];
}

}  // namespace arclight::devices::scsi
