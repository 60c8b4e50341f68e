#pragma once

#include <cstdint>
#include <mutex>

#include "devices/bus.h"
#include "devices/event_loop.h"
#include "devices/irq.h"

namespace arclight::devices {

/// PrimeCell real-time clock PL031 (ARM DDI 0224): seconds since 1970 by the host's clock, one alarm.
class Pl031 final : public Device {
  public:
    Pl031(EventLoop& loop, IrqLine line);

    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, uint64_t value, unsigned size) override;
    void reset() override;
    void add_to_device_tree(FdtWriter& fdt) const override;

  private:
    uint32_t read_register(uint64_t offset);
    void write_register(uint64_t offset, uint32_t value, uint32_t mask);
    uint32_t seconds() const;
    void set_alarm();
    void update();

    std::mutex lock_;
    IrqLine line_;
    uint32_t offset_ = 0;  // guest seconds minus host seconds
    uint32_t load_ = 0;
    uint32_t match_ = 0;
    bool alarm_pending_ = false;
    bool enabled_ = false;
    EventLoop::Timer alarm_;
};

}  // namespace arclight::devices
