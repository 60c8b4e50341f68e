// Breakpoints and watchpoints (ARM ARM D2.8, D2.9): DBGBVR, DBGBCR, DBGWVR, DBGWCR under MDSCR_EL1.MDE.
//
// Breakpoints: while translation_flag::kBreakpoints is set, the machine calls breakpoint_in_page() before it
// enters code, runs code in such a page one instruction at a time, and calls breakpoint_matches() before
// each. Watchpoints: the machine keeps pages for which watches_page() holds out of the soft TLBs and calls
// watchpoint_hit() for each access to them. Environment::translation_changed() reports any change of what is
// armed.
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
