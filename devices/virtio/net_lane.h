#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "devices/net_backend.h"
#include "devices/virtio/net_features.h"
#include "devices/virtio/net_filter.h"
#include "devices/virtio/net_frame.h"
#include "devices/virtio/net_steering.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// What the driver has said, for all lanes.
struct NetState {
    explicit NetState(const MacAddress& mac) : filter(mac) {}

    NetFilter filter;                   // under the transport's lock
    std::atomic<uint64_t> features{0};  ///< that the driver has accepted
    std::atomic<Transport*> transport{nullptr};
    std::atomic<unsigned> pairs_in_use{1};  ///< the first ones; changed under the transport's lock
};

/// A network device's end of one of its network's lanes: frames between that and the guest's queues. All but forget(), wake() and
/// drain() is called by the lane's thread.
///
/// Lane i of n carries what the guest sends on pairs i, i+n and so on. What comes on the only lane goes to the pair that
/// NetSteering names; of several lanes, the network has chosen already, and lane i's frames go to pair i, or where the driver uses
/// fewer, to i modulo their number.
class NetLane final : public NetGuest {
  public:
    /// `network` and `state` outlive it.
    NetLane(NetBackend& network, NetState& state, unsigned index, unsigned lanes, unsigned pairs);
    ~NetLane() override;

    void wake() { network_.wake(); }
    void drain() { network_.drain(); }
    /// While there is no transport, after drain().
    void forget();

    // ---- NetGuest
    bool transfer() override;
    void deliver_waiting() override;
    void receive(const ReceivedFrame& frame) override;
    void link_changed() override;
    bool takes_large_segments(bool ipv6) const override;
    bool takes_partial_checksums() const override;

  private:
    enum class Delivery : uint8_t { Done, NoRoom, Lost };
    struct Waiting {
        std::vector<uint8_t> bytes;
        uint16_t segment_bytes;
        bool checked;
        std::optional<NetHeader> header;
    };
    /// A frame of the guest's in batch_.
    struct Outgoing {
        size_t begin, size;
    };

    /// How a frame goes to the driver.
    struct Form {
        NetHeader header{};
        /// Two bytes that differ from the frame's: a checksum.
        uint16_t checksum = 0;
        size_t checksum_at = 0;  ///< 0: none do
    };
    Delivery deliver(Transport& transport, unsigned pair, const ReceivedFrame& frame);
    std::optional<Form> form_for(const ReceivedFrame& frame) const;
    std::optional<Form> form_for(std::span<const uint8_t> bytes, const NetHeader& header) const;
    bool take_outgoing(Transport& transport, unsigned pair);
    std::optional<Outgoing> read_frame(const Chain& chain, std::span<uint8_t> room);
    bool steers() const { return lanes_ == 1 && waiting_.size() > 1; }
    unsigned pair_for(std::span<const uint8_t> frame) const;
    bool has(uint64_t feature) const { return (state_.features & feature) != 0; }
    /// A legacy driver has the count of buffers in it only if it takes several (virtio 1.2 section 5.1.6.1).
    size_t header_bytes() const {
        return has(kFeatureVersion1 | kNetFeatureMergeable) ? sizeof(NetHeader)
                                                            : offsetof(NetHeader, buffers);
    }

    NetBackend& network_;
    NetState& state_;
    const unsigned index_, lanes_;

    // Of the lane's thread while there is a transport.
    NetSteering steering_;
    unsigned first_pair_;                       // of the next transfer()
    std::vector<std::deque<Waiting>> waiting_;  // of each pair, for buffers of the driver's
    size_t waiting_frames_ = 0, waiting_bytes_ = 0;
    std::vector<uint8_t> batch_;  // of one transfer()
    size_t batch_used_ = 0;
    unsigned batch_frames_ = 0;
    std::vector<Outgoing> outgoing_;
    std::vector<Used> used_;
    std::vector<Chain> chains_;
};

}  // namespace arclight::devices::virtio
