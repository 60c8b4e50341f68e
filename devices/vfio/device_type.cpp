#include "devices/vfio/device_type.h"

#include <algorithm>
#include <utility>

#include "devices/vfio/function.h"
#include "devices/vfio/host_device.h"

namespace arclight::devices::vfio {

namespace {

Result<std::string> find_address(std::string_view host, std::string_view directory) {
    if (host.empty() == directory.empty())
        return failure("host=ADDRESS says which device of the host's (or sysfsdev=DIRECTORY)");
    while (directory.ends_with('/')) directory.remove_suffix(1);
    const std::string_view text = host.empty() ? directory.substr(directory.rfind('/') + 1) : host;
    if (auto address = full_address(text)) return std::move(*address);
    return failure("'{}' is no PCI address, DDDD:BB:DD.F", text);
}

Result<NewDevice> make(const DeviceArguments& arguments, const DeviceContext& context) {
    const auto address = find_address(arguments.text("host"), arguments.text("sysfsdev"));
    if (!address) return std::unexpected(address.error());
    if (context.memory == nullptr) return failure("it is a PCI device: bus=pci");
    const auto device = context.host_devices.find(*address);
    if (device == context.host_devices.end()) return failure("{} is not open", *address);
    auto function = Function::make(device->second, context.loop, *context.memory, context.host);
    if (!function) return failure("{}: {}", *address, function.error());
    return std::move(*function);
}

}  // namespace

Result<std::string> address_of(const DeviceRequest& request) {
    const auto value = [&](std::string_view name) -> std::string_view {
        const auto found =
            std::ranges::find(request.options, name, [](const auto& option) { return option.first; });
        return found != request.options.end() ? std::string_view(found->second) : std::string_view();
    };
    return find_address(value("host"), value("sysfsdev"));
}

DeviceType vfio_pci() {
    return {.name = std::string(kVfioPci),
            .summary = "PCI device of the host's (VFIO), on PCI",
            .options = {{.name = "host", .help = "its address there, DDDD:BB:DD.F or BB:DD.F", .preset = ""},
                        {.name = "sysfsdev",
                         .help = "its directory there instead, /sys/bus/pci/devices/DDDD:BB:DD.F",
                         .preset = ""}},
            .linux_module = "",
            .paths = nullptr,
            .make = make};
}

}  // namespace arclight::devices::vfio
