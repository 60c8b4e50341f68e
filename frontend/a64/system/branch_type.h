// PSTATE.BTYPE (FEAT_BTI, ARM ARM D8.4.5): after BR and BLR, what may be branched to in a guarded page.
//
// It is of interest to the branch's target alone, so it travels with the address: bits 1:0, which are 0 of an instruction. An
// address so marked is a key of the jump caches like any other; who puts it there has looked at the page and at the instruction
// first (FetchUnit). Branches mark addresses only once a CPU has fetched from a guarded page (translation_flag::kBranchTypes),
// and cost nothing before.
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

/// If state.pc is a marked address: moves the mark to PSTATE.BTYPE. For whoever finds state.pc left by translated code.
void unmark_branch_target(Cpu& cpu);

}  // namespace arclight::frontend::a64
