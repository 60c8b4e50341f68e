// The device types that are disks, or have some behind them.
#pragma once

#include <vector>

#include "devices/device_factory.h"

namespace arclight::devices {

std::vector<DeviceType> disk_device_types();

}  // namespace arclight::devices
