// Disk images that QEMU's block layer opens for this process: formats other than raw, and raw ones by ways that only it has
// (O_DIRECT, asynchronous requests of the kernel's). A `qemu-nbd` serves each, started before the sandbox is entered.
#pragma once

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Starts the servers of the disks that want one and connects to them: RunOptions::images. They end with the connections. An
/// error is one line for the user.
Result<void> open_images(RunOptions& options);

}  // namespace arclight::guestos
