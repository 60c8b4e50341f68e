// Pointer authentication beyond what is translated: which bits of a pointer hold a code, and the QARMA ciphers.
#pragma once

#include <cstdint>

namespace arclight::frontend::a64 {

struct Cpu;

/// After TCR_EL1 has changed, or the enables of keys in SCTLR_EL1: GuestState::pac_masks and pac_key_masks, Cpu::pac_used.
void update_pac_masks(Cpu& cpu);

/// ComputePAC (ARM ARM D8.10, shared pseudocode) with the key `high`:`low`.
uint64_t qarma(uint64_t data, uint64_t modifier, uint64_t low, uint64_t high, bool qarma3);

}  // namespace arclight::frontend::a64
