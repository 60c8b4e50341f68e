#include "guestos/qemu/ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "devices/virtio/console.h"
#include "guestos/qemu/keys.h"

namespace arclight::guestos::qemu {

namespace {

using devices::virtio::Console;
constexpr std::string_view kDevice = "virtio-serial";

/// The device that the port is of: the one that bus=ID.0 names, or, as in QEMU, the last one so far. Null: there is none.
DeviceOptions* find_device(Translation& t, const std::string& bus) {
    for (DeviceOptions& device : t.out.devices | std::views::reverse) {
        if (device.request.name != kDevice) continue;
        if (bus.empty() || bus == device.id + ".0" || (device.id.empty() && bus == "virtio-serial-bus.0"))
            return &device;
    }
    return nullptr;
}

}  // namespace

bool is_port(std::string_view driver) { return driver == "virtconsole" || driver == "virtserialport"; }

Result<void> add_port(Translation& t, const Given& given) {
    Keys keys(given);
    const std::string driver = keys.text("driver"), bus = keys.text("bus");
    keys.ignore({"id"});
    Console::PortOptions port{
        .console = driver == "virtconsole", .chardev = keys.text("chardev"), .name = keys.text("name")};
    const auto number = keys.number("nr");
    if (const auto known = keys.finish(); !known) return known;
    DeviceOptions* device = find_device(t, bus);
    if (device == nullptr)
        return failure("{}: {}", given.origin,
                       bus.empty() ? fmt::format("No 'virtio-serial-bus' bus found for device '{}'", driver)
                                   : fmt::format("Bus '{}' not found", bus));
    if (port.chardev.empty()) {
        // Nobody listens.
        port.chardev = fmt::format("port{}", t.out.chardevs.size());
        t.out.chardevs.push_back({.id = port.chardev, .kind = ChardevOptions::Kind::Null});
    } else if (std::ranges::count(t.out.chardevs, port.chardev, &ChardevOptions::id) == 0) {
        return failure("{}: Property '{}.chardev' can't find value '{}'", given.origin, driver, port.chardev);
    }
    if (port.name.contains(';') || port.name.size() > Console::kMaxName)
        return failure("{}: '{}' is no port's name", given.origin, port.name);
    auto& options = device->request.options;
    const auto text = std::ranges::find(options, "ports", &std::pair<std::string, std::string>::first);
    auto ports = Console::parse_ports(text != options.end() ? text->second : "");
    if (!ports) return failure("{}: {}", given.origin, ports.error());
    const auto taken = [&](unsigned one) {
        return std::ranges::count(*ports, one, &Console::PortOptions::number) != 0;
    };
    // Number 0 is a console's.
    port.number = port.console && !taken(0) ? 0 : 1;
    while (!number && taken(port.number)) ++port.number;
    if (number) port.number = static_cast<unsigned>(std::min<uint64_t>(*number, Console::kMaxPorts));
    if (port.number >= Console::kMaxPorts)
        return failure("{}: more than {} ports", given.origin, Console::kMaxPorts);
    if (taken(port.number))
        return failure("{}: virtio-serial-bus: A port already exists at id {}", given.origin, port.number);
    if (port.number == 0 && !port.console)
        return failure(
            "{}: Port number 0 on virtio-serial devices reserved for virtconsole devices for backward "
            "compatibility",
            given.origin);
    ports->push_back(std::move(port));
    if (text != options.end())
        text->second = Console::ports_text(*ports);
    else
        options.emplace_back("ports", Console::ports_text(*ports));
    return {};
}

}  // namespace arclight::guestos::qemu
