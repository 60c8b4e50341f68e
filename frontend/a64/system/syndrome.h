// ESR_EL1 values (ARM ARM D19.2.37). IL is set in all of them: every instruction is 32 bits long.
#pragma once

#include <cstdint>
#include <optional>

#include "frontend/a64/system/block_operation.h"

namespace arclight::frontend::a64::syndrome {

enum class Class : uint32_t {
    Unknown = 0x00,
    WaitTrap = 0x01,
    FpTrap = 0x07,
    BranchTarget = 0x0d,
    IllegalState = 0x0e,
    Svc = 0x15,
    Hvc = 0x16,
    Smc = 0x17,
    SystemTrap = 0x18,
    SveTrap = 0x19,
    PointerAuthentication = 0x1c,
    InstructionAbortLower = 0x20,
    InstructionAbort = 0x21,
    PcAlignment = 0x22,
    DataAbortLower = 0x24,
    DataAbort = 0x25,
    SpAlignment = 0x26,
    BlockOperation = 0x27,
    SError = 0x2f,
    BreakpointLower = 0x30,
    Breakpoint = 0x31,
    StepLower = 0x32,
    Step = 0x33,
    WatchpointLower = 0x34,
    Watchpoint = 0x35,
    Brk = 0x3c,
};

constexpr Class class_of(uint32_t esr) { return static_cast<Class>(esr >> 26); }
constexpr uint32_t make(Class ec, uint32_t iss) { return static_cast<uint32_t>(ec) << 26 | 1u << 25 | iss; }

constexpr uint32_t undefined() { return make(Class::Unknown, 0); }
constexpr uint32_t illegal_state() { return make(Class::IllegalState, 0); }
constexpr uint32_t svc(uint32_t imm16) { return make(Class::Svc, imm16); }
constexpr uint32_t hvc(uint32_t imm16) { return make(Class::Hvc, imm16); }
constexpr uint32_t brk(uint32_t imm16) { return make(Class::Brk, imm16); }
/// Bit 1: a data key; bit 0: key B.
constexpr uint32_t pointer_authentication(uint32_t key) { return make(Class::PointerAuthentication, key); }
/// An option that is not the one (WrongOption), which is A.
constexpr uint32_t block_operation(const BlockOperation& op) {
    return make(Class::BlockOperation,
                (op.kind == BlockKind::Set ? 1u << 24 : 0) | uint32_t{op.options} << 19 |
                    (op.stage == BlockStage::Epilogue ? 1u << 18 : 0) | 1u << 17 | 1u << 16 |
                    uint32_t{op.destination} << 10 | uint32_t{op.source} << 5 | op.size);
}
constexpr uint32_t branch_target(uint32_t btype) { return make(Class::BranchTarget, btype); }
constexpr uint32_t pc_alignment() { return make(Class::PcAlignment, 0); }
constexpr uint32_t sp_alignment() { return make(Class::SpAlignment, 0); }
/// CV = 1, COND = always.
constexpr uint32_t fp_trap() { return make(Class::FpTrap, 1u << 24 | 0xeu << 20); }
constexpr uint32_t sve_trap() { return make(Class::SveTrap, 0); }
/// With `rt` of WFIT and WFET.
constexpr uint32_t wait_trap(bool wfe, std::optional<unsigned> rt = {}) {
    const uint32_t timeout = rt ? *rt << 5 | 1u << 2 | 1u << 1 : 0;
    return make(Class::WaitTrap, 1u << 24 | 0xeu << 20 | timeout | (wfe ? 1 : 0));
}

/// A trapped MRS, MSR or SYS. `encoding` as sysreg_encoding(); `read`: MRS or SYSL.
constexpr uint32_t system_trap(uint32_t encoding, unsigned rt, bool read) {
    const uint32_t op0 = encoding >> 14, op1 = encoding >> 11 & 7, crn = encoding >> 7 & 15,
                   crm = encoding >> 3 & 15, op2 = encoding & 7;
    return make(Class::SystemTrap,
                op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | (read ? 1 : 0));
}

/// `el`: where the access was made. ISV = 0. `maintenance` (CM) is for DC and IC by address and AT, which
/// also set WnR.
constexpr uint32_t data_abort(unsigned el, uint8_t fsc, bool write, bool maintenance = false) {
    return make(el == 0 ? Class::DataAbortLower : Class::DataAbort,
                (maintenance ? 1u << 8 : 0) | (write || maintenance ? 1u << 6 : 0) | fsc);
}
constexpr uint32_t instruction_abort(unsigned el, uint8_t fsc) {
    return make(el == 0 ? Class::InstructionAbortLower : Class::InstructionAbort, fsc);
}
constexpr uint32_t breakpoint(unsigned el) {
    return make(el == 0 ? Class::BreakpointLower : Class::Breakpoint, 0x22);
}
constexpr uint32_t watchpoint(unsigned el, bool write) {
    return make(el == 0 ? Class::WatchpointLower : Class::Watchpoint, (write ? 1u << 6 : 0) | 0x22);
}
/// ISV = 1; `exclusive`: the stepped instruction was a load-exclusive.
constexpr uint32_t software_step(unsigned el, bool exclusive) {
    return make(el == 0 ? Class::StepLower : Class::Step, 1u << 24 | (exclusive ? 1u << 6 : 0) | 0x22);
}

}  // namespace arclight::frontend::a64::syndrome
