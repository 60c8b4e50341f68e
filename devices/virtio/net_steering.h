#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace arclight::devices::virtio {

/// A number that all frames of a flow have, in both directions: of addresses, protocol and ports as far as there are any.
uint32_t flow_hash(std::span<const uint8_t> frame);

/// Which pair of queues a received frame is for (virtio 1.2 section 5.1.6.5.6.2, automatic receive steering): the one on which
/// the guest has last sent something of the same flow; of a flow that it has not sent anything of, one by its hash. Not locked.
class NetSteering {
  public:
    void learn(std::span<const uint8_t> sent, unsigned pair) {
        pair_of_[flow_hash(sent) % kFlows] = static_cast<uint8_t>(pair + 1);
    }
    /// Less than `pairs`.
    unsigned pair_for(std::span<const uint8_t> received, unsigned pairs) const;
    void forget() { pair_of_.fill(0); }

  private:
    static constexpr size_t kFlows = 1024;
    std::array<uint8_t, kFlows> pair_of_{};  ///< and one more; 0: none
};

}  // namespace arclight::devices::virtio
