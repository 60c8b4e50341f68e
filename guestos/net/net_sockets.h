// Sockets that networks name: made before the sandbox is entered, but for a stream's later connections.
#pragma once

#include <sys/socket.h>

#include <string>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Closed at the end.
class SocketFd {
  public:
    SocketFd() = default;
    explicit SocketFd(int fd) : fd_(fd) {}
    SocketFd(SocketFd&& other) noexcept : fd_(other.release()) {}
    SocketFd& operator=(SocketFd&& other) noexcept;
    ~SocketFd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release();
    void reset();

  private:
    int fd_ = -1;
};

struct SocketAddress {
    sockaddr_storage bytes{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
    sa_family_t family() const { return bytes.ss_family; }
    bool is_multicast() const;
};

/// For messages.
std::string text_of(const NetAddress& address);
/// `kind` is Inet or Unix; `type` SOCK_STREAM or SOCK_DGRAM; `passive`: to be bound.
Result<SocketAddress> resolve(const NetAddress& address, int type, bool passive);

/// A socket from this process's parent, if it is of that type. It does not block from now on.
Result<SocketFd> adopt_socket(int descriptor, int type);
Result<SocketFd> listen_at(const NetAddress& address);
/// Does not block. errno is EINPROGRESS with a socket whose connection is under way; without a socket, why there is none.
SocketFd begin_connection(const SocketAddress& to);
/// What has become of it: an errno value, or 0.
int connection_error(int fd);
/// A short frame does not wait for a longer one.
void send_at_once(int fd);

/// A socket for datagrams, bound to `local` unless that is None.
Result<SocketFd> bind_datagrams(const NetAddress& local, int family);
/// A socket that is a member of the group, whose interface is `local`'s address or of the kernel's choice. It gets what its own
/// host sends, too.
Result<SocketFd> join_group(const NetAddress& group, const SocketAddress& resolved, const NetAddress& local);

}  // namespace arclight::guestos
