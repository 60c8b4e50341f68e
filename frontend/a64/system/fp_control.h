// FPCR and FPSR (ARM ARM C5.2.8, C5.2.10). Guest arithmetic runs with the guest's rounding mode and collects
// its exceptions in the host's floating-point environment (jit/host_fp.h); what that cannot say is in
// GuestState::fpcr and fpsr.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"

namespace arclight::frontend::a64 {

inline constexpr uint32_t kFpcrAhp = 1u << 26, kFpcrDn = 1u << 25, kFpcrFz = 1u << 24, kFpcrRMode = 3u << 22,
                          kFpcrFz16 = 1u << 19;  ///< FZ16: with FEAT_FP16
inline constexpr uint32_t kFpcrEbf = 1u << 13;   ///< with FEAT_EBF16
inline constexpr uint32_t kFpcrNep = 1u << 2, kFpcrAh = 1u << 1, kFpcrFiz = 1u << 0;  ///< with FEAT_AFP
/// What a guest may set of these depends on the features: fpcr_bits() in sysregs.cpp.
inline constexpr uint32_t kFpcrMask =
    kFpcrAhp | kFpcrDn | kFpcrFz | kFpcrRMode | kFpcrFz16 | kFpcrEbf | kFpcrNep | kFpcrAh | kFpcrFiz;
inline constexpr uint32_t kFpsrMask = 0x0800'009f;  ///< QC, IDC, IXC, UFC, OFC, DZC, IOC

/// FPCR and FPSR zero, as after a reset.
void reset_fp(jit::GuestState& state);
uint32_t read_fpsr(const jit::GuestState& state);
void write_fpsr(jit::GuestState& state, uint32_t value);
/// Also sets the host's rounding mode. The caller updates the translation flags.
void write_fpcr(jit::GuestState& state, uint32_t value);

}  // namespace arclight::frontend::a64
