// Disks, networks and others in the words of the device factory: what the command lines put into RunOptions.
#pragma once

#include <span>

#include "guestos/options.h"

namespace arclight::guestos {

DeviceOptions disk_device(const DriveOptions& drive);
/// `nth`: how many networks were there before; their default addresses are one after the other.
DeviceOptions network_device(const NetOptions& network, unsigned nth);
DeviceOptions entropy_device();

/// Appends disks, the first of which is to be /dev/vda: Linux looks into virtio-mmio slots from the lowest on, and places are
/// given from the highest on.
void add_disks(RunOptions& options, std::span<const DriveOptions> drives);
/// Appends the network, named if it has no name, and its device.
void add_network(RunOptions& options, NetOptions network);

}  // namespace arclight::guestos
