// The interrupt lines into one virtual CPU.
#pragma once

#include <atomic>
#include <cstdint>

namespace arclight::guestos {

/// Driven from any thread, read by any.
class InterruptLines {
  public:
    void set(bool irq, bool fiq) {
        irq_ = irq;
        fiq_ = fiq;
    }
    bool irq() const { return irq_; }
    bool fiq() const { return fiq_; }
    /// Whether the line is high and PSTATE.DAIF does not mask it.
    bool irq_deliverable(uint64_t daif) const {
        return irq_.load(std::memory_order_relaxed) && (daif & kMaskI) == 0;
    }
    bool fiq_deliverable(uint64_t daif) const {
        return fiq_.load(std::memory_order_relaxed) && (daif & kMaskF) == 0;
    }
    bool deliverable(uint64_t daif) const { return irq_deliverable(daif) || fiq_deliverable(daif); }

  private:
    static constexpr uint64_t kMaskI = 1 << 7, kMaskF = 1 << 6;  // as DAIF has them

    std::atomic<bool> irq_{false}, fiq_{false};
};

}  // namespace arclight::guestos
