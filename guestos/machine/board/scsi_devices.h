// What is behind the board's SCSI hosts.
#pragma once

#include <vector>

#include "devices/device_factory.h"
#include "devices/virtio/transport.h"
#include "guestos/machine/board/boot_order.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Whether each SCSI device has a host. An error is one line for the user.
Result<void> check_scsi_devices(const std::vector<DeviceOptions>& wanted);

/// Makes and attaches the SCSI devices of `wanted` whose host `host` is, which was made of `device`. Nothing if it is no SCSI host. An error
/// is one line for the user.
Result<void> attach_scsi_devices(devices::virtio::Backend& host, const DeviceOptions& device,
                                 const std::vector<DeviceOptions>& wanted,
                                 const devices::DeviceFactory& factory, const devices::DeviceContext& context,
                                 BootOrder& order);

}  // namespace arclight::guestos
