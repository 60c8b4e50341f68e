#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "devices/net_backend.h"
#include "devices/virtio/net_filter.h"
#include "devices/virtio/net_frame.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// Network device (virtio 1.2 section 5.1) with one pair of queues and a control queue. Frames are taken from the guest's
/// queues and put there by the back end's thread; no CPU waits for it. With a back end that takes large TCP segments the guest
/// leaves checksums and segmentation to the device; the segments stay whole.
class Net final : public Backend, public NetGuest {
  public:
    struct Options {
        MacAddress mac{0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
        uint16_t mtu = 0;  ///< 0: the driver's own
    };
    /// An MTU that the device may name (5.1.4.1), and that fits into NetBackend::kMaxFrame.
    static constexpr uint16_t kMinMtu = 68, kMaxMtu = 65521;

    /// `network` outlives the device.
    Net(NetBackend& network, const Options& options);
    ~Net() override;

    // ---- Backend
    std::string_view name() const override { return "virtio-net"; }
    uint32_t device_id() const override { return 1; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void set_features(uint64_t features) override;
    void activate(Transport& transport) override;
    void reset() override;
    Served process(unsigned queue, Chain& chain) override;
    void notified(unsigned queue) override;
    void quiesce() override { network_.drain(); }
    /// The filter. Frames that wait for the guest are lost, as a network may lose frames.
    void save(StateWriter& out) const override { filter_.save(out); }
    StateResult load(StateReader& in) override { return filter_.load(in); }

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
    Delivery deliver(Transport& transport, const ReceivedFrame& frame);
    std::optional<Form> form_for(const ReceivedFrame& frame) const;
    std::optional<Form> form_for(std::span<const uint8_t> bytes, const NetHeader& header) const;
    bool take_outgoing(Transport& transport);
    std::optional<Outgoing> read_frame(const Chain& chain, std::span<uint8_t> room);
    bool has(uint64_t feature) const { return (features_ & feature) != 0; }

    NetBackend& network_;
    const Options options_;
    NetFilter filter_;                   // under the transport's lock
    std::atomic<uint64_t> features_{0};  // that the driver has accepted
    std::atomic<Transport*> transport_{nullptr};

    // Of the back end's thread while there is a transport.
    std::deque<Waiting> waiting_;  // for buffers of the driver's
    size_t waiting_bytes_ = 0;
    std::vector<uint8_t> batch_;
    std::vector<Outgoing> outgoing_;
    std::vector<Used> used_;
    std::vector<Chain> chains_;
};

}  // namespace arclight::devices::virtio
