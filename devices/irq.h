#pragma once

#include "devices/layout.h"

namespace arclight::devices {

/// What the interrupt controller drives: the IRQ and FIQ inputs of a virtual CPU. Called from any thread,
/// with the controller's lock held (so that calls for one CPU arrive in order): an implementation stores a
/// flag and wakes the CPU, and never calls back into the controller.
class CpuInterruptSink {
  public:
    virtual ~CpuInterruptSink() = default;
    virtual void set_irq_line(unsigned cpu, bool irq, bool fiq) = 0;
    /// A CPU has sent another one, or itself, a software-generated interrupt; its line is driven after that, if it changes.
    virtual void sgi_sent(unsigned /*sender*/, unsigned /*receiver*/) {}
    /// A CPU has ended an interrupt.
    virtual void interrupt_ended(unsigned /*cpu*/) {}
};

/// What devices drive. Levels are inputs and survive reset().
class InterruptController {
  public:
    virtual ~InterruptController() = default;
    virtual void set_spi(unsigned spi, bool level) = 0;                ///< INTID spi + 32
    virtual void set_ppi(unsigned cpu, unsigned ppi, bool level) = 0;  ///< ppi is an INTID, 16..31
    virtual void reset() = 0;
};

/// One wire from a device to the controller. The owner serialises calls (devices call under their own lock).
/// A default-constructed line is not connected. The level is a function of the device's state and the
/// controller saves it among its inputs, so a line has no state of its own to save.
class IrqLine {
  public:
    IrqLine() = default;
    IrqLine(InterruptController& controller, unsigned intid, unsigned cpu = 0)
        : controller_(&controller), intid_(intid), cpu_(cpu) {}

    /// Passes on changes only.
    void set(bool level) {
        if (level != level_) refresh(level);
    }
    /// Passes the level on whatever it was: after a load() of the device or of the controller.
    void refresh(bool level) {
        if (controller_ == nullptr) return;
        level_ = level;
        if (intid_ >= layout::kFirstSpiIntid) {
            controller_->set_spi(intid_ - layout::kFirstSpiIntid, level);
        } else {
            controller_->set_ppi(cpu_, intid_, level);
        }
    }
    bool level() const { return level_; }

  private:
    InterruptController* controller_ = nullptr;
    unsigned intid_ = 0;
    unsigned cpu_ = 0;
    bool level_ = false;
};

}  // namespace arclight::devices
