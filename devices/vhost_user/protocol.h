// The vhost-user protocol as QEMU documents it (docs/interop/vhost-user.rst): what the front end, this program, says to the
// daemon that carries out a device, and the other way round.
#pragma once

#include <cstddef>
#include <cstdint>

namespace arclight::devices::vhost_user {

/// Messages of the front end's.
enum class Request : uint32_t {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemTable = 5,
    SetVringNum = 8,
    SetVringAddr = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    SetVringErr = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    SetBackendReqFd = 21,
    GetConfig = 24,
};

/// Messages of the daemon's, on a socket of their own.
enum class BackendRequest : uint32_t { ConfigChange = 2 };

/// Beside the device's own features: there are protocol features, and rings wait to be enabled.
inline constexpr uint64_t kFeatureProtocol = 1ull << 30;

inline constexpr uint64_t kProtocolMq = 1ull << 0;
inline constexpr uint64_t kProtocolReplyAck = 1ull << 3;
inline constexpr uint64_t kProtocolBackendReq = 1ull << 5;
inline constexpr uint64_t kProtocolConfig = 1ull << 9;

struct Header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;  ///< of what follows
};
static_assert(sizeof(Header) == 12);
inline constexpr uint32_t kVersion = 1, kVersionMask = 3, kReply = 4, kNeedReply = 8;

struct VringState {
    uint32_t index;
    uint32_t value;
};
struct VringAddress {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors, used, available, log;
};
/// A table of one region, which is guest RAM.
struct MemoryTable {
    uint32_t regions;
    uint32_t padding;
    uint64_t guest_address, size, user_address, offset;
};
static_assert(sizeof(VringAddress) == 40 && sizeof(MemoryTable) == 40);

inline constexpr size_t kMaxConfig = 256;
/// What comes before the bytes of the device's configuration.
struct ConfigHeader {
    uint32_t offset, size, flags;
};

/// Of an eventfd message's value: no descriptor comes with it.
inline constexpr uint64_t kVringIndexMask = 0xff;

}  // namespace arclight::devices::vhost_user
