#include "guestos/chardev/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace arclight::guestos {

namespace {

using Address = SocketChardev::Address;

Result<Address> unix_address(const std::string& path) {
    Address address;
    auto* un = reinterpret_cast<sockaddr_un*>(&address.bytes);
    if (path.empty()) return failure("a socket wants path=, or host= and port=");
    if (path.size() >= sizeof un->sun_path)
        return failure("'{}' is longer than a socket's path may be", path);
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
    address.size = sizeof(sockaddr_un);
    return address;
}

Result<Address> tcp_address(const ChardevOptions& options) {
    addrinfo hints{};
    hints.ai_family = !options.ipv6 ? AF_INET : !options.ipv4 ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = options.server ? AI_PASSIVE : 0;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(options.host.empty() ? nullptr : options.host.c_str(), options.port.c_str(),
                                  &hints, &found);
    if (error != 0) return failure("address '{}:{}': {}", options.host, options.port, gai_strerror(error));
    Address address;
    std::memcpy(&address.bytes, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    freeaddrinfo(found);
    return address;
}

std::string peer_name(const ChardevOptions& options) {
    if (options.is_unix()) return "unix:" + options.path;
    return fmt::format("{}:{}:{}", options.telnet ? "telnet" : "tcp", options.host, options.port);
}

void set_nodelay(int fd, const ChardevOptions& options) {
    const int on = 1;
    if (options.nodelay && !options.is_unix()) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Result<std::unique_ptr<Chardev>> SocketChardev::open(devices::EventLoop& loop, const ChardevOptions& options,
                                                     int log) {
    Address address;
    if (options.descriptor < 0) {
        auto resolved = options.is_unix() ? unix_address(options.path) : tcp_address(options);
        if (!resolved) return std::unexpected(resolved.error());
        address = *resolved;
    }
    std::unique_ptr<SocketChardev> socket(new SocketChardev(loop, options, log, address));
    auto ready = options.server ? socket->listen() : socket->connect_now();
    if (!ready) return std::unexpected(ready.error());
    return socket;
}

SocketChardev::SocketChardev(devices::EventLoop& loop, const ChardevOptions& options, int log,
                             Address address)
    : StreamChardev(loop, options, {.log = log}),
      address_(address),
      again_(loop, [this] { connect_again(); }) {}

SocketChardev::~SocketChardev() {
    flush();
    watch_listener(false);
    if (listener_ >= 0) close(listener_);
    if (attempt_ >= 0) {
        loop().remove_fd(attempt_);
        close(attempt_);
    }
    if (options_.server && options_.is_unix() && options_.descriptor < 0) unlink(options_.path.c_str());
}

std::string SocketChardev::filename() const {
    return fmt::format("{}{}{}", open_ ? "" : "disconnected:", peer_name(options_),
                       options_.server ? ",server=on" : "");
}

uint16_t SocketChardev::bound_port() const {
    Address address;
    address.size = sizeof address.bytes;
    if (getsockname(listener_, reinterpret_cast<sockaddr*>(&address.bytes), &address.size) != 0) return 0;
    return ntohs(address.bytes.ss_family == AF_INET6
                     ? reinterpret_cast<sockaddr_in6*>(&address.bytes)->sin6_port
                     : reinterpret_cast<sockaddr_in*>(&address.bytes)->sin_port);
}

Result<void> SocketChardev::listen() {
    if (options_.descriptor >= 0) {
        listener_ = options_.descriptor;
    } else {
        listener_ = socket(address_.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        struct stat status {};
        if (!options_.is_unix()) {
            setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            set_nodelay(listener_, options_);  // connections inherit it
        } else if (lstat(options_.path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
            unlink(options_.path.c_str());
        }
        if (listener_ < 0 || bind(listener_, address_.get(), address_.size) != 0 ||
            ::listen(listener_, 1) != 0)
            return failure("cannot listen at '{}': {}", peer_name(options_), strerror(errno));
    }
    if (options_.wait) {
        fmt::print(stderr, "arclight: waiting for a connection to {}\n", filename());
        int client = -1;
        do {
            client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        } while (client < 0 && errno == EINTR);
        if (client < 0) return failure("cannot accept at '{}': {}", peer_name(options_), strerror(errno));
        opened(client);
    }
    fcntl(listener_, F_SETFL, fcntl(listener_, F_GETFL) | O_NONBLOCK);
    if (!options_.wait) watch_listener(true);
    return {};
}

// Further clients wait in the listener's queue while there is one.
void SocketChardev::watch_listener(bool on) {
    if (listener_ < 0 || listening_ == on) return;
    listening_ = on;
    if (on)
        loop().add_fd(listener_, EPOLLIN, [this](uint32_t) { on_client(); });
    else
        loop().remove_fd(listener_);
}

void SocketChardev::on_client() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;  // gone again
    watch_listener(false);
    opened(client);
}

void SocketChardev::opened(int fd) {
    link().clear();  // of the client before
    open_ = true;
    telnet_ = {};
    // Not through the output, which a log takes part in; a new connection has room for it.
    if (options_.telnet) send(fd, Telnet::kGreeting.data(), Telnet::kGreeting.size(), MSG_NOSIGNAL);
    set_descriptors(fd, fd);
    link().event(devices::CharEvent::Opened);
}

std::span<uint8_t> SocketChardev::received(std::span<uint8_t> bytes) {
    return options_.telnet ? telnet_.strip(bytes) : bytes;
}

void SocketChardev::closed() {
    set_descriptors(-1, -1);
    if (open_.exchange(false)) link().event(devices::CharEvent::Closed);
    watch_listener(true);
    if (!options_.server && options_.reconnect != 0)
        again_.arm(devices::EventLoop::now_ns() + int64_t{1'000'000'000} * options_.reconnect);
}

Result<void> SocketChardev::connect_now() {
    if (options_.descriptor >= 0) {
        fcntl(options_.descriptor, F_SETFL, fcntl(options_.descriptor, F_GETFL) | O_NONBLOCK);
        opened(options_.descriptor);
        return {};
    }
    const int fd = socket(address_.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ::connect(fd, address_.get(), address_.size) == 0) {
        set_nodelay(fd, options_);
        fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
        opened(fd);
        return {};
    }
    const int error = errno;
    if (fd >= 0) close(fd);
    if (options_.reconnect == 0)
        return failure("cannot connect to '{}': {}", peer_name(options_), strerror(error));
    again_.arm(devices::EventLoop::now_ns() + int64_t{1'000'000'000} * options_.reconnect);
    return {};
}

void SocketChardev::connect_again() {
    const int fd = socket(address_.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        closed();
        return;
    }
    if (::connect(fd, address_.get(), address_.size) == 0) {
        set_nodelay(fd, options_);
        opened(fd);
    } else if (errno == EINPROGRESS) {
        attempt_ = fd;
        loop().add_fd(fd, EPOLLOUT, [this](uint32_t events) { connecting(events); });
    } else {
        close(fd);
        closed();
    }
}

void SocketChardev::connecting(uint32_t) {
    const int fd = std::exchange(attempt_, -1);
    loop().remove_fd(fd);
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
        set_nodelay(fd, options_);
        opened(fd);
    } else {
        close(fd);
        closed();
    }
}

}  // namespace arclight::guestos
