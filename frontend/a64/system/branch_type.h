// PSTATE.BTYPE (FEAT_BTI, ARM ARM D8.4.5): after BR and BLR, what may be branched to in a guarded page.
//
// It is of interest to the branch's target alone, so it travels with the address: bits 1:0, which are 0 of an instruction. An
// address so marked is a key of the jump caches like any other; who puts it there has looked at the page and at the instruction
// first (FetchUnit). Branches mark addresses only once a CPU has fetched from a guarded page (translation_flag::kBranchTypes),
// and cost nothing before: into the first guarded page no jump cache leads, and an exit says by which branch it leaves
// (GuestState::exit_info).
#pragma once

#include <cstdint>

namespace arclight::frontend::a64 {

struct Cpu;

namespace branch_type {
inline constexpr uint64_t kJumpToCall = 1;  ///< BR of X16 or X17, or from a page that is not guarded
inline constexpr uint64_t kCall = 2;        ///< BLR
inline constexpr uint64_t kJump = 3;        ///< BR
inline constexpr uint64_t kMask = 3;
/// The bits 1:0 of a misaligned target change its bits 63:62, so that no cached key is found.
inline constexpr unsigned kMisalignedShift = 62;

constexpr uint64_t mark(uint64_t target, uint64_t type) {
    return (target ^ (target & kMask) << kMisalignedShift) | type;
}
}  // namespace branch_type

/// The instruction may follow a branch of this type in a guarded page.
bool accepts_branch_type(const Cpu& cpu, uint32_t insn, uint64_t type);

/// An exception of this instruction saves PSTATE.BTYPE in SPSR_EL1 (AArch64.TakeException has a list of kinds; those of other
/// instructions may save 0): what leads to it must be known, and so it is in no jump cache.
constexpr bool saves_branch_type(uint32_t insn) {
    return (insn & 0xffe0'001f) == 0xd420'0000 || (insn & 0xffe0'001f) == 0xd440'0000;  // BRK, HLT
}

/// Sets PSTATE.BTYPE after ExitReason::Lookup or Interrupt: state.pc may be a marked address, and the exit one by which a
/// branch leaves that marks nothing yet.
void take_branch_type(Cpu& cpu);

}  // namespace arclight::frontend::a64
