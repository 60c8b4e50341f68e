#pragma once

#include <string>
#include <string_view>

#include "devices/device_factory.h"

namespace arclight::devices::vfio {

inline constexpr std::string_view kVfioPci = "vfio-pci";

DeviceType vfio_pci();

/// The full address of the device of the host's that such a request names, under which DeviceContext::host_devices has it. An error is
/// one line for the user.
Result<std::string> address_of(const DeviceRequest& request);

}  // namespace arclight::devices::vfio
