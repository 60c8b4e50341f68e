#include "guestos/device_requests.h"

#include <fmt/format.h>

#include <ranges>
#include <utility>

#include "devices/virtio/net.h"

namespace arclight::guestos {

DeviceOptions disk_device(const DriveOptions& drive) {
    const auto on_off = [](bool on) { return on ? "on" : "off"; };
    return {.request = {"virtio-blk",
                        {{"file", drive.file},
                         {"format", drive.format},
                         {"readonly", on_off(drive.readonly)},
                         {"snapshot", on_off(drive.snapshot)},
                         {"serial", drive.serial},
                         {"werror", drive.werror},
                         {"rerror", drive.rerror},
                         {"locking", drive.locking},
                         {"record", drive.record}}},
            .address = {},
            .id = {}};
}

DeviceOptions network_device(const NetOptions& network, unsigned nth) {
    devices::virtio::MacAddress mac = devices::virtio::Net::Options().mac;
    mac.back() = static_cast<uint8_t>(mac.back() + nth);
    return {.request = {"virtio-net",
                        {{"network", network.id},
                         {"mac", network.mac.empty() ? devices::virtio::format_mac(mac) : network.mac},
                         {"mtu", fmt::format("{}", network.mtu)}}},
            .address = {},
            .id = {}};
}

DeviceOptions entropy_device() { return {.request = {"virtio-rng", {}}, .address = {}, .id = {}}; }

void add_disks(RunOptions& options, std::span<const DriveOptions> drives) {
    for (const DriveOptions& drive : std::views::reverse(drives))
        options.devices.push_back(disk_device(drive));
}

void add_network(RunOptions& options, NetOptions network) {
    const auto nth = static_cast<unsigned>(options.networks.size());
    if (network.id.empty()) network.id = fmt::format("net{}", nth);
    options.devices.push_back(network_device(network, nth));
    options.networks.push_back(std::move(network));
}

}  // namespace arclight::guestos
