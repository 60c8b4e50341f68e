// Kernel loading: arm64 Linux Image (plain or gzip; Linux Documentation/arm64/booting.rst) and bare-metal AArch64 ELF, at
// the addresses that QEMU's virt board uses.
#pragma once

#include <cstdint>
#include <filesystem>

#include "guestos/file.h"
#include "guestos/ram.h"
#include "mmu/result.h"

namespace arclight::guestos {

struct LoadedKernel {
    uint64_t entry;  ///< physical address of the first instruction
    uint64_t low;    ///< start of the range that the kernel occupies, .bss included
    uint64_t end;
    bool is_linux;  ///< it takes the DTB address in x0; an ELF finds the DTB at the start of RAM
};

Result<LoadedKernel> load_kernel(const std::filesystem::path& path, Ram ram);

/// The same for a file already in memory; `name` is for messages.
Result<LoadedKernel> load_kernel_bytes(const std::string& name, Bytes file, Ram ram);

}  // namespace arclight::guestos
