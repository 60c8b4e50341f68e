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

/// A model of network adapter that is not here. Guests that have drivers for it have one for virtio-net, which stands in its place.
bool is_other_adapter(std::string_view name);

/// Devices of QEMU's that are not here.
struct AbsentDevice {
    std::string_view prefix;  ///< of their names
    std::string_view why;
    /// Taken with a line, as the guest does without: it is for a person in front of a display, or another way to what is there.
    /// What carries data or a connection, or is what a test is about, is refused.
    bool dispensable = false;
};
/// Null: QEMU has none of that name for the board either.
const AbsentDevice* find_absent_device(std::string_view name);

}  // namespace arclight::guestos::qemu
