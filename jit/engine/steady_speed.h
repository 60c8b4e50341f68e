// How soon a guest has come to its steady speed, from where its CPUs were found to be over time.
//
// The measure of progress: what a CPU does in tier 1's code counts once, what it does in a region counts
// kRegionGain times, and what it does elsewhere (the translator, slow paths, devices, waiting for a lock)
// counts nothing. The speed of a slice of time is the progress in it and in the next ones by the time that
// the CPUs spent running in them, so that a guest that waits is not a slow one. The steady speed is what one
// slice in ten exceeds. It is reached at the end of the first slice that has nine tenths of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace arclight::jit {

/// How often a virtual CPU was found where, of all CPUs; one that waits for an interrupt is not counted.
struct SpeedSlice {
    uint32_t tier1 = 0, tier2 = 0, other = 0;
    uint32_t all() const { return tier1 + tier2 + other; }
};

struct SteadySpeed {
    double seconds = 0;       ///< from the first slice's start until nine tenths are reached
    double region_share = 0;  ///< of the CPUs' time since then
};

/// How much faster a region is than what tier 1 makes of the same code, about; bench/warmstart measures it.
/// What is reached when depends on it little.
constexpr double kRegionGain = 2;

/// Nothing: there are too few slices in which a CPU ran to tell.
std::optional<SteadySpeed> steady_speed(std::span<const SpeedSlice> slices, double slice_seconds);

}  // namespace arclight::jit
