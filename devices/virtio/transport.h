#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/state.h"
#include "devices/virtio/queue.h"
#include "host/thread_role.h"
#include "mmu/guest_memory.h"

namespace arclight::devices::virtio {

inline constexpr uint64_t kFeatureAnyLayout = 1ull << 27;  ///< legacy only: buffers may be cut anywhere
inline constexpr uint64_t kFeatureIndirect = 1ull << 28;
inline constexpr uint64_t kFeatureEventIndex = 1ull << 29;
inline constexpr uint64_t kFeatureVersion1 = 1ull << 32;

/// What a device type asks of the transport that it sits behind: MMIO (devices/virtio/mmio.h) or PCI (devices/virtio/pci.h). A
/// backend has it from activate() until reset(), and may use it from any thread.
///
/// Lock order: the transport's lock comes first. A backend releases its own locks before it calls the
/// transport, since the transport calls the backend with its lock held.
class Transport {
  public:
    virtual ~Transport() = default;

    virtual const mmu::GuestMemory& memory() const = 0;
    /// The features that device and driver agreed on.
    virtual uint64_t features() const = 0;

    /// Orders all access to queues, status and configuration. A reset by the driver waits for it.
    virtual std::mutex& lock() = 0;
    /// Lock held. May the device touch queues and buffers: DRIVER_OK, not broken, not being reset.
    virtual bool running() const = 0;
    /// Lock held, and memory().dma() until the last use of the chain. Takes the next chain that the driver
    /// offered. False: there is none (the driver is asked to notify about the next), or it is malformed (the
    /// device has failed).
    virtual bool take(unsigned queue, Chain& chain) = 0;
    /// Lock held. The last `count` chains taken were not used after all: they are next again.
    virtual void put_back(unsigned queue, unsigned count) = 0;
    /// Lock held. Returns chains to the driver, all at once, and interrupts it if it wants that.
    virtual void complete(unsigned queue, std::span<const Used> used) = 0;
    /// Lock held. The driver broke the rules: DEVICE_NEEDS_RESET and a configuration interrupt.
    virtual void fail() = 0;

    /// Lock not held. What read_config() gives has changed: a new generation and an interrupt. Changes
    /// themselves are made under the lock.
    virtual void config_changed() = 0;

    // ---- For a backend whose rings others serve, without take() and complete(): another process, the host's kernel. Lock held.
    /// Null: the driver does not use it.
    virtual const Queue* queue_in_use(unsigned queue) const = 0;
    /// Others have taken what the driver offered up to here (Queue::next_available()).
    virtual void set_position(unsigned queue, uint16_t next_available) = 0;
    /// Others have returned chains: an interrupt.
    virtual void signal(unsigned queue) = 0;

    /// Lock not held. Fills one chain that the driver offered with what the driver has not asked for, such as
    /// a received packet. fill(chain) returns how many bytes it wrote, or nothing to leave the chain where it
    /// is. False: not running, no chain, or not filled.
    template <typename Fill>
    bool deliver(unsigned queue, Fill&& fill) {
        const std::lock_guard guard(lock());
        if (!running()) return false;
        const auto dma = memory().dma();
        Chain chain;
        if (!take(queue, chain)) return false;
        const std::optional<uint32_t> written = fill(chain);
        if (!written) {
            put_back(queue, 1);
            return false;
        }
        const Used used{chain.head, *written};
        complete(queue, {&used, 1});
        return true;
    }
};

/// Who takes chains from a queue.
enum class Service : uint8_t {
    Inline,   ///< the transport, on the notifying CPU's thread with the lock held; process() must not block
    Worker,   ///< the transport, on a thread of its own without the lock; process() may block
    Backend,  ///< the backend, when it has something for the driver: take(), deliver()
};

struct QueueDescription {
    uint16_t limit = Queue::kMaxSize;
    Service service = Service::Inline;
    /// Of Worker queues: served when no other one has a request left.
    bool after_others = false;
};

/// What process() did with a chain.
class Served {
  public:
    /// `written` bytes went to the guest; the transport completes the chain.
    static Served done(uint32_t written) { return Served(Kind::Done, written); }
    /// The chain has not the form that the device type demands: the device fails.
    static Served malformed() { return Served(Kind::Malformed, 0); }
    /// The backend goes on with the chain and calls Transport::complete(). quiesce() and reset() wait for it.
    static Served pending() { return Served(Kind::Pending, 0); }
    /// Worker queues. The chain is not served now: it is next again, and no chain is served until the machine has been
    /// paused and goes on (MachineHost::pause(), which the backend has called), or the driver resets the device.
    static Served postponed() { return Served(Kind::Postponed, 0); }

    bool is_done() const { return kind_ == Kind::Done; }
    bool is_malformed() const { return kind_ == Kind::Malformed; }
    bool is_postponed() const { return kind_ == Kind::Postponed; }
    uint32_t written() const { return written_; }

  private:
    enum class Kind : uint8_t { Done, Malformed, Pending, Postponed };
    Served(Kind kind, uint32_t written) : kind_(kind), written_(written) {}
    Kind kind_;
    uint32_t written_;
};

/// A device type: what is behind a transport. Unless said otherwise calls come with the transport's lock
/// held.
class Backend : public Stateful {
  public:
    /// Lower-case, at most 15 characters: the worker thread and the section of the state have it.
    virtual std::string_view name() const = 0;
    virtual uint32_t device_id() const = 0;
    /// Bits of the device type; the transport adds its own.
    virtual uint64_t features() const = 0;
    /// Those of the rings (virtio 1.2 section 6) that whoever serves them knows.
    virtual uint64_t ring_features() const { return kFeatureIndirect | kFeatureEventIndex; }
    /// Constant.
    virtual std::vector<QueueDescription> queues() const = 0;
    /// Of the thread that serves Worker queues.
    virtual ThreadRole worker_role() const { return ThreadRole::Device; }
    virtual uint8_t read_config(uint64_t) { return 0; }
    virtual void write_config(uint64_t, uint8_t) {}
    /// The driver accepted these.
    virtual void set_features(uint64_t) {}

    /// The driver is up (DRIVER_OK), or a saved device that was goes on: the transport may be used from now
    /// on.
    virtual void activate(Transport&) {}
    /// Lock not held. The driver resets the device: returns when the backend touches neither the transport
    /// nor guest memory any more. No process() is running. Also called on a device that is not active.
    virtual void reset() {}
    /// Serves one chain of an Inline or Worker queue; memory().dma() is held. Lock not held for a Worker
    /// queue.
    virtual Served process(unsigned /*queue*/, Chain&) { return Served::malformed(); }
    /// Of a Worker queue: how many chains are taken at once, for process_all(). 1 or more.
    virtual unsigned batch() const { return 1; }
    /// The same as process(), for several chains that were taken one after the other: `served` is as long.
    virtual void process_all(unsigned queue, std::span<Chain> chains, std::span<Served> served) {
        for (size_t i = 0; i < chains.size(); i++) served[i] = process(queue, chains[i]);
    }
    /// The driver notified a Backend queue: there are chains to take.
    virtual void notified(unsigned /*queue*/) {}

    // Stateful, by the transport with the lock not held. quiesce() returns when all pending chains are
    // completed; resume() comes before activate(). A device type without state of its own overrides none.
    void save(StateWriter&) const override {}
    StateResult load(StateReader&) override { return {}; }
};

}  // namespace arclight::devices::virtio
