#include "guestos/net/open_networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "guestos/device_requests.h"
#include "guestos/net/command_server.h"
#include "guestos/net/datagram_network.h"
#include "guestos/net/passt.h"
#include "guestos/net/stream_network.h"
#include "guestos/net/tap_network.h"

namespace arclight::guestos {

namespace {

/// Why the host's kernel cannot be at both ends of a tap device in this run; empty: it can.
std::string kernel_obstacle(const RunOptions& options, const NetOptions& network) {
    if (!options.lightv.empty() || !options.control.empty())
        return "the host's kernel does not see what LightV puts behind pages";
    if (mmu::protects_tables(options.shadow.policy))
        return "--mmu tsp and tsp-unsync cannot see what the host's kernel writes";
    const auto adapters = std::ranges::count_if(options.devices, [&](const DeviceOptions& device) {
        return device.request.name == "virtio-net" && value_of(device.request, "network") == network.id;
    });
    return adapters > 1 ? "two adapters are on the network" : "";
}

Result<void> open_network(RunOptions& options, const NetOptions& network) {
    Result<std::shared_ptr<devices::NetBackend>> opened;
    switch (network.kind) {
        case NetOptions::Kind::User: return {};
        case NetOptions::Kind::Tap: {
            auto tap = open_tap_network(network, kernel_obstacle(options, network));
            if (!tap) return std::unexpected(tap.error());
            if (!tap->instead.empty())
                fmt::print(stderr, "arclight: network '{}': no vhost: {}; frames pass through this process\n",
                           network.id, tap->instead);
            if (tap->kernel != nullptr) {
                options.kernel_networks[network.id] = std::move(tap->kernel);
                return {};
            }
            opened = std::move(tap->frames);
            break;
        }
        case NetOptions::Kind::Stream: opened = open_stream_network(network); break;
        case NetOptions::Kind::Datagram: opened = open_datagram_network(network); break;
        case NetOptions::Kind::Passt: {
            auto connection = start_passt(network);
            if (!connection) return std::unexpected(connection.error());
            opened = make_stream_network(network.id, std::move(*connection));
            break;
        }
    }
    if (!opened) return std::unexpected(opened.error());
    options.opened_networks[network.id] = std::move(*opened);
    return {};
}

}  // namespace

Result<void> open_networks(RunOptions& options) {
    for (NetOptions& network : options.networks) {
        auto opened = open_network(options, network);
        if (!opened) return failure("network '{}': {}", network.id, opened.error());
        for (GuestForward& forward : network.guest_forwards) {
            if (forward.command.empty()) continue;
            auto server = CommandServer::start(forward.command);
            if (!server) return failure("network '{}': {}", network.id, server.error());
            forward.socket = (*server)->path();
            options.command_servers.push_back(std::move(*server));
        }
    }
    return {};
}

}  // namespace arclight::guestos
