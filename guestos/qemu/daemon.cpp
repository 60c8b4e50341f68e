#include "guestos/qemu/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace arclight::guestos::qemu {

namespace {

/// Copies the child's messages until it says that it runs, or ends. Returns the exit status.
int wait_for(pid_t child, int ready, int messages) {
    for (;;) {
        std::array<pollfd, 2> ends{pollfd{ready, POLLIN, 0}, pollfd{messages, POLLIN, 0}};
        if (poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) return EXIT_FAILURE;
        std::array<char, 512> text;
        if (ends[1].revents != 0) {
            const ssize_t length = read(messages, text.data(), text.size());
            if (length > 0 && write(STDERR_FILENO, text.data(), static_cast<size_t>(length)) < 0)
                return EXIT_FAILURE;
            if (length > 0) continue;
        }
        if (ends[0].revents == 0) continue;
        if (read(ready, text.data(), 1) == 1) return EXIT_SUCCESS;
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    }
}

}  // namespace

Result<Daemon> become_daemon() {
    int ready[2], messages[2];
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(messages, O_CLOEXEC) != 0)
        return failure("-daemonize: {}", std::strerror(errno));
    const pid_t child = fork();
    if (child < 0) return failure("-daemonize: {}", std::strerror(errno));
    if (child != 0) {
        close(ready[1]);
        close(messages[1]);
        return Daemon{.is_parent = true, .status = wait_for(child, ready[0], messages[0]), .tell_parent = {}};
    }
    close(ready[0]);
    close(messages[0]);
    setsid();
    // When the parent is gone, nobody reads these.
    std::signal(SIGPIPE, SIG_IGN);
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 ||
        dup2(messages[1], STDERR_FILENO) < 0)
        return failure("-daemonize: {}", std::strerror(errno));
    close(nothing);
    close(messages[1]);
    return Daemon{.is_parent = false, .status = 0, .tell_parent = [end = ready[1]] {
                      const char byte = 1;
                      if (write(end, &byte, 1) == 1) close(end);
                  }};
}

}  // namespace arclight::guestos::qemu
