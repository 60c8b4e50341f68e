// -netdev, -nic and -net: networks of the host's, and adapters of the board's own.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "devices/virtio/net.h"
#include "guestos/cli/parse.h"
#include "guestos/device_requests.h"
#include "guestos/qemu/device_names.h"
#include "guestos/qemu/devices.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"
#include "guestos/qemu/vhost_user.h"

namespace arclight::guestos::qemu {

namespace {

const std::vector<std::string_view> kNetworkTypes = {"user",       "tap",        "bridge",  "socket",
                                                     "stream",     "dgram",      "vde",     "l2tpv3",
                                                     "vhost-user", "vhost-vdpa", "hubport", "passt"};
constexpr std::string_view kMissing[] = {"bridge", "vde", "l2tpv3", "vhost-user", "vhost-vdpa", "hubport"};

/// What -netdev user does not have here.
constexpr std::string_view kNoUserKeys[] = {"smb",         "smbserver", "tftp-server-name", "ipv6-net",
                                            "ipv6-prefix", "ipv6-host", "ipv6-dns",         "ipv6-prefixlen"};

/// "hostfwd.0.str" of the JSON form is "hostfwd".
std::string list_key(const std::string& key) {
    for (const std::string_view list : {"hostfwd", "guestfwd", "dnssearch"})
        if (key.starts_with(std::string(list) + ".")) return std::string(list);
    return key;
}

/// `values` without the keys that are not the network's own.
Result<NetOptions> read_network(const std::string& origin, const std::string& type, const KeyValues& values) {
    std::string text = type;
    bool script = false;
    for (const auto& [typed, value] : values) {
        const std::string key = list_key(typed);
        if (type == "user" && std::ranges::find(kNoUserKeys, key) != std::end(kNoUserKeys))
            return failure("{}: '{}' is not there", origin, key);
        if (key == "mac" || key == "mtu" || (key == "queues" && type != "tap"))
            return failure("{}: Invalid parameter '{}'", origin, key);
        script |= key == "script" || key == "fd" || key == "fds";
        text += fmt::format(",{}={}", key, doubled_commas(value));
    }
    // QEMU's own preset; that for the end does nothing in Debian.
    if (type == "tap" && !script) text += ",script=/etc/qemu-ifup";
    const auto network = cli::parse_net(text);
    if (!network) return failure("{}: {}", origin, network.error());
    return **network;
}

Result<void> refuse_missing(Keys& keys, const std::string& type) {
    if (std::ranges::find(kMissing, type) != std::end(kMissing))
        keys.fail("network '{}' is not there (user, tap, socket, stream, dgram and passt are)", type);
    return {};
}

Result<void> add_network_named(Translation& t, NetOptions network, const std::string& origin) {
    if (std::ranges::count(t.out.networks, network.id, &NetOptions::id) != 0)
        return failure("{}: Duplicate ID '{}' for netdev", origin, network.id);
    for (ChardevOptions& chardev : network.chardevs) {
        if (std::ranges::count(t.out.chardevs, chardev.id, &ChardevOptions::id) != 0)
            return failure("{}: Duplicate ID '{}' for chardev", origin, chardev.id);
        t.out.chardevs.push_back(std::move(chardev));
    }
    for (const GuestForward& forward : network.guest_forwards)
        if (forward.command.empty() &&
            std::ranges::count(t.out.chardevs, forward.chardev, &ChardevOptions::id) == 0)
            return failure("{}: chardev \"{}\" not found", origin, forward.chardev);
    t.out.networks.push_back(std::move(network));
    return {};
}

Result<void> take_netdev(Translation& t, const Given& given) {
    Keys keys(given);
    const std::string type = keys.choice("type", "", kNetworkTypes);
    const std::string id = keys.text("id");
    if (id.empty()) keys.fail("Parameter 'id' is missing");
    if (type == "vhost-user") return take_daemon_network(t, keys, id);
    if (const auto done = refuse_missing(keys, type); !done) return done;
    const KeyValues rest = keys.take_rest();
    if (const auto known = keys.finish(); !known) return known;
    auto network = read_network(given.origin, type, rest);
    if (!network) return std::unexpected(network.error());
    network->id = id;
    return add_network_named(t, std::move(*network), given.origin);
}

struct Adapter {
    std::string network, mac, model = "virtio-net-pci";
};

Result<void> take_model(Translation& t, Keys& keys, std::string& model, const Given& given) {
    model = keys.text("model", "virtio-net-pci");
    if (is_other_adapter(model)) {
        const std::string other = std::exchange(model, "virtio-net-pci");
        return note_other_adapter(t, given, other);
    }
    if (model == "virtio") model = "virtio-net-pci";
    if (model != "virtio-net-pci" && model != "virtio-net-device")
        return failure("{}: Unsupported NIC model: {} (known: virtio-net-pci, virtio-net-device)",
                       given.origin, model);
    return {};
}

/// An adapter of the board's own. Its network is there.
Result<void> add_adapter(Translation& t, const Adapter& adapter, const std::string& origin) {
    if (!adapter.mac.empty())
        if (const auto mac = devices::virtio::parse_mac(adapter.mac); !mac)
            return failure("{}: {}", origin, mac.error());
    add_network_device(t, adapter.network, adapter.mac,
                       adapter.model == "virtio-net-device" ? DeviceBus::Mmio : DeviceBus::Pci);
    return {};
}

Result<void> take_nic(Translation& t, const Given& given, unsigned nth) {
    Keys keys(given);
    std::vector<std::string_view> types = kNetworkTypes;
    types.emplace_back("none");
    const std::string type = keys.choice("type", "", types);
    if (type == "none") {
        keys.ignore({"id"});
        return keys.finish();
    }
    if (const auto done = refuse_missing(keys, type); !done) return done;
    Adapter adapter;
    if (const auto done = take_model(t, keys, adapter.model, given); !done) return done;
    adapter.mac = keys.text("mac");
    adapter.network = keys.text("id", fmt::format("nic{}", nth));
    keys.ignore({"vectors", "name"});
    const KeyValues rest = keys.take_rest();
    if (const auto known = keys.finish(); !known) return known;
    auto network = read_network(given.origin, type, rest);
    if (!network) return std::unexpected(network.error());
    network->id = adapter.network;
    if (auto added = add_network_named(t, std::move(*network), given.origin); !added) return added;
    return add_adapter(t, adapter, given.origin);
}

/// -net: adapters without a network of their own meet on hub 0.
Result<void> take_hub(Translation& t) {
    std::vector<std::pair<Adapter, const Given*>> adapters;
    std::vector<const Given*> networks;
    for (const Given* given : t.in.all("net")) {
        Keys keys(*given);
        std::vector<std::string_view> types = kNetworkTypes;
        types.insert(types.end(), {"nic", "none"});
        const std::string type = keys.choice("type", "", types);
        if (const auto done = refuse_missing(keys, type); !done) return done;
        if (type == "nic") {
            Adapter adapter;
            if (const auto done = take_model(t, keys, adapter.model, *given); !done) return done;
            adapter.mac = keys.text("macaddr");
            adapter.network = keys.text("netdev");
            keys.ignore({"name", "addr", "vectors", "id"});
            adapters.emplace_back(adapter, given);
        } else if (type != "none") {
            keys.ignore({"name"});
            const KeyValues rest = keys.take_rest();
            auto network = read_network(given->origin, type, rest);
            if (!network) return std::unexpected(network.error());
            network->id = network->id.empty() ? "hub0" : network->id;
            networks.push_back(given);
            if (networks.size() == 1)
                if (auto added = add_network_named(t, std::move(*network), given->origin); !added)
                    return added;
        }
        if (const auto known = keys.finish(); !known) return known;
    }
    if (networks.size() > 1) return failure("{}: there is one network for -net", networks[1]->origin);
    unsigned on_hub = 0;
    for (auto& [adapter, given] : adapters) {
        if (adapter.network.empty()) {
            if (networks.empty())
                return failure("{}: the adapter has no network, such as -net user", given->origin);
            if (++on_hub > 1)
                return failure("{}: a second adapter on one network; give it a -netdev", given->origin);
            adapter.network = "hub0";
        } else if (std::ranges::count(t.out.networks, adapter.network, &NetOptions::id) == 0) {
            return failure("{}: netdev '{}' not found", given->origin, adapter.network);
        }
        if (auto added = add_adapter(t, adapter, given->origin); !added) return added;
    }
    if (!networks.empty() && on_hub == 0) t.notes.warn("hub 0 is not connected to a NIC");
    return {};
}

}  // namespace

Result<void> take_networks(Translation& t) {
    for (const Given* given : t.in.all("netdev"))
        if (auto taken = take_netdev(t, *given); !taken) return taken;
    unsigned nth = 0;
    for (const Given* given : t.in.all("nic"))
        if (auto taken = take_nic(t, *given, nth++); !taken) return taken;
    if (auto taken = take_hub(t); !taken) return taken;
    // QEMU's board has an adapter of its own unless something is said of networks.
    if (t.in.has("netdev") || t.in.has("nic") || t.in.has("net") || t.in.has("nodefaults")) return {};
    t.out.networks.push_back({.id = "hub0", .forwards = {}});
    add_network_device(t, "hub0", "", DeviceBus::Pci);
    return {};
}

}  // namespace arclight::guestos::qemu
