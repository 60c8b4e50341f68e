// The guest's floating-point environment in MXCSR (Intel SDM volume 1, 10.2.3).
#include "jit/host_fp.h"

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

}  // namespace

void reset(GuestState& state) { state.guest_fp_control = kReset; }

void set_rounding(GuestState& state, softfloat::Rounding rounding) {
    const uint32_t bits = kRounding[static_cast<unsigned>(rounding) & 3];
    state.guest_fp_control = (state.guest_fp_control & ~(3u << kRoundingShift)) | bits << kRoundingShift;
}

softfloat::Rounding rounding(const GuestState& state) {
    return static_cast<softfloat::Rounding>(kRounding[state.guest_fp_control >> kRoundingShift & 3]);
}

void set_exceptions(GuestState& state, uint32_t exceptions) {
    state.guest_fp_control &= ~kAllFlags;
    for (const FlagPair& flag : kFlags)
        if ((exceptions & flag.fpsr) != 0) state.guest_fp_control |= flag.mxcsr;
}

uint32_t exceptions(const GuestState& state) {
    uint32_t raised = 0;
    for (const FlagPair& flag : kFlags)
        if ((state.guest_fp_control & flag.mxcsr) != 0) raised |= flag.fpsr;
    return raised;
}

}  // namespace arclight::jit::host_fp
