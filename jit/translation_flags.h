// The part of a translation block's key that is not its physical address (GuestState::translation_flags).
//
// Translated code may depend on nothing else of the CPU's state. The bits named here mean the same to every
// guest instruction set; the others are the frontend's own (frontend/a64/translation_flags.h).
#pragma once

#include <cstdint>

namespace arclight::jit::translation_flag {

inline constexpr uint32_t kFpSlow = 1u << 3;      ///< floating point goes to the reference functions
inline constexpr uint32_t kSingleStep = 1u << 7;  ///< one instruction a block
/// One virtual CPU only: atomics need no lock prefix. Fences are as ever, since devices have threads.
inline constexpr uint32_t kSerial = 1u << 8;
inline constexpr uint32_t kCount = 1u << 9;     ///< count every instruction in GuestState::instructions
inline constexpr uint32_t kFastmem = 1u << 11;  ///< memory is accessed through fastmem, not the soft TLB

// Settings of GuestState::fpcr that backends may know how to compute with; what one does not know it leaves to the reference functions.
inline constexpr uint32_t kFpFlush = 1u << 24;  ///< subnormal singles and doubles are zeros
inline constexpr uint32_t kFpFlushHalf = 1u
                                         << 25;  ///< subnormal halves are, but in conversions between formats
inline constexpr uint32_t kFpDefaultNan = 1u << 26;  ///< every NaN that results is the default one
inline constexpr uint32_t kFpWideHalf =
    1u << 27;  ///< halves in conversions between formats have no infinities and NaNs
/// Floating point is not what the operations of the IR are without any of these.
inline constexpr uint32_t kFpSpecial = kFpSlow | kFpFlush | kFpFlushHalf | kFpDefaultNan | kFpWideHalf;

/// What the machine decides once; the guest's own state decides the others.
inline constexpr uint32_t kMachineMask = kSerial | kCount | kFastmem;
/// Free for the frontend.
inline constexpr uint32_t kFrontendMask = ~(kFpSpecial | kSingleStep | kMachineMask);

}  // namespace arclight::jit::translation_flag
