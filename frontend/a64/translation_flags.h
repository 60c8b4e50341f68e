// A64's own translation flags, beside those of jit/translation_flags.h.
#pragma once

#include <bit>

#include "jit/translation_flags.h"

namespace arclight::frontend::a64::translation_flag {

using namespace jit::
    translation_flag;  // kFpSlow: FPCR has AH, FIZ or EBF set; kFpFlush: FZ, kFpFlushHalf: FZ16, kFpDefaultNan: DN,
                       // kFpWideHalf: AHP. kSingleStep: software step

inline constexpr uint32_t kEl1 = 1u << 0;           ///< executes at EL1, else EL0
inline constexpr uint32_t kSpElx = 1u << 1;         ///< PSTATE.SP
inline constexpr uint32_t kFpTrap = 1u << 2;        ///< CPACR_EL1.FPEN traps FP and SIMD at this EL
inline constexpr uint32_t kAlignCheck = 1u << 4;    ///< SCTLR_EL1.A
inline constexpr uint32_t kSpAlignCheck = 1u << 5;  ///< SCTLR_EL1.SA or SA0 for this EL
inline constexpr uint32_t kIllegal = 1u
                                     << 6;  ///< PSTATE.IL: every instruction raises Illegal Execution state
inline constexpr uint32_t kZeroTrap = 1u << 10;  ///< DC ZVA may trap: SCTLR_EL1.DZE at EL0, or the MMU is off
inline constexpr uint32_t kBreakpoints = 1u << 12;  ///< some may match at this EL; system/hardware_debug.h
inline constexpr uint32_t kUao = 1u << 13;          ///< PSTATE.UAO at EL1: LDTR and STTR are plain accesses
/// Pointer authentication: SCTLR_EL1.EnIA, EnIB, EnDA or EnDB has been set since the reset. Which of them are is no flag: an
/// operating system may change them at each switch between threads.
inline constexpr uint32_t kPacUsed = 1u << 14;
inline constexpr uint32_t kFpAlternative =
    1u << 15;  ///< FPCR.AH, with kFpSlow: NaNs keep their signs in FNEG and FABS
inline constexpr uint32_t kFpMerges = 1u << 16;  ///< FPCR.NEP: scalar results leave the elements above them
/// With kBranchTypes, SCTLR_EL1.BT0 or BT1 of this EL. No code differs: jump caches do (FetchUnit).
inline constexpr uint32_t kStrictLandings = 1u << 17;
inline constexpr uint32_t kPacCodeUntagged = 1u << 18;  ///< no half of the address space has tags on fetches
inline constexpr uint32_t kPacDataUntagged = 1u << 19;  ///< nor on data
inline constexpr uint32_t kBranchTypes = 1u << 20;      ///< a guarded page has been met: system/branch_type.h
inline constexpr uint32_t kGuarded = 1u << 21;          ///< of the block's page, not of the CPU
/// Of CPUs with SVE, a field: the length of vectors (ZCR_EL1.LEN), from 0 for 128 bits on. Of others it is 0. Whether CPACR_EL1.ZEN
/// traps SVE is no flag: Linux has it trap anew at each system call (GuestState::scalable_trap).
inline constexpr unsigned kVectorLengthShift = 22;
inline constexpr uint32_t kVectorLength = 3u << kVectorLengthShift;
/// The field for vectors of so many bytes: 16, 32 or 64.
constexpr uint32_t vector_length_flags(uint32_t bytes) {
    return static_cast<uint32_t>(std::countr_zero(bytes) - 4) << kVectorLengthShift;
}
/// Bytes of a vector register.
constexpr unsigned vector_bytes(uint32_t translation_flags) {
    return 16u << ((translation_flags & kVectorLength) >> kVectorLengthShift);
}

static_assert(((kEl1 | kSpElx | kFpTrap | kAlignCheck | kSpAlignCheck | kIllegal | kZeroTrap | kBreakpoints |
                kUao | kPacUsed | kFpAlternative | kFpMerges | kPacCodeUntagged | kPacDataUntagged |
                kBranchTypes | kGuarded | kStrictLandings | kVectorLength) &
               ~kFrontendMask) == 0);

}  // namespace arclight::frontend::a64::translation_flag
