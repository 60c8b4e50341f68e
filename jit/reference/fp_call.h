// What scalar and vector floating point functions share.
#pragma once

#include "jit/ir/ir.h"
#include "jit/reference/lanes.h"
#include "jit/softfloat/environment.h"
#include "jit/softfloat/format.h"

namespace arclight::jit::reference {

using softfloat::Double;
using softfloat::Environment;
using softfloat::Half;
using softfloat::Rounding;
using softfloat::Single;

/// An environment for one instruction, whose flags reach FPSR at its end.
class Scope : public Environment {
  public:
    explicit Scope(GuestState& state) : Environment(state.fpcr), state_(state) {}
    ~Scope() { state_.fpsr |= flags; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    Rounding resolve(ir::RoundMode mode) const {
        switch (mode) {
            case ir::RoundMode::TieEven: return Rounding::TieEven;
            case ir::RoundMode::Up: return Rounding::Up;
            case ir::RoundMode::Down: return Rounding::Down;
            case ir::RoundMode::Zero: return Rounding::Zero;
            case ir::RoundMode::TieAway: return Rounding::TieAway;
            case ir::RoundMode::Odd: return Rounding::Odd;
            case ir::RoundMode::Current:
            case ir::RoundMode::Exact: break;
        }
        return rounding;
    }

  private:
    GuestState& state_;
};

/// Calls f with Single or Double by c.esize.
template <typename F>
void by_format(const VectorCall& c, F f) {
    if (c.esize == 3) return f(Double{});
    return f(Single{});
}

/// The same for lanes, which may be halves.
template <typename F>
void by_lane_format(const VectorCall& c, F f) {
    if (c.esize == 1) return f(Half{});
    by_format(c, f);
}

inline void set_scalar(VectorCall& c, uint64_t bits) { c.out.d[0] = bits, c.out.d[1] = 0; }

}  // namespace arclight::jit::reference
