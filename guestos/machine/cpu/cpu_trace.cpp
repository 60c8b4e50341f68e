#include "guestos/machine/cpu/cpu_trace.h"

#include <fmt/format.h>

#include <string>

#include "frontend/a64/system/syndrome.h"
#include "jit/host_code.h"

namespace arclight::guestos {

namespace {

namespace a64 = frontend::a64;

constexpr size_t kMaxInstructionBytes = 15;  // x86-64

/// QEMU's number and name of an exception.
struct Name {
    unsigned number;
    const char* name;
};

Name name_of(a64::ExceptionKind kind, uint32_t esr) {
    using a64::ExceptionKind, a64::syndrome::Class;
    if (kind == ExceptionKind::Irq) return {5, "IRQ"};
    if (kind == ExceptionKind::Fiq) return {6, "FIQ"};
    if (kind == ExceptionKind::SError) return {24, "Virtual SERR"};
    switch (a64::syndrome::class_of(esr)) {
        case Class::Svc: return {2, "SVC"};
        case Class::InstructionAbortLower:
        case Class::InstructionAbort:
        case Class::PcAlignment: return {3, "Prefetch Abort"};
        case Class::DataAbortLower:
        case Class::DataAbort:
        case Class::SpAlignment:
        case Class::WatchpointLower:
        case Class::Watchpoint: return {4, "Data Abort"};
        case Class::Brk:
        case Class::BreakpointLower:
        case Class::Breakpoint:
        case Class::StepLower:
        case Class::Step: return {7, "Breakpoint"};
        default: return {1, "Undefined Instruction"};
    }
}

bool has_address(uint32_t esr) {
    const Name name = name_of(a64::ExceptionKind::Synchronous, esr);
    return name.number == 3 || name.number == 4;
}

}  // namespace

void CpuTrace::exception(const a64::Cpu& cpu, a64::ExceptionKind kind, unsigned from_el) {
    const uint32_t esr = static_cast<uint32_t>(cpu.registers.esr);
    const Name name = name_of(kind, esr);
    std::string text = fmt::format("Taking exception {} [{}] on CPU {}\n...from EL{} to EL{}\n", name.number,
                                   name.name, cpu.config.index, from_el, cpu.el);
    if (kind == a64::ExceptionKind::Synchronous || kind == a64::ExceptionKind::SError) {
        text += fmt::format("...with ESR {:#x}/{:#x}\n", static_cast<uint32_t>(a64::syndrome::class_of(esr)),
                            esr);
        if (has_address(esr)) text += fmt::format("...with FAR {:#x}\n", cpu.registers.far);
    }
    text += fmt::format("...with ELR {:#x}\n...to EL{} PC {:#x} PSTATE {:#x}\n", cpu.state.elr_el1, cpu.el,
                        cpu.state.pc, a64::pstate_to_spsr(cpu));
    const std::lock_guard guard(lock_);
    fmt::print(file_, "{}", text);
}

void CpuTrace::exception_return(const a64::Cpu& cpu, unsigned from_el) {
    const std::lock_guard guard(lock_);
    fmt::print(file_, "Exception return from AArch64 EL{} to AArch64 EL{} PC {:#x}\n", from_el, cpu.el,
               cpu.state.pc);
}

void CpuTrace::print_hypervisor_call(const a64::Cpu& cpu, uint32_t imm16) {
    const uint32_t esr = a64::syndrome::hvc(imm16);
    const std::lock_guard guard(lock_);
    fmt::print(
        file_,
        "Taking exception 11 [Hypervisor Call] on CPU {}\n...from EL{} to EL2\n...with ESR {:#x}/{:#x}\n"
        "...handled as PSCI call\n",
        cpu.config.index, cpu.el, static_cast<uint32_t>(a64::syndrome::class_of(esr)), esr);
}

void CpuTrace::print_mmu(const frontend::a64::Cpu& cpu, const char* what, uint64_t va, unsigned asid,
                         uint64_t detail) {
    const std::lock_guard guard(lock_);
    fmt::print(file_, "cpu {} mmu {} va {:#x} asid {:#x} {:#x} pc {:#x}\n", cpu.config.index, what, va, asid,
               detail, cpu.state.page_base);
}

void CpuTrace::print_fastmem_fault(const frontend::a64::Cpu& cpu, const void* host_pc) {
    const std::string text = jit::disassemble({static_cast<const uint8_t*>(host_pc), kMaxInstructionBytes});
    const std::lock_guard guard(lock_);
    fmt::print(file_, "cpu {} mmu window fault pc {:#x} host {} {}\n", cpu.config.index, cpu.state.page_base,
               host_pc, text.substr(0, text.find('\n')));
}

}  // namespace arclight::guestos
