// The translation flags: what translated code depends on besides the bytes that it was made of, as one number
// that is part of a block's key.
#pragma once

namespace arclight::frontend::a64 {

struct Cpu;

/// Recomputes GuestState::translation_flags from PSTATE, SCTLR, CPACR, MDSCR, FPCR and the breakpoints. Whatever changes one
/// of these calls it.
void update_translation_flags(Cpu& cpu);

}  // namespace arclight::frontend::a64
