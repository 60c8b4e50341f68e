#include "frontend/a64/system/system_instructions.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/maintenance.h"
#include "frontend/a64/system/syndrome.h"
#include "mmu/bits.h"
#include "mmu/soft_tlb.h"

namespace arclight::frontend::a64 {
namespace {

using mmu::AccessKind;
using TlbiKind = mmu::TlbiRequest::Kind;

constexpr uint64_t kSctlrEnrctx = bit(10), kSctlrDze = bit(14);

SystemResult abort(const Cpu& cpu, uint64_t va, uint8_t fsc) {
    return {SystemResult::Kind::Abort, syndrome::data_abort(cpu.el, fsc, true, true), va};
}

/// Maintenance by address: translated like an access at this EL (PAN does not apply, D8.4.2).
SystemResult translate(const Cpu& cpu, uint64_t va, AccessKind kind, uint64_t& pa) {
    const auto walk = mmu::walk(cpu.translation, cpu.memory, va, {.kind = kind, .privileged = cpu.el != 0});
    if (!walk.ok()) return abort(cpu, va, walk.fsc());
    pa = walk.pa;
    return {};
}

// ---- Cache maintenance. Memory is coherent: there is nothing to clean.

template <bool Broadcast>
SystemResult ic_iallu(Cpu& cpu, uint64_t) {
    cpu.environment.ic_iallu(Broadcast);
    return {};
}
SystemResult ic_ivau(Cpu& cpu, uint64_t va) {
    uint64_t pa = 0;
    const SystemResult result = translate(cpu, va, AccessKind::Read, pa);
    if (result.ok()) cpu.environment.ic_ivau(va, pa & ~uint64_t{kCacheLineBytes - 1});
    return result;
}
SystemResult dc_clean(Cpu& cpu, uint64_t va) {
    uint64_t pa = 0;
    return translate(cpu, va, AccessKind::Read, pa);
}
/// Needs write permission, since it may discard data.
SystemResult dc_ivac(Cpu& cpu, uint64_t va) {
    uint64_t pa = 0;
    return translate(cpu, va, AccessKind::Write, pa);
}
SystemResult no_effect(Cpu&, uint64_t) { return {}; }
/// With the MMU off all data is Device memory, where it is an alignment fault (C5.3.15).
SystemResult dc_zva(Cpu& cpu, uint64_t va) {
    if (cpu.translation.enabled) return {};
    return {SystemResult::Kind::Abort, syndrome::data_abort(cpu.el, mmu::kFscAlignment, true), va};
}

// ---- Address translation: the result or the fault goes to PAR_EL1 (D19.2.109).

/// As whom; El1Pan: with PSTATE.PAN, of which the others know nothing.
enum class At : uint8_t { El0, El1, El1Pan };

template <AccessKind Kind, At As>
SystemResult at(Cpu& cpu, uint64_t va) {
    const mmu::Access access{
        .kind = Kind, .privileged = As != At::El0, .pan = As == At::El1Pan && cpu.pan, .update = false};
    const auto walk = mmu::walk(cpu.translation, cpu.memory, va, access);
    if (walk.fault == mmu::FaultKind::ExternalOnWalk) return abort(cpu, va, walk.fsc());
    constexpr uint64_t kRes1 = bit(11), kFault = bit(0), kNonSecure = bit(9);
    if (!walk.ok()) {
        cpu.registers.par = kRes1 | kFault | uint64_t{walk.fsc()} << 1;
        return {};
    }
    cpu.registers.par = uint64_t{walk.attributes} << 56 | (walk.pa & ((bit(52) - 1) & ~uint64_t{0xfff})) |
                        kRes1 | kNonSecure | uint64_t{walk.shareability} << 7;
    return {};
}

// ---- TLB invalidation

uint16_t asid_of(const Cpu& cpu, uint64_t xt) {
    const auto asid = static_cast<uint16_t>(xt >> 48);
    return (cpu.translation.tcr & bit(36)) != 0 ? asid : asid & 0xff;  // TCR_EL1.AS
}

template <TlbiKind Kind, bool Broadcast>
SystemResult tlbi(Cpu& cpu, uint64_t xt) {
    mmu::TlbiRequest request;
    request.kind = Kind;
    request.asid = asid_of(cpu, xt);
    request.va = static_cast<uint64_t>(static_cast<int64_t>(xt << 20) >> 8) & ~uint64_t{0xfff};
    cpu.environment.tlbi(request, Broadcast);
    return {};
}

/// Xt: ASID, the granule, SCALE, NUM, TTL (a hint), and the address in pages of the granule, or with TCR_EL1.DS in 64 KiB (C5.5.37).
template <TlbiKind Kind, bool Broadcast>
SystemResult tlbi_range(Cpu& cpu, uint64_t xt) {
    constexpr uint8_t kGranules[] = {0, mmu::granule::k4K, mmu::granule::k16K, mmu::granule::k64K};
    const unsigned granule_bits = kGranules[xt >> 46 & 3];
    if (granule_bits == 0) return {};  // reserved: nothing need be invalidated
    const uint64_t scale = xt >> 44 & 3, number = xt >> 39 & 31;
    const uint64_t bytes = (number + 1) << (5 * scale + 1) << granule_bits;
    const bool large = cpu.translation.options.lpa2 && (cpu.translation.tcr & bit(59)) != 0;
    const auto va = static_cast<uint64_t>(static_cast<int64_t>(xt << 27) >> 27)
                    << (large ? mmu::granule::k64K : granule_bits);
    // No further than to the end of the half.
    const uint64_t room = ((va | low_bits(55)) - va) + 1;
    mmu::TlbiRequest request;
    request.kind = Kind;
    request.asid = asid_of(cpu, xt);
    request.va = va;
    request.pages = static_cast<uint32_t>(std::min(bytes, room) / mmu::kPageSize);
    cpu.environment.tlbi(request, Broadcast);
    return {};
}

// ---- The table

constexpr uint16_t E(unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
    return static_cast<uint16_t>(sysreg_encoding(1, op1, crn, crm, op2));
}
constexpr uint8_t El0 = 0, El1 = 1;
constexpr uint8_t Pure = system_io::kNone, Walks = system_io::kWalks, Result = system_io::kResult,
                  Code = system_io::kCode, Tlb = system_io::kTlb;

constexpr SystemInstruction kRows[] = {
#define SYSTEM(name_, encoding_, el_, trap_, feature_, inline_, io_, execute_) \
    {.encoding = encoding_,                                                    \
     .name = #name_,                                                           \
     .el = el_,                                                                \
     .trap = trap_,                                                            \
     .feature = Feature::feature_,                                             \
     .inlined = SystemInline::inline_,                                         \
     .io = io_,                                                                \
     .execute = execute_},
#include "frontend/a64/system/system_instructions.inc"
#undef SYSTEM
};

// By the 14 bits below op0: number of the row, counted from 1.
constexpr unsigned kEncodings = 1u << 14;
constexpr auto kIndex = [] {
    std::array<uint8_t, kEncodings> index{};
    for (size_t i = 0; i < std::size(kRows); ++i) {
        uint8_t& slot = index[kRows[i].encoding % kEncodings];
        if (slot != 0) throw "two system instructions have one encoding";
        slot = static_cast<uint8_t>(i + 1);
    }
    return index;
}();

}  // namespace

std::span<const SystemInstruction> system_instructions() { return kRows; }

const SystemInstruction* find_system_instruction(uint32_t encoding) {
    const uint8_t row = encoding / kEncodings == 1 ? kIndex[encoding % kEncodings] : 0;
    return row == 0 ? nullptr : &kRows[row - 1];
}

SystemResult execute_system_instruction(Cpu& cpu, uint32_t encoding, uint64_t xt) {
    const SystemInstruction* row = find_system_instruction(encoding);
    if (row == nullptr || cpu.el < row->el || !cpu.config.features.has(row->feature))
        return SystemResult::undefined();
    if (cpu.el == 0 && row->trap != 0 && (cpu.translation.sctlr & row->trap) == 0) {
        const unsigned rt = cpu.environment.current_instruction() & 31;
        return {SystemResult::Kind::Trap, syndrome::system_trap(encoding, rt, false)};
    }
    return row->execute(cpu, xt);
}

}  // namespace arclight::frontend::a64
