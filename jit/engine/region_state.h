// The life of a compiled region.
//
//   Compiling --> Live <-- Resting
//       |          |          ^
//       |          +-> Timed -+
//       +----> Retired <---- Live, Timed, Resting
//
// Live, Timed and Resting regions are entered; Live and Resting ones differ only in when RegionMonitor times
// them next. A Retired region is only freed.
#pragma once

#include <cassert>
#include <cstdint>

namespace arclight::jit {

enum class RegionState : uint8_t {
    Compiling,  ///< its blocks are known; its code is being compiled or loaded
    Live,       ///< its entry block goes on in it; its entries are counted
    Timed,      ///< live, and the host cycles that are spent in it are added up
    Resting,    ///< live, and found good when it was timed: not timed again for a while
    Retired,    ///< never entered again; freed once every CPU has passed a quiescent epoch
};

constexpr bool is_live(RegionState s) {
    return s == RegionState::Live || s == RegionState::Timed || s == RegionState::Resting;
}

/// Whether a region may go from one state to the other.
constexpr bool may_follow(RegionState from, RegionState to) {
    using enum RegionState;
    switch (to) {
        case Compiling: return false;
        case Live: return from == Compiling || from == Resting;
        case Timed: return from == Live;
        case Resting: return from == Timed;
        case Retired: return from != Retired;
    }
    return false;
}

/// A region's state, which changes only by the transitions above.
class RegionLife {
  public:
    RegionState now() const { return state_; }
    bool live() const { return is_live(state_); }
    bool retired() const { return state_ == RegionState::Retired; }
    void change_to(RegionState next) {
        assert(may_follow(state_, next));
        state_ = next;
    }

  private:
    RegionState state_ = RegionState::Compiling;
};

}  // namespace arclight::jit
