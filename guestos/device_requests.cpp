#include "guestos/device_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "devices/vfio/device_type.h"
#include "devices/virtio/net.h"
#include "guestos/scsi_host.h"

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
                         {"mtu", fmt::format("{}", network.mtu)},
                         {"queues", fmt::format("{}", network.queue_pairs)}}},
            .address = {},
            .id = {}};
}

DeviceOptions balloon_device(DeviceBus bus) {
    return {.request = {"virtio-balloon", {{"deflate-on-oom", "on"}, {"free-page-reporting", "on"}}},
            .bus = bus,
            .address = {},
            .id = {}};
}

std::string value_of(const devices::DeviceRequest& request, std::string_view option) {
    for (const auto& [name, value] : request.options)
        if (name == option) return value;
    return {};
}

bool is_disk(std::string_view name) {
    constexpr std::string_view kDisks[] = {"virtio-blk", "scsi-hd", "scsi-cd", "nvme"};
    return std::ranges::find(kDisks, name) != std::end(kDisks);
}

DeviceOptions entropy_device(DeviceBus bus) {
    return {.request = {"virtio-rng", {}}, .bus = bus, .address = {}, .id = {}};
}

namespace {

std::optional<unsigned> number(std::string_view text, int base) {
    if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<DeviceOptions> placed_device(devices::DeviceRequest request) {
    DeviceOptions device;
    std::optional<std::string> address;
    const bool scsi = request.name.starts_with("scsi-");
    if (scsi) device.bus = DeviceBus::Scsi;
    if (request.name == devices::vfio::kVfioPci) device.bus = DeviceBus::Pci;
    const auto wrong = [&](std::string_view option, const std::string& value) {
        return failure("device {}: {} '{}' is not known", request.name, option, value);
    };
    std::vector<std::pair<std::string, std::string>> own;
    for (auto& [option, value] : request.options) {
        if (option == "bootindex") {
            device.boot_index = number(value, 10);
            if (!device.boot_index) return wrong(option, value);
        } else if (scsi && option == "bus") {
            device.scsi.host = value;
        } else if (scsi && (option == "scsi-id" || option == "lun")) {
            const auto place = number(value, 10);
            if (!place) return wrong(option, value);
            if (option == "lun")
                device.scsi.lun = *place;
            else
                device.scsi.target = place;
        } else if (option == "bus") {
            device.bus = value == "mmio" ? DeviceBus::Mmio : DeviceBus::Pci;
            device.pci.port = value == "mmio" || value == "pci" || value == "pcie.0" ? std::string() : value;
        } else if (option == "addr") {
            address = value;
        } else if (option == "id") {
            device.id = value;
        } else if (option == "disable-legacy") {
            if (value != "on" && value != "off" && value != "auto") return wrong(option, value);
            device.pci.legacy = value == "auto" ? std::nullopt : std::optional(value == "off");
        } else if (option == "disable-modern") {
            if (value != "on" && value != "off") return wrong(option, value);
            device.pci.modern = value == "off";
        } else if (option == "vectors") {
            const auto vectors = number(value, 10);
            if (!vectors || *vectors == 0 || *vectors > devices::pci::Msix::kMaxVectors)
                return wrong(option, value);
            device.pci.vectors = *vectors;
        } else {
            own.emplace_back(std::move(option), std::move(value));
        }
    }
    if (address) {
        const bool pci = device.bus == DeviceBus::Pci;
        const std::string_view text(*address);
        const size_t dot = pci ? text.find('.') : std::string_view::npos;
        const auto slot = number(text.substr(0, dot), pci ? 16 : 10);
        const auto function =
            dot == std::string_view::npos ? std::optional(0u) : number(text.substr(dot + 1), 16);
        if (!slot || !function) return wrong("addr", *address);
        device.address = *slot;
        device.pci.function = *function;
    }
    request.options = std::move(own);
    device.request = std::move(request);
    return device;
}

void add_disks(RunOptions& options, std::span<const DriveOptions> drives, DeviceBus bus) {
    const size_t first = options.devices.size();
    for (const DriveOptions& drive : drives) {
        options.devices.push_back(disk_device(drive));
        options.devices.back().bus = bus;
    }
    if (bus == DeviceBus::Mmio)
        std::ranges::reverse(options.devices.begin() + static_cast<ptrdiff_t>(first), options.devices.end());
}

void add_cdrom(RunOptions& options, const std::string& file, DeviceBus bus) {
    DeviceOptions drive{.request = {"scsi-cd", {{"file", file}}}, .bus = DeviceBus::Scsi};
    if (scsi_host_of(options.devices, drive) == nullptr)
        options.devices.push_back({.request = {"virtio-scsi", {}}, .bus = bus});
    options.devices.push_back(std::move(drive));
}

void add_network(RunOptions& options, NetOptions network, DeviceBus bus) {
    const auto nth = static_cast<unsigned>(options.networks.size());
    if (network.id.empty()) network.id = fmt::format("net{}", nth);
    options.devices.push_back(network_device(network, nth));
    options.devices.back().bus = bus;
    options.chardevs.insert(options.chardevs.end(), network.chardevs.begin(), network.chardevs.end());
    options.networks.push_back(std::move(network));
}

void add_share(RunOptions& options, const ShareOptions& share, DeviceBus bus) {
    const std::string tag = share.tag.empty() ? fmt::format("share{}", options.shares.size()) : share.tag;
    std::error_code error;
    // "." and names that end in a slash have one too.
    const std::string name =
        (std::filesystem::absolute(share.directory, error) / "").lexically_normal().parent_path().filename();
    devices::DeviceRequest request{"virtio-9p",
                                   {{"path", share.directory},
                                    {"tag", tag},
                                    {"security_model", share.security_model},
                                    {"readonly", share.readonly ? "on" : "off"},
                                    {"multidevs", share.multidevs}}};
    if (share.virtiofs) request = {"vhost-user-fs", {{"directory", share.directory}, {"tag", tag}}};
    options.devices.push_back({.request = std::move(request), .bus = bus, .address = {}, .id = {}});
    options.shares.push_back({.tag = tag,
                              .mount_point = share.mount_point.empty() ? "/mnt/" + name : share.mount_point,
                              .readonly = share.readonly,
                              .virtiofs = share.virtiofs});
}

}  // namespace arclight::guestos
