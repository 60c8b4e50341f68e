// A device type with queues of all three services and a configuration, for the targets that look at transports.
#pragma once

#include <array>

#include "devices/virtio/transport.h"

namespace arclight::fuzz {

class Sample final : public devices::virtio::Backend {
  public:
    std::string_view name() const override { return "sample"; }
    uint32_t device_id() const override { return 1; }
    uint64_t features() const override { return 0x0f0f; }
    std::vector<devices::virtio::QueueDescription> queues() const override {
        return {{8, devices::virtio::Service::Inline},
                {256, devices::virtio::Service::Worker},
                {4, devices::virtio::Service::Backend}};
    }
    uint8_t read_config(uint64_t offset) override { return offset < config_.size() ? config_[offset] : 0; }
    void write_config(uint64_t offset, uint8_t value) override {
        if (offset < config_.size()) config_[offset] = value;
    }
    devices::virtio::Served process(unsigned, devices::virtio::Chain& chain) override {
        return devices::virtio::Served::done(static_cast<uint32_t>(chain.writable_size()));
    }

  private:
    std::array<uint8_t, 16> config_{};
};

}  // namespace arclight::fuzz
