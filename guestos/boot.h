// Loads kernel, initrd and device tree into RAM and returns the start state of the first CPU. The addresses are those of
// QEMU's virt board.
#pragma once

#include <cstdint>

#include "devices/bus.h"
#include "guestos/device_tree.h"
#include "guestos/image.h"
#include "guestos/options.h"
#include "guestos/ram.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// What was loaded, as physical addresses. x1 to x3 of the first CPU are zero.
struct BootState {
    LoadedKernel kernel;
    uint64_t entry;  ///< first PC
    uint64_t x0;     ///< the address of the device tree for Linux, 0 for an ELF
    uint64_t initrd_start = 0;
    uint64_t initrd_end = 0;
    uint64_t dtb_start = 0;
    Bytes dtb;
};

/// Loads the files that the options name. The device tree describes the devices on the bus.
Result<BootState> load_guest(const RunOptions& options, Ram ram, const devices::Bus& bus);

}  // namespace arclight::guestos
