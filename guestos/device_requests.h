// Disks, networks and others in the words of the device factory: what the command lines put into RunOptions.
#pragma once

#include <span>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

DeviceOptions disk_device(const DriveOptions& drive);
/// `nth`: how many networks were there before; their default addresses are one after the other.
DeviceOptions network_device(const NetOptions& network, unsigned nth);
/// A balloon that gives the host what the guest has free, and back to the guest what it is short of.
DeviceOptions balloon_device(DeviceBus bus);
DeviceOptions entropy_device(DeviceBus bus = DeviceBus::Mmio);

/// What the request says of an option; empty: nothing.
std::string value_of(const devices::DeviceRequest& request, std::string_view option);

/// Whether devices of this name are disks: their requests have the options of disk_device().
bool is_disk(std::string_view name);

/// Takes what says where a device is, and not what it is, from the options of a request: bus=mmio, bus=pci or bus=ID (of a root
/// port); addr=DEVICE[.FUNCTION], hexadecimal on PCI as in QEMU; id; and of virtio over PCI disable-legacy, disable-modern and vectors. An
/// error is one line for the user.
Result<DeviceOptions> placed_device(devices::DeviceRequest request);

/// Appends disks, the first of which is to be /dev/vda: Linux looks into virtio-mmio slots from the lowest on, and places are
/// given from the highest on; on PCI both go up.
void add_disks(RunOptions& options, std::span<const DriveOptions> drives, DeviceBus bus = DeviceBus::Mmio);
/// Appends a CD-ROM drive with this image, and a SCSI host for it if there is none yet.
void add_cdrom(RunOptions& options, const std::string& file, DeviceBus bus = DeviceBus::Mmio);
/// Appends the network, named if it has no name, and its device.
void add_network(RunOptions& options, NetOptions network, DeviceBus bus = DeviceBus::Mmio);

/// `--share`, in the words of the device's options.
struct ShareOptions {
    std::string directory;
    std::string mount_point;  ///< empty: /mnt and the directory's own name
    std::string tag;          ///< empty: share0 and those after it
    bool virtiofs = false;    ///< a virtiofsd serves it, which knows nothing of the next two words
    std::string security_model = "mapped-xattr";
    std::string multidevs = "remap";
    bool readonly = false;
};
/// Appends the device, and what the default guest mounts of it.
void add_share(RunOptions& options, const ShareOptions& share, DeviceBus bus = DeviceBus::Mmio);

}  // namespace arclight::guestos
