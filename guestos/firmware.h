// What firmware finds in QEMU's firmware configuration device.
#pragma once

#include "devices/firmware/fw_cfg.h"
#include "guestos/kernel_file.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Fills the device with what the options ask for. Kernel, initial RAM disk, command line, ACPI and SMBIOS tables are there for
/// firmware, which starts the kernel or passes the tables on: `kernel` is null without one. `boot_order`: paths of devices with
/// line feeds between them (BootOrder); empty: firmware's own. An error is one line for the user.
Result<void> fill_fw_cfg(devices::FwCfg& fw_cfg, const RunOptions& options, const KernelFile* kernel,
                         const std::string& boot_order = {});

}  // namespace arclight::guestos
