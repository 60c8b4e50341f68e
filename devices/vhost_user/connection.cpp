#include "devices/vhost_user/connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/virtio/transport.h"
#include "host/send_files.h"

namespace arclight::devices::vhost_user {

namespace {

constexpr uint32_t kMaxBackendRequest = 4096;

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}
template <typename T>
std::span<uint8_t> room_of(T& value) {
    return {reinterpret_cast<uint8_t*>(&value), sizeof value};
}

/// Does not block: a daemon that takes no connections is as good as none.
Result<int> connect_to(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return failure("its name is longer than a socket's may be");
    std::memcpy(&address.sun_path[0], path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int error = errno;
    if (fd >= 0) close(fd);
    return failure("cannot connect: {}", std::strerror(error));
}

}  // namespace

DaemonConnection::~DaemonConnection() { hang_up(); }

void DaemonConnection::hang_up() {
    for (int* fd : {&socket_, &requests_})
        if (*fd >= 0) close(std::exchange(*fd, -1));
}

std::unexpected<std::string> DaemonConnection::broken(std::string why) {
    if (!broken_) broken_ = std::move(why);
    return std::unexpected(*broken_);
}

// ---- bytes

Result<void> DaemonConnection::send(Request request, std::span<const uint8_t> payload,
                                    std::span<const int> files, uint32_t flags) {
    if (broken_) return std::unexpected(*broken_);
    const Header header{static_cast<uint32_t>(request), kVersion | flags,
                        static_cast<uint32_t>(payload.size())};
    std::vector<uint8_t> bytes(sizeof header + payload.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::ranges::copy(payload, bytes.begin() + sizeof header);
    const auto end = std::chrono::steady_clock::now() + patience_;
    for (;;) {
        const ssize_t put = host::send_with_files(socket_, bytes, files, MSG_DONTWAIT);
        if (put == static_cast<ssize_t>(bytes.size())) return {};
        // The descriptors go with the first byte, and messages are far smaller than a socket's buffer.
        if (put >= 0) return broken("its daemon takes half a message");
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return broken("its daemon has ended");
        pollfd wait{socket_, POLLOUT, 0};
        poll(&wait, 1, 100);
        if (std::chrono::steady_clock::now() > end) return broken("its daemon takes no messages");
    }
}

// What the daemon asks meanwhile is answered, since it may wait for that.
Result<void> DaemonConnection::receive(int from, std::span<uint8_t> bytes) {
    const auto end = std::chrono::steady_clock::now() + patience_;
    while (!bytes.empty()) {
        const ssize_t got = recv(from, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got > 0) {
            bytes = bytes.subspan(static_cast<size_t>(got));
            continue;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) return broken("its daemon has ended");
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return broken("its daemon does not answer");
        std::array<pollfd, 2> wait{{{from, POLLIN, 0}, {from == socket_ ? requests_ : -1, POLLIN, 0}}};
        poll(wait.data(), wait.size(), static_cast<int>(left.count()));
        if (wait[1].revents != 0)
            if (auto served = serve_request(); !served) return served;
    }
    return {};
}

Result<void> DaemonConnection::receive_reply(Request request, std::span<uint8_t> payload) {
    Header header{};
    if (auto got = receive(socket_, room_of(header)); !got) return got;
    if (header.request != static_cast<uint32_t>(request) || (header.flags & kVersionMask) != kVersion ||
        (header.flags & kReply) == 0 || header.size != payload.size())
        return broken("its daemon does not speak vhost-user");
    return receive(socket_, payload);
}

Result<void> DaemonConnection::tell(Request request, std::span<const uint8_t> payload,
                                    std::span<const int> files) {
    const bool acknowledged = has(kProtocolReplyAck);
    if (auto sent = send(request, payload, files, acknowledged ? kNeedReply : 0); !sent || !acknowledged)
        return sent;
    uint64_t status = 0;
    if (auto got = receive_reply(request, room_of(status)); !got) return got;
    if (status != 0) return broken(fmt::format("its daemon refuses message {}", static_cast<int>(request)));
    return {};
}

Result<void> DaemonConnection::tell_number(Request request, uint64_t value, std::span<const int> files) {
    return tell(request, bytes_of(value), files);
}

Result<uint64_t> DaemonConnection::ask_number(Request request) {
    uint64_t value = 0;
    if (auto sent = send(request, {}, {}, 0); !sent) return std::unexpected(sent.error());
    if (auto got = receive_reply(request, room_of(value)); !got) return std::unexpected(got.error());
    return value;
}

// ---- the beginning

Result<std::shared_ptr<Connection>> DaemonConnection::open(int socket, uint64_t wanted, size_t config_bytes,
                                                           std::chrono::milliseconds patience) {
    std::shared_ptr<DaemonConnection> connection(
        new DaemonConnection(socket, wanted, config_bytes, patience));
    if (auto done = connection->shake_hands(); !done) return std::unexpected(done.error());
    return connection;
}

Result<std::shared_ptr<Connection>> DaemonConnection::connect(const std::string& path, uint64_t wanted,
                                                              size_t config_bytes,
                                                              std::chrono::milliseconds renewal,
                                                              std::chrono::milliseconds patience) {
    const auto socket = connect_to(path);
    if (!socket) return std::unexpected(socket.error());
    std::shared_ptr<DaemonConnection> connection(
        new DaemonConnection(*socket, wanted, config_bytes, patience));
    connection->path_ = path;
    connection->renewal_ = renewal;
    if (auto done = connection->shake_hands(); !done) return std::unexpected(done.error());
    return connection;
}

// Another daemon may be there now, which must know what the guest's driver has agreed to.
Result<void> DaemonConnection::renew() {
    const uint64_t features = features_;
    const unsigned queues = queue_limit_;
    hang_up();
    const auto socket = connect_to(path_);
    if (!socket) return std::unexpected(socket.error());
    socket_ = *socket;
    broken_.reset();
    protocol_ = 0;
    config_changed_ = false;
    auto done = shake_hands();
    if (done && ((features & ~features_) != 0 || queue_limit_ < queues))
        done = broken("its daemon can less than the one before");
    features_ = features;
    queue_limit_ = queues;
    return done;
}

Result<void> DaemonConnection::shake_hands() {
    const auto offered = ask_number(Request::GetFeatures);
    if (!offered) return std::unexpected(offered.error());
    offered_ = *offered;
    if ((offered_ & virtio::kFeatureVersion1) == 0) return broken("its daemon knows virtio 0.9 only");
    features_ = offered_ & wanted_;
    queue_limit_ = 2;
    uint64_t protocol = 0;
    if ((offered_ & kFeatureProtocol) != 0) {
        const auto all = ask_number(Request::GetProtocolFeatures);
        if (!all) return std::unexpected(all.error());
        protocol = *all & (kProtocolMq | kProtocolReplyAck | kProtocolBackendReq | kProtocolConfig);
        if (config_bytes_ == 0) protocol &= ~(kProtocolConfig | kProtocolBackendReq);
        if (auto told = tell_number(Request::SetProtocolFeatures, protocol); !told) return told;
        protocol_ = protocol;
    }
    if (has(kProtocolMq)) {
        const auto count = ask_number(Request::GetQueueNum);
        if (!count) return std::unexpected(count.error());
        queue_limit_ = static_cast<unsigned>(std::min<uint64_t>(*count, kVringIndexMask));
    }
    if (auto told = tell(Request::SetOwner, {}); !told) return told;
    if (config_bytes_ == 0) return {};
    if (!has(kProtocolConfig)) return broken("its daemon keeps no configuration of the device");
    config_.resize(config_bytes_);
    if (auto opened = open_requests(); !opened) return opened;
    return read_config();
}

Result<void> DaemonConnection::open_requests() {
    if (!has(kProtocolBackendReq)) return {};
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
        return broken(fmt::format("no socket for its daemon's messages: {}", std::strerror(errno)));
    requests_ = pair[0];
    auto told = tell(Request::SetBackendReqFd, {}, {&pair[1], 1});
    close(pair[1]);
    return told;
}

Result<void> DaemonConnection::read_config() {
    const ConfigHeader asked{0, static_cast<uint32_t>(config_.size()), 0};
    std::vector<uint8_t> payload(sizeof asked + config_.size());
    std::memcpy(payload.data(), &asked, sizeof asked);
    if (auto sent = send(Request::GetConfig, payload, {}, 0); !sent) return sent;
    if (auto got = receive_reply(Request::GetConfig, payload); !got) return got;
    ConfigHeader answered{};
    std::memcpy(&answered, payload.data(), sizeof answered);
    if (answered.size != asked.size) return broken("its daemon has no such configuration");
    std::ranges::copy(std::span(payload).subspan(sizeof answered), config_.begin());
    return {};
}

// ---- the device at work

Result<void> DaemonConnection::set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory&) {
    if (auto told = tell_number(Request::SetFeatures, features | (offered_ & kFeatureProtocol)); !told)
        return told;
    // The daemon needs no address of this process: rings are named by guest-physical ones.
    const MemoryTable table{.regions = 1,
                            .padding = 0,
                            .guest_address = ram.base,
                            .size = ram.size,
                            .user_address = ram.base,
                            .offset = 0};
    return tell(Request::SetMemTable, bytes_of(table), {&ram.file, 1});
}

Result<void> DaemonConnection::start_ring(unsigned index, const Ring& ring, int kick, int call, int error) {
    const VringState entries{index, ring.entries}, base{index, ring.next_available};
    const VringAddress address{.index = index,
                               .flags = 0,
                               .descriptors = ring.descriptors,
                               .used = ring.used,
                               .available = ring.available,
                               .log = 0};
    if (auto told = tell(Request::SetVringNum, bytes_of(entries)); !told) return told;
    if (auto told = tell(Request::SetVringBase, bytes_of(base)); !told) return told;
    if (auto told = tell(Request::SetVringAddr, bytes_of(address)); !told) return told;
    if (auto told = tell_number(Request::SetVringCall, index, {&call, 1}); !told) return told;
    if (auto told = tell_number(Request::SetVringErr, index, {&error, 1}); !told) return told;
    return tell_number(Request::SetVringKick, index, {&kick, 1});
}

Result<void> DaemonConnection::begin(std::span<const unsigned> rings) {
    if ((offered_ & kFeatureProtocol) == 0) return {};
    for (const unsigned ring : rings)
        if (auto told = enable_ring(ring, true); !told) return told;
    return {};
}

Result<void> DaemonConnection::enable_ring(unsigned index, bool on) {
    return tell(Request::SetVringEnable, bytes_of(VringState{index, on ? 1u : 0u}));
}

Result<uint16_t> DaemonConnection::stop_ring(unsigned index) {
    VringState state{index, 0};
    if (auto sent = send(Request::GetVringBase, bytes_of(state), {}, 0); !sent)
        return std::unexpected(sent.error());
    if (auto got = receive_reply(Request::GetVringBase, room_of(state)); !got)
        return std::unexpected(got.error());
    if (state.index != index) return broken("its daemon stops another ring");
    return static_cast<uint16_t>(state.value);
}

// ---- what the daemon says by itself

Result<void> DaemonConnection::serve_request() {
    Header header{};
    if (auto got = receive(requests_, room_of(header)); !got) return got;
    if ((header.flags & kVersionMask) != kVersion || header.size > kMaxBackendRequest)
        return broken("its daemon does not speak vhost-user");
    std::vector<uint8_t> payload(header.size);
    if (auto got = receive(requests_, payload); !got) return got;
    const bool known = header.request == static_cast<uint32_t>(BackendRequest::ConfigChange);
    config_changed_ |= known;
    if ((header.flags & kNeedReply) == 0) return {};
    struct {
        Header header;
        uint8_t status[8];
    } reply{{header.request, kVersion | kReply, 8}, {static_cast<uint8_t>(known ? 0 : 1)}};
    static_assert(sizeof reply == 20);
    if (::send(requests_, &reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(sizeof reply))
        return broken("its daemon takes no answers");
    return {};
}

Result<bool> DaemonConnection::serve() {
    if (broken_) return std::unexpected(*broken_);
    std::array<pollfd, 2> ready{{{socket_, POLLIN, 0}, {requests_, POLLIN, 0}}};
    poll(ready.data(), ready.size(), 0);
    // Nothing comes here that was not asked for.
    if (ready[0].revents != 0) return broken("its daemon has ended");
    if (ready[1].revents != 0)
        if (auto served = serve_request(); !served) return std::unexpected(served.error());
    bool changed = false;
    while (std::exchange(config_changed_, false)) {
        if (auto read = read_config(); !read) return std::unexpected(read.error());
        changed = true;
    }
    return changed;
}

}  // namespace arclight::devices::vhost_user
