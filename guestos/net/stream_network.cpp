#include "guestos/net/stream_network.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "devices/event_loop.h"
#include "guestos/net/frame_reader.h"
#include "guestos/net/network_thread.h"

namespace arclight::guestos {

namespace {

using devices::NetBackend;

constexpr size_t kEthernetHeader = 14;
/// Bytes that wait for a slow peer before the guest's frames stay in its queue.
constexpr size_t kMaxPending = 256 * 1024;
/// A connection that takes longer than this to come about goes on beside the guest's start.
constexpr int kFirstConnectionMs = 3000;

class StreamNetwork final : public NetworkThread {
  public:
    static Result<std::shared_ptr<NetBackend>> open(const NetOptions& options);
    StreamNetwork(std::string id, SocketFd connection) : id_(std::move(id)) { opened(std::move(connection)); }
    ~StreamNetwork() override;

    void send(std::span<uint8_t> frame) override;

  private:
    explicit StreamNetwork(const NetOptions& options)
        : id_(options.id), reconnect_ms_(options.reconnect_ms) {}
    Result<void> connect_first(const NetAddress& address);

    void turn(bool wait) override;
    bool can_send() const override { return pending_.size() < kMaxPending; }
    void sent() override;
    void take_client();
    void finish_connecting();
    void opened(SocketFd connection);
    void lost();
    void try_again_later();
    void connect_again();
    void receive();
    void flush();

    const std::string id_;
    const unsigned reconnect_ms_ = 0;
    std::string socket_file_;  // of a server; empty: none
    SocketAddress peer_;       // of a client that connects again

    // The thread's while that runs. One of these at most is there, or due_ms_ is set.
    SocketFd connection_, attempt_;
    SocketFd listener_;  // beside a connection others wait in its queue
    int64_t due_ms_ = -1;
    FrameReader reader_;
    bool complained_ = false;

    // Frames of this turn are where the guest's device has them until sent(), what a connection does not take is in pending_.
    std::vector<std::array<uint8_t, FrameReader::kPrefix>> prefixes_;
    std::vector<std::span<const uint8_t>> frames_;
    std::vector<iovec> vectors_;
    std::vector<uint8_t> pending_;
};

Result<std::shared_ptr<NetBackend>> StreamNetwork::open(const NetOptions& options) {
    std::shared_ptr<StreamNetwork> made(new StreamNetwork(options));
    const NetAddress& address = options.remote;
    if (options.server) {
        auto listener = listen_at(address);
        if (!listener) return std::unexpected(listener.error());
        made->listener_ = std::move(*listener);
        if (address.kind == NetAddress::Kind::Unix && !address.abstract) made->socket_file_ = address.path;
    } else if (address.kind == NetAddress::Kind::Descriptor) {
        auto connection = adopt_socket(address.descriptor, SOCK_STREAM);
        if (!connection) return std::unexpected(connection.error());
        made->opened(std::move(*connection));
    } else if (auto connected = made->connect_first(address); !connected) {
        return std::unexpected(connected.error());
    }
    return made;
}

StreamNetwork::~StreamNetwork() {
    connect(nullptr);
    if (!socket_file_.empty()) unlink(socket_file_.c_str());
}

Result<void> StreamNetwork::connect_first(const NetAddress& address) {
    const auto resolved = resolve(address, SOCK_STREAM, false);
    if (!resolved) return std::unexpected(resolved.error());
    peer_ = *resolved;
    attempt_ = begin_connection(peer_);
    int error = attempt_ ? 0 : errno;
    if (attempt_) {
        pollfd one{.fd = attempt_.get(), .events = POLLOUT, .revents = 0};
        if (poll(&one, 1, kFirstConnectionMs) == 0) return {};
        error = connection_error(attempt_.get());
    }
    if (error == 0) {
        opened(std::move(attempt_));
    } else if (reconnect_ms_ != 0) {
        try_again_later();
    } else {
        return failure("cannot connect to '{}': {}", text_of(address), std::strerror(error));
    }
    return {};
}

// ---- connections

void StreamNetwork::opened(SocketFd connection) {
    connection_ = std::move(connection);
    send_at_once(connection_.get());
    reader_.reset();
    due_ms_ = -1;
}

void StreamNetwork::lost() {
    connection_.reset();
    pending_.clear();
    if (!listener_) try_again_later();
}

void StreamNetwork::try_again_later() {
    attempt_.reset();
    if (reconnect_ms_ != 0) due_ms_ = devices::EventLoop::now_ns() / 1'000'000 + reconnect_ms_;
}

void StreamNetwork::connect_again() {
    due_ms_ = -1;
    attempt_ = begin_connection(peer_);
    if (!attempt_) try_again_later();
}

void StreamNetwork::finish_connecting() {
    if (connection_error(attempt_.get()) == 0)
        opened(std::move(attempt_));
    else
        try_again_later();
}

void StreamNetwork::take_client() {
    if (SocketFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)); client)
        opened(std::move(client));
}

// ---- the thread

void StreamNetwork::turn(bool wait) {
    pollfd polled[2] = {{.fd = wake_fd(), .events = POLLIN, .revents = 0},
                        {.fd = -1, .events = POLLIN, .revents = 0}};
    int timeout = -1;
    if (connection_) {
        polled[1].fd = connection_.get();
        if (!pending_.empty()) polled[1].events |= POLLOUT;
    } else if (attempt_) {
        polled[1] = {.fd = attempt_.get(), .events = POLLOUT, .revents = 0};
    } else if (listener_) {
        polled[1].fd = listener_.get();
    } else if (due_ms_ >= 0) {
        const int64_t left = due_ms_ - devices::EventLoop::now_ns() / 1'000'000;
        timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
        if (left <= 0) {
            connect_again();
            return;
        }
    }
    poll(polled, 2, wait ? timeout : 0);
    if (polled[0].revents != 0) took_wake();
    const short got = polled[1].revents;
    if (got == 0) return;
    if (!connection_) {
        if (attempt_)
            finish_connecting();
        else
            take_client();
        return;
    }
    if ((got & POLLOUT) != 0) flush();
    if (connection_ && (got & ~POLLOUT) != 0) receive();
}

void StreamNetwork::receive() {
    const auto room = reader_.room();
    const ssize_t got = recv(connection_.get(), room.data(), room.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const bool good = got > 0 && reader_.received(static_cast<size_t>(got), [&](std::span<uint8_t> frame) {
        if (frame.size() >= kEthernetHeader) guest()->receive({.bytes = frame, .checked = false});
    });
    if (good) return;
    if (got > 0 && !std::exchange(complained_, true))
        fmt::print(stderr, "arclight: network '{}': the peer sends what are no frames; its connection ends\n",
                   id_);
    lost();
}

void StreamNetwork::send(std::span<uint8_t> frame) {
    if (!connection_) return;
    const size_t size = frame.size();
    prefixes_.push_back({static_cast<uint8_t>(size >> 24), static_cast<uint8_t>(size >> 16),
                         static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)});
    frames_.push_back(frame);
}

void StreamNetwork::sent() {
    if (frames_.empty()) return;
    vectors_.clear();
    for (size_t i = 0; i < frames_.size(); i++) {
        vectors_.push_back({prefixes_[i].data(), prefixes_[i].size()});
        vectors_.push_back({const_cast<uint8_t*>(frames_[i].data()), frames_[i].size()});
    }
    size_t taken = 0;
    if (pending_.empty()) {
        msghdr message{};
        message.msg_iov = vectors_.data();
        message.msg_iovlen = vectors_.size();
        const ssize_t done = sendmsg(connection_.get(), &message, MSG_NOSIGNAL);
        taken = done > 0 ? static_cast<size_t>(done) : 0;
    }
    // An error is met again when the connection is read.
    for (const iovec& one : vectors_) {
        const size_t skipped = std::min(taken, one.iov_len);
        taken -= skipped;
        const auto* bytes = static_cast<const uint8_t*>(one.iov_base);
        pending_.insert(pending_.end(), bytes + skipped, bytes + one.iov_len);
    }
    prefixes_.clear();
    frames_.clear();
}

void StreamNetwork::flush() {
    const ssize_t done = ::send(connection_.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL);
    if (done > 0)
        pending_.erase(pending_.begin(), pending_.begin() + done);
    else if (done < 0 && errno != EAGAIN && errno != EINTR)
        lost();
}

}  // namespace

Result<std::shared_ptr<NetBackend>> open_stream_network(const NetOptions& options) {
    return StreamNetwork::open(options);
}

std::shared_ptr<NetBackend> make_stream_network(std::string id, SocketFd connection) {
    return std::make_shared<StreamNetwork>(std::move(id), std::move(connection));
}

}  // namespace arclight::guestos
