#pragma once

#include <cstdint>

#include "devices/state.h"

namespace arclight::devices {

/// Return codes of PSCI 1.1 (ARM DEN 0022) section 5.2.2.
enum class PsciResult : int32_t {
    Success = 0,
    NotSupported = -1,
    InvalidParameters = -2,
    Denied = -3,
    AlreadyOn = -4,
    OnPending = -5,
    InternalFailure = -6,
    NotPresent = -7,
    Disabled = -8,
    InvalidAddress = -9,
};

/// What PSCI asks of the machine. Affinities are MPIDR values reduced to their affinity fields.
class CpuPower {
  public:
    virtual ~CpuPower() = default;
    virtual PsciResult cpu_on(uint64_t target_affinity, uint64_t entry, uint64_t context) = 0;
    /// The calling CPU stops. Returns to the caller, which must stop running guest code at once.
    virtual void cpu_off(unsigned cpu) = 0;
    /// 0 on, 1 off, 2 on pending, or a negative PsciResult.
    virtual int32_t affinity_info(uint64_t target_affinity, unsigned level) = 0;
    /// Standby until an interrupt, like WFI. State is kept.
    virtual void suspend(unsigned cpu) = 0;
    virtual void system_off() = 0;
    virtual void system_reset() = 0;
};

/// The firmware behind HVC: PSCI 1.1 and the discovery calls of SMCCC 1.1 (ARM DEN 0028). Which CPU is on is
/// that CPU's own state. Firmware's is what a guest that has asked for it relies on from then on: the
/// version.
class Psci final : public Stateful {
  public:
    explicit Psci(CpuPower& power) : power_(power) {}

    /// Carries out the call whose arguments are x0..x3 and returns the new x0.
    uint64_t call(unsigned cpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);

    void save(StateWriter& out) const override;
    /// Of another version's firmware: an error.
    StateResult load(StateReader& in) override;

  private:
    CpuPower& power_;
};

}  // namespace arclight::devices
