// The A64 instruction set as the engine sees it.
#pragma once

#include <memory>

#include "frontend/a64/cpu_features.h"
#include "jit/frontend.h"

namespace arclight::frontend::a64 {

/// Of CPUs with these features: instructions of others are UNDEFINED. Its const functions may be called by
/// several threads at once.
std::unique_ptr<const jit::Frontend> make_frontend(FeatureSet features);

/// Of CPUs with kDefaultFeatures; one for all engines and threads.
const jit::Frontend& frontend();

}  // namespace arclight::frontend::a64
