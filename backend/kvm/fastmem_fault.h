// A fault that translated code has in a fastmem, taken to C++ and back without leaving the virtual machine.
#pragma once

#include <cstdint>

namespace Xbyak {
class CodeGenerator;
}

namespace arclight::backend::kvm {

/// What ring 0 says of a fault, and what is kept while it is handled.
struct FastmemFault {
    uint64_t host_pc;
    uint64_t address;  ///< CR2, of a page fault
    uint64_t resume;   ///< where ring 3 goes on
    uint64_t rsp;      ///< of translated code
    uint32_t mxcsr;    ///< of the handler
};

/// Where to go on after a fault of translated code, at the instruction itself or elsewhere with the same
/// registers. Called on the thread that had it. `address` is what CR2 holds, which says nothing unless it was
/// a page fault.
using FastmemFaultFn = const void* (*)(const void* host_pc, uint64_t address);

/// Code for ring 3, jumped to with all registers of translated code: asks the handler where to go on. EFLAGS
/// need no keeping, they are dead at every access (backend/x64, prepare_access; jit/llvm/fastmem_lowering.cpp).
/// A region's rsp may be anything, with a red zone below it, and it may use whole YMM registers; with AVX-512
/// (jit/llvm/region_compiler.cpp says when) all 32 of them and the masks, which the C library uses too.
const uint8_t* emit_fastmem_fault(Xbyak::CodeGenerator& s, FastmemFault* cell, FastmemFaultFn handler);

}  // namespace arclight::backend::kvm
