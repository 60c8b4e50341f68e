// The guest's floating-point environment in MXCSR (Intel SDM volume 1, 10.2.3).
#include "jit/host_fp.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "jit/guest_state.h"

namespace arclight::jit::host_fp {
namespace {

struct FlagPair {
    uint32_t mxcsr, fpsr;
};
// IE, ZE, OE, UE, PE. DE has no counterpart: IDC says that an input was flushed, DE that one was denormal.
constexpr FlagPair kFlags[] = {{1u << 0, softfloat::kIoc},
                               {1u << 2, softfloat::kDzc},
                               {1u << 3, softfloat::kOfc},
                               {1u << 4, softfloat::kUfc},
                               {1u << 5, softfloat::kIxc}};
constexpr uint32_t kAllFlags = 0x3f;
constexpr uint32_t kReset = 0x1f80;  // all exceptions masked, round to nearest
constexpr unsigned kRoundingShift = 13;
// TieEven, Up, Down, Zero as x86 numbers them: Up and Down swapped, so that this is its own inverse.
constexpr uint32_t kRounding[4] = {0, 2, 1, 3};

/// Of guest_fp_control while the guest's is loaded: reserved bits, so that loading it faults.
constexpr uint32_t kElsewhere = ~uint32_t{0};

[[noreturn]] void refuse(const char* what) {
    fmt::print(stderr, "arclight: a helper that is declared to be integer code {}\n", what);
    std::abort();
}

uint32_t& control(GuestState& state) {
    if (state.guest_fp_control == kElsewhere) refuse("uses the guest's floating-point environment");
    return state.guest_fp_control;
}
uint32_t control(const GuestState& state) { return control(const_cast<GuestState&>(state)); }

}  // namespace

HostArithmetic::HostArithmetic() : before_(_mm_getcsr()) { _mm_setcsr(kReset); }
HostArithmetic::~HostArithmetic() { _mm_setcsr(before_); }

IntegerOnlyCheck::IntegerOnlyCheck(GuestState& state)
    : state_(state), loaded_(_mm_getcsr()), kept_(std::exchange(state.guest_fp_control, kElsewhere)) {
    _mm_setcsr(loaded_ & ~kAllFlags);
}

IntegerOnlyCheck::~IntegerOnlyCheck() {
    if ((_mm_getcsr() & kAllFlags) != 0) refuse("does floating-point arithmetic");
    if (state_.guest_fp_control != kElsewhere) refuse("changes the guest's floating-point environment");
    state_.guest_fp_control = kept_;
    _mm_setcsr(loaded_);
}

void reset(GuestState& state) { state.guest_fp_control = kReset; }

void set_rounding(GuestState& state, softfloat::Rounding rounding) {
    const uint32_t bits = kRounding[static_cast<unsigned>(rounding) & 3];
    uint32_t& mxcsr = control(state);
    mxcsr = (mxcsr & ~(3u << kRoundingShift)) | bits << kRoundingShift;
}

softfloat::Rounding rounding(const GuestState& state) {
    return static_cast<softfloat::Rounding>(kRounding[control(state) >> kRoundingShift & 3]);
}

void set_exceptions(GuestState& state, uint32_t exceptions) {
    uint32_t& mxcsr = control(state);
    mxcsr &= ~kAllFlags;
    for (const FlagPair& flag : kFlags)
        if ((exceptions & flag.fpsr) != 0) mxcsr |= flag.mxcsr;
}

uint32_t exceptions(const GuestState& state) {
    uint32_t raised = 0;
    for (const FlagPair& flag : kFlags)
        if ((control(state) & flag.mxcsr) != 0) raised |= flag.fpsr;
    return raised;
}

}  // namespace arclight::jit::host_fp
