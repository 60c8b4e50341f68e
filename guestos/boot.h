// Loads kernel, initrd and device tree into RAM and returns the start state of the first CPU. The addresses are those of
// QEMU's virt board.
#pragma once

#include <cstdint>

#include "devices/bus.h"
#include "guestos/device_tree.h"
#include "guestos/image.h"
#include "guestos/options.h"
#include "guestos/ram.h"
#include "guestos/semihosting.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// What was loaded, as physical addresses. x1 to x3 of the first CPU are zero.
struct BootState {
    LoadedKernel kernel;  ///< all zero with firmware
    uint64_t entry;       ///< first PC
    uint64_t x0;          ///< the address of the device tree; 0 for an ELF and for firmware
    uint64_t initrd_start = 0;
    uint64_t initrd_end = 0;
    uint64_t dtb_start = 0;
    Bytes dtb;

    /// Of the RAM that is given: where neither kernel, initrd nor device tree lie. Whole pages.
    Semihosting::Heap largest_free_range(uint64_t ram_base, uint64_t ram_size) const;
};

/// The options with what they leave open, by the kernel's kind: a Linux Image gets GICv3 and virtio 1; bare-metal programs
/// get what QEMU's virt board has unless it is told otherwise, GICv2 and legacy virtio.
RunOptions complete_options(RunOptions options, KernelKind kind);

/// What the kernel is to find as initial RAM disk: the file, and the default guest's session behind it.
Result<Bytes> read_initrd(const RunOptions& options, uint64_t memory);

/// For a machine that starts in its flash: the device tree is at the start of RAM, where firmware for QEMU's virt board looks
/// for it. Kernel and initial RAM disk are firmware's to load (guestos/firmware.h).
Result<BootState> load_firmware_guest(const RunOptions& options, Ram ram, const devices::Bus& bus);

/// Loads the kernel and the files that the options name. The device tree describes the devices on the bus.
Result<BootState> load_guest(const RunOptions& options, const KernelFile& file, Ram ram,
                             const devices::Bus& bus);

}  // namespace arclight::guestos
