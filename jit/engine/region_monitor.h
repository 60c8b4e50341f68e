// Whether a region keeps what its profile promised.
//
// One that is entered often is timed for a while, from its entry to its exit: a guest whose behaviour has
// changed leaves it at once, and pays for moving all registers each time. It is discarded then, and its
// blocks are counted afresh. One that is left often because the compiler assumed something wrong, such as
// that a structure lies in one page, is compiled again without those assumptions. And what regions save is what others may cost.
// The engine's lock is held.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "jit/engine/compile_budget.h"
#include "jit/engine/promotion_policy.h"
#include "jit/engine/region_cache.h"
#include "jit/engine/region_table.h"

namespace arclight::jit {

class RegionMonitor {
  public:
    RegionMonitor(CodeBuffer& code, RegionTable& table, PromotionPolicy& policy, RegionCache& disk,
                  CompileBudget& budget, const Tier2Options& options);
    /// Of GuestState. It must stay as long as look() is called.
    void add_cpu(FailedAssumptions* failed_assumptions) { cpus_.push_back(failed_assumptions); }

    static constexpr std::chrono::milliseconds kPeriod{50};
    /// Looks at all live regions, if kPeriod has passed since the last look. `guest_ns`: the guest's CPU time until now.
    void look(double guest_ns);
    uint64_t deoptimised() const { return deoptimised_; }

  private:
    FailedAssumptions collect_failed_assumptions() const;
    void look_at(CompiledRegion& region, double seconds, Assumptions failed);
    /// What live regions have saved since the last look, `seconds` of the guest's CPU time ago.
    void estimate_savings(double seconds);
    void discard(CompiledRegion& region);
    void disable_assumptions(CompiledRegion& region, Assumptions failed);
    void recompile(CompiledRegion& region);

    CodeBuffer& code_;
    RegionTable& table_;
    PromotionPolicy& policy_;
    RegionCache& disk_;
    CompileBudget& budget_;
    const Tier2Options& options_;
    std::vector<FailedAssumptions*> cpus_;
    std::chrono::steady_clock::time_point last_look_{};
    double guest_ns_at_last_look_ = 0;
    uint32_t failed_at_last_look_ = 0;
    uint64_t deoptimised_ = 0;
};

}  // namespace arclight::jit
