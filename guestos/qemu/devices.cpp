#include "guestos/qemu/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "devices/device_factory.h"
#include "devices/layout.h"
#include "devices/vhost_user/device_types.h"
#include "devices/vhost_user/kernel_vsock.h"
#include "devices/virtio/net.h"
#include "guestos/device_requests.h"
#include "guestos/qemu/device_names.h"
#include "guestos/qemu/device_properties.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/ports.h"
#include "guestos/qemu/vhost_user.h"
#include "guestos/scsi_host.h"

namespace arclight::guestos::qemu {

namespace {

using devices::DeviceType;

/// Replaces an option of the request, or adds it.
void set_option(devices::DeviceRequest& request, std::string_view key, std::string value) {
    const auto found = std::ranges::find(request.options, key, &std::pair<std::string, std::string>::first);
    if (found != request.options.end())
        found->second = std::move(value);
    else
        request.options.emplace_back(key, std::move(value));
}

Result<Drive*> find_drive(Translation& t, const std::string& id, const std::string& origin,
                          std::string_view driver) {
    for (auto* list : {&t.drives, &t.nodes}) {
        const auto found = std::ranges::find(*list, id, &Drive::id);
        if (found == list->end() || id.empty()) continue;
        if (found->used || found->interface == "virtio")
            return failure("{}: Drive '{}' is already in use by another device", origin, id);
        return &*found;
    }
    return failure("{}: Property '{}.drive' can't find value '{}'", origin, driver, id);
}

/// bus=virtio-mmio-bus.N is slot N.
void take_slot(Keys& keys, DeviceOptions& device) {
    constexpr std::string_view kBus = "virtio-mmio-bus.";
    const std::string bus = keys.text("bus");
    if (bus.empty()) return;
    const auto slot =
        bus.starts_with(kBus) ? parse_number(std::string_view(bus).substr(kBus.size())) : std::nullopt;
    if (slot && *slot < devices::layout::kVirtioSlots)
        device.address = static_cast<unsigned>(*slot);
    else
        keys.fail("Bus '{}' not found", bus);
}

/// bus=ID.0 of a SCSI host, which comes before, or the first one.
void take_scsi_place(const Translation& t, Keys& keys, const DeviceName& name, DeviceOptions& device) {
    const std::string bus = keys.text("bus");
    const bool named = bus.ends_with(".0") && !bus.starts_with("scsi.");
    device.scsi.host = named ? bus.substr(0, bus.size() - 2) : bus;
    if (const auto target = keys.number("scsi-id")) device.scsi.target = static_cast<unsigned>(*target);
    device.scsi.lun = static_cast<unsigned>(keys.number("lun").value_or(0));
    if (keys.number("channel").value_or(0) != 0) keys.fail("bad scsi channel id");
    if (scsi_host_of(t.out.devices, device) != nullptr) return;
    if (bus.empty())
        keys.fail("No 'SCSI' bus found for device '{}'", name.name);
    else
        keys.fail("Bus '{}' not found", bus);
}

/// On PCI: bus=pcie.0 or a root port's name, addr=DEVICE.FUNCTION, and how virtio shows itself.
Result<void> take_pci_place(Translation& t, Keys& keys, const DeviceName& name, DeviceOptions& device) {
    devices::DeviceRequest place{name.factory, {{"bus", "pci"}}};
    for (const char* key : {"addr", "disable-legacy", "disable-modern", "vectors"})
        if (const auto value = keys.optional_text(key)) {
            const auto on = parse_switch(*value);
            const bool is_switch = std::string_view(key).starts_with("disable");
            place.options.emplace_back(key, is_switch && on ? (*on ? "on" : "off") : *value);
        }
    const std::string bus = keys.text("bus", "pcie.0");
    auto placed = placed_device(std::move(place));
    if (!placed) {
        keys.fail("{}", placed.error());
        return {};
    }
    device.bus = placed->bus;
    device.address = placed->address;
    device.pci = placed->pci;
    if (name.name.ends_with("-non-transitional"))
        device.pci.legacy = false;
    else if (name.name.ends_with("-transitional"))
        device.pci.legacy = true;
    if (bus == "pcie.0") return {};
    const bool is_port = std::ranges::any_of(t.out.devices, [&](const DeviceOptions& one) {
        return one.id == bus && one.request.name == "pcie-root-port";
    });
    if (is_port)
        device.pci.port = bus;
    else
        keys.fail("Bus '{}' not found", bus);
    return {};
}

/// The properties that refer to something else on the command line.
Result<void> take_references(Translation& t, Keys& keys, const Given& given, const DeviceName& name,
                             DeviceOptions& device) {
    if (is_disk(name.factory)) {
        const auto id = keys.optional_text("drive");
        if (!id && name.factory == "scsi-cd") return {};  // an empty drive
        if (!id) return failure("{}: drive property not set", given.origin);
        auto drive = find_drive(t, *id, given.origin, name.name);
        if (!drive) return std::unexpected(drive.error());
        (*drive)->used = true;
        device.request.options = disk_device((*drive)->options).request.options;
        const bool scsi = name.bus == DeviceBus::Scsi;
        if (name.factory == "scsi-cd") set_option(device.request, "readonly", "on");
        // As QEMU, by the name that -drive gives.
        if (scsi && (*drive)->options.serial.empty() && !(*drive)->node)
            set_option(device.request, "device_id", *id);
    } else if (is_vhost_user(name.factory)) {
        const auto id = keys.optional_text("chardev");
        if (!id) return failure("{}: missing chardev", given.origin);
        return take_daemon(t, given.origin, *id, device.request);
    } else if (name.factory == "virtio-net") {
        const auto id = keys.optional_text("netdev");
        if (!id)
            return failure("{}: netdev property not set: an adapter without a network is not there",
                           given.origin);
        const auto daemon = t.daemon_networks.find(*id);
        if (daemon == t.daemon_networks.end() &&
            std::ranges::count(t.out.networks, *id, &NetOptions::id) == 0)
            return failure("{}: Property '{}.netdev' can't find value '{}'", given.origin, name.name, *id);
        const std::string mac = keys.text("mac");
        if (!mac.empty())
            if (const auto good = devices::virtio::parse_mac(mac); !good)
                return failure("{}: {}", given.origin, good.error());
        add_network_device(t, *id, mac, name.bus);
        device.request = t.out.devices.back().request;
        t.out.devices.pop_back();
        if (daemon != t.daemon_networks.end()) {
            auto& request = device.request;
            request.name = "vhost-user-net";
            std::erase_if(request.options, [](const auto& option) { return option.first == "network"; });
            if (auto taken = take_daemon(t, given.origin, daemon->second.chardev, request); !taken)
                return taken;
        }
        if (const auto mtu = keys.optional_text("host_mtu")) set_option(device.request, "mtu", *mtu);
    } else if (name.factory == "virtio-9p") {
        const auto id = keys.optional_text("fsdev"), tag = keys.optional_text("mount_tag");
        const auto share = std::ranges::find(t.shares, id.value_or(""), &Share::id);
        if (!id || share == t.shares.end())
            return failure("{}: 9pfs device couldn't find fsdev with the id = {}", given.origin,
                           id.value_or("NULL"));
        if (!tag) return failure("{}: fsdev id {} needs mount_tag arguments", given.origin, *id);
        device.request.options = {{"path", share->directory},
                                  {"tag", *tag},
                                  {"security_model", share->security_model},
                                  {"readonly", share->readonly ? "on" : "off"},
                                  {"multidevs", share->multidevs}};
    } else if (name.factory == "pci-serial") {
        const auto id = keys.optional_text("chardev");
        if (!id) return failure("{}: Can't create serial device, empty char device", given.origin);
        if (std::ranges::count(t.out.chardevs, *id, &ChardevOptions::id) == 0)
            return failure("{}: Property '{}.chardev' can't find value '{}'", given.origin, name.name, *id);
        device.request.options = {{"chardev", *id}};
    } else if (name.factory == "virtio-rng") {
        const auto id = keys.optional_text("rng");
        const auto is_source = [&](const Given* object) {
            return object->value("id") == *id && object->value("qom-type").starts_with("rng-");
        };
        if (id && std::ranges::none_of(t.in.all("object"), is_source))
            return failure("{}: Device '{}' not found", given.origin, *id);
    }
    return {};
}

/// mq=on: as many pairs of queues as the network has.
unsigned pairs_of_network(const Translation& t, const std::string& id) {
    if (const auto daemon = t.daemon_networks.find(id); daemon != t.daemon_networks.end())
        return daemon->second.queue_pairs;
    const auto network = std::ranges::find(t.out.networks, id, &NetOptions::id);
    return network != t.out.networks.end() ? network->queue_pairs : 1;
}

Result<void> take_property(Translation& t, const Given& given, const DeviceName& name, const DeviceType& type,
                           devices::DeviceRequest& request, const std::string& key,
                           const std::string& value) {
    if (name.factory == "virtio-net" && key == "mq") {
        const auto on = parse_switch(value);
        if (!on) return failure("{}: Parameter 'mq' expects 'on' or 'off'", given.origin);
        set_option(request, "queues",
                   fmt::format("{}", *on ? pairs_of_network(t, given.value("netdev")) : 1));
        return {};
    }
    const auto option = std::ranges::find(type.options, key, &devices::DeviceOption::name);
    if (option != type.options.end()) {
        const auto on =
            option->kind == devices::DeviceOption::Kind::Switch ? parse_switch(value) : std::nullopt;
        set_option(request, key, on ? (*on ? "on" : "off") : value);
        return {};
    }
    const PropertyRow* row = find_property(name.factory, key);
    if (row == nullptr) {
        std::vector<std::string_view> known = property_names(name.factory);
        if (name.bus == DeviceBus::Pci)
            known.insert(known.end(), {"addr", "vectors", "disable-legacy", "disable-modern"});
        for (const auto& one : type.options) known.push_back(one.name);
        return failure("{}: Property '{}.{}' not found{}", given.origin, name.name, key, hint(key, known));
    }
    const auto on = parse_switch(value), harmless_on = parse_switch(row->harmless);
    if (row->harmless.empty() || value == row->harmless || value == "auto" || (on && on == harmless_on))
        return {};
    return t.notes.missed(
        fmt::format("-device {},{}={}: it stays as with {}={}", name.name, key, value, key, row->harmless));
}

/// -device loader: no device, but what is put into memory (docs/system/generic-loader.rst of QEMU).
Result<void> add_load(Translation& t, const Given& given) {
    Keys keys(given);
    keys.ignore({"driver", "id"});
    LoadOptions load;
    const auto address = keys.number("addr"), data = keys.number("data"), length = keys.number("data-len"),
               cpu = keys.number("cpu-num");
    load.file = keys.text("file");
    load.raw = keys.on("force-raw", false);
    load.big_endian = keys.on("data-be", false);
    load.address = address.value_or(0);
    load.value = data.value_or(0);
    load.starts_cpu = cpu.has_value();
    if (cpu && *cpu >= t.out.cpus) keys.fail("Specified boot CPU#{} is nonexistent", *cpu);
    if (cpu && *cpu != 0) keys.fail("CPU 0 is the one that starts");
    if (data && !load.file.empty())
        keys.fail("Specifying a file is not supported when loading memory values");
    if (data && !length) keys.fail("Both data and data-len must be specified");
    if (length && (*length == 0 || *length > sizeof load.value))
        keys.fail("data-len must be between 1 and 8");
    if (data && length) load.value_bytes = static_cast<unsigned>(*length);
    if (!data && load.file.empty() && !(address && cpu)) keys.fail("please include valid arguments");
    if (const auto known = keys.finish(); !known) return known;
    t.out.loads.push_back(std::move(load));
    return {};
}

/// A disk behind what is not there: USB, AHCI. It is behind a virtio-scsi host instead, where guests and firmware give it the same name.
Result<void> add_other_disk(Translation& t, const Given& given, const std::string& driver) {
    Keys keys(given);
    const auto id = keys.optional_text("drive");
    if (!id && driver != "ide-cd") return failure("{}: drive property not set", given.origin);
    keys.ignore({"driver", "bus", "port", "unit", "removable", "pcap", "model", "ver", "wwn", "rotation_rate",
                 "logical_block_size", "physical_block_size", "commandlog"});
    DeviceOptions device{.request = {"scsi-cd", {}}, .bus = DeviceBus::Scsi, .id = keys.text("id")};
    if (id) {
        auto drive = find_drive(t, *id, given.origin, driver);
        if (!drive) return std::unexpected(drive.error());
        (*drive)->used = true;
        const bool cdrom = driver == "ide-cd" || (driver == "usb-storage" && (*drive)->cdrom);
        device.request = {cdrom ? "scsi-cd" : "scsi-hd", disk_device((*drive)->options).request.options};
        if (cdrom) set_option(device.request, "readonly", "on");
    }
    if (const auto serial = keys.optional_text("serial")) set_option(device.request, "serial", *serial);
    if (const auto index = keys.number("bootindex")) device.boot_index = static_cast<unsigned>(*index);
    if (const auto known = keys.finish(); !known) return known;
    if (scsi_host_of(t.out.devices, device) == nullptr)
        t.out.devices.push_back({.request = {"virtio-scsi", {}}, .bus = DeviceBus::Pci});
    t.out.devices.push_back(std::move(device));
    return t.notes.missed(fmt::format("{}: there is no {}; the disk is behind a virtio-scsi host",
                                      given.origin, driver == "usb-storage" ? "USB" : "IDE"));
}

Result<void> add_device(Translation& t, const Given& given);

/// An adapter of another model.
Result<void> add_other_adapter(Translation& t, const Given& given, const std::string& driver) {
    // What only that model has; of one on USB, where it is.
    constexpr std::string_view kOfTheModel[] = {
        "autonegotiation",   "mitigation",       "extra_mac_registers",
        "migrate_tso_props", "disable_vnet_hdr", "subsys",
        "subsys_ven",        "init-vet",         "port"};
    Given adapter = given;
    std::erase_if(adapter.values, [&](const auto& value) {
        return value.first == "driver" ||
               std::ranges::find(kOfTheModel, value.first) != std::end(kOfTheModel) ||
               (driver == "usb-net" && value.first == "bus");
    });
    adapter.values.emplace_back("driver", "virtio-net-pci");
    if (auto added = add_device(t, adapter); !added) return added;
    return note_other_adapter(t, given, driver);
}

Result<void> add_device(Translation& t, const Given& given) {
    const std::string driver = given.value("driver");
    if (driver == "loader") return add_load(t, given);
    if (driver == "usb-storage" || driver == "ide-hd" || driver == "ide-cd")
        return add_other_disk(t, given, driver);
    if (is_other_adapter(driver)) return add_other_adapter(t, given, driver);
    if (is_port(driver) && find_device_name("virtio-serial-device") != nullptr) return add_port(t, given);
    const DeviceName* name = find_device_name(driver);
    if (name == nullptr) {
        if (const AbsentDevice* absent = find_absent_device(driver)) {
            std::string text = fmt::format("{}: {}", given.origin, absent->why);
            if (absent->dispensable) return t.notes.missed(std::move(text));
            return std::unexpected(std::move(text));
        }
        std::vector<std::string_view> known;
        for (const DeviceName& one : device_names()) known.push_back(one.name);
        return failure("{}: '{}' is not a valid device model name{}", given.origin, driver,
                       hint(driver, known));
    }
    // Scripts add it for the host's convenience; guests do without.
    if (name->factory == devices::vhost_user::kKernelVsock && !has_vhost_vsock())
        return t.notes.missed(
            fmt::format("{}: the host has no {}; --device virtio-vsock of arclight run does without",
                        given.origin, devices::vhost_user::kVhostVsock));
    const auto factory = devices::DeviceFactory::standard();
    DeviceOptions device{
        .request = {name->factory, {}}, .bus = name->bus, .address = {}, .id = given.value("id")};
    Keys keys(given);
    keys.ignore({"driver", "id"});
    if (const auto done = take_references(t, keys, given, *name, device); !done) return done;
    if (const auto index = keys.number("bootindex")) device.boot_index = static_cast<unsigned>(*index);
    if (name->bus == DeviceBus::Mmio)
        take_slot(keys, device);
    else if (name->bus == DeviceBus::Scsi)
        take_scsi_place(t, keys, *name, device);
    else if (const auto done = take_pci_place(t, keys, *name, device); !done)
        return done;
    KeyValues rest = keys.take_rest();
    for (const std::string& of : {name->name, driver})
        if (const auto defaults = t.defaults.find(of); defaults != t.defaults.end()) {
            rest.insert(rest.begin(), defaults->second.begin(), defaults->second.end());
            break;
        }
    if (const auto known = keys.finish(); !known) return known;
    for (const auto& [key, value] : rest)
        if (auto taken =
                take_property(t, given, *name, *factory.find(name->factory), device.request, key, value);
            !taken)
            return taken;
    if (const auto good = factory.check(device.request); !good)
        return failure("{}: {}", given.origin, good.error());
    if (!device.id.empty() && std::ranges::count(t.out.devices, device.id, &DeviceOptions::id) != 0)
        return failure("{}: Duplicate device ID '{}'", given.origin, device.id);
    t.out.devices.push_back(std::move(device));
    return {};
}

/// if=virtio: behind all that -device names.
void add_virtio_drives(Translation& t) {
    for (const Drive& drive : t.drives) {
        if (drive.interface != "virtio") continue;
        t.out.devices.push_back(disk_device(drive.options));
        t.out.devices.back().bus = DeviceBus::Pci;
    }
}

}  // namespace

Result<void> note_other_adapter(Translation& t, const Given& given, std::string_view model) {
    return t.notes.missed(
        fmt::format("{}: there is no {}; the adapter is a virtio-net-pci", given.origin, model));
}

void add_network_device(Translation& t, const std::string& network, const std::string& mac, DeviceBus bus) {
    NetOptions options{.id = network, .mac = mac, .forwards = {}};
    DeviceOptions device = network_device(options, t.default_macs);
    if (mac.empty()) ++t.default_macs;
    device.bus = bus;
    t.out.devices.push_back(std::move(device));
}

Result<void> take_globals(Translation& t) {
    for (const Given* global : t.in.all("global")) {
        // driver.property=value, or the three as keys.
        std::string driver = global->value("driver"), property = global->value("property"),
                    value = global->value("value");
        if (driver.empty() && global->values.size() == 1) {
            const std::string& key = global->values[0].first;
            const size_t point = key.find('.');
            driver = key.substr(0, point);
            property = point == std::string::npos ? "" : key.substr(point + 1);
            value = global->values[0].second;
        }
        if (driver.empty() || property.empty())
            return failure("{}: it is driver.property=value", global->origin);
        if (driver == "virtio-mmio" && property == "force-legacy") {
            const auto legacy = parse_switch(value);
            if (!legacy) return failure("{}: Parameter 'force-legacy' expects 'on' or 'off'", global->origin);
            t.out.virtio = *legacy ? VirtioMmio::Legacy : VirtioMmio::Modern;
        } else if (find_device_name(driver) != nullptr) {
            t.defaults[driver].emplace_back(property, value);
        } else if (const auto done =
                       t.notes.missed(fmt::format("{}: there is no {}", global->origin, driver));
                   !done) {
            return done;
        }
    }
    return {};
}

Result<void> take_devices(Translation& t) {
    for (const Given* given : t.in.all("device"))
        if (auto added = add_device(t, *given); !added) return added;
    add_virtio_drives(t);
    for (const NetOptions& network : t.out.networks) {
        const auto uses = [&](const DeviceOptions& device) {
            return std::ranges::count(device.request.options,
                                      std::pair<std::string, std::string>("network", network.id)) != 0;
        };
        if (std::ranges::none_of(t.out.devices, uses))
            t.notes.warn(fmt::format("netdev {} has no peer", network.id));
    }
    return {};
}

std::string device_help() {
    const auto factory = devices::DeviceFactory::standard();
    std::string text = "Devices:\n";
    for (const DeviceName& name : device_names())
        text += fmt::format("name \"{}\", bus {}{}, desc \"{}\"\n", name.name,
                            name.bus == DeviceBus::Pci    ? "PCI"
                            : name.bus == DeviceBus::Scsi ? "SCSI"
                                                          : "virtio-bus",
                            name.alias.empty() ? "" : fmt::format(", alias \"{}\"", name.alias),
                            factory.find(name.factory)->summary);
    for (const std::string_view port : {"virtconsole", "virtserialport"})
        text += fmt::format("name \"{}\", bus virtio-serial-bus\n", port);
    text += "name \"loader\", desc \"Generic Loader\"\n";
    return text;
}

Result<std::string> device_help(std::string_view name) {
    if (name == "loader")
        return "loader options:\n  addr=<uint64>          - physical address\n  cpu-num=<uint32>       - 0: "
               "the CPU "
               "starts there\n  data-be=<bool>\n  data-len=<uint8>       - 1 to 8\n  data=<uint64>\n  "
               "file=<str>         "
               "    - ELF or raw\n  force-raw=<bool>\n";
    if (is_port(name))
        return fmt::format(
            "{} options:\n  chardev=<str>          - ID of a chardev to use as a backend\n  name=<str>\n"
            "  nr=<uint32>            - the port's number\n",
            name);
    const DeviceName* found = find_device_name(is_other_adapter(name) ? "virtio-net-pci" : name);
    if (found == nullptr) {
        const AbsentDevice* absent = find_absent_device(name);
        return failure("-device {},help: {}", name,
                       absent != nullptr ? std::string(absent->why)
                                         : fmt::format("'{}' is not a valid device model name", name));
    }
    const auto factory = devices::DeviceFactory::standard();
    std::vector<std::string> lines;
    const auto line = [&](std::string_view property, std::string_view kind, std::string_view about) {
        lines.push_back(fmt::format("  {:<22} - {}\n", fmt::format("{}=<{}>", property, kind), about));
    };
    if (is_disk(found->factory))
        line("drive", "str", "Node name or ID of a block device to use as a backend");
    if (found->factory == "virtio-net") {
        line("netdev", "str", "ID of a netdev to use as a backend");
        line("host_mtu", "uint16", "the MTU that the guest is told");
    }
    if (found->factory == "virtio-9p") {
        line("fsdev", "str", "ID of an fsdev");
        line("mount_tag", "str", "the name that the guest mounts it by");
    }
    if (is_vhost_user(found->factory)) line("chardev", "str", "ID of a chardev to use as a backend");
    if (found->factory == "virtio-rng")
        line("rng", "link<rng-backend>", "ID of an object; the host's entropy in any case");
    // Those of the disk and of the network are told by -drive and -netdev.
    constexpr std::string_view kOwn[] = {
        "ports",    "path",    "tag",    "security_model", "multidevs", "file",   "format", "readonly",
        "snapshot", "locking", "record", "network",        "mtu",       "socket", "server", "directory"};
    for (const auto& option : factory.find(found->factory)->options) {
        if (std::ranges::find(kOwn, option.name) != std::end(kOwn)) continue;
        using Kind = devices::DeviceOption::Kind;
        line(option.name,
             option.kind == Kind::Switch   ? "bool"
             : option.kind == Kind::Number ? "uint64"
                                           : "str",
             option.help);
    }
    for (const std::string_view property : property_names(found->factory)) {
        const std::string_view harmless = find_property(found->factory, property)->harmless;
        line(property, "any", harmless.empty() ? "(taken)" : fmt::format("(stays {})", harmless));
    }
    std::ranges::sort(lines);
    std::string text = fmt::format("{} options:\n", found->name);
    for (const std::string& one : lines) text += one;
    return text;
}

}  // namespace arclight::guestos::qemu
