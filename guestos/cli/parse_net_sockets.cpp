// --net tap, socket, stream, dgram and passt: what the host's kernel or another process carries. The words are those of QEMU's
// -netdev.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "devices/virtio/net_queues.h"
#include "guestos/cli/net_words.h"

namespace arclight::guestos::cli {

namespace {

using Kind = NetAddress::Kind;
constexpr int kMaxDescriptor = 1 << 20;

Result<int> parse_descriptor(std::string_view key, const std::string& value) {
    const auto number = number_of<int>(value);
    if (!number || *number < 0 || *number > kMaxDescriptor)
        return failure("{} '{}' is no number of an open file", key, value);
    return *number;
}

/// Of a tap device's queues, with colons between them.
Result<std::vector<int>> parse_descriptors(std::string_view key, std::string_view value) {
    std::vector<int> all;
    for (;;) {
        const size_t colon = value.find(':');
        const auto number = parse_descriptor(key, std::string(value.substr(0, colon)));
        if (!number) return std::unexpected(number.error());
        all.push_back(*number);
        if (colon == std::string_view::npos) break;
        value.remove_prefix(colon + 1);
    }
    if (all.size() > devices::virtio::NetQueues::kMaxPairs)
        return failure("{}: more than {} queues", key, devices::virtio::NetQueues::kMaxPairs);
    return all;
}

/// The words about vhost, as QEMU takes them together: vhostfd= and vhostforce=on mean vhost=on unless that is said to be off.
struct VhostWords {
    std::optional<bool> on;
    bool force = false;
    std::vector<int> descriptors;

    Result<void> finish(NetOptions& net) const {
        using Vhost = NetOptions::Vhost;
        const bool wanted = on.value_or(force || !descriptors.empty());
        if (!wanted && !descriptors.empty()) return failure("vhostfd= says nothing with vhost=off");
        if (!descriptors.empty() && descriptors.size() != net.queue_pairs)
            return failure("vhostfds: {} for {} queues", descriptors.size(), net.queue_pairs);
        net.vhost = !wanted ? Vhost::Off : force || !descriptors.empty() ? Vhost::Force : Vhost::On;
        net.vhost_descriptors = descriptors;
        return {};
    }
};

/// [HOST]:PORT; an IPv6 address may be in brackets.
Result<NetAddress> parse_host_port(std::string_view key, const std::string& value) {
    const size_t colon = value.rfind(':');
    NetAddress address{.kind = Kind::Inet};
    if (colon != std::string::npos) {
        address.host = value.substr(0, colon);
        address.port = value.substr(colon + 1);
    }
    if (address.host.starts_with('[') && address.host.ends_with(']'))
        address.host = address.host.substr(1, address.host.size() - 2);
    if (!number_of<uint16_t>(address.port))
        return failure("{} '{}' is not of the form [HOST]:PORT", key, value);
    return address;
}

/// The keys of one address of QEMU's SocketAddress, which all begin with `prefix` and a point.
class AddressWords {
  public:
    explicit AddressWords(std::string_view prefix) : prefix_(prefix) {}

    /// False: the key is not one of an address of that prefix.
    Result<bool> take(const std::string& key, const std::string& value) {
        if (!key.starts_with(prefix_) || key.size() <= prefix_.size() || key[prefix_.size()] != '.')
            return false;
        const std::string name = key.substr(prefix_.size() + 1);
        const auto set_switch = [&](bool& to) -> Result<bool> {
            const auto on = parse_net_switch(key, value);
            if (!on) return std::unexpected(on.error());
            to = *on;
            return true;
        };
        bool ignored = false;
        if (name == "type")
            type_ = value;
        else if (name == "host")
            address_.host = value;
        else if (name == "port")
            address_.port = value;
        else if (name == "path")
            address_.path = value;
        else if (name == "str")
            descriptor_ = value;
        else if (name == "ipv4")
            return set_switch(address_.ipv4);
        else if (name == "ipv6")
            return set_switch(address_.ipv6);
        else if (name == "abstract")
            return set_switch(address_.abstract);
        else if (name == "tight" || name == "keep-alive")
            return set_switch(ignored);
        else
            return unknown_net_key(key, "type, host, port, ipv4, ipv6, path, abstract, str");
        return true;
    }
    /// None if there was no key.
    Result<NetAddress> finish() {
        if (type_.empty() && address_.host.empty() && address_.port.empty() && address_.path.empty() &&
            descriptor_.empty())
            return NetAddress();
        if (type_ == "inet") {
            address_.kind = Kind::Inet;
            if (address_.port.empty()) return failure("{}.port is missing", prefix_);
            if (!address_.ipv4 && !address_.ipv6)
                return failure("{}.ipv4=off and {}.ipv6=off leave nothing", prefix_, prefix_);
        } else if (type_ == "unix") {
            address_.kind = Kind::Unix;
            if (address_.path.empty()) return failure("{}.path is missing", prefix_);
        } else if (type_ == "fd") {
            address_.kind = Kind::Descriptor;
            const auto number = parse_descriptor(prefix_ + ".str", descriptor_);
            if (!number) return std::unexpected(number.error());
            address_.descriptor = *number;
        } else {
            return failure("{}.type is inet, unix or fd, not '{}'", prefix_, type_);
        }
        return address_;
    }

  private:
    const std::string prefix_;
    std::string type_, descriptor_;
    NetAddress address_;
};

/// Milliseconds, of a value in units of so many.
Result<unsigned> parse_interval(std::string_view key, const std::string& value, unsigned unit) {
    const auto number = number_of<unsigned>(value);
    if (!number || *number > 1'000'000'000 / unit) return failure("{} '{}' is no time", key, value);
    return *number * unit;
}

}  // namespace

Result<bool> parse_net_switch(std::string_view key, std::string_view value) {
    if (value == "on" || value == "yes" || value == "y" || value == "true") return true;
    if (value == "off" || value == "no" || value == "n" || value == "false") return false;
    return failure("{} is on or off, not '{}'", key, value);
}

std::unexpected<std::string> unknown_net_key(std::string_view key, std::string_view known) {
    return failure("unknown key '{}' (known: {})", key, known);
}

Result<void> set_tap(NetOptions& net, const NetWords& words) {
    net.kind = NetOptions::Kind::Tap;
    VhostWords vhost;
    for (const auto& [key, value] : words) {
        if (key == "ifname") {
            net.interface = value;
        } else if (key == "fd") {
            const auto number = parse_descriptor(key, value);
            if (!number) return std::unexpected(number.error());
            net.tap_descriptors = {*number};
        } else if (key == "fds") {
            auto all = parse_descriptors(key, value);
            if (!all) return std::unexpected(all.error());
            net.tap_descriptors = std::move(*all);
        } else if (key == "script") {
            net.script = value == "no" ? "" : value;
        } else if (key == "downscript") {
            if (!value.empty() && value != "no")
                return failure("downscript '{}': nothing can be run at the end, from within the sandbox",
                               value);
        } else if (key == "vnet_hdr") {
            const auto on = parse_net_switch(key, value);
            if (!on) return std::unexpected(on.error());
            net.vnet_header = *on;
        } else if (key == "vhost" || key == "vhostforce") {
            const auto on = parse_net_switch(key, value);
            if (!on) return std::unexpected(on.error());
            if (key == "vhost")
                vhost.on = *on;
            else
                vhost.force = *on;
        } else if (key == "vhostfd" || key == "vhostfds") {
            auto all = parse_descriptors(key, value);
            if (!all) return std::unexpected(all.error());
            vhost.descriptors = std::move(*all);
        } else if (key != "sndbuf" && key != "poll-us") {
            return unknown_net_key(
                key,
                "ifname, fd, fds, script, downscript, vnet_hdr, vhost, vhostforce, vhostfd, vhostfds, mac, "
                "mtu, queues, id");
        }
    }
    if (!net.tap_descriptors.empty() &&
        (!net.interface.empty() || !net.script.empty() || net.queue_pairs != 1))
        return failure(
            "fd= is a tap device that is open already; ifname=, script= and queues= say nothing then");
    if (!net.tap_descriptors.empty()) net.queue_pairs = static_cast<unsigned>(net.tap_descriptors.size());
    return vhost.finish(net);
}

Result<void> set_socket(NetOptions& net, const NetWords& words) {
    unsigned ways = 0;
    std::string local;
    bool datagrams = false;
    for (const auto& [key, value] : words) {
        if (key == "localaddr") {
            local = value;
            continue;
        }
        if (key != "listen" && key != "connect" && key != "mcast" && key != "udp" && key != "fd")
            return unknown_net_key(key, "listen, connect, mcast, udp, localaddr, fd, mac, mtu, queues, id");
        ways++;
        datagrams = key == "mcast" || key == "udp";
        net.server = key == "listen";
        if (key == "fd") {
            const auto number = parse_descriptor(key, value);
            if (!number) return std::unexpected(number.error());
            net.remote = {.kind = Kind::Descriptor, .descriptor = *number};
            continue;
        }
        const auto address = parse_host_port(key, value);
        if (!address) return std::unexpected(address.error());
        if (key != "listen" && address->host.empty()) return failure("{} '{}' has no host", key, value);
        net.remote = *address;
    }
    if (ways != 1) return failure("exactly one of listen=, connect=, mcast=, udp= and fd= is required");
    if (!local.empty() && !datagrams) return failure("localaddr= goes with mcast= or udp=");
    net.kind = datagrams ? NetOptions::Kind::Datagram : NetOptions::Kind::Stream;
    if (datagrams) {
        const bool group = std::ranges::find(words, "mcast", &NetWords::value_type::first) != words.end();
        if (!group && local.empty()) return failure("localaddr= is mandatory with udp=");
        if (group && !local.empty()) {
            net.local = {.kind = Kind::Inet, .host = local};
        } else if (!local.empty()) {
            const auto address = parse_host_port("localaddr", local);
            if (!address) return std::unexpected(address.error());
            net.local = *address;
        }
    }
    return {};
}

Result<void> set_stream(NetOptions& net, const NetWords& words) {
    net.kind = NetOptions::Kind::Stream;
    AddressWords address("addr");
    for (const auto& [key, value] : words) {
        const auto taken = address.take(key, value);
        if (!taken) return std::unexpected(taken.error());
        if (*taken) continue;
        if (key == "server") {
            const auto on = parse_net_switch(key, value);
            if (!on) return std::unexpected(on.error());
            net.server = *on;
        } else if (key == "reconnect" || key == "reconnect-ms") {
            const auto interval = parse_interval(key, value, key == "reconnect" ? 1000 : 1);
            if (!interval) return std::unexpected(interval.error());
            net.reconnect_ms = *interval;
        } else {
            return unknown_net_key(
                key, "server, reconnect, reconnect-ms, addr.type and others, mac, mtu, queues, id");
        }
    }
    const auto finished = address.finish();
    if (!finished) return std::unexpected(finished.error());
    if (finished->kind == Kind::None) return failure("addr.type is missing");
    net.remote = *finished;
    if (net.reconnect_ms != 0 && net.server) return failure("reconnect= is for clients, not with server=on");
    if (net.reconnect_ms != 0 && net.remote.kind == Kind::Descriptor)
        return failure("reconnect= has nowhere to connect to with addr.type=fd");
    return {};
}

Result<void> set_datagram(NetOptions& net, const NetWords& words) {
    net.kind = NetOptions::Kind::Datagram;
    AddressWords local("local"), remote("remote");
    for (const auto& [key, value] : words) {
        auto taken = local.take(key, value);
        if (taken && !*taken) taken = remote.take(key, value);
        if (!taken) return std::unexpected(taken.error());
        if (!*taken) return unknown_net_key(key, "local.type, remote.type and others, mac, mtu, queues, id");
    }
    const auto from = local.finish(), to = remote.finish();
    for (const auto& one : {from, to})
        if (!one) return std::unexpected(one.error());
    if (to->kind == Kind::Descriptor) return failure("remote.type is inet or unix, not 'fd'");
    if (from->kind == Kind::Descriptor && to->kind != Kind::None)
        return failure("local.type=fd is a socket with its own remote");
    if (from->kind != Kind::Descriptor && to->kind == Kind::None) return failure("remote.type is missing");
    if (from->kind != Kind::None && to->kind != Kind::None && from->kind != to->kind)
        return failure("local.type and remote.type must be the same");
    if (to->kind == Kind::Unix && from->kind == Kind::None) return failure("local.type is missing");
    net.local = *from;
    net.remote = *to;
    return {};
}

Result<void> set_passt(NetOptions& net, const NetWords& words) {
    net.kind = NetOptions::Kind::Passt;
    for (const auto& [key, value] : words) {
        if (key == "path")
            net.program = value;
        else if (key == "param")
            net.arguments.push_back(value);
        else if (key == "tcp-ports")
            net.arguments.insert(net.arguments.end(), {"--tcp-ports", value});
        else if (key == "udp-ports")
            net.arguments.insert(net.arguments.end(), {"--udp-ports", value});
        else
            return unknown_net_key(key, "path, param, tcp-ports, udp-ports, mac, mtu, queues, id");
    }
    return {};
}

}  // namespace arclight::guestos::cli
