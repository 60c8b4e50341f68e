// Identification of the CPU: the ID registers, which follow from its features (cpu_features.inc) and sizes.
#pragma once

#include <cstdint>

#include "frontend/a64/cpu_features.h"
#include "frontend/a64/cpu_models.h"

namespace arclight::frontend::a64 {

struct CpuConfig {
    unsigned index = 0;                      ///< what traces name it by
    uint64_t affinity = 0;                   ///< the fields Aff0 to Aff3 of MPIDR_EL1
    FeatureSet features = kDefaultFeatures;  ///< what ID registers announce and decoding allows
    CpuIdentity identity{};
    bool count_instructions = false;  ///< GuestState::instructions counts all, not only for the PMU
};

/// Cache lines and the DC ZVA block.
inline constexpr unsigned kCacheLineBytes = 64;

/// MPIDR_EL1: the affinity value that PSCI and the device tree use, and bit 31, which is one.
constexpr uint64_t mpidr(uint64_t affinity) { return uint64_t{1} << 31 | affinity; }

/// The register 3, 0, c0, crm, op2 with crm in 1..7: the ID space, RAZ where nothing is allocated.
uint64_t id_register(const CpuConfig& config, unsigned crm, unsigned op2);

uint64_t ctr_el0();
uint64_t clidr_el1();
/// CCSIDR_EL1 for a value of CSSELR_EL1; zero for a cache that does not exist.
uint64_t ccsidr_el1(const CpuIdentity& identity, uint64_t csselr);

}  // namespace arclight::frontend::a64
