// The CPUs that a guest may be shown by name: which features each has, and what identifies it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontend/a64/cpu_features.h"

namespace arclight::frontend::a64 {

/// What CCSIDR_EL1 says of a cache, whose lines have kCacheLineBytes.
struct CacheSize {
    unsigned kib = 0, ways = 0;
};

/// What tells a CPU's maker and build from others.
struct CpuIdentity {
    /// MIDR_EL1. The default: implementer 0x00 is reserved for software; architecture 0xF says "see the ID registers". No
    /// erratum of any real part may be inferred from it.
    uint64_t midr = 0x000f'a640;
    CacheSize l1_data{32, 8}, l1_instructions{32, 8}, l2{1024, 16};
};

struct CpuModel {
    std::string_view name;
    CpuIdentity identity;
    /// What its manual says of ID_AA64{PFR0,PFR1,ZFR0,DFR0,ISAR0,ISAR1,MMFR0,MMFR1,MMFR2}_EL1. All zero: Arclight's own CPU.
    uint64_t pfr0 = 0, pfr1 = 0, dfr0 = 0, isar0 = 0, isar1 = 0, mmfr0 = 0, mmfr1 = 0, mmfr2 = 0;
    uint64_t zfr0 = 0;
    Feature longest_vector = Feature::Sve512;  ///< with scalable vectors

    /// Those of the features in cpu_features.inc that it has; Arclight's own CPU has kUsualFeatures.
    FeatureSet features() const;
    /// And with scalable vectors, as far as it has them; of a model without any, base SVE.
    FeatureSet scalable_features() const;
};

/// Sorted by name.
std::span<const CpuModel> cpu_models();
/// Null: there is none of that name.
const CpuModel* find_cpu_model(std::string_view name);
/// "max": all that Arclight has.
const CpuModel& max_cpu_model();

}  // namespace arclight::frontend::a64
