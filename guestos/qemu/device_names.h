// Names of devices as -device has them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/options.h"

namespace arclight::guestos::qemu {

/// A device of QEMU's that is here.
struct DeviceName {
    std::string name;     ///< virtio-blk-pci
    std::string factory;  ///< the device factory's name for it
    DeviceBus bus;
    std::string alias;  ///< empty: none
};

/// Of all devices that the factory has and QEMU too.
const std::vector<DeviceName>& device_names();
/// By name or alias. Null: it is not here.
const DeviceName* find_device_name(std::string_view name);
/// Why a device that QEMU has is not here; empty: QEMU 7.2 has none of that name for the board either.
std::string_view why_no_device(std::string_view name);

}  // namespace arclight::guestos::qemu
