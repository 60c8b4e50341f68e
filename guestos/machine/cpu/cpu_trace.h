// Traces of what virtual CPUs do: exceptions, translations.
#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"

namespace arclight::guestos {

/// Any virtual CPU's thread. Costs a test of one flag where nothing is traced.
class CpuTrace {
  public:
    struct Options {
        bool exceptions = false, mmu = false;
    };

    CpuTrace() = default;
    /// `file` is the caller's, open as long as CPUs run.
    CpuTrace(Options options, std::FILE* file) : options_(options), file_(file) {}

    bool exceptions() const { return options_.exceptions; }
    /// In the form of QEMU's `-d int`. The exception has been taken, or returned from.
    void exception(const frontend::a64::Cpu& cpu, frontend::a64::ExceptionKind kind, unsigned from_el);
    void exception_return(const frontend::a64::Cpu& cpu, unsigned from_el);
    /// Before firmware answers it.
    void hypervisor_call(const frontend::a64::Cpu& cpu, uint32_t imm16) {
        if (options_.exceptions && cpu.el != 0) print_hypervisor_call(cpu, imm16);
    }
    /// `detail`: the physical address of a walk, a fault status code, or the kind of a TLBI.
    void mmu(const frontend::a64::Cpu& cpu, const char* what, uint64_t va, unsigned asid, uint64_t detail) {
        if (options_.mmu) print_mmu(cpu, what, va, asid, detail);
    }
    void fastmem_fault(const frontend::a64::Cpu& cpu, const void* host_pc) {
        if (options_.mmu) print_fastmem_fault(cpu, host_pc);
    }

  private:
    void print_hypervisor_call(const frontend::a64::Cpu& cpu, uint32_t imm16);
    void print_mmu(const frontend::a64::Cpu& cpu, const char* what, uint64_t va, unsigned asid,
                   uint64_t detail);
    void print_fastmem_fault(const frontend::a64::Cpu& cpu, const void* host_pc);

    const Options options_;
    std::FILE* const file_ = nullptr;
    std::mutex lock_;
};

}  // namespace arclight::guestos
