// Packets of virtio's socket device (virtio 1.2 section 5.10.6).
#pragma once

#include <cstdint>
#include <vector>

namespace arclight::devices::vsock {

enum class Op : uint16_t {
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    Data = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
};

inline constexpr uint16_t kStream = 1;
inline constexpr uint64_t kHostCid = 2;
/// Of Op::Shutdown: its sender receives, or sends, no more.
inline constexpr uint32_t kNoReceive = 1, kNoSend = 2;

struct [[gnu::packed]] Header {
    uint64_t source_cid, destination_cid;
    uint32_t source_port, destination_port;
    uint32_t length;  ///< of what follows
    uint16_t type;
    Op op;
    uint32_t flags;
    uint32_t buffer;     ///< bytes that the sender can keep
    uint32_t forwarded;  ///< bytes that it has passed on so far, modulo 2^32
};
static_assert(sizeof(Header) == 44);

struct Packet {
    Header header;
    std::vector<uint8_t> data;
};

}  // namespace arclight::devices::vsock
