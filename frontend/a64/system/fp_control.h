// FPCR and FPSR over the host's MXCSR. Guest arithmetic runs with guest rounding and collects its flags in
// MXCSR; what MXCSR cannot say is in GuestState::fpcr and fpsr. Each function takes the guest MXCSR by
// reference, so that callers may have it in GuestState::mxcsr or fresh from stmxcsr.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"

namespace arclight::frontend::a64 {

inline constexpr uint32_t kFpcrAhp = 1u << 26, kFpcrDn = 1u << 25, kFpcrFz = 1u << 24, kFpcrRMode = 3u << 22;
inline constexpr uint32_t kFpcrMask = kFpcrAhp | kFpcrDn | kFpcrFz | kFpcrRMode;
inline constexpr uint32_t kFpsrMask = 0x0800'009f;  ///< QC, IDC, IXC, UFC, OFC, DZC, IOC
inline constexpr uint32_t kMxcsrReset = 0x1f80;     ///< all exceptions masked, round to nearest

uint32_t read_fpsr(const jit::GuestState& state, uint32_t mxcsr);
void write_fpsr(jit::GuestState& state, uint32_t value, uint32_t& mxcsr);
/// Also sets the rounding mode in MXCSR. The caller updates the translation mode.
void write_fpcr(jit::GuestState& state, uint32_t value, uint32_t& mxcsr);

}  // namespace arclight::frontend::a64
