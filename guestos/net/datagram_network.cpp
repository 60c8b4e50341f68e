#include "guestos/net/datagram_network.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "guestos/net/net_sockets.h"
#include "guestos/net/network_thread.h"

namespace arclight::guestos {

namespace {

using devices::NetBackend;

constexpr size_t kEthernetHeader = 14;
constexpr unsigned kBatch = 32;
/// Until a peer whose queue is full is tried again. It cannot be waited for: a socket that is not connected is always writable.
constexpr timespec kRetry{.tv_sec = 0, .tv_nsec = 100'000};

class DatagramNetwork final : public NetworkThread {
  public:
    static Result<std::shared_ptr<NetBackend>> open(const NetOptions& options);
    ~DatagramNetwork() override;

    void send(std::span<uint8_t> frame) override;

  private:
    DatagramNetwork() = default;

    void turn(bool wait) override;
    bool can_send() const override { return waiting_.empty(); }
    void sent() override;
    void receive();

    SocketFd socket_;
    SocketAddress peer_;       // of size 0: the socket is connected
    std::string socket_file_;  // empty: none

    std::vector<std::vector<uint8_t>> buffers_;
    std::vector<mmsghdr> messages_;
    std::vector<iovec> vectors_;
    std::vector<std::span<uint8_t>> frames_;  // of this turn, where the guest's device has them until sent()
    std::vector<std::vector<uint8_t>> waiting_;  // for room at the peer's
};

Result<std::shared_ptr<NetBackend>> DatagramNetwork::open(const NetOptions& options) {
    std::shared_ptr<DatagramNetwork> made(new DatagramNetwork);
    using Kind = NetAddress::Kind;
    const NetAddress& local = options.local;
    sa_family_t family = AF_INET;
    if (options.remote.kind != Kind::None) {
        const auto resolved = resolve(options.remote, SOCK_DGRAM, false);
        if (!resolved) return std::unexpected(resolved.error());
        made->peer_ = *resolved;
        family = resolved->family();
    }
    auto socket = made->peer_.is_multicast() && local.kind != Kind::Descriptor
                      ? join_group(options.remote, made->peer_, local)
                      : bind_datagrams(local, family);
    if (!socket) return std::unexpected(socket.error());
    made->socket_ = std::move(*socket);
    if (local.kind == Kind::Unix && !local.abstract) made->socket_file_ = local.path;
    made->buffers_.assign(kBatch, std::vector<uint8_t>(NetBackend::kMaxFrame));
    return made;
}

DatagramNetwork::~DatagramNetwork() {
    connect(nullptr);
    if (!socket_file_.empty()) unlink(socket_file_.c_str());
}

void DatagramNetwork::turn(bool wait) {
    pollfd polled[2] = {{.fd = wake_fd(), .events = POLLIN, .revents = 0},
                        {.fd = socket_.get(), .events = POLLIN, .revents = 0}};
    const timespec none{};
    const bool full = !waiting_.empty();
    ppoll(polled, 2, full ? &kRetry : wait ? nullptr : &none, nullptr);
    if (polled[0].revents != 0) took_wake();
    if (full) {
        std::vector<std::vector<uint8_t>> again;
        again.swap(waiting_);
        for (auto& frame : again) frames_.emplace_back(frame);
        sent();
    }
    if (polled[1].revents != 0) receive();
}

void DatagramNetwork::receive() {
    vectors_.clear();
    messages_.assign(kBatch, {});
    vectors_.resize(kBatch);
    for (unsigned i = 0; i < kBatch; i++) {
        vectors_[i] = {buffers_[i].data(), buffers_[i].size()};
        messages_[i].msg_hdr.msg_iov = &vectors_[i];
        messages_[i].msg_hdr.msg_iovlen = 1;
    }
    // An error is that of a datagram that nobody has taken.
    const int got = recvmmsg(socket_.get(), messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < got; i++) {
        const auto frame =
            std::span(buffers_[static_cast<size_t>(i)]).first(messages_[static_cast<size_t>(i)].msg_len);
        if (frame.size() >= kEthernetHeader &&
            (messages_[static_cast<size_t>(i)].msg_hdr.msg_flags & MSG_TRUNC) == 0)
            guest()->receive({.bytes = frame, .checked = false});
    }
}

void DatagramNetwork::send(std::span<uint8_t> frame) { frames_.push_back(frame); }

// A datagram that cannot be sent is lost, and the next one is tried.
void DatagramNetwork::sent() {
    size_t first = 0;
    while (first < frames_.size()) {
        const size_t count = frames_.size() - first;
        messages_.assign(count, {});
        vectors_.resize(count);
        for (size_t i = 0; i < count; i++) {
            vectors_[i] = {frames_[first + i].data(), frames_[first + i].size()};
            msghdr& header = messages_[i].msg_hdr;
            header.msg_iov = &vectors_[i];
            header.msg_iovlen = 1;
            if (peer_.size != 0) {
                header.msg_name = &peer_.bytes;
                header.msg_namelen = peer_.size;
            }
        }
        const int done = sendmmsg(socket_.get(), messages_.data(), static_cast<unsigned>(count),
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done > 0) {
            first += static_cast<size_t>(done);
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            for (; first < frames_.size(); first++)
                waiting_.emplace_back(frames_[first].begin(), frames_[first].end());
        } else if (errno != EINTR) {
            first++;
        }
    }
    frames_.clear();
}

}  // namespace

Result<std::shared_ptr<NetBackend>> open_datagram_network(const NetOptions& options) {
    return DatagramNetwork::open(options);
}

}  // namespace arclight::guestos
