#include "guestos/net/passt.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace arclight::guestos {

namespace {

constexpr int kConnectionFd = 3;

// In the child: only calls that may follow fork(), though no thread runs yet. `report` is told why there is no program.
[[noreturn]] void become(const std::vector<std::string>& words, int connection, int report) {
    // A Ctrl-C at the terminal is for the machine.
    setsid();
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0) _exit(126);
    if (connection == kConnectionFd)
        fcntl(connection, F_SETFD, 0);
    else
        dup2(connection, kConnectionFd);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    const int error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(127);
}

}  // namespace

Result<SocketFd> start_passt(const NetOptions& options) {
    const std::string program = options.program.empty() ? "passt" : options.program;
    std::array<int, 2> ends{}, report{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0 ||
        pipe2(report.data(), O_CLOEXEC) != 0)
        return failure("no socket: {}", std::strerror(errno));
    SocketFd mine(ends[0]), its(ends[1]), said(report[0]), says(report[1]);
    // Its messages are for the user only if they are errors.
    std::vector<std::string> words = {program, "--foreground", "--quiet", "--fd",
                                      fmt::format("{}", kConnectionFd)};
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    // Descriptors below the one that the child makes its own must not be in the way of the report.
    SocketFd report_fd(fcntl(says.get(), F_DUPFD_CLOEXEC, kConnectionFd + 1));
    const pid_t child = fork();
    if (child < 0) return failure("cannot start {}: {}", program, std::strerror(errno));
    if (child == 0) become(words, its.get(), report_fd.get());
    its.reset();
    says.reset();
    report_fd.reset();
    int error = 0;
    if (read(said.get(), &error, sizeof error) == sizeof error) {
        waitpid(child, nullptr, 0);
        if (error == ENOENT) return failure("there is no '{}' (package passt)", program);
        return failure("cannot start '{}': {}", program, std::strerror(error));
    }
    fcntl(mine.get(), F_SETFL, O_RDWR | O_NONBLOCK);
    return mine;
}

}  // namespace arclight::guestos
