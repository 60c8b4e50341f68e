#include "devices/svio/segmentation.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "devices/virtio/net_frame.h"

namespace arclight::devices::svio {

namespace {

constexpr uint8_t kFin = 1, kPush = 8, kCongestionReduced = 0x80;
constexpr size_t kSequence = 4, kFlags = 13, kTcpChecksum = 16;  // RFC 9293
constexpr size_t kIp4Length = 2, kIp4Identification = 4, kIp4Checksum = 10, kIp6Length = 4, kIp6Header = 40;

void put16(std::span<uint8_t> frame, size_t at, size_t value) {
    frame[at] = static_cast<uint8_t>(value >> 8);
    frame[at + 1] = static_cast<uint8_t>(value);
}
uint32_t get32(std::span<const uint8_t> frame, size_t at) {
    return uint32_t{frame[at]} << 24 | uint32_t{frame[at + 1]} << 16 | uint32_t{frame[at + 2]} << 8 |
           frame[at + 3];
}

/// A sum in the packet's byte order.
void put_sum(std::span<uint8_t> frame, size_t at, uint16_t sum) {
    const auto checksum = static_cast<uint16_t>(~sum);
    std::memcpy(frame.data() + at, &checksum, sizeof checksum);
}

}  // namespace

bool cut_segment(std::span<const uint8_t> frame, uint16_t data_bytes, size_t room,
                 const std::function<void(std::span<uint8_t>)>& emit) {
    const auto tcp = virtio::find_tcp(frame);
    if (!tcp || data_bytes == 0) return false;
    // What Ethernet may have put behind the packet is not data.
    const size_t length =
        tcp->ipv6 ? kIp6Header + (size_t{frame[tcp->ip + kIp6Length]} << 8 | frame[tcp->ip + kIp6Length + 1])
                  : size_t{frame[tcp->ip + kIp4Length]} << 8 | frame[tcp->ip + kIp4Length + 1];
    const size_t end = std::min(frame.size(), tcp->ip + length);
    std::vector<uint8_t> out(room + tcp->data + data_bytes);
    size_t number = 0;
    for (size_t at = tcp->data; at < end || number == 0; at += data_bytes, ++number) {
        const size_t bytes = std::min<size_t>(data_bytes, end - at);
        const std::span<uint8_t> one = std::span(out).subspan(room, tcp->data + bytes);
        std::copy_n(frame.begin(), tcp->data, one.begin());
        std::copy_n(frame.begin() + static_cast<ptrdiff_t>(at), bytes,
                    one.begin() + static_cast<ptrdiff_t>(tcp->data));
        if (tcp->ipv6) {
            put16(one, tcp->ip + kIp6Length, one.size() - tcp->ip - kIp6Header);
        } else {
            put16(one, tcp->ip + kIp4Length, one.size() - tcp->ip);
            const size_t first =
                size_t{frame[tcp->ip + kIp4Identification]} << 8 | frame[tcp->ip + kIp4Identification + 1];
            put16(one, tcp->ip + kIp4Identification, first + number);
            put16(one, tcp->ip + kIp4Checksum, 0);
            put_sum(one, tcp->ip + kIp4Checksum,
                    virtio::checksum_sum(one.subspan(tcp->ip, tcp->tcp - tcp->ip)));
        }
        const uint32_t sequence = get32(frame, tcp->tcp + kSequence) + static_cast<uint32_t>(at - tcp->data);
        put16(one, tcp->tcp + kSequence, sequence >> 16);
        put16(one, tcp->tcp + kSequence + 2, sequence & 0xffff);
        const bool last = at + data_bytes >= end;
        uint8_t& flags = one[tcp->tcp + kFlags];
        if (!last) flags &= static_cast<uint8_t>(~(kFin | kPush));
        if (number != 0) flags &= static_cast<uint8_t>(~kCongestionReduced);
        put16(one, tcp->tcp + kTcpChecksum, 0);
        const size_t segment = one.size() - tcp->tcp;
        put_sum(one, tcp->tcp + kTcpChecksum,
                virtio::checksum_sum(one.subspan(tcp->tcp), virtio::tcp_pseudo_sum(one, *tcp, segment)));
        emit(std::span(out).first(room + one.size()));
    }
    return true;
}

}  // namespace arclight::devices::svio
