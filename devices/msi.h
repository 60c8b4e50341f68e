#pragma once

#include <cstdint>

namespace arclight::devices {

/// What takes message-signalled interrupts: a write that a device makes to the address of an interrupt controller.
class MsiTarget {
  public:
    virtual ~MsiTarget() = default;
    /// Any thread. `requester` is the PCI requester identifier: bus << 8 | device << 3 | function. False: the address is not
    /// this target's.
    virtual bool message(uint32_t requester, uint64_t address, uint32_t data) = 0;
};

}  // namespace arclight::devices
