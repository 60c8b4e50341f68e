// Whether a compilation is expected to pay, in CPU time of the whole process.
//
// How long a guest goes on with what it does, nobody knows. The guess is: as long as until now. Whoever pays once for something only
// when it would have saved as much until then loses a bounded share, whatever comes (Karlin, Manasse, Rudolph and Sleator,
// "Competitive Snoopy Caching", Algorithmica 3, 1988). Tier2Options::heat is that point. Most programs end before a region has paid,
// so a compilation waits Tier2Options::patience times as long, unless regions have saved before what it costs: only that can be lost
// then. What a region saves is estimated from the share of the CPU time that tier 1 needed for its code.
//
// Not synchronised: the engine's lock is held. Times are nanoseconds of CPU time.
#pragma once

#include <algorithm>

#include "jit/engine/tier2_options.h"

namespace arclight::jit {

class CompileBudget {
  public:
    explicit CompileBudget(const Tier2Options& options) : options_(options) {}

    struct Work {
        unsigned guest_insns;
        bool loads_compiler = false;  ///< it has not been loaded yet
    };
    /// Guest instructions that tier 1 must have executed of a region's code before it is compiled.
    double needed(const Work& work) const;
    /// When to look again at one of which `done` have been executed: after so many more. Others may have saved something meanwhile.
    double next_look(const Work& work, double done) const;
    /// Compilations have taken too much of the guest's time, which is the process' without them.
    bool exhausted(double guest_ns) const { return spent_ > options_.budget * guest_ns + kFree; }

    /// Guest instructions of a block after which it asks again then.
    double pause() const { return double(options_.heat) / 4; }

    /// A compilation took this.
    void compiled(const Work& work, double ns);
    /// The compiler was loaded.
    void loaded(double ns);
    void saved(double ns) { saved_ += ns; }
    double spent() const { return spent_; }

    /// The share (0 to 1) of the guest's CPU time in which tier 1 executed `insns` guest instructions.
    static double share_of_time(double insns, double guest_ns) {
        return guest_ns <= 0 ? 1 : std::min(1.0, insns * kTier1Ns / guest_ns);
    }
    /// Of the time that a region's code takes in tier 1. What it gains varies: few regions gain less where they pay at all.
    static constexpr double kSavedShare = 0.5;
    /// Guest instructions of a region for which Tier2Options::heat is right.
    static constexpr double kUsualRegion = 30;
    /// A guest instruction in tier 1, about.
    static constexpr double kTier1Ns = 0.7;

  private:
    /// Of compilations that Tier2Options::budget does not limit.
    static constexpr double kFree = 50e6;
    /// Of a usual region's compilation, until some have been measured. To load LLVM takes as long.
    static constexpr double kUsualCost = 22e6;

    static double in_usual_regions(const Work& work) {
        return work.guest_insns / kUsualRegion + (work.loads_compiler ? 1 : 0);
    }

    const Tier2Options& options_;
    double spent_ = 0, saved_ = 0;
    double measured_ = 1, measured_ns_ = kUsualCost;  ///< usual regions, and what they took
};

}  // namespace arclight::jit
