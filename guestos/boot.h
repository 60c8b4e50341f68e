// Puts kernel, initrd and device tree into RAM and says how the first CPU starts. Places are QEMU's, so that
// whatever boots on its virt board finds the same.
#pragma once

#include <cstdint>

#include "devices/bus.h"
#include "guestos/device_tree.h"
#include "guestos/image.h"
#include "guestos/options.h"
#include "guestos/ram.h"
#include "guestos/result.h"

namespace arclight::guestos {

struct BootState {
    LoadedKernel kernel;
    uint64_t entry;  // first PC
    uint64_t x0;     // the DTB's address for Linux, 0 for an ELF; x1 to x3 are zero
    uint64_t initrd_start = 0;
    uint64_t initrd_end = 0;
    uint64_t dtb_start = 0;
    Bytes dtb;
};

Result<BootState> load_guest(const RunOptions& options, Ram ram, const devices::Bus& bus);

}  // namespace arclight::guestos
