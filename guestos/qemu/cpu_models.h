// The CPUs that QEMU offers for the virt board, and what they have there that the CPU here has not.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/a64/cpu_features.h"

namespace arclight::guestos::qemu {

struct CpuModel {
    std::string_view name;
    /// The manual's names (ARM ARM A2.2) with blanks between them; "AArch32" is that state at EL0.
    std::string_view features;
};

std::span<const CpuModel> cpu_models();
/// Null: there is none of that name.
const CpuModel* find_cpu_model(std::string_view name);

/// Those of the model's features that `features` lacks.
std::vector<std::string_view> lacking(const CpuModel& model, frontend::a64::FeatureSet features);

std::string cpu_help();

}  // namespace arclight::guestos::qemu
