#pragma once

#include <algorithm>
#include <cstdint>

namespace arclight::devices::svio {

/// Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a resource is shared by weights between those that want it. Each request
/// has a start tag, at which its flow's one before has ended or, if that is past, the clock stands; the least tag is next. A flow that was
/// silent has saved nothing and waits for no more than what others have begun.
class FairClock {
  public:
    struct Flow {
        uint32_t weight = 1;  ///< 1 to kMaxWeight
        uint64_t finish = 0;  ///< of what it has had so far
    };
    static constexpr uint32_t kMaxWeight = 1000;

    /// The tag of what the flow wants next.
    uint64_t start(const Flow& flow) const { return std::max(now_, flow.finish); }
    /// It gets that, at a cost of `cost` (up to 2^32) in any unit.
    void charge(Flow& flow, uint64_t cost) {
        now_ = start(flow);
        flow.finish = now_ + cost * kMaxWeight / std::max<uint32_t>(flow.weight, 1);
    }

  private:
    uint64_t now_ = 0;  ///< 2^64 is 500 years at a GB/s with the least weight
};

}  // namespace arclight::devices::svio
