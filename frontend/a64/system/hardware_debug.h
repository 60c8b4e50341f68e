// Breakpoints and watchpoints (ARM ARM D2.8, D2.9): DBGBVR, DBGBCR, DBGWVR, DBGWCR under MDSCR_EL1.MDE.
//
// Breakpoints: while translation_flag::kBreakpoints is set, the machine asks breakpoint_in_page() before it enters code,
// runs what is in such a page instruction by instruction, and asks breakpoint_matches() before each.
// Watchpoints: the machine keeps pages for which watches_page() holds out of the soft TLBs and asks
// watchpoint_hit() about each access to them. Any change of what is armed is told by
// Environment::translation_changed().
#pragma once

#include <cstdint>
#include <optional>

#include "jit/guest_state.h"

namespace arclight::frontend::a64 {

struct Cpu;

/// PSTATE and the OS lock let debug exceptions be taken from `el` (AArch64.GenerateDebugExceptionsFrom);
/// `masked`: PSTATE.D.
bool debug_enabled_from(const Cpu& cpu, unsigned el, bool masked);

/// translation_flag::kBreakpoints: a breakpoint may match at this EL.
bool breakpoints_armed(const Cpu& cpu);
bool breakpoint_in_page(const Cpu& cpu, uint64_t pc);
bool breakpoint_matches(const Cpu& cpu, uint64_t pc);

/// Whatever the EL: the page, of 2^page_bits bytes, has a byte with an enabled watchpoint.
bool watches_page(const Cpu& cpu, uint64_t va, unsigned page_bits = mmu::kPageBits);

struct WatchedAccess {
    uint64_t va;
    unsigned bytes;
    bool reads, writes;
    bool unprivileged;  ///< LDTR, STTR
};
struct WatchpointHit {
    uint64_t far;
    bool write;
};
std::optional<WatchpointHit> watchpoint_hit(const Cpu& cpu, const WatchedAccess& access);

}  // namespace arclight::frontend::a64
