#include "guestos/net/command_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace arclight::guestos {

namespace {

namespace fs = std::filesystem;

void run(const std::string& command, int connection) {
    if (fork() != 0) return;
    signal(SIGCHLD, SIG_DFL);
    // Not what the listener's sockets are: commands read and write as if at a terminal.
    fcntl(connection, F_SETFL, O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(connection, fd);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
}

// In the child, until the parent is gone. No thread runs yet, so that anything may follow fork().
[[noreturn]] void serve(const std::string& command, int listener, int parent, const fs::path& directory) {
    // A Ctrl-C at the terminal is for the machine.
    setsid();
    signal(SIGCHLD, SIG_IGN);  // no zombies
    // Of the parent's descriptors only two; its listening sockets would else outlive it.
    constexpr int kListener = 3, kParent = 4, kFree = 5;
    const int from_listener = fcntl(listener, F_DUPFD_CLOEXEC, kFree),
              from_parent = fcntl(parent, F_DUPFD_CLOEXEC, kFree);
    dup3(from_listener, kListener, O_CLOEXEC);
    dup3(from_parent, kParent, O_CLOEXEC);
    syscall(SYS_close_range, kFree, ~0u, 0);
    for (;;) {
        pollfd polled[2] = {{.fd = kListener, .events = POLLIN, .revents = 0},
                            {.fd = kParent, .events = POLLIN, .revents = 0}};
        poll(polled, 2, -1);
        if (polled[1].revents != 0) break;
        const int connection = accept4(kListener, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) continue;
        run(command, connection);
        close(connection);
    }
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    _exit(0);
}

}  // namespace

Result<std::shared_ptr<CommandServer>> CommandServer::start(const std::string& command) {
    std::error_code error;
    std::string directory = (fs::temp_directory_path(error) / "arclight-XXXXXX").string();
    int ends[2];
    if (mkdtemp(directory.data()) == nullptr || pipe2(ends, O_CLOEXEC) != 0)
        return failure("cannot make a socket for '{}': {}", command, std::strerror(errno));
    const SocketFd parent(ends[0]);
    SocketFd alive(ends[1]);
    const std::string path = directory + "/command";
    auto listener = listen_at({.kind = NetAddress::Kind::Unix, .path = path});
    pid_t child = -1;
    if (listener) child = fork();
    if (child == 0) {
        alive.reset();
        serve(command, listener->get(), parent.get(), directory);
    }
    if (child > 0) return std::shared_ptr<CommandServer>(new CommandServer(std::move(alive), path));
    fs::remove_all(directory, error);
    return listener ? failure("cannot start '{}': {}", command, std::strerror(errno))
                    : failure("{}", listener.error());
}

}  // namespace arclight::guestos
