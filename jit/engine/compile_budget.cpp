#include "jit/engine/compile_budget.h"

namespace arclight::jit {

namespace {
/// What compilations were measured to cost is believed so far, in their usual cost.
constexpr double kDearest = 3;
}  // namespace

double CompileBudget::needed(const Work& work) const {
    const double regions = in_usual_regions(work);
    const double cost = regions * measured_ns_ / measured_;
    const double covered = std::clamp((saved_ - spent_) / cost, 0.0, 1.0);
    const double dear = std::clamp(measured_ns_ / measured_ / kUsualCost, 1.0, kDearest);
    return double(options_.heat) * dear * regions * (covered + (1 - covered) * options_.patience);
}

double CompileBudget::next_look(const Work& work, double done) const {
    const double left = needed(work) - done, least = double(options_.heat) * in_usual_regions(work);
    // Each look builds the region anew.
    return std::min(left, std::max({least - done, left / 3, least / 4}));
}

void CompileBudget::compiled(const Work& work, double ns) {
    spent_ += ns;
    measured_ += in_usual_regions({work.guest_insns});
    measured_ns_ += ns;
}

void CompileBudget::loaded(double ns) { spent_ += ns; }

}  // namespace arclight::jit
