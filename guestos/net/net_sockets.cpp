#include "guestos/net/net_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::guestos {

namespace {

constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;

void set_option(int fd, int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof value);
}

}  // namespace

SocketFd& SocketFd::operator=(SocketFd&& other) noexcept {
    if (this != &other) {
        reset();
        fd_ = other.release();
    }
    return *this;
}

int SocketFd::release() { return std::exchange(fd_, -1); }

void SocketFd::reset() {
    if (fd_ >= 0) close(release());
}

bool SocketAddress::is_multicast() const {
    if (family() == AF_INET)
        return IN_MULTICAST(ntohl(reinterpret_cast<const sockaddr_in*>(&bytes)->sin_addr.s_addr));
    return family() == AF_INET6 &&
           IN6_IS_ADDR_MULTICAST(&reinterpret_cast<const sockaddr_in6*>(&bytes)->sin6_addr);
}

std::string text_of(const NetAddress& address) {
    switch (address.kind) {
        case NetAddress::Kind::Inet: return fmt::format("{}:{}", address.host, address.port);
        case NetAddress::Kind::Unix: return address.abstract ? "@" + address.path : address.path;
        case NetAddress::Kind::Descriptor: return fmt::format("fd {}", address.descriptor);
        case NetAddress::Kind::None: break;
    }
    return "nowhere";
}

Result<SocketAddress> resolve(const NetAddress& address, int type, bool passive) {
    SocketAddress resolved;
    if (address.kind == NetAddress::Kind::Unix) {
        auto* un = reinterpret_cast<sockaddr_un*>(&resolved.bytes);
        un->sun_family = AF_UNIX;
        const size_t begin = address.abstract ? 1 : 0;
        if (begin + address.path.size() >= sizeof un->sun_path)
            return failure("'{}' is longer than a socket's path may be", address.path);
        std::memcpy(un->sun_path + begin, address.path.c_str(), address.path.size() + 1);
        resolved.size =
            address.abstract
                ? static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + address.path.size())
                : sizeof(sockaddr_un);
        return resolved;
    }
    addrinfo hints{};
    hints.ai_family = !address.ipv6 ? AF_INET : !address.ipv4 ? AF_INET6 : AF_UNSPEC;
    hints.ai_socktype = type;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    // Without a host getaddrinfo() would give IPv6 or IPv4 by the host's tables; QEMU's default is the latter.
    if (address.host.empty() && address.ipv4) hints.ai_family = AF_INET;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), address.port.c_str(),
                                  &hints, &found);
    if (error != 0) return failure("address '{}': {}", text_of(address), gai_strerror(error));
    std::memcpy(&resolved.bytes, found->ai_addr, found->ai_addrlen);
    resolved.size = found->ai_addrlen;
    freeaddrinfo(found);
    return resolved;
}

Result<SocketFd> adopt_socket(int descriptor, int type) {
    int got = 0;
    socklen_t size = sizeof got;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &got, &size) != 0)
        return failure("fd {}: {}", descriptor, std::strerror(errno));
    if (got != type)
        return failure("fd {} is no socket for {}", descriptor,
                       type == SOCK_STREAM ? "a connection" : "datagrams");
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    return SocketFd(descriptor);
}

Result<SocketFd> listen_at(const NetAddress& address) {
    if (address.kind == NetAddress::Kind::Descriptor) return adopt_socket(address.descriptor, SOCK_STREAM);
    const auto resolved = resolve(address, SOCK_STREAM, true);
    if (!resolved) return std::unexpected(resolved.error());
    SocketFd listener(socket(resolved->family(), SOCK_STREAM | kFlags, 0));
    if (address.kind == NetAddress::Kind::Inet) {
        set_option(listener.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    } else if (!address.abstract) {
        // One that a dead run has left gives way; a living one's does not.
        struct stat status {};
        if (lstat(address.path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
            const SocketFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            if (probe && connect(probe.get(), resolved->get(), resolved->size) == 0)
                return failure("cannot listen at '{}': {}", text_of(address), std::strerror(EADDRINUSE));
            unlink(address.path.c_str());
        }
    }
    if (!listener || bind(listener.get(), resolved->get(), resolved->size) != 0 ||
        listen(listener.get(), 1) != 0)
        return failure("cannot listen at '{}': {}", text_of(address), std::strerror(errno));
    return listener;
}

SocketFd begin_connection(const SocketAddress& to) {
    SocketFd made(socket(to.family(), SOCK_STREAM | kFlags, 0));
    if (made && connect(made.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) {
        const int error = errno;
        made.reset();
        errno = error;
    }
    return made;
}

int connection_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void send_at_once(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

Result<SocketFd> bind_datagrams(const NetAddress& local, int family) {
    if (local.kind == NetAddress::Kind::Descriptor) return adopt_socket(local.descriptor, SOCK_DGRAM);
    SocketAddress address;
    if (local.kind != NetAddress::Kind::None) {
        const auto resolved = resolve(local, SOCK_DGRAM, true);
        if (!resolved) return std::unexpected(resolved.error());
        address = *resolved;
        family = address.family();
    }
    SocketFd made(socket(family, SOCK_DGRAM | kFlags, 0));
    if (!made) return failure("no socket: {}", std::strerror(errno));
    if (local.kind == NetAddress::Kind::None) return made;
    if (family == AF_UNIX && !local.abstract) {
        struct stat status {};
        if (lstat(local.path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) unlink(local.path.c_str());
    } else if (family != AF_UNIX) {
        set_option(made.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (bind(made.get(), address.get(), address.size) != 0)
        return failure("cannot have the address '{}': {}", text_of(local), std::strerror(errno));
    return made;
}

Result<SocketFd> join_group(const NetAddress& group, const SocketAddress& resolved, const NetAddress& local) {
    const auto failed = [&](std::string_view what) {
        return failure("multicast group '{}': {}: {}", text_of(group), what, std::strerror(errno));
    };
    if (resolved.family() != AF_INET)
        return failure("multicast group '{}': it is not IPv4's", text_of(group));
    SocketFd made(socket(AF_INET, SOCK_DGRAM | kFlags, 0));
    if (!made) return failed("no socket");
    set_option(made.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(made.get(), resolved.get(), resolved.size) != 0) return failed("cannot be bound to");
    ip_mreq membership{};
    membership.imr_multiaddr = reinterpret_cast<const sockaddr_in*>(&resolved.bytes)->sin_addr;
    if (local.kind == NetAddress::Kind::Inet) {
        if (inet_pton(AF_INET, local.host.c_str(), &membership.imr_interface) != 1)
            return failure("multicast group '{}': '{}' is no IPv4 address", text_of(group), local.host);
        if (setsockopt(made.get(), IPPROTO_IP, IP_MULTICAST_IF, &membership.imr_interface,
                       sizeof membership.imr_interface) != 0)
            return failed("no such interface");
    }
    if (setsockopt(made.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
        return failed("cannot be joined");
    set_option(made.get(), IPPROTO_IP, IP_MULTICAST_LOOP, 1);
    return made;
}

}  // namespace arclight::guestos
