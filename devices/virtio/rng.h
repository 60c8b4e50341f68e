#pragma once

#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// Entropy source (virtio 1.2 section 5.4), fed by the host's getrandom.
class Rng final : public Backend {
  public:
    std::string_view name() const override { return "virtio-rng"; }
    uint32_t device_id() const override { return 4; }
    uint64_t features() const override { return 0; }
    std::vector<QueueDescription> queues() const override { return {{8, Service::Inline}}; }
    Served process(unsigned queue, Chain& chain) override;
};

}  // namespace arclight::devices::virtio
