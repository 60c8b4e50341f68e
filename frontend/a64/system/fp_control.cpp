#include "frontend/a64/system/fp_control.h"

namespace arclight::frontend::a64 {
namespace {

struct FlagPair {
    uint32_t mxcsr, fpsr;
};
// IE, ZE, OE, UE, PE. DE has no counterpart: IDC says that an input was flushed, DE that one was denormal.
constexpr FlagPair kFlags[] = {
    {1u << 0, 1u << 0}, {1u << 2, 1u << 1}, {1u << 3, 1u << 2}, {1u << 4, 1u << 3}, {1u << 5, 1u << 4}};
constexpr uint32_t kMxcsrFlags = 0x3f;
constexpr unsigned kMxcsrRounding = 13;

}  // namespace

uint32_t read_fpsr(const jit::GuestState& state, uint32_t mxcsr) {
    uint32_t value = state.fpsr;
    for (const FlagPair& flag : kFlags)
        if ((mxcsr & flag.mxcsr) != 0) value |= flag.fpsr;
    return value & kFpsrMask;
}

void write_fpsr(jit::GuestState& state, uint32_t value, uint32_t& mxcsr) {
    state.fpsr = value & kFpsrMask;
    mxcsr &= ~kMxcsrFlags;
}

void write_fpcr(jit::GuestState& state, uint32_t value, uint32_t& mxcsr) {
    state.fpcr = value & kFpcrMask;
    // RN, RP, RM, RZ as x86 numbers them.
    static constexpr uint32_t kRounding[4] = {0, 2, 1, 3};
    mxcsr = (mxcsr & ~(3u << kMxcsrRounding)) | kRounding[value >> 22 & 3] << kMxcsrRounding;
}

}  // namespace arclight::frontend::a64
