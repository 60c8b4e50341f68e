#include "frontend/a64/system/hardware_debug.h"

#include <algorithm>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"

namespace arclight::frontend::a64 {
namespace {

using Registers = SystemRegisters;
constexpr uint64_t kMde = 1u << 15, kKde = 1u << 13;  // MDSCR_EL1
constexpr uint64_t kEnable = 1;                       // DBGBCR, DBGWCR
constexpr uint64_t kPage = mmu::kPageSize - 1;
/// Above are sign bits, and in an address a tag.
constexpr uint64_t kAddressBits = (uint64_t{1} << 49) - 1;

constexpr unsigned bits(uint64_t control, unsigned lsb, unsigned count) {
    return static_cast<unsigned>(control >> lsb) & ((1u << count) - 1);
}

// ---- Fields that DBGBCR and DBGWCR share

unsigned privileges(uint64_t control) { return bits(control, 1, 2); }
unsigned linked_breakpoint(uint64_t control) { return bits(control, 16, 4); }
/// HMC and SSC: what is not for EL1 and EL0 of the only security state is reserved, and disables.
bool for_this_state(uint64_t control) { return bits(control, 13, 3) == 0; }

// ---- Breakpoints

enum Type : unsigned { kAddress = 0, kLinkedAddress = 1, kContext = 2, kLinkedContext = 3 };
unsigned type(uint64_t control) { return bits(control, 20, 4); }

bool is_context_aware(unsigned n) {
    return n >= Registers::kBreakpoints - Registers::kContextBreakpoints && n < Registers::kBreakpoints;
}
bool is_context(const Cpu& cpu, unsigned n) {
    return cpu.state.contextidr_el1 == (cpu.registers.dbgbvr[n] & 0xffff'ffff);
}

/// AArch64.StateMatch for an access or fetch with the privileges of `el`, up to the breakpoint linked to.
bool state_matches(uint64_t control, unsigned el) {
    return (control & kEnable) != 0 && for_this_state(control) &&
           (privileges(control) & (el == 0 ? 2 : 1)) != 0;
}
bool link_matches(const Cpu& cpu, uint64_t control) {
    const unsigned n = linked_breakpoint(control);
    if (!is_context_aware(n)) return false;
    const uint64_t context = cpu.registers.dbgbcr[n];
    return (context & kEnable) != 0 && type(context) == kLinkedContext && is_context(cpu, n);
}

/// Bits that differ between two addresses.
uint64_t difference(uint64_t a, uint64_t b) { return (a ^ b) & kAddressBits; }

bool debug_enabled(const Cpu& cpu) {
    return (cpu.registers.mdscr & kMde) != 0 &&
           debug_enabled_from(cpu, cpu.el, (cpu.state.daif & kDaifD) != 0);
}

/// AArch64.BreakpointMatch for breakpoint n; with bits `ignored`: could it at an address that differs in
/// these, and in another context?
bool matches(const Cpu& cpu, unsigned n, uint64_t pc, uint64_t ignored) {
    const uint64_t control = cpu.registers.dbgbcr[n];
    if (!state_matches(control, cpu.el)) return false;
    const bool at_address = (difference(pc, cpu.registers.dbgbvr[n]) & ~(ignored | 3)) == 0;
    switch (type(control)) {
        case kAddress: return at_address;
        case kLinkedAddress: return at_address && (ignored != 0 || link_matches(cpu, control));
        case kContext: return is_context_aware(n) && (ignored != 0 || is_context(cpu, n));
        default: return false;  // linked to by others, or reserved
    }
}
bool any_matches(const Cpu& cpu, uint64_t pc, uint64_t ignored) {
    if (!debug_enabled(cpu)) return false;
    for (unsigned n = 0; n < Registers::kBreakpoints; ++n)
        if (matches(cpu, n, pc, ignored)) return true;
    return false;
}

// ---- Watchpoints

/// What a watchpoint watches: [first, last], modulo the bits above kAddressBits. Nothing if no byte is
/// selected.
struct Range {
    uint64_t first, last;
};
std::optional<Range> watched(const Cpu& cpu, unsigned n) {
    const uint64_t control = cpu.registers.dbgwcr[n], value = cpu.registers.dbgwvr[n] & kAddressBits;
    if ((control & kEnable) == 0) return std::nullopt;
    if (const unsigned mask = bits(control, 24, 5); mask > 2) {  // 1 and 2 are reserved: no mask
        const uint64_t size = uint64_t{1} << mask;
        return Range{value & ~(size - 1), value | (size - 1)};
    }
    // Of a doubleword's upper word only four bytes can be selected. Bytes between selected ones are watched
    // too, which is one of the choices for selections that are not contiguous.
    const unsigned select = bits(control, 5, (value & 4) != 0 ? 4 : 8);
    if (select == 0) return std::nullopt;
    const auto first = static_cast<unsigned>(__builtin_ctz(select));
    const auto last = static_cast<unsigned>(31 - __builtin_clz(select));
    return Range{value + first, value + last};
}

}  // namespace

bool debug_enabled_from(const Cpu& cpu, unsigned el, bool masked) {
    if (cpu.registers.os_lock || (cpu.registers.osdlr & 1) != 0) return false;
    return el == 0 || ((cpu.registers.mdscr & kKde) != 0 && !masked);
}

bool breakpoints_armed(const Cpu& cpu) { return any_matches(cpu, 0, ~uint64_t{0}); }

bool breakpoint_in_page(const Cpu& cpu, uint64_t pc) { return any_matches(cpu, pc, kPage); }

bool breakpoint_matches(const Cpu& cpu, uint64_t pc) { return any_matches(cpu, pc, 0); }

bool watches_page(const Cpu& cpu, uint64_t va, unsigned page_bits) {
    if ((cpu.registers.mdscr & kMde) == 0) return false;
    const uint64_t last = (va & kAddressBits) | ((uint64_t{1} << page_bits) - 1),
                   first = last >> page_bits << page_bits;
    for (unsigned n = 0; n < Registers::kWatchpoints; ++n) {
        const auto range = watched(cpu, n);
        if (range && range->first <= last && first <= range->last) return true;
    }
    return false;
}

std::optional<WatchpointHit> watchpoint_hit(const Cpu& cpu, const WatchedAccess& access) {
    if (!debug_enabled(cpu)) return std::nullopt;
    std::optional<WatchpointHit> hit;
    for (unsigned n = 0; n < Registers::kWatchpoints; ++n) {
        const auto range = watched(cpu, n);
        if (!range) continue;
        const uint64_t control = cpu.registers.dbgwcr[n];
        const uint64_t first = access.va & kAddressBits, last = first + access.bytes - 1;
        if (last < range->first || first > range->last) continue;
        const bool by_load = access.reads && (control & 1u << 3) != 0;
        const bool by_store = access.writes && (control & 1u << 4) != 0;
        const bool linked = (control & 1u << 20) != 0;
        if (!by_load && !by_store) continue;
        if (!state_matches(control, access.unprivileged ? 0 : cpu.el)) continue;
        if (linked && !link_matches(cpu, control)) continue;
        // FAR: the first watched byte of the access. An atomic's exception counts as a read's if that is
        // watched.
        const uint64_t far = access.va + (std::max(first, range->first) - first);
        const bool write = !by_load;
        if (!hit || far < hit->far) hit = WatchpointHit{far, write};
    }
    return hit;
}

}  // namespace arclight::frontend::a64
