#include "tests/guestos/sandbox/jail.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "guestos/sandbox/sandbox.h"
#include "host/thread.h"

namespace arclight::guestos::sandbox {

namespace {
constexpr unsigned kSecondsAtMost = 60;
constexpr int kNoJail = 250;  ///< exit status: the sandbox cannot be entered
}  // namespace

Attempted in_child(const std::function<int()>& attempt) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return {};
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        alarm(kSecondsAtMost);
        _exit(attempt());
    }
    close(ends[1]);
    Attempted outcome;
    std::array<char, 4096> buffer;
    for (ssize_t got; (got = read(ends[0], buffer.data(), buffer.size())) > 0;)
        outcome.text.append(buffer.data(), static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) outcome.result = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) {
        outcome.violated = WTERMSIG(status) == SIGSYS;
        outcome.signal = outcome.violated ? 0 : WTERMSIG(status);
    }
    return outcome;
}

Attempted in_jail(const RunOptions& options, ThreadRole role, const std::function<int()>& attempt) {
    return in_child([&] {
        if (const auto entered = enter(options, [] {}); !entered) {
            std::fprintf(stderr, "%s\n", entered.error().c_str());
            return kNoJail;
        }
        if (role == ThreadRole::Main) return attempt();
        int result = -1;
        host::start_thread("attempt", role, [&] { result = attempt(); }).join();
        return result;
    });
}

RunOptions plain_options() {
    RunOptions options;
    options.accel = Accel::Process;
    options.jit = JitTier::Tier1;
    options.sandbox = SandboxMode::Require;
    return options;
}

int call(long number, long a, long b, long c, long d, long e, long f) {
    return syscall(number, a, b, c, d, e, f) >= 0 ? 0 : errno;
}

}  // namespace arclight::guestos::sandbox
