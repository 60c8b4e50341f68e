#include "guestos/machine/board/scsi_devices.h"

#include <memory>
#include <utility>
#include <variant>

#include "devices/virtio/scsi.h"
#include "guestos/scsi_host.h"

namespace arclight::guestos {

Result<void> check_scsi_devices(const std::vector<DeviceOptions>& wanted) {
    for (const DeviceOptions& one : wanted) {
        if (one.bus != DeviceBus::Scsi || scsi_host_of(wanted, one) != nullptr) continue;
        if (one.scsi.host.empty())
            return failure("device {}: there is no SCSI host (virtio-scsi)", one.request.name);
        return failure("device {}: there is no SCSI host '{}'", one.request.name, one.scsi.host);
    }
    return {};
}

Result<void> attach_scsi_devices(devices::virtio::Backend& host, const DeviceOptions& device,
                                 const std::vector<DeviceOptions>& wanted,
                                 const devices::DeviceFactory& factory, const devices::DeviceContext& context,
                                 BootOrder& order) {
    auto* const scsi = dynamic_cast<devices::virtio::Scsi*>(&host);
    if (scsi == nullptr) return {};
    for (const DeviceOptions& one : wanted) {
        if (one.bus != DeviceBus::Scsi || scsi_host_of(wanted, one) != &device) continue;
        auto made = factory.make(one.request, context);
        if (!made) return std::unexpected(made.error());
        auto* const unit = std::get_if<std::unique_ptr<devices::scsi::Unit>>(&*made);
        if (unit == nullptr) return failure("'{}' is not a SCSI device", one.request.name);
        const auto place = scsi->attach(one.scsi.target, one.scsi.lun, std::move(*unit));
        if (!place) return failure("device {}: {}", one.request.name, place.error());
        order.add_behind(device, one, fmt::format("/channel@0/disk@{:x},{:x}", place->target, place->lun));
    }
    return {};
}

}  // namespace arclight::guestos
