#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "devices/virtio/net_features.h"
#include "devices/virtio/net_queues.h"

namespace arclight::devices::vhost_user {

/// The pairs of queues of a network adapter that a daemon serves. Its control queue is not the daemon's: this program takes the
/// commands, and tells the daemon which rings are enabled. Any thread.
class NetPairs {
  public:
    /// `pairs`: more than one.
    explicit NetPairs(unsigned pairs) : pairs_(pairs) {}

    static constexpr uint64_t kOwnFeatures = virtio::kNetFeatureControl;
    /// With the control queue.
    unsigned queues() const { return 2 * pairs_ + 1; }
    void set_features(uint64_t features) { agreed_ = (features & virtio::kNetFeaturePairs) != 0; }
    unsigned control_queue() const { return virtio::NetQueues::control(pairs_, agreed_); }
    /// Whether the ring is one that the daemon is told of; and whether it is to serve it now.
    bool is_daemons(unsigned queue) const { return queue < 2 * (agreed_ ? pairs_ : 1); }
    bool enabled(unsigned queue) const { return queue < 2 * in_use_; }
    unsigned in_use() const { return in_use_; }
    /// Of a saved adapter. False: there are not so many.
    bool restore(unsigned in_use) {
        if (in_use == 0 || in_use > (agreed_ ? pairs_ : 1)) return false;
        in_use_ = in_use;
        return true;
    }
    void reset() {
        in_use_ = 1;
        agreed_ = false;
    }
    /// False: it is no command that there is.
    bool carry_out(std::span<const uint8_t> command) {
        if (!agreed_ || command.size() < 2 || command[0] != virtio::kNetClassPairs) return false;
        const auto wanted = virtio::pairs_wanted(command[1], command.subspan(2), pairs_);
        if (wanted) in_use_ = *wanted;
        return wanted.has_value();
    }

  private:
    const unsigned pairs_;
    std::atomic<bool> agreed_{false};
    std::atomic<unsigned> in_use_{1};
};

}  // namespace arclight::devices::vhost_user
