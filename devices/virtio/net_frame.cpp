#include "devices/virtio/net_frame.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstring>

namespace arclight::devices::virtio {

namespace {

constexpr size_t kEthernet = 14, kVlanTag = 4, kIp4 = 20, kIp6 = 40, kTcp = 20;
constexpr unsigned kTypeIp4 = 0x0800, kTypeIp6 = 0x86dd, kTypeVlan = 0x8100;
constexpr uint8_t kProtocolTcp = 6;

unsigned big16(std::span<const uint8_t> bytes, size_t at) {
    return static_cast<unsigned>(bytes[at] << 8 | bytes[at + 1]);
}

uint16_t fold(uint64_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(sum);
}

}  // namespace

std::expected<MacAddress, std::string> parse_mac(std::string_view text) {
    MacAddress mac{};
    bool good = text.size() == mac.size() * 3 - 1;
    for (size_t i = 0; good && i < mac.size(); i++) {
        const std::string_view digits = text.substr(i * 3, 2);
        const char *const from = &digits[0], *const to = from + digits.size();
        const auto [end, error] = std::from_chars(from, to, mac[i], 16);
        good = error == std::errc() && end == to && (i + 1 == mac.size() || text[i * 3 + 2] == ':');
    }
    if (!good)
        return std::unexpected(fmt::format("'{}' is no MAC address of the form 52:54:00:12:34:56", text));
    if ((mac[0] & 1) != 0 || mac == MacAddress{})
        return std::unexpected(fmt::format("the MAC address {} is no single interface's", text));
    return mac;
}

std::string format_mac(const MacAddress& mac) { return fmt::format("{:02x}", fmt::join(mac, ":")); }

std::optional<TcpFrame> find_tcp(std::span<const uint8_t> frame) {
    if (frame.size() < kEthernet) return {};
    size_t ip = kEthernet;
    unsigned type = big16(frame, 12);
    if (type == kTypeVlan && frame.size() >= kEthernet + kVlanTag) {
        type = big16(frame, 16);
        ip += kVlanTag;
    }
    size_t tcp = 0, end = 0;
    if (type == kTypeIp4 && frame.size() >= ip + kIp4) {
        const size_t header = (frame[ip] & 0xf) * 4u;
        constexpr unsigned kFragment = 0x3fff;  // more fragments, or an offset
        if (frame[ip] >> 4 != 4 || header < kIp4 || frame[ip + 9] != kProtocolTcp ||
            (big16(frame, ip + 6) & kFragment) != 0)
            return {};
        tcp = ip + header;
        end = ip + big16(frame, ip + 2);
    } else if (type == kTypeIp6 && frame.size() >= ip + kIp6) {
        if (frame[ip] >> 4 != 6 || frame[ip + 6] != kProtocolTcp) return {};
        tcp = ip + kIp6;
        end = tcp + big16(frame, ip + 4);
    } else {
        return {};
    }
    if (end > frame.size() || tcp + kTcp > end) return {};
    const size_t data = tcp + (frame[tcp + 12] >> 4) * 4u;
    if (data < tcp + kTcp || data > end) return {};
    return TcpFrame{.ipv6 = type == kTypeIp6, .ip = ip, .tcp = tcp, .data = data};
}

// Sums of 16-bit words in the host's order are those in the packet's with the bytes exchanged (RFC 1071), so words are taken as
// they lie, 32 bits at a time: 2^32 of those fit into the accumulator.
uint16_t checksum_sum(std::span<const uint8_t> bytes, uint16_t initial) {
    uint64_t sum = initial;
    size_t at = 0;
    for (; at + 4 <= bytes.size(); at += 4) {
        uint32_t word;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        sum += word;
    }
    uint32_t rest = 0;
    if (at != bytes.size()) std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
    return fold(sum + rest);
}

uint16_t tcp_pseudo_sum(std::span<const uint8_t> frame, const TcpFrame& tcp, size_t segment) {
    const auto addresses = tcp.ipv6 ? frame.subspan(tcp.ip + 8, 32) : frame.subspan(tcp.ip + 12, 8);
    const std::array<uint8_t, 6> rest{0,
                                      kProtocolTcp,
                                      static_cast<uint8_t>(segment >> 24),
                                      static_cast<uint8_t>(segment >> 16),
                                      static_cast<uint8_t>(segment >> 8),
                                      static_cast<uint8_t>(segment)};
    return checksum_sum(rest, checksum_sum(addresses));
}

std::optional<uint16_t> completed_checksum(std::span<const uint8_t> frame, size_t start, size_t offset) {
    if (start > frame.size() || start + offset + 2 > frame.size()) return {};
    const auto sum = static_cast<uint16_t>(~checksum_sum(frame.subspan(start)));
    // Zero says that there is none (RFC 768); both mean the same elsewhere.
    return sum != 0 ? sum : 0xffff;
}

bool complete_checksum(std::span<uint8_t> frame, size_t start, size_t offset) {
    const auto sum = completed_checksum(frame, start, offset);
    if (!sum) return false;
    std::memcpy(frame.data() + start + offset, &*sum, sizeof *sum);
    return true;
}

}  // namespace arclight::devices::virtio
