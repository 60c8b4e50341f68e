// `--net`, and the keys of its user networks.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "devices/virtio/net.h"
#include "guestos/chardev/parse.h"
#include "guestos/cli/net_words.h"
#include "guestos/cli/parse.h"

namespace arclight::guestos::cli {

namespace {

std::optional<uint32_t> ip4_of(std::string_view text) {
    in_addr address{};
    if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
    return ntohl(address.s_addr);
}

bool is_ip6(const std::string& text) {
    in6_addr address{};
    return inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

struct Endpoint {
    std::string address;
    bool ipv6 = false;
    uint16_t port = 0;
};

/// [ADDRESS]:PORT; an IPv6 address is in brackets. `any_port`: 0 is one that the kernel chooses.
Result<Endpoint> parse_endpoint(std::string_view text, bool any_port = false) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return failure("'{}' is not of the form [ADDRESS]:PORT", text);
    Endpoint endpoint{.address = std::string(text.substr(0, colon))};
    const auto port = number_of<uint16_t>(text.substr(colon + 1));
    if (!port || (*port == 0 && !any_port))
        return failure("'{}' is no port, {} to 65535", text.substr(colon + 1), any_port ? 0 : 1);
    endpoint.port = *port;
    if (std::string& address = endpoint.address; !address.empty()) {
        endpoint.ipv6 = address.front() == '[';
        if (endpoint.ipv6 && address.back() == ']') address = address.substr(1, address.size() - 2);
        if (endpoint.ipv6 ? !is_ip6(address) : !ip4_of(address))
            return failure("'{}' is no address (IPv6 is in brackets)", text.substr(0, colon));
    }
    return endpoint;
}

/// [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT
Result<HostForward> parse_forward(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view protocol = text.substr(0, colon);
    if (colon == std::string_view::npos || (protocol != "tcp" && protocol != "udp" && !protocol.empty()))
        return failure("hostfwd '{}' is not of the form tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT", text);
    const std::string_view rest = text.substr(colon + 1);
    const size_t dash = rest.find('-');
    if (dash == std::string_view::npos)
        return failure("hostfwd '{}' is not of the form tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT", text);
    const auto host = parse_endpoint(rest.substr(0, dash), true),
               guest = parse_endpoint(rest.substr(dash + 1));
    for (const auto& endpoint : {host, guest})
        if (!endpoint) return failure("hostfwd '{}': {}", text, endpoint.error());
    const bool ipv6 = host->ipv6 || guest->ipv6;
    if ((!host->address.empty() && host->ipv6 != ipv6) || (ipv6 && !guest->ipv6))
        return failure("hostfwd '{}' forwards from one version of IP to the other", text);
    return HostForward{.udp = protocol == "udp",
                       .ipv6 = ipv6,
                       .host_address = host->address,
                       .host_port = host->port,
                       .guest_address = guest->address,
                       .guest_port = guest->port};
}

/// ADDRESS[/PREFIX], or with the netmask behind the slash; without one the address's class says it. The other addresses follow.
Result<void> parse_network(std::string_view text, NetOptions& net) {
    const size_t slash = text.find('/');
    const auto address = ip4_of(text.substr(0, slash));
    uint32_t mask = 0;
    if (address)
        mask = *address < 0x8000'0000 ? 0xff00'0000 : *address < 0xc000'0000 ? 0xffff'0000 : 0xffff'ff00;
    bool good = address.has_value();
    if (good && slash != std::string_view::npos) {
        const std::string_view length = text.substr(slash + 1);
        if (const auto bits = number_of<unsigned>(length); bits && *bits >= 1 && *bits <= 32)
            mask = ~uint32_t{0} << (32 - *bits);
        else if (const auto dotted = ip4_of(length);
                 dotted && *dotted != 0 && (~*dotted & (~*dotted + 1)) == 0)
            mask = *dotted;
        else
            good = false;
    }
    if (!good) return failure("net '{}' is not of the form 10.0.2.0/24", text);
    // The fifteenth is the guest's, and the last one is no host's.
    if (~mask < 0x10) return failure("net '{}' has less than 32 addresses", text);
    net.network = *address & mask;
    net.netmask = mask;
    net.host = net.network | (0x0202 & ~mask);
    net.dns = net.network | (0x0203 & ~mask);
    net.dhcp_start = net.network | (0x020f & ~mask);
    return {};
}

/// [tcp]:ADDRESS:PORT-cmd:COMMAND, or -chardev:ID, or - and a chardev's short form.
Result<void> add_guest_forward(const std::string& text, NetOptions& net) {
    constexpr std::string_view kForm = "[tcp]:ADDRESS:PORT-chardev:ID or -cmd:COMMAND";
    const size_t dash = text.find('-'), colon = text.find(':');
    if (dash == std::string::npos || colon == std::string::npos || colon > dash ||
        (colon != 0 && text.substr(0, colon) != "tcp"))
        return failure("guestfwd '{}' is not of the form {}", text, kForm);
    const auto endpoint = parse_endpoint(std::string_view(text).substr(colon + 1, dash - colon - 1));
    if (!endpoint) return failure("guestfwd '{}': {}", text, endpoint.error());
    const auto address = ip4_of(endpoint->address);
    if (!address) return failure("guestfwd '{}': it wants an IPv4 address of the guest's network", text);
    GuestForward forward{.address = *address, .port = endpoint->port};
    const std::string to = text.substr(dash + 1);
    if (to.starts_with("cmd:") && to.size() > 4) {
        forward.command = to.substr(4);
    } else if (to.starts_with("chardev:")) {
        forward.chardev = to.substr(8);
    } else {
        forward.chardev = fmt::format("guestfwd.tcp.{}", endpoint->port);
        auto chardev = parse_chardev_short(forward.chardev, to);
        if (!chardev) return failure("guestfwd '{}': {}", text, chardev.error());
        net.chardevs.push_back(std::move(*chardev));
    }
    net.guest_forwards.push_back(std::move(forward));
    return {};
}

constexpr std::string_view kUserKeys =
    "mac, mtu, queues, ipv4, ipv6, restrict, net, host, dns, dhcpstart, hostname, domainname, dnssearch, "
    "tftp, "
    "bootfile, hostfwd, guestfwd, id";

Result<void> set_user(NetOptions& net, const NetWords& words) {
    std::vector<std::pair<std::string, uint32_t NetOptions::*>> addresses;
    for (const auto& [key, value] : words) {
        Result<void> wrong;
        const auto set_switch = [&](bool& to) -> Result<void> {
            const auto on = parse_net_switch(key, value);
            if (!on) return std::unexpected(on.error());
            to = *on;
            return {};
        };
        if (key == "ipv4") {
            wrong = set_switch(net.ipv4);
        } else if (key == "ipv6") {
            wrong = set_switch(net.ipv6);
        } else if (key == "restrict") {
            wrong = set_switch(net.restrict_guest);
        } else if (key == "net") {
            wrong = parse_network(value, net);
        } else if (key == "host") {
            addresses.emplace_back(value, &NetOptions::host);
        } else if (key == "dns") {
            addresses.emplace_back(value, &NetOptions::dns);
        } else if (key == "dhcpstart") {
            addresses.emplace_back(value, &NetOptions::dhcp_start);
        } else if (key == "hostname") {
            net.hostname = value;
        } else if (key == "domainname") {
            net.domain = value;
        } else if (key == "dnssearch") {
            net.dns_search.push_back(value);
        } else if (key == "tftp") {
            net.tftp = value;
        } else if (key == "bootfile") {
            net.bootfile = value;
        } else if (key == "guestfwd") {
            wrong = add_guest_forward(value, net);
        } else if (key == "hostfwd") {
            const auto forward = parse_forward(value);
            if (!forward) return std::unexpected(forward.error());
            net.forwards.push_back(*forward);
        } else {
            return unknown_net_key(key, kUserKeys);
        }
        if (!wrong) return std::unexpected(wrong.error());
    }
    // After net=, wherever that stands.
    for (const auto& [text, to] : addresses) {
        const auto address = ip4_of(text);
        if (!address) return failure("'{}' is no IPv4 address", text);
        if ((*address & net.netmask) != net.network)
            return failure("'{}' is not in the guest's network", text);
        net.*to = *address;
    }
    if (net.host == net.dns || net.host == net.dhcp_start || net.dns == net.dhcp_start)
        return failure("host, dns and dhcpstart must be different addresses");
    if (!net.ipv4 && !net.ipv6) return failure("ipv4=off and ipv6=off leave nothing");
    return {};
}

constexpr std::pair<std::string_view, Result<void> (*)(NetOptions&, const NetWords&)> kKinds[] = {
    {"user", set_user},     {"tap", set_tap},        {"socket", set_socket},
    {"stream", set_stream}, {"dgram", set_datagram}, {"passt", set_passt}};

}  // namespace

Result<std::optional<NetOptions>> parse_net(std::string_view text) {
    const std::vector<std::string> parts = split_commas(text);
    if (parts[0] == "none" && parts.size() == 1) return std::nullopt;
    const auto* kind = std::ranges::find(kKinds, parts[0], [](const auto& one) { return one.first; });
    if (kind == std::end(kKinds))
        return failure("'{}' is no kind of network (known: user, tap, socket, stream, dgram, passt, none)",
                       parts[0]);
    NetOptions net;
    NetWords words;
    for (const std::string& part : std::span(parts).subspan(1)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0)
            return failure("'{}' is not of the form key=value", part);
        const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
        if (key == "mac") {
            if (const auto mac = devices::virtio::parse_mac(value); !mac) return std::unexpected(mac.error());
            net.mac = value;
        } else if (key == "mtu") {
            const auto mtu = number_of<unsigned>(value);
            if (!mtu || *mtu < devices::virtio::Net::kMinMtu || *mtu > devices::virtio::Net::kMaxMtu)
                return failure("mtu '{}' is not {} to {}", value, devices::virtio::Net::kMinMtu,
                               devices::virtio::Net::kMaxMtu);
            net.mtu = *mtu;
        } else if (key == "queues") {
            const auto pairs = number_of<unsigned>(value);
            constexpr unsigned kMax = devices::virtio::NetQueues::kMaxPairs;
            if (!pairs || *pairs == 0 || *pairs > kMax)
                return failure("queues '{}' is not 1 to {} pairs of queues", value, kMax);
            net.queue_pairs = *pairs;
        } else if (key != "id") {  // QEMU's name for -device to refer to; every network is attached here
            words.emplace_back(key, value);
        }
    }
    if (auto set = kind->second(net, words); !set) return std::unexpected(set.error());
    return net;
}

}  // namespace arclight::guestos::cli
