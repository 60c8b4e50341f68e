// A virtual CPU's registers by the numbers of the target description: general registers, floating point and SIMD or scalable
// vectors, and system registers as a feature of their own, as QEMU has them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/a64/cpu_features.h"
#include "frontend/a64/system/sysregs.h"
#include "guestos/machine/cpu/cpu_state.h"

namespace arclight::guestos::gdb {

class Registers {
  public:
    explicit Registers(frontend::a64::FeatureSet features);

    // ---- As DebugTarget's
    std::string_view description(std::string_view annex) const;
    /// x0 to x30, sp, pc, cpsr.
    static constexpr unsigned kGeneral = 34, kSp = 31, kPc = 32, kCpsr = 33;

    /// What of a CPU is not in its CpuState: timers and pending interrupts are asked for at `cpu`.
    bool read(const CpuState& state, frontend::a64::Cpu& cpu, unsigned number,
              std::vector<uint8_t>& out) const;
    /// How many bytes were taken. 0: no such register, or not that value.
    size_t write(CpuState& state, const frontend::a64::Cpu& cpu, unsigned number,
                 std::span<const uint8_t> in) const;

  private:
    static constexpr unsigned kV = kGeneral, kFpsr = kV + 32, kFpcr = kFpsr + 1;
    // With scalable vectors, whose Z registers are where the V registers are without: p0 to p15, ffr, vg.
    static constexpr unsigned kP = kFpcr + 1, kVg = kP + 17;
    struct System {
        std::string name;
        const frontend::a64::SysregRow* row;
        bool outside;  ///< read from the CPU itself
    };
    unsigned vector_bytes_;  ///< of the longest vectors
    bool scalable_;
    unsigned system_first_;  ///< number of the first system register
    std::vector<System> system_;
    std::map<std::string, std::string, std::less<>> documents_;
};

/// SPSR_EL1's format (ARM ARM C5.2.19).
uint32_t pstate_of(const CpuState& state);
/// False: an exception level that is not there, or AArch32.
bool set_pstate(CpuState& state, uint32_t pstate);

}  // namespace arclight::guestos::gdb
