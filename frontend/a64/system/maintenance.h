// Cache maintenance by address (ARM ARM D7.5.9) of pages that the soft TLB has.
#pragma once

#include <cstdint>
#include <optional>

#include "frontend/a64/system/cpu.h"
#include "mmu/bits.h"
#include "mmu/soft_tlb.h"

namespace arclight::frontend::a64 {

inline constexpr uint64_t kSctlrUci = bit(26);  ///< cache maintenance at EL0 does not trap

/// The physical address that maintenance by address `va` means, without a walk of the tables, if the current soft TLB lets it be
/// read and the instruction does not trap.
inline std::optional<uint64_t> known_maintenance_address(const Cpu& cpu, uint64_t va) {
    if (cpu.el == 0 && (cpu.translation.sctlr & kSctlrUci) == 0) return std::nullopt;
    const mmu::TlbEntry& entry = cpu.state.tlb->entries[mmu::tlb_index(va)];
    if (entry.read_tag != (va & mmu::kPageMask)) return std::nullopt;
    return entry.pa | (va & ~mmu::kPageMask);
}

}  // namespace arclight::frontend::a64
