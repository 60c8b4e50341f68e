#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "mmu/guest_memory.h"

namespace arclight::devices::virtio {

/// One request: host views of the guest's buffers, all checked to lie in RAM. The guest may change the bytes
/// behind them at any time: read each once. They are valid while the thread holds GuestMemory::dma().
struct Chain {
    uint16_t head = 0;
    std::vector<std::span<uint8_t>> readable;  ///< device reads
    std::vector<std::span<uint8_t>> writable;  ///< device writes

    uint64_t readable_size() const;
    uint64_t writable_size() const;
};

/// Copies up to out.size() bytes from the front of the buffers; returns how many there were, memory that is gone not counted.
size_t gather(std::span<const std::span<uint8_t>> from, std::span<uint8_t> out);
size_t scatter(std::span<const uint8_t> bytes, std::span<const std::span<uint8_t>> to);

/// A request handed back: the head of its chain, and how many bytes were written to it.
struct Used {
    uint16_t head;
    uint32_t written;
};

/// A split virtqueue (virtio 1.2 section 2.7), device side. Not locked: the transport's lock covers it.
class Queue {
  public:
    enum class Pop : uint8_t { None, Chain, Malformed };

    static constexpr uint16_t kMaxSize = 256;
    static constexpr unsigned kMaxChain = 1024;  ///< buffers in one request, whatever the guest's tables say

    explicit Queue(uint16_t limit = kMaxSize) : limit_(limit) {}

    /// Set up by the driver. enable() checks every address and size; false leaves the queue unusable.
    uint16_t limit() const { return limit_; }
    uint32_t size = 0;
    uint64_t descriptors = 0;
    uint64_t available = 0;
    uint64_t used = 0;
    bool enable(const mmu::GuestMemory& memory, bool event_index, bool indirect);
    void reset();
    bool ready() const { return ready_; }
    void disable() { ready_ = false; }

    /// Where a ready queue is, in guest-physical addresses that enable() has checked.
    struct Place {
        uint16_t entries;
        uint64_t descriptors, available, used;
    };
    Place place() const { return {entries_, descriptors_, available_, used_}; }
    /// The index in the available ring of the request that is next.
    uint16_t next_available() const { return next_available_; }
    void set_next_available(uint16_t index) { next_available_ = index; }
    /// Of a ready queue that others serve: how many requests they have handed back, modulo 2^16.
    uint16_t used_index() const;

    /// Takes the next request. Malformed: the driver broke the rules, the device needs a reset.
    Pop pop(Chain& chain);
    /// The last `count` requests taken are next again. None of them was handed back.
    void rewind(uint16_t count) { next_available_ = static_cast<uint16_t>(next_available_ - count); }
    /// Hands requests back; the driver sees all of them or none.
    void push(std::span<const Used> used);
    /// Whether the driver wants an interrupt for what push() added since the last call.
    bool should_interrupt();
    /// Asks the driver to notify about the next request, or the one after `beyond` more. True: it arrived meanwhile, pop again.
    bool enable_notification(uint16_t beyond = 0);
    /// Asks the driver not to notify, until enable_notification(). It may all the same.
    void disable_notification();

    // ---- For who serves a ring in another process than the transport's
    /// After enable(): others have served the queue before, up to here (next_available()). What they have handed back is in the ring.
    void continue_at(uint16_t next_available);
    /// Whether the driver has offered a request that is not taken, or broken the rules.
    bool waiting() const { return ready_ && available_index() != next_available_; }

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.size, self.descriptors, self.available, self.used, self.descriptors_, self.available_,
                self.used_, self.entries_, self.next_available_, self.next_used_, self.signalled_used_,
                self.signalled_valid_, self.ready_, self.event_index_, self.indirect_);
    }
    /// After fields() were read: false if a queue in use would lie outside this memory.
    bool restore(const mmu::GuestMemory& memory);

  private:
    struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
    };
    bool placement_ok(const mmu::GuestMemory& memory, uint64_t entries, uint64_t descriptors,
                      uint64_t available, uint64_t used) const;
    bool add_buffer(Chain& chain, const Descriptor& descriptor) const;
    bool walk(Chain& chain, uint64_t table, uint32_t entries, uint32_t first, bool nested) const;
    uint16_t available_index() const;
    uint16_t load16(uint64_t ring, uint64_t offset, std::memory_order order) const;
    void store16(uint64_t ring, uint64_t offset, uint16_t value, std::memory_order order) const;

    const mmu::GuestMemory* memory_ = nullptr;
    // As enable() checked them. Host addresses are not kept: pages may move (mmu/page_overlay.h).
    uint64_t descriptors_ = 0;
    uint64_t available_ = 0;
    uint64_t used_ = 0;
    uint16_t limit_;
    uint16_t entries_ = 0;  // size as enable() checked it; the driver may write size again
    uint16_t next_available_ = 0;
    uint16_t next_used_ = 0;
    uint16_t signalled_used_ = 0;
    bool signalled_valid_ = false;
    bool ready_ = false;
    bool event_index_ = false;
    bool indirect_ = false;
    mutable bool lost_ = false;  ///< memory that holds a ring or descriptors is gone
};

}  // namespace arclight::devices::virtio
