#include "guestos/lightv/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace arclight::guestos {

Result<std::string> ask_control(const std::string& path, const std::string& line) {
    sockaddr_un address{.sun_family = AF_UNIX};
    if (path.size() >= sizeof address.sun_path)
        return failure("'{}' is longer than a socket's path may be", path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        if (fd >= 0) close(fd);
        return failure("no run of arclight listens at '{}': {}", path, strerror(error));
    }
    const std::string message = line + "\n";
    std::string answer;
    if (send(fd, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size())) {
        char buffer[4096];
        for (ssize_t got;
             (got = recv(fd, buffer, sizeof buffer, 0)) > 0 && answer.find('\n') == std::string::npos;) {
            answer.append(buffer, static_cast<size_t>(got));
            if (answer.ends_with('\n')) break;
        }
    }
    close(fd);
    if (!answer.ends_with('\n')) return failure("the run at '{}' did not answer", path);
    answer.pop_back();
    return answer;
}

}  // namespace arclight::guestos
