#include "guestos/server_process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;

// In the child: only calls that may follow fork(), though no thread runs yet.
[[noreturn]] void become_server(const std::vector<std::string>& words, int listener, int log) {
    constexpr int kListenFd = ServerProcess::kListener;  // SD_LISTEN_FDS_START
    // A Ctrl-C at the terminal is for the machine, which then closes its connections.
    setsid();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    // dup2() of a descriptor to itself would leave it to be closed.
    if (listener == kListenFd ? fcntl(listener, F_SETFD, 0) < 0 : dup2(listener, kListenFd) < 0) _exit(126);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", fmt::format("{}", getpid()).c_str(), 1);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(errno == ENOENT ? 127 : 126);
}

/// A directory for a socket that nobody else can reach, and that is gone when both ends have it.
class PrivateSocket {
  public:
    Result<int> listen() {
        const fs::path base = fs::temp_directory_path(ignored_);
        std::string name = (base / "arclight-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            return failure("cannot make a directory in '{}': {}", base.string(), std::strerror(errno));
        directory_ = name;
        address_.sun_family = AF_UNIX;
        const std::string path = directory_ + "/socket";
        if (path.size() >= sizeof address_.sun_path) return failure("the name '{}' is too long", path);
        std::memcpy(address_.sun_path, path.c_str(), path.size() + 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, address(), sizeof address_) != 0 || ::listen(fd, 1) != 0) {
            if (fd >= 0) close(fd);
            return failure("cannot make a socket: {}", std::strerror(errno));
        }
        return fd;
    }
    Result<int> connect() {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && ::connect(fd, address(), sizeof address_) == 0) return fd;
        if (fd >= 0) close(fd);
        return failure("cannot connect a socket: {}", std::strerror(errno));
    }
    ~PrivateSocket() {
        if (!directory_.empty()) fs::remove_all(directory_, ignored_);
    }

  private:
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
    std::string directory_;
    sockaddr_un address_{};
    std::error_code ignored_;
};

}  // namespace

Descriptor::~Descriptor() {
    if (fd >= 0) close(fd);
}

Result<ServerProcess> ServerProcess::start(const std::vector<std::string>& words) {
    PrivateSocket server;
    const auto listening = server.listen();
    if (!listening) return std::unexpected(listening.error());
    const Descriptor listener(*listening);
    Descriptor log(memfd_create(words[0].c_str(), MFD_CLOEXEC));
    if (log.fd < 0) return failure("no memory for a server's messages: {}", std::strerror(errno));
    // Before the server is there, which serves the first that comes and no other.
    const auto connected = server.connect();
    if (!connected) return std::unexpected(connected.error());
    Descriptor connection(*connected);
    const pid_t child = fork();
    if (child < 0) return failure("cannot start {}: {}", words[0], std::strerror(errno));
    if (child == 0) become_server(words, listener.fd, log.fd);
    return ServerProcess(std::move(connection), std::move(log), child);
}

std::optional<std::string> ServerProcess::last_words() {
    int status = 0;
    waitpid(child_, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return {};
    std::array<char, 4096> text;
    const off_t size = lseek(log_.fd, 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
    const ssize_t got = pread(log_.fd, text.data(), text.size(), from);
    std::string_view all(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
    while (all.ends_with('\n')) all.remove_suffix(1);
    return std::string(all.substr(all.rfind('\n') + 1));
}

}  // namespace arclight::guestos
