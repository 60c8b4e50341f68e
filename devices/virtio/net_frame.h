#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace arclight::devices::virtio {

/// What goes before each frame in a buffer (virtio 1.2 section 5.1.6). Little-endian, as the host is.
struct NetHeader {
    static constexpr uint8_t kNeedsChecksum = 1;
    static constexpr uint8_t kDataValid = 2;
    static constexpr uint8_t kGsoNone = 0;
    static constexpr uint8_t kGsoTcp4 = 1;
    static constexpr uint8_t kGsoTcp6 = 4;
    static constexpr uint8_t kGsoEcn = 0x80;

    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_bytes;
    uint16_t gso_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
    uint16_t buffers;
};
static_assert(sizeof(NetHeader) == 12 && offsetof(NetHeader, buffers) == 10);

using MacAddress = std::array<uint8_t, 6>;
/// Six pairs of hexadecimal digits with colons between them, of one interface: no group's and not zero. An error is one line.
std::expected<MacAddress, std::string> parse_mac(std::string_view text);
std::string format_mac(const MacAddress& mac);

/// Where the parts of a frame with a whole TCP header are, as offsets from its start.
struct TcpFrame {
    bool ipv6;
    size_t ip;
    size_t tcp;
    size_t data;
};
/// None: no TCP over IPv4 or IPv6, a fragment, or a packet that ends too early. IPv6 with extension headers counts as none.
std::optional<TcpFrame> find_tcp(std::span<const uint8_t> frame);

/// The Internet checksum's sum (RFC 1071) of `bytes`, folded to 16 bits, in the byte order of the packet; `initial` is another
/// such sum to be added.
uint16_t checksum_sum(std::span<const uint8_t> bytes, uint16_t initial = 0);
/// The same sum of a TCP segment's pseudo header, for `segment` bytes of header and data.
uint16_t tcp_pseudo_sum(std::span<const uint8_t> frame, const TcpFrame& tcp, size_t segment);

/// The checksum of what begins at `start`, which is `offset` bytes behind that; none: its place is not in the frame.
std::optional<uint16_t> completed_checksum(std::span<const uint8_t> frame, size_t start, size_t offset);
/// Fills in the checksum that a driver has left to the device (5.1.6.2). False: its place is not in the frame.
bool complete_checksum(std::span<uint8_t> frame, size_t start, size_t offset);

}  // namespace arclight::devices::virtio
