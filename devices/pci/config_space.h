#pragma once

#include <cstdint>
#include <vector>

#include "devices/state.h"

namespace arclight::devices::pci {

// Offsets in the header (PCI Local Bus Specification 3.0 section 6.1; PCI-to-PCI Bridge Architecture Specification 1.2
// section 3.2 for those of type 1).
inline constexpr unsigned kRegVendor = 0x00;
inline constexpr unsigned kRegDevice = 0x02;
inline constexpr unsigned kRegCommand = 0x04;
inline constexpr unsigned kRegStatus = 0x06;
inline constexpr unsigned kRegRevision = 0x08;
inline constexpr unsigned kRegInterface = 0x09;
inline constexpr unsigned kRegClass = 0x0a;
inline constexpr unsigned kRegCacheLine = 0x0c;
inline constexpr unsigned kRegHeaderType = 0x0e;
inline constexpr unsigned kRegBars = 0x10;
inline constexpr unsigned kRegCardbus = 0x28;
inline constexpr unsigned kRegSubsystemVendor = 0x2c;
inline constexpr unsigned kRegSubsystem = 0x2e;
inline constexpr unsigned kRegCapabilities = 0x34;
inline constexpr unsigned kRegInterruptLine = 0x3c;
inline constexpr unsigned kRegInterruptPin = 0x3d;

inline constexpr uint16_t kCommandPorts = 1u << 0;
inline constexpr uint16_t kCommandMemory = 1u << 1;
inline constexpr uint16_t kCommandBusMaster = 1u << 2;
inline constexpr uint16_t kCommandParity = 1u << 6;
inline constexpr uint16_t kCommandSystemError = 1u << 8;
inline constexpr uint16_t kCommandNoInterrupt = 1u << 10;
inline constexpr uint16_t kStatusInterrupt = 1u << 3;
inline constexpr uint16_t kStatusCapabilities = 1u << 4;

/// The configuration space of one function: bytes, of which the driver may write some bits. Offsets are below kSize and
/// accesses do not cross its end; sizes are 1, 2 or 4.
class ConfigSpace {
  public:
    static constexpr unsigned kSize = 4096;

    ConfigSpace() : bytes_(kSize), writable_(kSize), cleared_(kSize) {}

    uint32_t get(unsigned offset, unsigned size) const;
    /// For the device: whatever the driver may write.
    void set(unsigned offset, uint32_t value, unsigned size);
    /// The driver may write these bits too.
    void allow(unsigned offset, uint32_t mask, unsigned size);
    /// The driver clears these bits by writing ones.
    void allow_clear(unsigned offset, uint32_t mask, unsigned size);
    /// By the driver.
    void write(unsigned offset, uint32_t value, unsigned size);
    /// Appends a capability to the list (6.7) and returns where it is: its id and link are written. `size` is a multiple of 4.
    unsigned add_capability(uint8_t id, unsigned size);

    /// The bytes as they are now are those after a reset.
    void remember() { initial_ = bytes_; }
    void reset() { bytes_ = initial_; }

    void save(StateWriter& out) const { out.bytes(bytes_, kSize); }
    /// Into `loaded`, for commit(). Bytes that the driver cannot write must be this function's.
    void load(StateReader& in, std::vector<uint8_t>& loaded) const;
    void commit(std::vector<uint8_t> loaded) { bytes_ = std::move(loaded); }

  private:
    std::vector<uint8_t> bytes_, writable_, cleared_, initial_;
    unsigned next_capability_ = 0x40;
    unsigned last_link_ = kRegCapabilities;
};

}  // namespace arclight::devices::pci
