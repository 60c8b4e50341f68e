// Warm-up detection: how soon a guest runs at its steady speed, from a sampling profile of its CPUs.
//
// The measure of progress: a sample in tier 1's code counts 1, a sample in a region counts kRegionGain, and a
// sample elsewhere (the translator, slow paths, devices, waiting for a lock) counts 0. The speed of a slice
// of time is the progress in it and in the next three, divided by the samples in them; a CPU that waits has
// no samples, so a guest that waits is not a slow one. The steady speed is the 90th percentile of all slices'
// speeds. It is reached at the end of the first slice that has 90 % of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace arclight::jit {

/// Samples of all virtual CPUs in one slice of time, by the code that the CPU executed.
struct ProfileSlice {
    uint32_t tier1 = 0, tier2 = 0, other = 0;
    uint32_t all() const { return tier1 + tier2 + other; }
};

struct WarmUp {
    double seconds = 0;       ///< from the first slice's start until the steady speed is reached
    double region_share = 0;  ///< share of regions in the samples since then (0 to 1)
};

/// How much faster a region is than tier 1's code for the same guest code, about; bench/warmstart measures
/// it. The result depends little on it.
constexpr double kRegionGain = 2;

/// Nothing: too few slices have samples.
std::optional<WarmUp> detect_warm_up(std::span<const ProfileSlice> slices, double slice_seconds);

}  // namespace arclight::jit
