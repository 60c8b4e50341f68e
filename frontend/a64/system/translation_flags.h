// Computes the translation flags (frontend/a64/translation_flags.h): the CPU state that translated code
// depends on, as one number that is part of a block's key.
#pragma once

#include <cstdint>

namespace arclight::frontend::a64 {

struct Cpu;

/// Recomputes GuestState::translation_flags from PSTATE, SCTLR, CPACR, MDSCR, FPCR and the breakpoints. To be
/// called after a change of any of them.
void update_translation_flags(Cpu& cpu);

/// Those of them that a value of FPCR sets.
uint32_t fp_flags(uint32_t fpcr);

/// Recomputes GuestState::vector_bytes from ZCR_EL1 and the lengths that the CPU has, which are powers of two.
void update_vector_length(Cpu& cpu);

}  // namespace arclight::frontend::a64
