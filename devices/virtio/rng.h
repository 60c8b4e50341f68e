#pragma once

#include "devices/virtio/mmio.h"

namespace arclight::devices::virtio {

/// Entropy source (virtio 1.2 section 5.4), fed by the host's getrandom.
class Rng final : public Backend {
  public:
    uint32_t device_id() const override { return 4; }
    uint64_t features() const override { return 0; }
    std::vector<uint16_t> queue_limits() const override { return {8}; }
    void notify(Mmio& transport, unsigned queue) override;
};

}  // namespace arclight::devices::virtio
