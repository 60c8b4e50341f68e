// A fastmem fault of translated code: calls C++ and returns without leaving the virtual machine.
#pragma once

#include <cstdint>

namespace Xbyak {
class CodeGenerator;
}

namespace arclight::backend::kvm {

/// What ring 0 reports of a fault, and what is saved while it is handled.
struct FastmemFault {
    uint64_t host_pc;
    uint64_t address;  ///< CR2; valid for a page fault only
    uint64_t resume;   ///< where ring 3 continues
    uint64_t rsp;      ///< rsp of translated code
    uint32_t mxcsr;    ///< MXCSR for the handler
};

/// Returns where translated code continues after a fault: at the same instruction or elsewhere, with the same
/// registers. Runs on the thread that faulted. `address` is CR2, which is meaningful for a page fault only.
using FastmemFaultFn = const void* (*)(const void* host_pc, uint64_t address);

/// Emits code for ring 3 that is entered with all registers of translated code, calls the handler, and jumps
/// to the address that it returns. EFLAGS are not saved, because they are dead at every access (backend/x64,
/// prepare_access; jit/llvm/fastmem_lowering.cpp). The rsp of a region may have any alignment and a red zone
/// below it. A region may use all YMM registers; with AVX-512 (jit/llvm/region_compiler.cpp) all 32 of them
/// and the mask registers, as the C library does.
const uint8_t* emit_fastmem_fault(Xbyak::CodeGenerator& s, FastmemFault* cell, FastmemFaultFn handler);

}  // namespace arclight::backend::kvm
