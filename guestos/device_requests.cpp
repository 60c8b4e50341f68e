#include "guestos/device_requests.h"

#include <fmt/format.h>

#include <filesystem>
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
                         {"cache", drive.cache},
                         {"aio", drive.aio},
                         {"discard", drive.discard},
                         {"detect-zeroes", drive.detect_zeroes},
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

void add_share(RunOptions& options, const ShareOptions& share) {
    const std::string tag = share.tag.empty() ? fmt::format("share{}", options.shares.size()) : share.tag;
    std::error_code error;
    // "." and names that end in a slash have one too.
    const std::string name =
        (std::filesystem::absolute(share.directory, error) / "").lexically_normal().parent_path().filename();
    options.devices.push_back({.request = {"virtio-9p",
                                           {{"path", share.directory},
                                            {"tag", tag},
                                            {"security_model", share.security_model},
                                            {"readonly", share.readonly ? "on" : "off"},
                                            {"multidevs", share.multidevs}}},
                               .address = {},
                               .id = {}});
    options.shares.push_back({.tag = tag,
                              .mount_point = share.mount_point.empty() ? "/mnt/" + name : share.mount_point,
                              .readonly = share.readonly});
}

}  // namespace arclight::guestos
