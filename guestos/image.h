// Kernel loading: arm64 Linux Image (plain or gzip) and bare-metal AArch64 ELF, placed as QEMU's virt board
// does.
#pragma once

#include <cstdint>
#include <filesystem>

#include "guestos/file.h"
#include "guestos/ram.h"
#include "guestos/result.h"

namespace arclight::guestos {

struct LoadedKernel {
    uint64_t entry;  // physical address of the first instruction
    uint64_t low;    // the range the kernel occupies, .bss included
    uint64_t end;
    bool is_linux;  // takes the DTB address in x0; an ELF finds the DTB at the start of RAM instead
};

Result<LoadedKernel> load_kernel(const std::filesystem::path& path, Ram ram);

// The same for a file already in memory; `name` is for messages.
Result<LoadedKernel> load_kernel_bytes(const std::string& name, Bytes file, Ram ram);

}  // namespace arclight::guestos
