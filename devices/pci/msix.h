#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "devices/state.h"

namespace arclight::devices::pci {

/// The MSI-X table and pending bits of one function (PCI Local Bus Specification 3.0 section 6.8.2), in a window of their own:
/// the table at its start, the pending bits behind it. What is raised while it is masked is sent when it no longer is.
class Msix {
  public:
    static constexpr uint64_t kWindowSize = 0x1000;
    static constexpr uint64_t kPendingOffset = 0x800;
    static constexpr uint64_t kEntryBytes = 16;
    static constexpr unsigned kMaxVectors = kPendingOffset / kEntryBytes;  ///< in a window of a page

    /// Called with the lock held, in the order of messages.
    using Send = std::function<void(uint64_t address, uint32_t data)>;

    /// As many vectors as there is room for before the pending bits, and one at least.
    Msix(unsigned vectors, Send send, uint64_t pending_offset = kPendingOffset);

    unsigned vectors() const { return static_cast<unsigned>(table_.size()); }
    bool enabled() const { return enabled_.load(std::memory_order_relaxed); }

    uint64_t read(uint64_t offset, unsigned size) const;
    void write(uint64_t offset, uint64_t value, unsigned size);
    /// What the capability's Message Control says.
    void set_control(bool enabled, bool masked);

    /// Sends the vector's message, or remembers it. Vectors that are not there are ignored.
    void raise(unsigned vector);
    void reset();

    struct State {
        std::vector<std::array<uint32_t, 4>> table;
        std::vector<bool> pending;
    };
    void save(StateWriter& out) const;
    void load(StateReader& in, State& loaded) const;
    void commit(State loaded, bool enabled, bool masked);

  private:
    static constexpr unsigned kControlWord = 3;
    static constexpr uint32_t kVectorMasked = 1;
    using Entry = std::array<uint32_t, 4>;  // address, upper address, data, vector control

    bool open(unsigned vector) const {
        return enabled_ && !masked_ && (table_[vector][kControlWord] & kVectorMasked) == 0;
    }
    void send_pending(unsigned vector);
    void send(const Entry& entry) { send_(entry[0] | static_cast<uint64_t>(entry[1]) << 32, entry[2]); }

    const Send send_;
    const uint64_t pending_offset_;
    mutable std::mutex lock_;
    std::vector<Entry> table_;
    std::vector<bool> pending_;
    std::atomic<bool> enabled_{false};
    bool masked_ = false;
};

}  // namespace arclight::devices::pci
