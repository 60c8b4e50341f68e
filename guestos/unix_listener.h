// How a run listens at a path that its user names: the control socket, a debugger's.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "mmu/result.h"

namespace arclight::guestos {

/// A stream socket that does not block and that only this user and root may connect to. A socket that a dead run has left gives
/// way; that of a living one does not. An error is one line that begins with `option`.
inline Result<int> listen_at_path(std::string_view option, const std::string& path, int backlog) {
    sockaddr_un address{.sun_family = AF_UNIX};
    if (path.size() >= sizeof address.sun_path)
        return failure("{}: '{}' is longer than a socket's path may be", option, path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat status {};
    if (lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
        const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool alive = connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        close(probe);
        if (alive) return failure("{}: another run listens at '{}'", option, path);
        unlink(path.c_str());
    }
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // Whoever may write to it may do anything to the guest. The socket's mode becomes the file's (Linux's
    // net/unix/af_unix.c), so there is no moment at which others might connect; umask() would be every thread's.
    if (listener >= 0 && fchmod(listener, 0600) == 0 &&
        bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        listen(listener, backlog) == 0)
        return listener;
    const int error = errno;
    if (listener >= 0) close(listener);
    return failure("{}: cannot listen at '{}': {}", option, path, strerror(error));
}

}  // namespace arclight::guestos
