#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

#include "devices/pci/config_space.h"

namespace arclight::devices::pci {

/// The MSI capability of one function (PCI Local Bus Specification 3.0 section 6.8.1): up to 32 messages that differ in the low bits
/// of their data. What is raised while it is masked is sent when it no longer is.
class Msi {
  public:
    static constexpr unsigned kMaxVectors = 32;
    using Send = std::function<void(uint64_t address, uint32_t data)>;

    /// The capability is in `space` at `at` already; what the driver may write there is allowed here. `vectors`: that the device
    /// has; the capability tells of no more.
    Msi(ConfigSpace& space, unsigned at, unsigned vectors, Send send);

    /// Bytes of a capability whose Message Control is this.
    static unsigned size(uint16_t control);
    unsigned capability() const { return at_; }
    /// Of the capability's bytes; with the bridge's lock held.
    bool contains(unsigned offset, unsigned bytes) const;
    /// The driver has written to it, or it has been reset; with the bridge's lock held.
    void take_up();
    /// Any thread, as the rest.
    bool enabled() const;
    unsigned vectors() const;
    /// Sends the vector's message, or remembers it. Vectors that the driver has not enabled are ignored.
    void raise(unsigned vector);
    /// The Pending Bits register.
    uint32_t pending() const;
    /// Where that is in configuration space; 0: this capability has none.
    unsigned pending_register() const { return pending_register_; }

  private:
    struct Message {
        uint64_t address = 0;
        uint32_t data = 0, masked = 0;
        unsigned vectors = 0;  ///< 0: disabled
    };
    void send(unsigned vector);

    ConfigSpace& space_;
    const unsigned at_;
    const Send send_;
    unsigned size_ = 0, pending_register_ = 0, most_ = 1;
    mutable std::mutex lock_;
    Message message_;
    uint32_t pending_ = 0;
};

}  // namespace arclight::devices::pci
