#include "jit/engine/warm_up.h"

#include <algorithm>
#include <vector>

namespace arclight::jit {

namespace {
constexpr size_t kTogether = 4;   ///< slices that make one speed
constexpr size_t kFewest = 10;    ///< slices to tell anything from
constexpr uint32_t kEnough = 10;  ///< samples of a slice
constexpr double kSteady = 0.9, kReached = 0.9;

ProfileSlice sum_of(std::span<const ProfileSlice> slices) {
    ProfileSlice sum;
    for (const ProfileSlice& s : slices)
        sum = {sum.tier1 + s.tier1, sum.tier2 + s.tier2, sum.other + s.other};
    return sum;
}

double speed_of(const ProfileSlice& s) { return (s.tier1 + kRegionGain * s.tier2) / s.all(); }
}  // namespace

std::optional<WarmUp> detect_warm_up(std::span<const ProfileSlice> slices, double slice_seconds) {
    std::vector<ProfileSlice> busy;
    std::vector<size_t> number;
    for (size_t k = 0; k < slices.size(); ++k) {
        if (slices[k].all() < kEnough) continue;
        busy.push_back(slices[k]);
        number.push_back(k);
    }
    if (busy.size() < kFewest) return std::nullopt;
    std::vector<double> speeds;
    for (size_t k = 0; k + kTogether <= busy.size(); ++k)
        speeds.push_back(speed_of(sum_of(std::span(busy).subspan(k, kTogether))));
    std::vector<double> sorted = speeds;
    const auto nth = sorted.begin() + static_cast<ptrdiff_t>(kSteady * double(sorted.size() - 1));
    std::nth_element(sorted.begin(), nth, sorted.end());
    const auto first = static_cast<size_t>(
        std::find_if(speeds.begin(), speeds.end(), [&](double v) { return v >= kReached * *nth; }) -
        speeds.begin());
    const ProfileSlice since = sum_of(std::span(busy).subspan(first));
    return WarmUp{double(number[first] + 1) * slice_seconds, double(since.tier2) / since.all()};
}

}  // namespace arclight::jit
