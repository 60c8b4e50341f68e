// The CPU that a guest gets: a model by name, with features turned on and off.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/a64/cpu_features.h"
#include "frontend/a64/cpu_models.h"
#include "mmu/result.h"

namespace arclight::guestos {

struct CpuChoice {
    std::string model = "max";
    frontend::a64::CpuIdentity identity;
    frontend::a64::FeatureSet features = frontend::a64::kUsualFeatures;

    static Result<CpuChoice> of_model(std::string_view name);

    /// MODEL and, after commas, FEATURE=on|off: switch_feature(), and midr=NUMBER.
    static Result<CpuChoice> parse(std::string_view text);

    /// Turns what QEMU calls so on or off: pmu, neon, vfp, sve, pauth and others; or a feature by its name in the architecture,
    /// such as lse. What depends on one that is turned off goes with it. An error, one line: there is none, or it cannot be.
    Result<void> switch_feature(std::string_view word, bool on);

    /// As parse() reads it: two CPUs that behave alike have the same text.
    std::string text() const;
    /// What the device tree says it is compatible with.
    std::string compatible() const;
    /// ID_AA64MMFR0_EL1.
    uint64_t mmfr0() const;
};

/// What switch_feature() takes for features that there are, in the order of cpu_features.inc; Base is none.
std::vector<std::string> feature_words();

}  // namespace arclight::guestos
