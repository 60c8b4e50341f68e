#include "frontend/a64/system/exceptions.h"

#include <utility>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/hardware_debug.h"
#include "frontend/a64/system/pmu.h"
#include "frontend/a64/system/syndrome.h"
#include "frontend/a64/system/translation_flags.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {
namespace {

// SCTLR_EL1
constexpr uint64_t kSctlrNtwi = bit(16), kSctlrNtwe = bit(18), kSctlrSpan = bit(23);
// MDSCR_EL1
constexpr uint64_t kMdscrSs = bit(0);
// SPSR_EL1
constexpr uint64_t kSpsrIl = bit(20), kSpsrSs = bit(21), kSpsrPan = bit(22), kSpsrUao = bit(23),
                   kSpsrSsbs = bit(12), kSpsrDit = bit(24), kSpsrBtype = bit(11) | bit(10),
                   kSpsrAArch32 = bit(4);
constexpr unsigned kSpsrBtypeShift = 10;
constexpr unsigned kModeEl0t = 0, kModeEl1t = 4, kModeEl1h = 5;

uint64_t& stack_bank(Cpu& cpu) { return cpu.el == 1 && cpu.sp_elx ? cpu.state.sp_el1 : cpu.state.sp_el0; }

/// Changes the EL and PSTATE.SP together: the current stack pointer goes to its bank, the new one comes from
/// its.
void switch_stack(Cpu& cpu, uint8_t el, bool sp_elx) {
    stack_bank(cpu) = cpu.state.sp;
    cpu.el = el;
    cpu.sp_elx = sp_elx;
    cpu.state.sp = stack_bank(cpu);
}

void synchronous(Cpu& cpu, uint32_t esr, uint64_t return_address) {
    take_exception(cpu, ExceptionKind::Synchronous, esr, return_address);
}

}  // namespace

uint64_t pstate_to_spsr(const Cpu& cpu) {
    uint64_t v = jit::nzcv_from_flags(cpu.state.flags) | (cpu.state.daif & kDaifAll);
    if (cpu.el == 1) v |= cpu.sp_elx ? kModeEl1h : kModeEl1t;
    if (cpu.ss) v |= kSpsrSs;
    if (cpu.pan) v |= kSpsrPan;
    if (cpu.uao) v |= kSpsrUao;
    v |= cpu.state.dit | cpu.state.ssbs | cpu.state.tco | uint64_t{cpu.btype} << kSpsrBtypeShift;
    if (cpu.il) v |= kSpsrIl;
    return v;
}

// AArch64.TakeException (D1.3.1)
void take_exception(Cpu& cpu, ExceptionKind kind, uint32_t esr, uint64_t return_address) {
    jit::GuestState& s = cpu.state;
    s.spsr_el1 = pstate_to_spsr(cpu);
    s.elr_el1 = return_address;
    if (kind == ExceptionKind::Synchronous || kind == ExceptionKind::SError) cpu.registers.esr = esr;

    uint64_t offset = std::to_underlying(kind);
    if (cpu.el == 0) {
        offset += 0x400;
    } else if (cpu.sp_elx) {
        offset += 0x200;
    }
    const uint8_t from_el = cpu.el;
    const bool el_changes = from_el != 1;
    switch_stack(cpu, 1, true);
    s.daif = kDaifAll;
    cpu.il = false;
    cpu.ss = false;
    cpu.uao = false;
    cpu.btype = 0;
    s.tco = cpu.spsr_of_features & kSpsrTco;
    s.ssbs = (cpu.translation.sctlr & kSctlrDssbs) != 0 ? kSpsrSsbs : 0;
    if ((cpu.translation.sctlr & kSctlrSpan) == 0) cpu.pan = true;
    s.pc = cpu.registers.vbar + offset;
    if (el_changes && cpu.registers.pmu.follows_el) pmu_update(cpu);
    update_translation_flags(cpu);
    cpu.environment.context_changed();
    if (cpu.traced) cpu.environment.exception_taken(kind, from_el);
}

void take_svc(Cpu& cpu, uint32_t imm16, uint64_t pc) {
    step_done(cpu);  // SSAdvance: the step is of the SVC itself
    synchronous(cpu, syndrome::svc(imm16), pc + 4);
}
void take_brk(Cpu& cpu, uint32_t imm16, uint64_t pc) { synchronous(cpu, syndrome::brk(imm16), pc); }
void take_undefined(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::undefined(), pc); }
void take_fp_trap(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::fp_trap(), pc); }
void take_sve_trap(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::sve_trap(), pc); }
void take_illegal_state(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::illegal_state(), pc); }
void take_sp_alignment(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::sp_alignment(), pc); }

void take_pointer_authentication(Cpu& cpu, unsigned key, uint64_t pc) {
    synchronous(cpu, syndrome::pointer_authentication(key), pc);
}
void take_block_operation(Cpu& cpu, const BlockOperation& op, uint64_t pc) {
    synchronous(cpu, syndrome::block_operation(op), pc);
}
void take_branch_target(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::branch_target(cpu.btype), pc); }

void take_breakpoint(Cpu& cpu, uint64_t pc) { synchronous(cpu, syndrome::breakpoint(cpu.el), pc); }

void take_watchpoint(Cpu& cpu, uint64_t address, bool write, uint64_t pc) {
    cpu.registers.far = address;
    synchronous(cpu, syndrome::watchpoint(cpu.el, write), pc);
}

void take_pc_alignment(Cpu& cpu, uint64_t pc) {
    cpu.registers.far = pc;
    synchronous(cpu, syndrome::pc_alignment(), pc);
}

void take_data_abort(Cpu& cpu, uint64_t address, uint8_t fsc, bool write, uint64_t pc) {
    cpu.registers.far = address;
    synchronous(cpu, syndrome::data_abort(cpu.el, fsc, write), pc);
}

void take_instruction_abort(Cpu& cpu, uint64_t address, uint8_t fsc, uint64_t pc) {
    cpu.registers.far = address;
    synchronous(cpu, syndrome::instruction_abort(cpu.el, fsc), pc);
}

void take_system_result(Cpu& cpu, const SystemResult& result, uint64_t pc) {
    switch (result.kind) {
        case SystemResult::Kind::Ok: return;
        case SystemResult::Kind::Undefined: return take_undefined(cpu, pc);
        case SystemResult::Kind::Abort: cpu.registers.far = result.far; [[fallthrough]];
        case SystemResult::Kind::Trap: return synchronous(cpu, result.esr, pc);
    }
}

bool execute_hvc(Cpu& cpu) {
    if (cpu.el == 0) return false;
    auto& x = cpu.state.x;
    x[0] = cpu.environment.hvc(x[0], x[1], x[2], x[3]);
    return true;
}

SystemResult check_wait(const Cpu& cpu, bool wfe, std::optional<unsigned> rt) {
    if (cpu.el != 0 || (cpu.translation.sctlr & (wfe ? kSctlrNtwe : kSctlrNtwi)) != 0) return {};
    // An instruction that would not wait is not trapped.
    if (wfe ? cpu.event_register.load(std::memory_order_relaxed) : cpu.environment.pending_interrupts() != 0)
        return {};
    return {SystemResult::Kind::Trap, syndrome::wait_trap(wfe, rt)};
}

// AArch64.ExceptionReturn and SetPSTATEFromPSR (D1.4)
void eret(Cpu& cpu) {
    jit::GuestState& s = cpu.state;
    const uint64_t spsr = s.spsr_el1;
    const unsigned m = spsr & 0xf;
    const bool illegal = (spsr & kSpsrAArch32) != 0 || (m != kModeEl0t && m != kModeEl1t && m != kModeEl1h);
    const uint8_t el = illegal ? cpu.el : static_cast<uint8_t>(m >> 2);

    // DebugExceptionReturnSS: a step begins with the return, unless this EL is itself being stepped.
    cpu.ss = (cpu.registers.mdscr & kMdscrSs) != 0 && (spsr & kSpsrSs) != 0 && !step_enabled(cpu) &&
             debug_enabled_from(cpu, el, (spsr & kDaifD) != 0);

    const uint8_t from_el = cpu.el;
    const bool el_changes = el != from_el;
    if (illegal) {
        cpu.il = true;
    } else {
        cpu.il = (spsr & kSpsrIl) != 0;
        switch_stack(cpu, el, m == kModeEl1h);
    }
    s.flags = jit::flags_from_nzcv(static_cast<uint32_t>(spsr));
    s.daif = spsr & kDaifAll;
    cpu.pan = (spsr & kSpsrPan) != 0;
    cpu.uao = (spsr & cpu.spsr_of_features & kSpsrUao) != 0;
    cpu.btype = static_cast<uint8_t>((spsr & cpu.spsr_of_features & kSpsrBtype) >> kSpsrBtypeShift);
    s.dit = spsr & cpu.spsr_of_features & kSpsrDit;
    s.ssbs = spsr & cpu.spsr_of_features & kSpsrSsbs;
    s.tco = spsr & cpu.spsr_of_features & kSpsrTco;
    s.pc = branch_address(cpu, s.elr_el1);
    s.exclusive_addr = jit::kNoExclusive;
    cpu.event_register.store(true, std::memory_order_relaxed);
    if (el_changes && cpu.registers.pmu.follows_el) pmu_update(cpu);
    update_translation_flags(cpu);
    cpu.environment.context_changed();
    cpu.environment.interrupts_unmasked();
    if (cpu.traced) cpu.environment.exception_left(from_el);
}

void set_pan(Cpu& cpu, bool pan) {
    if (cpu.pan == pan) return;
    cpu.pan = pan;
    cpu.environment.context_changed();
}

void set_sp_elx(Cpu& cpu, bool sp_elx) {
    switch_stack(cpu, cpu.el, sp_elx);
    update_translation_flags(cpu);
}

void set_uao(Cpu& cpu, bool uao) {
    cpu.uao = uao;
    update_translation_flags(cpu);
}

uint64_t spsr_of(FeatureSet features) {
    return (features.has(Feature::Uao) ? kSpsrUao : 0) | (features.has(Feature::Ssbs) ? kSpsrSsbs : 0) |
           (features.has(Feature::Dit) ? kSpsrDit : 0) | (features.has(Feature::Mte) ? kSpsrTco : 0) |
           (features.has(Feature::Bti) ? kSpsrBtype : 0);
}

void sync_stack_pointers(Cpu& cpu) { stack_bank(cpu) = cpu.state.sp; }

uint64_t branch_address(const Cpu& cpu, uint64_t target) { return cpu.translation.without_code_tag(target); }

bool step_enabled(const Cpu& cpu) {
    return (cpu.registers.mdscr & kMdscrSs) != 0 &&
           debug_enabled_from(cpu, cpu.el, (cpu.state.daif & kDaifD) != 0);
}

bool step_pending(const Cpu& cpu) { return !cpu.ss && step_enabled(cpu); }

void take_step(Cpu& cpu, bool exclusive) {
    synchronous(cpu, syndrome::software_step(cpu.el, exclusive), cpu.state.pc);
}

void step_done(Cpu& cpu) { cpu.ss = false; }

}  // namespace arclight::frontend::a64
