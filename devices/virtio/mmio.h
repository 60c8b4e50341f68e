#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/virtio/queue.h"
#include "mmu/guest_memory.h"

namespace arclight::devices::virtio {

inline constexpr uint64_t kFeatureIndirect = 1ull << 28;
inline constexpr uint64_t kFeatureEventIndex = 1ull << 29;
inline constexpr uint64_t kFeatureVersion1 = 1ull << 32;

class Mmio;

/// What a transport asks of a device type. All calls but stop() come with the transport's lock held.
class Backend {
  public:
    virtual ~Backend() = default;
    virtual uint32_t device_id() const = 0;
    virtual uint64_t features() const = 0;  ///< device-specific bits; the transport adds its own
    virtual std::vector<uint16_t> queue_limits() const = 0;
    virtual uint8_t read_config(uint64_t) { return 0; }
    virtual void write_config(uint64_t, uint8_t) {}
    virtual void set_features(uint64_t) {}
    /// The driver notified a queue that is ready, with DRIVER_OK set and no reset needed.
    virtual void notify(Mmio& transport, unsigned queue) = 0;
    /// The driver resets the device. Returns when no request is in flight. Called without the lock, may
    /// block; the transport hands out no further request meanwhile.
    virtual void stop() {}
};

/// virtio over MMIO, version 2 (virtio 1.2 section 4.2). A slot without a backend reads as device id 0.
class Mmio final : public Device {
  public:
    Mmio(unsigned slot, const mmu::GuestMemory& memory, IrqLine line,
         std::unique_ptr<Backend> backend = nullptr);
    ~Mmio() override;

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

    Backend* backend() const { return backend_.get(); }

    /// For backends. The lock orders all access to queues.
    std::mutex& lock() { return lock_; }
    const mmu::GuestMemory& memory() const { return memory_; }
    Queue& queue(unsigned index) { return queues_[index]; }
    /// May the backend take requests: DRIVER_OK, not broken, not being reset. Lock held.
    bool running() const;
    /// Returns a request and raises the interrupt if the driver wants it. Lock held.
    void complete(unsigned queue, uint16_t head, uint32_t written);
    /// The driver broke the rules: DEVICE_NEEDS_RESET and a configuration interrupt. Lock held.
    void fail();

  private:
    uint32_t read_register(uint64_t offset) const;
    void write_register(uint64_t offset, uint32_t value, std::unique_lock<std::mutex>& held);
    void write_status(uint32_t value, std::unique_lock<std::mutex>& held);
    void enable_queue(uint32_t value);
    void quiesce(std::unique_lock<std::mutex>& held);
    void reset_locked(std::unique_lock<std::mutex>& held);
    Queue* selected();
    const Queue* selected() const;
    void update();
    uint64_t offered_features() const;

    const unsigned slot_;
    const mmu::GuestMemory& memory_;
    std::unique_ptr<Backend> backend_;

    mutable std::mutex lock_;
    IrqLine line_;
    std::vector<Queue> queues_;
    uint32_t status_ = 0;
    uint32_t interrupt_status_ = 0;
    uint32_t device_features_select_ = 0;
    uint32_t driver_features_select_ = 0;
    uint32_t queue_select_ = 0;
    uint32_t config_generation_ = 0;
    uint64_t driver_features_ = 0;
    bool resetting_ = false;
};

}  // namespace arclight::devices::virtio
