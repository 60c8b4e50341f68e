// Puts a kernel into RAM, at the addresses that QEMU's virt board uses.
#pragma once

#include <cstdint>

#include "guestos/kernel_file.h"
#include "guestos/ram.h"
#include "mmu/result.h"

namespace arclight::guestos {

struct LoadedKernel {
    uint64_t entry;  ///< physical address of the first instruction
    uint64_t low;    ///< start of the range that the kernel occupies, .bss included
    uint64_t end;
    KernelKind kind;
};

/// ID_AA64MMFR0_EL1 of the machine's CPUs, which says what page sizes they have.
uint64_t default_mmfr0();

/// A Linux kernel that was built for pages that `mmfr0` does not announce is refused: it would hang without a word.
Result<LoadedKernel> load_kernel(const KernelFile& kernel, Ram ram, uint64_t mmfr0 = default_mmfr0());

}  // namespace arclight::guestos
