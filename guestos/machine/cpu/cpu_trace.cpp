#include "guestos/machine/cpu/cpu_trace.h"

#include <fmt/format.h>

#include <string>

#include "jit/host_code.h"

namespace arclight::guestos {

namespace {
constexpr size_t kMaxInstructionBytes = 15;  // x86-64
}

void CpuTrace::print_exception(const frontend::a64::Cpu& cpu, const char* what) {
    const std::lock_guard guard(lock_);
    fmt::print(file_, "cpu {} {} -> pc {:#x} el {} elr {:#x} esr {:#x} far {:#x} spsr {:#x}\n",
               cpu.config.index, what, cpu.state.pc, cpu.el, cpu.state.elr_el1, cpu.registers.esr,
               cpu.registers.far, cpu.state.spsr_el1);
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
