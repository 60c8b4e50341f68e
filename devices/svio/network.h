#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "devices/net_backend.h"
#include "devices/svio/resource.h"
#include "devices/virtio/net_frame.h"

namespace arclight::devices::svio {

class NetPort;

/// A network that virtual interfaces are ports of: a memory channel, which hands frames from guest to guest and never leaves this
/// process, or one with a tap device as its uplink.
///
/// Frames go by their addresses, which are learned from what is sent; those to nobody that is known go to the uplink, or without one to
/// all. An address belongs to the interface that has used it first, as long as that has a guest: nobody takes another's frames.
class Network final : public Resource {
  public:
    enum class Mode : uint8_t {
        Switch,
        Echo,  ///< each frame returns to where it came from, with the two addresses exchanged
    };
    /// `uplink`: a tap device with headers (virtio::NetHeader) that does not block; it stays the caller's. -1: none.
    explicit Network(Mode mode, int uplink = -1);
    ~Network() override;

    Result<std::unique_ptr<Port>> make_port(const PortOptions& options) override;
    int descriptor() const override { return uplink_gone_ ? -1 : uplink_; }
    bool take() override;

    static constexpr size_t kMaxAddresses = 16;  ///< of one interface
    static constexpr size_t kEthernetHeader = 14;

  private:
    friend class NetPort;
    /// Hands on what is in wire_ (a header that has been looked at, then a frame). Null: it comes from the uplink.
    void forward(NetPort* from, std::span<uint8_t> wire);
    bool may_send(NetPort& from, const virtio::MacAddress& source);
    /// What the port has learned.
    void forget(const NetPort& port);
    void send_up(std::span<const uint8_t> wire);

    const Mode mode_;
    const int uplink_;
    bool uplink_gone_ = false;
    std::vector<NetPort*> ports_;
    std::map<virtio::MacAddress, NetPort*> addresses_;
    std::vector<uint8_t> wire_;  ///< the frame that is on its way, behind its header
};

class NetPort final : public Port {
  public:
    NetPort(Network& network, const PortOptions& options);
    ~NetPort() override;

    vhost_user::BackEnd::Device device() const override;
    void connect(vhost_user::BackEnd* front) override;
    bool waiting() override;
    Work serve() override;
    bool deliver_waiting() override;
    void signal() override;
    bool arm() override;
    void disarm() override;

    /// A frame behind its header, both of which may be changed: to the guest in the form that its driver takes, now or when there is
    /// room; or it is lost.
    void receive(std::span<uint8_t> wire);
    bool has_guest() const { return front_ != nullptr; }

    static constexpr unsigned kReceive = 0, kTransmit = 1, kRings = 2;
    static constexpr unsigned kBatch = 16;            ///< frames that serve() takes at most
    static constexpr size_t kBatchBytes = 128 << 10;  ///< or not many more bytes than this
    static constexpr size_t kMaxWaiting = 1 << 20;    ///< bytes of frames that wait for room

  private:
    friend class Network;
    enum class Given : uint8_t { Yes, NoRoom, Never };
    Given give(std::span<uint8_t> wire);
    void give_or_keep(std::span<uint8_t> wire);
    /// The frame of a chain, to network_.wire_; none: it is no frame.
    std::span<uint8_t> take_frame(const virtio::Chain& chain);
    bool has(uint64_t feature) const { return (features_ & feature) != 0; }

    Network& network_;
    const PortOptions options_;
    vhost_user::BackEnd* front_ = nullptr;
    uint64_t features_ = 0;
    size_t addresses_ = 0;       ///< learned
    bool touched_[kRings] = {};  ///< by ring: something was handed back since signal()

    std::deque<std::vector<uint8_t>> waiting_;  ///< frames behind their headers
    size_t waiting_bytes_ = 0;
    uint16_t too_few_ = 0;  ///< so many buffers had no room for the first of them
    // Of serve() and give(), so that they allocate nothing as they go on.
    virtio::Chain chain_;
    std::vector<virtio::Chain> room_;
    std::vector<virtio::Used> taken_, given_;
};

}  // namespace arclight::devices::svio
