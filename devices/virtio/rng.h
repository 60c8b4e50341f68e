#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "devices/event_loop.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// Entropy source (virtio 1.2 section 5.4), fed by the host's getrandom. With a limit the guest gets so many bytes in a period, and
/// what it asks for beyond that in the next ones.
class Rng final : public Backend {
  public:
    struct Limit {
        uint64_t bytes = 0;
        uint32_t period_ms = 0;
    };
    Rng() = default;
    /// Neither number is 0.
    Rng(EventLoop& loop, const Limit& limit);

    std::string_view name() const override { return "virtio-rng"; }
    uint32_t device_id() const override { return 4; }
    uint64_t features() const override { return 0; }
    std::vector<QueueDescription> queues() const override;
    void activate(Transport& transport) override;
    void reset() override;
    Served process(unsigned queue, Chain& chain) override;
    void notified(unsigned queue) override;

  private:
    void serve(Transport& transport);

    const Limit limit_;
    std::mutex lock_;
    Transport* transport_ = nullptr;  // under lock_
    uint64_t left_ = 0;               // of the period; under the transport's lock, as the next one
    bool period_begun_ = false;
    std::optional<EventLoop::Timer> period_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices::virtio
