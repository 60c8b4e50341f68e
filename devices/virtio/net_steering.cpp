#include "devices/virtio/net_steering.h"

namespace arclight::devices::virtio {

namespace {

constexpr size_t kEthernet = 14, kTag = 4;
constexpr uint8_t kTcp = 6, kUdp = 17;

uint16_t big16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

/// The same whichever end comes first.
uint32_t both(const uint8_t* from, const uint8_t* to, size_t size) {
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i += 2) sum = sum * 31 + (uint32_t{big16(from + i)} + big16(to + i));
    return sum;
}

/// Neighbours, such as consecutive ports, are far from each other.
uint32_t mixed(uint32_t hash) {
    hash ^= hash >> 16;
    hash *= 0x85eb'ca6b;
    hash ^= hash >> 13;
    hash *= 0xc2b2'ae35;
    return hash ^ hash >> 16;
}

}  // namespace

uint32_t flow_hash(std::span<const uint8_t> frame) {
    if (frame.size() < kEthernet) return 0;
    size_t ip = kEthernet;
    uint16_t type = big16(&frame[12]);
    if (type == 0x8100 && frame.size() >= kEthernet + kTag) {
        type = big16(&frame[16]);
        ip += kTag;
    }
    const auto packet = frame.subspan(ip);
    size_t transport = 0;
    uint8_t protocol = 0;
    uint32_t hash = 0;
    if (type == 0x0800 && packet.size() >= 20 && packet[0] >> 4 == 4) {
        hash = both(&packet[12], &packet[16], 4);
        protocol = packet[9];
        transport = size_t{packet[0] & 15u} * 4;
        // A fragment: all but the first are without ports, and go where that one goes.
        if ((big16(&packet[6]) & 0x3fff) != 0) protocol = 0;
    } else if (type == 0x86dd && packet.size() >= 40 && packet[0] >> 4 == 6) {
        hash = both(&packet[8], &packet[24], 16);
        protocol = packet[6];
        transport = 40;
    } else {
        return mixed(both(&frame[0], &frame[6], 6));
    }
    if ((protocol == kTcp || protocol == kUdp) && transport >= 20 && packet.size() >= transport + 4)
        hash = hash * 31 + protocol + both(&packet[transport], &packet[transport + 2], 2);
    return mixed(hash);
}

unsigned NetSteering::pair_for(std::span<const uint8_t> received, unsigned pairs) const {
    if (pairs <= 1) return 0;
    const uint32_t hash = flow_hash(received);
    const unsigned known = pair_of_[hash % kFlows];
    return known != 0 && known <= pairs ? known - 1 : hash / kFlows % pairs;
}

}  // namespace arclight::devices::virtio
