// Which SCSI host a SCSI device is behind.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>

#include "guestos/options.h"

namespace arclight::guestos {

/// The host of that id, or for "scsi.N", as QEMU names them, the Nth of those without an id; the first one for a device that names none.
/// Null: there is none.
inline const DeviceOptions* scsi_host_of(std::span<const DeviceOptions> all, const DeviceOptions& device) {
    unsigned unnamed = 0;
    for (const DeviceOptions& one : all) {
        if (one.request.name != "virtio-scsi") continue;
        const std::string name = one.id.empty() ? fmt::format("scsi.{}", unnamed++) : one.id;
        if (device.scsi.host.empty() || device.scsi.host == name) return &one;
    }
    return nullptr;
}

}  // namespace arclight::guestos
