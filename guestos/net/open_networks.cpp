#include "guestos/net/open_networks.h"

#include <string_view>
#include <utility>

#include "guestos/net/command_server.h"
#include "guestos/net/datagram_network.h"
#include "guestos/net/passt.h"
#include "guestos/net/stream_network.h"
#include "guestos/net/tap_network.h"

namespace arclight::guestos {

namespace {

using Opened = Result<std::shared_ptr<devices::NetBackend>>;

Opened open_network(const NetOptions& network) {
    switch (network.kind) {
        case NetOptions::Kind::User: return nullptr;
        case NetOptions::Kind::Tap: return open_tap_network(network);
        case NetOptions::Kind::Stream: return open_stream_network(network);
        case NetOptions::Kind::Datagram: return open_datagram_network(network);
        case NetOptions::Kind::Passt: {
            auto connection = start_passt(network);
            if (!connection) return std::unexpected(connection.error());
            return make_stream_network(network.id, std::move(*connection));
        }
    }
    return nullptr;
}

}  // namespace

Result<void> open_networks(RunOptions& options) {
    for (NetOptions& network : options.networks) {
        auto opened = open_network(network);
        if (!opened) return failure("network '{}': {}", network.id, opened.error());
        if (*opened != nullptr) options.opened_networks[network.id] = std::move(*opened);
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
