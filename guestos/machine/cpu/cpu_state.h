// The architectural state of one virtual CPU as a value: what a stream of the machine's state holds of it.
//
// Derived state (translation flags, soft TLBs, the exclusive monitor) is not part of it: it follows from the
// rest, or may be lost at any time (ARM ARM B2.9.2).
#pragma once

#include <array>
#include <cstdint>

#include "devices/state.h"
#include "frontend/a64/system/cpu.h"

namespace arclight::guestos {

struct CpuState {
    static constexpr uint32_t kVersion = 5;

    /// Of a CPU that is outside translated code, so that nothing of it is in host registers.
    static CpuState capture(const frontend::a64::Cpu& cpu);
    /// The CPU's owner then derives the rest: translation flags, the soft TLB in use.
    void apply(frontend::a64::Cpu& cpu) const;
    /// Makes the stream wrong if no CPU can be in this state.
    void check(devices::StateReader& in) const;

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.x, self.sp, self.pc, self.nzcv, self.daif, self.el, self.sp_elx, self.pan, self.il,
                self.ss, self.uao, self.dit, self.ssbs, self.btype, self.pac_keys);
        archive(self.v, self.fpcr, self.fpsr, self.z_upper, self.p, self.zcr);
        archive(self.threads, self.elr, self.spsr, self.contextidr, self.instructions);
        archive(self.translation, self.registers, self.debug, self.os_lock, self.breakpoints,
                self.watchpoints);
        archive(self.pmu, self.pmu_sets, self.pmu_counters, self.event_register);
        if (archive.version() >= 5) archive(self.tco, self.tags);
    }

    // General registers and PSTATE
    std::array<uint64_t, 31> x{};
    std::array<uint64_t, 3> sp{};  ///< the one in use, SP_EL0, SP_EL1; of the bank in use the last is stale
    uint64_t pc = 0;
    uint32_t nzcv = 0;  ///< bits 31:28
    uint64_t daif = 0;
    uint8_t el = 1;
    bool sp_elx = true, pan = false, il = false, ss = false, uao = false;
    uint64_t dit = 0, ssbs = 0;      ///< bit 24, bit 12
    uint64_t tco = 0;                ///< bit 25
    std::array<uint64_t, 4> tags{};  ///< GCR_EL1, RGSR_EL1, TFSR_EL1, TFSRE0_EL1
    uint8_t btype = 0;
    std::array<std::array<uint64_t, 2>, 5> pac_keys{};  ///< as in GuestState
    // SIMD and floating point; FPSR with the flags that were the host's
    std::array<std::array<uint64_t, 2>, 32> v{};
    uint32_t fpcr = 0, fpsr = 0;
    std::array<std::array<uint64_t, 6>, jit::kScalableRegisters> z_upper{};  ///< bits 128 to 511 of Z0 to Z31
    std::array<uint64_t, jit::kPredicateRegisters> p{};                      ///< and FFR
    uint64_t zcr = 0;
    // System registers
    std::array<uint64_t, 3> threads{};  ///< TPIDR_EL0, TPIDRRO_EL0, TPIDR_EL1
    uint64_t elr = 0, spsr = 0, contextidr = 0;
    uint64_t instructions = 0;  ///< counted so far
    std::array<uint64_t, 5> translation{};
    std::array<uint64_t, 16> registers{};
    std::array<uint64_t, 8> debug{};
    bool os_lock = true;
    std::array<std::array<uint64_t, 2>, frontend::a64::SystemRegisters::kBreakpoints> breakpoints{};
    std::array<std::array<uint64_t, 2>, frontend::a64::SystemRegisters::kWatchpoints> watchpoints{};
    // Performance monitors
    std::array<uint64_t, 3> pmu{};       ///< PMCR_EL0, PMSELR_EL0, PMUSERENR_EL0
    std::array<uint32_t, 3> pmu_sets{};  ///< enabled, interrupts, overflow
    std::array<std::array<uint64_t, 2>, frontend::a64::Pmu::kEventCounters + 1>
        pmu_counters{};  ///< type, count
    bool event_register = false;
};

}  // namespace arclight::guestos
