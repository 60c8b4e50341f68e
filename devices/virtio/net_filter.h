#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/state.h"
#include "devices/virtio/net_frame.h"

namespace arclight::devices::virtio {

/// Which received frames the guest wants (virtio 1.2 section 5.1.6.5, commands of the control queue). Not locked.
class NetFilter {
  public:
    explicit NetFilter(const MacAddress& mac) : mac_(mac) {}

    const MacAddress& mac() const { return mac_; }
    void set_mac(const MacAddress& mac) { mac_ = mac; }
    /// What a reset by the driver leaves: all is received. Without CTRL_VLAN no frame is filtered by its tag.
    void reset(const MacAddress& mac, bool filter_vlans);

    /// Carries out a command of class RX, MAC or VLAN. False: it is none, or has not its form.
    bool command(uint8_t command_class, uint8_t command, std::span<const uint8_t> data);
    bool wants(std::span<const uint8_t> frame) const;

    /// The guest has not said what it wants: nothing is filtered (5.1.6.5.1, 5.1.6.5.2).
    void save(StateWriter& out) const;
    StateResult load(StateReader& in);

    static constexpr uint8_t kClassRx = 0, kClassMac = 1, kClassVlan = 2;
    /// More addresses than this in a table let everything of their kind pass.
    static constexpr unsigned kMaxAddresses = 64;

  private:
    struct Mode {
        bool promiscuous = true, all_multicast = false, all_unicast = false, no_multicast = false,
             no_unicast = false, no_broadcast = false;

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.promiscuous, self.all_multicast, self.all_unicast, self.no_multicast,
                    self.no_unicast, self.no_broadcast);
        }
    };
    struct Table {
        std::vector<MacAddress> addresses;
        bool overflow = false;

        bool has(const MacAddress& mac) const;
    };
    bool set_tables(std::span<const uint8_t> data);

    MacAddress mac_;
    Mode mode_;
    Table unicast_, multicast_;
    bool filter_vlans_ = false;
    std::bitset<4096> vlans_;
};

}  // namespace arclight::devices::virtio
