#include "devices/virtio/net_filter.h"

#include <algorithm>
#include <cstring>

namespace arclight::devices::virtio {

namespace {

constexpr uint8_t kPromiscuous = 0, kAllMulticast = 1, kAllUnicast = 2, kNoMulticast = 3, kNoUnicast = 4,
                  kNoBroadcast = 5;
constexpr uint8_t kTableSet = 0, kAddressSet = 1;
constexpr uint8_t kVlanAdd = 0, kVlanDelete = 1;
constexpr MacAddress kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

}  // namespace

void NetFilter::reset(const MacAddress& mac, bool filter_vlans) {
    *this = NetFilter(mac);
    filter_vlans_ = filter_vlans;
}

bool NetFilter::command(uint8_t command_class, uint8_t command, std::span<const uint8_t> data) {
    switch (command_class) {
        case kClassRx: {
            if (data.size() != 1) return false;
            const bool on = data[0] != 0;
            switch (command) {
                case kPromiscuous: mode_.promiscuous = on; return true;
                case kAllMulticast: mode_.all_multicast = on; return true;
                case kAllUnicast: mode_.all_unicast = on; return true;
                case kNoMulticast: mode_.no_multicast = on; return true;
                case kNoUnicast: mode_.no_unicast = on; return true;
                case kNoBroadcast: mode_.no_broadcast = on; return true;
                default: return false;
            }
        }
        case kClassMac:
            if (command == kTableSet) return set_tables(data);
            if (command != kAddressSet || data.size() != mac_.size()) return false;
            std::ranges::copy(data, mac_.begin());
            return true;
        case kClassVlan: {
            if (data.size() != 2 || (command != kVlanAdd && command != kVlanDelete)) return false;
            const auto id = static_cast<unsigned>(data[0] | data[1] << 8);
            if (id >= vlans_.size()) return false;
            vlans_[id] = command == kVlanAdd;
            return true;
        }
        default: return false;
    }
}

// Two tables, of unicast and of multicast addresses, each with a count of 32 bits before it. Both or none are set.
bool NetFilter::set_tables(std::span<const uint8_t> data) {
    Table tables[2];
    for (Table& table : tables) {
        uint32_t count = 0;
        if (data.size() < sizeof count) return false;
        std::memcpy(&count, data.data(), sizeof count);
        data = data.subspan(sizeof count);
        if (count > data.size() / sizeof(MacAddress)) return false;
        table.overflow = count > kMaxAddresses;
        if (!table.overflow) {
            table.addresses.resize(count);
            if (count != 0) std::memcpy(table.addresses.data(), data.data(), count * sizeof(MacAddress));
        }
        data = data.subspan(count * sizeof(MacAddress));
    }
    if (!data.empty()) return false;
    unicast_ = std::move(tables[0]);
    multicast_ = std::move(tables[1]);
    return true;
}

bool NetFilter::Table::has(const MacAddress& mac) const {
    return overflow || std::ranges::find(addresses, mac) != addresses.end();
}

bool NetFilter::wants(std::span<const uint8_t> frame) const {
    if (frame.size() < 14) return false;
    if (mode_.promiscuous) return true;
    if (filter_vlans_ && frame.size() >= 16 && frame[12] == 0x81 && frame[13] == 0 &&
        !vlans_[(frame[14] & 0xfu) << 8 | frame[15]])
        return false;
    MacAddress to;
    std::copy_n(frame.begin(), to.size(), to.begin());
    if (to == kBroadcast) return !mode_.no_broadcast;
    if ((to[0] & 1) != 0) return !mode_.no_multicast && (mode_.all_multicast || multicast_.has(to));
    return !mode_.no_unicast && (mode_.all_unicast || to == mac_ || unicast_.has(to));
}

void NetFilter::save(StateWriter& out) const {
    out(mac_, mode_, filter_vlans_);
    for (const Table* table : {&unicast_, &multicast_}) {
        out(table->overflow, static_cast<uint32_t>(table->addresses.size()));
        for (const MacAddress& mac : table->addresses) out(mac);
    }
    std::vector<uint8_t> bits(vlans_.size() / 8);
    for (size_t i = 0; i < vlans_.size(); i++) bits[i / 8] |= static_cast<uint8_t>(vlans_[i] << i % 8);
    out.bytes(bits);
}

StateResult NetFilter::load(StateReader& in) {
    NetFilter loaded(mac_);
    in(loaded.mac_, loaded.mode_, loaded.filter_vlans_);
    for (Table* table : {&loaded.unicast_, &loaded.multicast_}) {
        uint32_t count = 0;
        in(table->overflow, count);
        in.require(count <= kMaxAddresses, "a table with too many addresses");
        if (!in.ok()) return in.result();
        table->addresses.resize(count);
        for (MacAddress& mac : table->addresses) in(mac);
    }
    std::vector<uint8_t> bits;
    in.bytes(bits, vlans_.size() / 8);
    in.require(bits.size() == vlans_.size() / 8, "a table of VLANs of another size");
    if (!in.ok()) return in.result();
    for (size_t i = 0; i < vlans_.size(); i++) loaded.vlans_[i] = (bits[i / 8] >> i % 8 & 1) != 0;
    *this = loaded;
    return {};
}

}  // namespace arclight::devices::virtio
