// `--net`.
#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "devices/virtio/net.h"
#include "guestos/cli/parse.h"

namespace arclight::guestos::cli {

namespace {

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

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

/// [ADDRESS]:PORT; an IPv6 address is in brackets.
Result<Endpoint> parse_endpoint(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return failure("'{}' is not of the form [ADDRESS]:PORT", text);
    Endpoint endpoint{.address = std::string(text.substr(0, colon))};
    const auto port = number_of<uint16_t>(text.substr(colon + 1));
    if (!port || *port == 0) return failure("'{}' is no port, 1 to 65535", text.substr(colon + 1));
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
    const auto host = parse_endpoint(rest.substr(0, dash)), guest = parse_endpoint(rest.substr(dash + 1));
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

Result<bool> parse_switch(std::string_view key, std::string_view value) {
    if (value == "on" || value == "yes" || value == "y") return true;
    if (value == "off" || value == "no" || value == "n") return false;
    return failure("{} is on or off, not '{}'", key, value);
}

}  // namespace

Result<std::optional<NetOptions>> parse_net(std::string_view text) {
    const std::vector<std::string> parts = split_commas(text);
    if (parts[0] == "none" && parts.size() == 1) return std::nullopt;
    if (parts[0] != "user") return failure("'{}' is no kind of network (known: user, none)", parts[0]);
    NetOptions net;
    std::vector<std::pair<std::string, uint32_t NetOptions::*>> addresses;
    for (const std::string& part : std::span(parts).subspan(1)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0)
            return failure("'{}' is not of the form key=value", part);
        const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
        Result<void> wrong;
        const auto set_switch = [&](bool& to) {
            if (const auto on = parse_switch(key, value))
                to = *on;
            else
                wrong = std::unexpected(on.error());
        };
        if (key == "mac") {
            if (const auto mac = devices::virtio::parse_mac(value); !mac) return std::unexpected(mac.error());
            net.mac = value;
        } else if (key == "mtu") {
            const auto mtu = number_of<unsigned>(value);
            if (!mtu || *mtu < devices::virtio::Net::kMinMtu || *mtu > devices::virtio::Net::kMaxMtu)
                return failure("mtu '{}' is not {} to {}", value, devices::virtio::Net::kMinMtu,
                               devices::virtio::Net::kMaxMtu);
            net.mtu = *mtu;
        } else if (key == "ipv4") {
            set_switch(net.ipv4);
        } else if (key == "ipv6") {
            set_switch(net.ipv6);
        } else if (key == "restrict") {
            set_switch(net.restrict_guest);
        } else if (key == "net") {
            wrong = parse_network(value, net);
        } else if (key == "host") {
            addresses.emplace_back(part, &NetOptions::host);
        } else if (key == "dns") {
            addresses.emplace_back(part, &NetOptions::dns);
        } else if (key == "dhcpstart") {
            addresses.emplace_back(part, &NetOptions::dhcp_start);
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
        } else if (key == "hostfwd") {
            const auto forward = parse_forward(value);
            if (!forward) return std::unexpected(forward.error());
            net.forwards.push_back(*forward);
        } else if (key != "id") {  // QEMU's name for -device to refer to; every network is attached here
            return failure(
                "unknown key '{}' (known: mac, mtu, ipv4, ipv6, restrict, net, host, dns, dhcpstart, "
                "hostname, "
                "domainname, dnssearch, tftp, bootfile, hostfwd, id)",
                key);
        }
        if (!wrong) return std::unexpected(wrong.error());
    }
    // After net=, wherever that stands.
    for (const auto& [part, to] : addresses) {
        const auto address = ip4_of(part.substr(part.find('=') + 1));
        if (!address) return failure("'{}' is no IPv4 address", part);
        if ((*address & net.netmask) != net.network)
            return failure("'{}' is not in the guest's network", part);
        net.*to = *address;
    }
    if (net.host == net.dns || net.host == net.dhcp_start || net.dns == net.dhcp_start)
        return failure("host, dns and dhcpstart must be different addresses");
    if (!net.ipv4 && !net.ipv6) return failure("ipv4=off and ipv6=off leave nothing");
    return net;
}

}  // namespace arclight::guestos::cli
