// The floating-point environment that guest arithmetic has on the host: the rounding mode, and the exceptions
// that host instructions have raised. Translated code runs with it loaded; outside it is kept in GuestState,
// which is what these functions read and write. The backend implements them.
#pragma once

#include <cstdint>

#include "jit/softfloat/environment.h"

namespace arclight::jit {

struct GuestState;

namespace host_fp {

/// Exceptions are FPSR's cumulative bits kIoc to kIxc (jit/softfloat/environment.h).
inline constexpr uint32_t kExceptions =
    softfloat::kIoc | softfloat::kDzc | softfloat::kOfc | softfloat::kUfc | softfloat::kIxc;

/// Rounds to nearest, with no exception raised and none trapped.
void reset(GuestState& state);
/// One of FPCR's four modes.
void set_rounding(GuestState& state, softfloat::Rounding rounding);
softfloat::Rounding rounding(const GuestState& state);
/// Replaces what was raised by the bits kExceptions of `exceptions`.
void set_exceptions(GuestState& state, uint32_t exceptions);
/// What was raised since set_exceptions().
uint32_t exceptions(const GuestState& state);

/// In C++ that integer helpers reach (ir::kCallInteger): the host's own environment while this exists, so that arithmetic
/// neither rounds as the guest's does nor raises the guest's exceptions.
class HostArithmetic {
  public:
    HostArithmetic();
    ~HostArithmetic();
    HostArithmetic(const HostArithmetic&) = delete;
    HostArithmetic& operator=(const HostArithmetic&) = delete;

  private:
    uint32_t before_;
};

/// Around an integer helper, to find those that are none: the process ends with one line if it did arithmetic that raises an
/// exception, inexact above all, without HostArithmetic, or asked for the guest's environment, which is not in `state` now.
/// Arithmetic that is exact rounds the same in all modes and raises nothing.
class IntegerOnlyCheck {
  public:
    explicit IntegerOnlyCheck(GuestState& state);
    ~IntegerOnlyCheck();
    IntegerOnlyCheck(const IntegerOnlyCheck&) = delete;
    IntegerOnlyCheck& operator=(const IntegerOnlyCheck&) = delete;

  private:
    GuestState& state_;
    uint32_t loaded_, kept_;
};

}  // namespace host_fp
}  // namespace arclight::jit
