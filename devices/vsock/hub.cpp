#include "devices/vsock/hub.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

// Sections are those of virtio 1.2.
namespace arclight::devices::vsock {

namespace {

constexpr size_t kMaxResets = 256;
constexpr std::string_view kConnect = "CONNECT ";
constexpr size_t kMaxConnectLine = 32;

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

std::optional<uint32_t> parse_port(std::string_view text) {
    uint32_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return port;
}

}  // namespace

void Hub::reset() {
    for (auto& [key, connection] : connections_) close_socket(connection);
    for (const Client& client : clients_) close(client.socket);
    connections_.clear();
    clients_.clear();
    ready_.clear();
    resets_.clear();
    polled_.clear();
    polled_clients_ = 0;
    deadlines_ = 0;
}

void Hub::close_socket(Connection& connection) {
    if (connection.socket >= 0) close(connection.socket);
    connection.socket = -1;
    connection.readable = false;
    connection.waiting.clear();
}

// ---- what the guest is to be told

bool Hub::has_something(const Connection& connection) {
    return connection.pending != 0 || (connection.readable && !connection.asked &&
                                       (connection.told & kNoSend) == 0 && credit(connection) != 0);
}

void Hub::push(Connections::iterator at, uint8_t pending) {
    at->second.pending |= pending;
    if (at->second.listed || !has_something(at->second)) return;
    at->second.listed = true;
    ready_.push_back(at->first);
}

void Hub::refuse(const Header& header) {
    // 5.10.6.1: an answer to a reset would be answered too.
    if (header.op == Op::Reset || resets_.size() >= kMaxResets) return;
    resets_.push_back({.source_cid = header.destination_cid,
                       .destination_cid = header.source_cid,
                       .source_port = header.destination_port,
                       .destination_port = header.source_port,
                       .length = 0,
                       .type = header.type,
                       .op = Op::Reset});
}

/// The guest learns of it by a reset, or has said it itself.
void Hub::end(Connections::iterator at, bool tell) {
    Connection& connection = at->second;
    close_socket(connection);
    if (std::exchange(connection.asked, false)) --deadlines_;
    connection.pending = 0;
    if (tell) {
        push(at, kReset);
        return;
    }
    if (connection.listed) std::erase(ready_, at->first);
    connections_.erase(at);
}

Header Hub::header_for(Key key, Connection& connection, Op op) const {
    connection.forwarded_told = connection.forwarded;
    return {.source_cid = kHostCid,
            .destination_cid = cid_,
            .source_port = key.host_port,
            .destination_port = key.guest_port,
            .length = 0,
            .type = kStream,
            .op = op,
            .flags = 0,
            .buffer = kBuffer,
            .forwarded = connection.forwarded};
}

bool Hub::read_data(Connections::iterator at, Packet& packet, size_t room) {
    Connection& connection = at->second;
    packet.data.resize(std::min<size_t>({room, kMaxData, credit(connection)}));
    if (packet.data.empty()) return false;
    const ssize_t got = recv(connection.socket, packet.data.data(), packet.data.size(), MSG_DONTWAIT);
    if (got > 0) {
        packet.data.resize(static_cast<size_t>(got));
        packet.header = header_for(at->first, connection, Op::Data);
        packet.header.length = static_cast<uint32_t>(got);
        connection.sent += packet.header.length;
        connection.asked_credit = false;
        if (credit(connection) == 0 && !std::exchange(connection.asked_credit, true))
            connection.pending |= kCreditRequest;
        return true;
    }
    connection.readable = false;
    if (got == 0 || !would_block()) {
        connection.shut |= got == 0 ? kNoSend : kNoSend | kNoReceive;
        connection.pending |= kShutdown;
    }
    return false;
}

bool Hub::fill(Connections::iterator at, Packet& packet, size_t room) {
    Connection& connection = at->second;
    packet.data.clear();
    constexpr std::pair<uint8_t, Op> kPlain[] = {{kRequest, Op::Request},
                                                 {kResponse, Op::Response},
                                                 {kCreditUpdate, Op::CreditUpdate},
                                                 {kCreditRequest, Op::CreditRequest}};
    for (const auto& [pending, op] : kPlain) {
        if ((connection.pending & pending) == 0) continue;
        connection.pending &= static_cast<uint8_t>(~pending);
        packet.header = header_for(at->first, connection, op);
        return true;
    }
    if (connection.readable && has_something(connection) && read_data(at, packet, room)) return true;
    packet.data.clear();
    if ((connection.pending & kShutdown) == 0) return false;
    connection.pending &= static_cast<uint8_t>(~kShutdown);
    packet.header = header_for(at->first, connection, Op::Shutdown);
    packet.header.flags = connection.told = connection.shut;
    return true;
}

bool Hub::next(Packet& packet, size_t room) {
    if (!resets_.empty()) {
        packet.header = resets_.front();
        packet.data.clear();
        resets_.pop_front();
        return true;
    }
    // Each in its turn. One that has data stays where there is no room for any.
    for (size_t left = ready_.size(); left != 0; --left) {
        const auto at = connections_.find(ready_.front());
        ready_.pop_front();
        at->second.listed = false;
        if ((at->second.pending & kReset) != 0) {
            packet.header = header_for(at->first, at->second, Op::Reset);
            packet.data.clear();
            connections_.erase(at);
            return true;
        }
        const bool filled = fill(at, packet, room);
        push(at, 0);
        if (filled) return true;
    }
    return false;
}

// ---- what the guest says

uint32_t Hub::credit(const Connection& connection) {
    const uint32_t used = connection.sent - connection.guest_forwarded;
    return used < connection.guest_buffer ? connection.guest_buffer - used : 0;
}

void Hub::update_credit(Connection& connection, const Header& header) {
    connection.guest_buffer = header.buffer;
    connection.guest_forwarded = header.forwarded;
    if (credit(connection) != 0) connection.asked_credit = false;
}

void Hub::begin(const Header& header, Key key) {
    const int socket = connections_.size() < kMaxConnections ? connect_(key.host_port) : -1;
    if (socket < 0) return refuse(header);
    const auto at = connections_.emplace(key, Connection{.socket = socket}).first;
    update_credit(at->second, header);
    push(at, kResponse);
}

void Hub::receive(const Header& header, std::span<const uint8_t> data) {
    if (header.type != kStream || header.source_cid != cid_ || header.destination_cid != kHostCid)
        return refuse(header);
    const Key key{header.source_port, header.destination_port};
    const auto at = connections_.find(key);
    if (at == connections_.end()) return header.op == Op::Request ? begin(header, key) : refuse(header);
    Connection& connection = at->second;
    // The guest will see a reset; what it has said before that is moot.
    if ((connection.pending & kReset) != 0) return;
    update_credit(connection, header);
    switch (header.op) {
        case Op::Response: {
            if (!connection.asked) return end(at, true);
            connection.asked = false;
            --deadlines_;
            const std::string answer = fmt::format("OK {}\n", key.host_port);
            if (send(connection.socket, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
                static_cast<ssize_t>(answer.size()))
                return end(at, true);
            break;
        }
        case Op::Reset: return end(at, false);
        case Op::Shutdown:
            connection.guest_shut |= header.flags & (kNoReceive | kNoSend);
            if ((connection.guest_shut & kNoReceive) != 0) connection.readable = false;
            flush(at);
            return;
        case Op::Data:
            if (connection.asked) return end(at, true);
            return receive_data(at, data);
        case Op::CreditUpdate: break;
        case Op::CreditRequest: return push(at, kCreditUpdate);
        default: return end(at, true);  // a second request too
    }
    push(at, 0);
}

void Hub::receive_data(Connections::iterator at, std::span<const uint8_t> data) {
    Connection& connection = at->second;
    connection.received += static_cast<uint32_t>(data.size());
    // 5.10.6.3.1: it sends no more than there is room for.
    if (connection.received - connection.forwarded > kBuffer || (connection.guest_shut & kNoSend) != 0)
        return end(at, true);
    if ((connection.shut & kNoReceive) != 0) {
        connection.forwarded = connection.received;
        return push(at, 0);
    }
    if (connection.waiting.empty()) {
        const ssize_t put =
            data.empty() ? 0 : send(connection.socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) {
            data = data.subspan(static_cast<size_t>(put));
            connection.forwarded += static_cast<uint32_t>(put);
        }
    }
    // Also an error, which flush() finds again.
    connection.waiting.insert(connection.waiting.end(), data.begin(), data.end());
    flush(at);
}

/// Passes on what waits, and ends what can end then.
void Hub::flush(Connections::iterator at) {
    Connection& connection = at->second;
    std::array<uint8_t, 16384> piece;
    while (!connection.waiting.empty()) {
        const size_t size = std::min(piece.size(), connection.waiting.size());
        std::copy_n(connection.waiting.begin(), size, piece.begin());
        const ssize_t put = send(connection.socket, piece.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put < 0 && would_block()) break;
        if (put < 0) {
            // Nobody reads there any more. What was written before can still be read here.
            connection.forwarded += static_cast<uint32_t>(connection.waiting.size());
            connection.waiting.clear();
            connection.shut |= kNoReceive;
            connection.pending |= kShutdown;
            break;
        }
        connection.forwarded += static_cast<uint32_t>(put);
        connection.waiting.erase(connection.waiting.begin(), connection.waiting.begin() + put);
    }
    if (connection.forwarded - connection.forwarded_told >= kBuffer / 2) connection.pending |= kCreditUpdate;
    if ((connection.guest_shut & kNoSend) != 0 && connection.waiting.empty()) {
        // 5.10.6.5: a reset says that the end is seen. If the guest only sends no more, its answer may still come.
        const bool host_done = (connection.told & kNoSend) != 0;
        if ((connection.guest_shut & kNoReceive) != 0 || host_done) return end(at, true);
        shutdown(connection.socket, SHUT_WR);
    }
    push(at, 0);
}

// ---- the host's sockets

void Hub::accept(int socket) {
    if (connections() >= kMaxConnections) {
        close(socket);
        return;
    }
    clients_.push_back({socket, Clock::now() + kPatience});
    ++deadlines_;
}

bool Hub::serve_client(const Client& client) {
    std::array<char, kMaxConnectLine> line;
    // What is behind the line is the stream's.
    const ssize_t seen = recv(client.socket, line.data(), line.size(), MSG_PEEK | MSG_DONTWAIT);
    if (seen < 0 && would_block()) return true;
    const std::string_view text(line.data(), seen > 0 ? static_cast<size_t>(seen) : 0);
    const size_t size = text.find('\n');
    const bool good = text.substr(0, kConnect.size()) == kConnect.substr(0, text.size());
    if (seen > 0 && good && size == text.npos && text.size() < line.size()) return true;
    const auto port = good && size != text.npos && size > kConnect.size()
                          ? parse_port(text.substr(kConnect.size(), size - kConnect.size()))
                          : std::nullopt;
    --deadlines_;
    if (!port || recv(client.socket, line.data(), size + 1, MSG_DONTWAIT) != static_cast<ssize_t>(size + 1)) {
        close(client.socket);
        return false;
    }
    Key key{*port, next_port_};
    while (connections_.contains(key)) key.host_port = ++next_port_;
    next_port_ = std::max(next_port_ + 1, 1u << 30);
    const auto at = connections_.emplace(key, Connection{.socket = client.socket}).first;
    at->second.asked = true;
    at->second.deadline = Clock::now() + kPatience;
    ++deadlines_;
    push(at, kRequest);
    return false;
}

void Hub::add_to(std::vector<pollfd>& waited_for, bool guest_takes) {
    polled_.clear();
    polled_clients_ = clients_.size();
    for (const Client& client : clients_) waited_for.push_back({client.socket, POLLIN, 0});
    for (const auto& [key, connection] : connections_) {
        if (connection.socket < 0) continue;
        short events = 0;
        // Without credit, and while the guest has not taken what is there, nothing is read.
        if (guest_takes && !connection.readable && !connection.asked && (connection.shut & kNoSend) == 0 &&
            (connection.guest_shut & kNoReceive) == 0 && credit(connection) != 0)
            events |= POLLIN;
        if (!connection.waiting.empty()) events |= POLLOUT;
        // Without events a hangup would be told again and again.
        polled_.emplace_back(key, connection.socket);
        waited_for.push_back({events != 0 ? connection.socket : -1, events, 0});
    }
}

void Hub::serve(std::span<const pollfd> ready, Clock::time_point now) {
    std::vector<Client> still;
    const std::vector<Client> before = std::exchange(clients_, {});
    for (size_t i = 0; i < before.size(); ++i) {
        const bool spoke = i < polled_clients_ && i < ready.size() && ready[i].revents != 0;
        bool stays = !spoke || serve_client(before[i]);
        if (stays && before[i].deadline < now) {
            close(before[i].socket);
            --deadlines_;
            stays = false;
        }
        if (stays) still.push_back(before[i]);
    }
    // None has come meanwhile.
    clients_ = std::move(still);
    const auto events = ready.subspan(std::min(ready.size(), polled_clients_));
    const auto polled = std::exchange(polled_, {});
    polled_clients_ = 0;
    for (size_t i = 0; i < polled.size() && i < events.size(); ++i) {
        if (events[i].revents == 0) continue;
        const auto at = connections_.find(polled[i].first);
        if (at == connections_.end() || at->second.socket != polled[i].second) continue;
        if ((events[i].events & POLLIN) != 0 && (events[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            at->second.readable = true;
        if ((events[i].events & POLLOUT) != 0)
            flush(at);
        else
            push(at, 0);
    }
    if (deadlines_ == 0) return;
    for (auto at = connections_.begin(); at != connections_.end();) {
        const auto late = at++;
        if (late->second.asked && late->second.deadline < now) end(late, true);
    }
}

}  // namespace arclight::devices::vsock
