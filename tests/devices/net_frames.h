// Frames for tests of network devices.
#pragma once

#include <algorithm>
#include <cstring>

#include "devices/virtio/net_frame.h"
#include "tests/devices/net_driver.h"

namespace arclight::devices::test {

inline constexpr virtio::MacAddress kGuest{0x52, 0x54, 0, 0x12, 0x34, 0x56};

inline Bytes frame_to(const virtio::MacAddress& to, size_t size, uint8_t seed = 1) {
    Bytes frame(size);
    for (size_t i = 0; i < size; i++) frame[i] = static_cast<uint8_t>(i * 7 + seed);
    if (size < 14) return frame;
    std::ranges::copy(to, frame.begin());
    frame[12] = 0x88, frame[13] = 0xb5;  // a local experiment's type
    return frame;
}

/// A TCP segment over IPv4 or IPv6 with right checksums.
inline Bytes tcp_frame(bool ipv6, size_t data) {
    const size_t tcp = ipv6 ? 54 : 34, size = tcp + 20 + data;
    Bytes frame(size);
    for (size_t i = tcp; i < size; i++) frame[i] = static_cast<uint8_t>(i * 13);
    std::ranges::copy(kGuest, frame.begin());
    const auto length = static_cast<uint16_t>(size - (ipv6 ? tcp : 14));
    if (ipv6) {
        frame[12] = 0x86, frame[13] = 0xdd;
        frame[14] = 0x60, frame[18] = static_cast<uint8_t>(length >> 8),
        frame[19] = static_cast<uint8_t>(length);
        frame[20] = 6;
    } else {
        frame[12] = 0x08, frame[13] = 0;
        frame[14] = 0x45, frame[16] = static_cast<uint8_t>(length >> 8),
        frame[17] = static_cast<uint8_t>(length);
        frame[23] = 6;
    }
    frame[tcp + 12] = 0x50;
    const auto found = virtio::find_tcp(frame);
    const uint16_t pseudo = virtio::tcp_pseudo_sum(frame, *found, size - tcp);
    std::memcpy(&frame[tcp + 16], &pseudo, 2);
    virtio::complete_checksum(frame, tcp, 16);
    return frame;
}

inline bool tcp_checksum_right(const Bytes& frame) {
    const auto tcp = virtio::find_tcp(frame);
    if (!tcp) return false;
    const auto segment = std::span(frame).subspan(tcp->tcp);
    return virtio::checksum_sum(segment, virtio::tcp_pseudo_sum(frame, *tcp, segment.size())) == 0xffff;
}

}  // namespace arclight::devices::test
