// SYS: cache maintenance (D7.5), address translation (D8.12) and TLB invalidation (D8.13).
#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/syndrome.h"
#include "frontend/a64/system/sysregs.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t kSctlrDze = bit(14), kSctlrUci = bit(26);

SystemResult trap(const Cpu& cpu, uint32_t encoding) {
    const unsigned rt = cpu.environment.current_instruction() & 31;
    return {SystemResult::Kind::Trap, syndrome::system_trap(encoding, rt, false)};
}

SystemResult abort(const Cpu& cpu, uint64_t va, uint8_t fsc) {
    return {SystemResult::Kind::Abort, syndrome::data_abort(cpu.el, fsc, true, true), va};
}

/// Maintenance by address: translated like a read at this EL (PAN does not apply, D8.4.2).
SystemResult translate(const Cpu& cpu, uint64_t va, mmu::AccessKind kind, uint64_t& pa) {
    const auto walk = mmu::walk(cpu.translation, cpu.memory, va, {.kind = kind, .privileged = cpu.el != 0});
    if (!walk.ok()) return abort(cpu, va, walk.fsc());
    pa = walk.pa;
    return {};
}

SystemResult tlbi(Cpu& cpu, unsigned crm, unsigned op2, uint64_t xt) {
    constexpr unsigned kInnerShareable = 3, kLocal = 7;
    if (crm != kInnerShareable && crm != kLocal) return SystemResult::undefined();
    using Kind = mmu::TlbiRequest::Kind;
    mmu::TlbiRequest request;
    switch (op2) {
        case 0: request.kind = Kind::All; break;
        case 1:
        case 5: request.kind = Kind::Va; break;
        case 2: request.kind = Kind::Asid; break;
        case 3:
        case 7: request.kind = Kind::VaAllAsids; break;
        default: return SystemResult::undefined();
    }
    request.asid = static_cast<uint16_t>(xt >> 48);
    if ((cpu.translation.tcr & bit(36)) == 0) request.asid &= 0xff;  // TCR_EL1.AS
    request.va = static_cast<uint64_t>(static_cast<int64_t>(xt << 20) >> 8) & ~uint64_t{0xfff};
    cpu.environment.tlbi(request, crm == kInnerShareable);
    return {};
}

// AT S1E1R, S1E1W, S1E0R, S1E0W: the result or the fault goes to PAR_EL1 (D19.2.109).
SystemResult address_translate(Cpu& cpu, unsigned op2, uint64_t va) {
    const mmu::Access access{.kind = (op2 & 1) != 0 ? mmu::AccessKind::Write : mmu::AccessKind::Read,
                             .privileged = op2 < 2,
                             .pan = false,  // only the S1E1RP and S1E1WP forms look at it
                             .update = false};
    const auto walk = mmu::walk(cpu.translation, cpu.memory, va, access);
    if (walk.fault == mmu::FaultKind::ExternalOnWalk) return abort(cpu, va, walk.fsc());
    constexpr uint64_t kRes1 = bit(11), kFault = bit(0), kNonSecure = bit(9);
    if (!walk.ok()) {
        cpu.registers.par = kRes1 | kFault | uint64_t{walk.fsc()} << 1;
        return {};
    }
    cpu.registers.par = uint64_t{walk.attributes} << 56 | (walk.pa & ((bit(48) - 1) & ~uint64_t{0xfff})) |
                        kRes1 | kNonSecure | uint64_t{walk.shareability} << 7;
    return {};
}

}  // namespace

bool execute_known_maintenance(Cpu& cpu, uint32_t encoding, uint64_t xt) {
    constexpr uint32_t kIcIvau = sysreg_encoding(1, 3, 7, 5, 1), kDcCvac = sysreg_encoding(1, 3, 7, 10, 1),
                       kDcCvau = sysreg_encoding(1, 3, 7, 11, 1), kDcCivac = sysreg_encoding(1, 3, 7, 14, 1);
    if (encoding != kIcIvau && encoding != kDcCvac && encoding != kDcCvau && encoding != kDcCivac)
        return false;
    if (cpu.el == 0 && (cpu.translation.sctlr & kSctlrUci) == 0) return false;
    const mmu::TlbEntry& entry = cpu.state.tlb->entries[mmu::tlb_index(xt)];
    if (entry.read_tag != (xt & mmu::kPageMask)) return false;
    constexpr uint64_t kInPage = mmu::kPageSize - kCacheLineBytes;  // of a line's address
    if (encoding == kIcIvau) cpu.environment.ic_ivau(xt, entry.pa | (xt & kInPage));
    return true;
}

SystemResult execute_sys(Cpu& cpu, uint32_t encoding, uint64_t xt) {
    const unsigned op1 = encoding >> 11 & 7, crn = encoding >> 7 & 15, crm = encoding >> 3 & 15,
                   op2 = encoding & 7;
    // From here op0 is 1; op1 is 0 (EL1 only) or 3 (EL0 too).
    if (encoding >> 14 != 1) return SystemResult::undefined();
    if (op1 == 0 && cpu.el != 0) {
        if (crn == 8) return tlbi(cpu, crm, op2, xt);
        if (crn != 7) return SystemResult::undefined();
        uint64_t pa = 0;
        switch (crm << 4 | op2) {
            case 0x10:  // IC IALLUIS
            case 0x50:  // IC IALLU
                cpu.environment.ic_iallu(crm == 1);
                return {};
            case 0x61:  // DC IVAC: needs write permission, since it may discard data
                return translate(cpu, xt, mmu::AccessKind::Write, pa);
            case 0x62:      // DC ISW
            case 0xa2:      // DC CSW
            case 0xe2:      // DC CISW
                return {};  // memory is coherent: there is nothing to clean
            case 0x80:
            case 0x81:
            case 0x82:
            case 0x83: return address_translate(cpu, op2, xt);
            default: return SystemResult::undefined();
        }
    }
    if (op1 != 3 || crn != 7) return SystemResult::undefined();
    uint64_t pa = 0;
    switch (crm << 4 | op2) {
        case 0x41:  // DC ZVA
            if (cpu.el == 0 && (cpu.translation.sctlr & kSctlrDze) == 0) return trap(cpu, encoding);
            // With the MMU off all data is Device memory, where it is an alignment fault (C5.3.15).
            if (!cpu.translation.enabled)
                return {SystemResult::Kind::Abort, syndrome::data_abort(cpu.el, mmu::kFscAlignment, true),
                        xt};
            return {};
        case 0x51:  // IC IVAU
        case 0xa1:  // DC CVAC
        case 0xb1:  // DC CVAU
        case 0xe1:  // DC CIVAC
            if (cpu.el == 0 && (cpu.translation.sctlr & kSctlrUci) == 0) return trap(cpu, encoding);
            if (const SystemResult result = translate(cpu, xt, mmu::AccessKind::Read, pa); !result.ok())
                return result;
            if (crm == 5) cpu.environment.ic_ivau(xt, pa & ~uint64_t{kCacheLineBytes - 1});
            return {};
        default: return SystemResult::undefined();
    }
}

}  // namespace arclight::frontend::a64
