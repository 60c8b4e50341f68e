#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "devices/net_backend.h"
#include "devices/virtio/net_lane.h"
#include "devices/virtio/net_queues.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// Network device (virtio 1.2 section 5.1) with pairs of queues and a control queue. Frames are taken from the guest's queues and
/// put there by the threads of the back end's lanes; no CPU waits for them. With a back end that takes large TCP segments the guest
/// leaves checksums and segmentation to the device; the segments stay whole.
class Net final : public Backend {
  public:
    struct Options {
        MacAddress mac{0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
        uint16_t mtu = 0;    ///< 0: the driver's own
        unsigned pairs = 1;  ///< of queues, 1 to NetQueues::kMaxPairs
    };
    /// An MTU that the device may name (5.1.4.1), and that fits into NetBackend::kMaxFrame.
    static constexpr uint16_t kMinMtu = 68, kMaxMtu = 65521;

    /// `network` outlives the device.
    Net(NetBackend& network, const Options& options);

    // ---- Backend
    std::string_view name() const override { return "virtio-net"; }
    uint32_t device_id() const override { return 1; }
    uint64_t features() const override;
    std::vector<QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void set_features(uint64_t features) override;
    void activate(Transport& transport) override;
    void reset() override;
    void notified(unsigned queue) override;
    void quiesce() override { drain(); }
    /// The filter and the pairs in use. Frames that wait for the guest are lost, as a network may lose frames.
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    void drain();
    void serve_control(unsigned queue);
    bool carry_out(const Chain& chain);
    bool has(uint64_t feature) const { return (state_.features & feature) != 0; }

    NetBackend& network_;
    const Options options_;
    NetState state_;
    std::vector<std::unique_ptr<NetLane>> lanes_;
};

}  // namespace arclight::devices::virtio
