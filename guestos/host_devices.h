// Devices of the host's that are given to the guest: -device vfio-pci. They are opened before the sandbox is entered.
#pragma once

#include "devices/vfio/system.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Opens what `options.devices` name into `options.host_devices`, and refuses what cannot be beside such a device. An error is one
/// line for the user.
Result<void> open_host_devices(RunOptions& options, const devices::vfio::System& system = {});

}  // namespace arclight::guestos
