// What devices write to guest memory, for those who keep something derived from it.
#pragma once

#include <cstdint>

namespace arclight::mmu {

/// Called on the device's thread.
class DeviceWriteObserver {
  public:
    /// A device is about to write to [pa, pa + bytes), which is RAM.
    virtual void device_writes(uint64_t pa, uint64_t bytes) = 0;
    /// What this thread has announced is written.
    virtual void device_has_written() = 0;

  protected:
    ~DeviceWriteObserver() = default;
};

}  // namespace arclight::mmu
