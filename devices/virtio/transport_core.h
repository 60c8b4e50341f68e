#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "devices/virtio/transport.h"

namespace arclight::devices::virtio {

/// What all transports have in common (virtio 1.2 sections 2 and 3): device status, feature negotiation, the
/// queues, who serves them and where, and the state of all that. A transport adds the registers and the
/// interrupt.
class TransportCore : public Transport {
  public:
    ~TransportCore() override;

    Backend* backend() const { return backend_.get(); }

    const mmu::GuestMemory& memory() const final { return memory_; }
    uint64_t features() const final { return driver_features_; }
    std::mutex& lock() final { return lock_; }
    bool running() const final;
    bool take(unsigned queue, Chain& chain) final;
    void put_back(unsigned queue, unsigned count) final;
    void complete(unsigned queue, std::span<const Used> used) final;
    void fail() final;
    void config_changed() final;
    const Queue* queue_in_use(unsigned queue) const final;
    void set_position(unsigned queue, uint16_t next_available) final;
    void signal(unsigned queue) final;

  protected:
    enum class Cause : uint8_t { UsedBuffer, Configuration };
    /// Legacy: the interface from before virtio 1.0 (virtio 1.2 sections 2.2.3, 2.7.2 and 3.1.2). No feature bit past 31, no
    /// FEATURES_OK, no DEVICE_NEEDS_RESET; the guest is little-endian, and so is its configuration space.
    enum class Generation : uint8_t { Modern, Legacy };
    static constexpr uint32_t kStatusDriver = 2;
    static constexpr uint32_t kStatusDriverOk = 4;
    static constexpr uint32_t kStatusFeaturesOk = 8;
    static constexpr uint32_t kStatusNeedsReset = 64;

    using Lock = std::unique_lock<std::mutex>;

    TransportCore(Generation generation, const mmu::GuestMemory& memory, std::unique_ptr<Backend> backend);
    bool legacy() const { return generation_ == Generation::Legacy; }
    /// Lock held: a device that speaks both is what its driver has begun with.
    void set_generation(Generation generation) { generation_ = generation; }

    /// Lock held: interrupts the driver. `queue` counts for UsedBuffer only.
    virtual void interrupt(Cause cause, unsigned queue) = 0;
    /// Lock held: the transport's own part of a reset.
    virtual void reset_registers() = 0;

    // ---- For registers: lock held. What takes the lock object may release it meanwhile.
    /// As the driver sees it.
    uint32_t visible_status() const { return legacy() ? status_ & ~kStatusNeedsReset : status_; }
    uint32_t config_generation() const { return config_generation_; }
    bool resetting() const { return resetting_; }
    /// 32 bits of the features; zero past the end.
    uint32_t offered_features(uint32_t word) const;
    void accept_features(uint32_t word, uint32_t value);
    Queue* queue(uint32_t index) { return index < queues_.size() ? &queues_[index].queue : nullptr; }
    size_t queue_count() const { return queues_.size(); }
    const Queue* queue(uint32_t index) const {
        return index < queues_.size() ? &queues_[index].queue : nullptr;
    }
    void enable_queue(Queue& queue);
    /// 2.7.2: a legacy queue is one run of memory, its used ring at the next multiple of `alignment`, a power of two.
    void enable_legacy_queue(Queue& queue, uint64_t base, uint64_t alignment);
    /// After dma_allowed() has become true: the driver may have notified before.
    void look_at_queues();
    void write_status(uint32_t value, Lock& held);
    void notify(uint32_t queue);
    uint64_t read_config(uint64_t offset, unsigned size);
    void write_config(uint64_t offset, uint64_t value, unsigned size);
    void reset_device(Lock& held);
    /// For the destructor of what overrides interrupt(): no thread calls it any more.
    void shut_down();

    // ---- Stateful, without the transport's own registers. Lock not held.
    void quiesce_core();
    void resume_core();
    void save_core(StateWriter& out) const;
    StateResult load_core(StateReader& in);

  private:
    struct Slot {
        Queue queue;
        Service service;
        bool after_others;
        bool requested = false;    // for the worker
        unsigned outstanding = 0;  // chains taken and not completed
    };

    /// Lock held.
    virtual bool dma_allowed() const { return true; }
    uint64_t all_features() const;
    bool features_agreed(uint32_t status) const {
        return (status & (legacy() ? kStatusDriverOk : kStatusFeaturesOk)) != 0;
    }
    void start();
    void request(unsigned index);
    void serve_inline(unsigned index);
    void serve(unsigned index, Lock& held);
    bool finish(unsigned index, std::span<const Chain> chains, std::span<const Served> served);
    std::optional<unsigned> next_requested(unsigned after) const;
    /// Whether the worker is to leave this queue for another one, though there may be more in it.
    bool others_wait(unsigned index) const;
    void idle_worker(Lock& held);
    void work();
    bool outstanding() const;

    Generation generation_;
    const mmu::GuestMemory& memory_;
    const std::unique_ptr<Backend> backend_;

    mutable std::mutex lock_;
    std::vector<Slot> queues_;
    uint32_t status_ = 0;
    uint32_t config_generation_ = 0;
    uint64_t driver_features_ = 0;
    bool resetting_ = false;
    bool quiesced_ = false;
    bool postponed_ = false;  // until resume_core()

    // One worker serves all Worker queues in turn.
    std::condition_variable wake_;
    std::condition_variable idle_;  // the worker has stopped, or a chain was completed
    std::vector<Chain> chains_;     // the worker's
    std::vector<Served> served_;
    std::vector<Used> used_;  // of finish()
    bool busy_ = false;
    bool quit_ = false;
    std::thread worker_;
};

}  // namespace arclight::devices::virtio
