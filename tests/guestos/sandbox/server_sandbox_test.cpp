// What a server's threads may do once it has put itself into its jail, by trying.
#include "guestos/sandbox/server_sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "guestos/sandbox/landlock.h"
#include "host/thread.h"
#include "tests/guestos/sandbox/jail.h"

namespace arclight::guestos::sandbox {
namespace {

namespace fs = std::filesystem;

struct ServerSandbox : testing::Test {
    const fs::path base = fs::temp_directory_path() / ("arclight-server-" + std::to_string(getpid()));
    const fs::path granted = base / "granted", other = base / "other";
    ServerSandbox() {
        fs::create_directories(granted);
        fs::create_directories(other);
    }
    ~ServerSandbox() override { fs::remove_all(base); }

    Attempted attempt(ThreadRole role, const std::function<int()>& what,
                      SandboxMode mode = SandboxMode::Require) const {
        return in_child([&] {
            if (const auto entered = enter_server(mode, {granted}); !entered) return 250;
            if (role == ThreadRole::Main) return what();
            int result = -1;
            host::start_thread("attempt", role, [&] { result = what(); }).join();
            return result;
        });
    }
    static int bind_at(const fs::path& path) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::strcpy(&address.sun_path[0], path.c_str());
        const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return bind(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    }
};

TEST_F(ServerSandbox, NoThreadMayDoWhatAServerDoesNotDo) {
    const long name = reinterpret_cast<long>("/etc/passwd");
    const struct {
        const char* what;
        long number, arguments[4];
    } attempts[] = {
        {"a file", SYS_openat, {AT_FDCWD, name, O_RDONLY}},
        {"another program", SYS_execve, {name}},
        {"another process", SYS_fork, {}},
        {"the network", SYS_socket, {AF_INET, SOCK_STREAM}},
        {"a signal to another process", SYS_kill, {getppid(), 0}},
        {"a signal to another process's thread", SYS_tgkill, {getppid(), getppid(), 0}},
        {"another process's memory", SYS_process_vm_readv, {getppid()}},
        {"another handler for violations", SYS_rt_sigaction, {SIGSYS}},
        {"code", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS}},
        {"a name space", SYS_clone, {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER}},
        {"a device's settings", SYS_ioctl, {0, 0}},
        {"a file's mode", SYS_chmod, {name, 0}},
        {"another's file by its number", SYS_pidfd_getfd, {0, 0}},
    };
    for (const auto& one : attempts)
        for (const ThreadRole role : {ThreadRole::Main, ThreadRole::Device}) {
            const auto outcome = attempt(role, [&] {
                return call(one.number, one.arguments[0], one.arguments[1], one.arguments[2],
                            one.arguments[3]);
            });
            EXPECT_TRUE(outcome.violated)
                << one.what << " by " << role_name(role) << " returned " << outcome.result;
        }
}

TEST_F(ServerSandbox, TheDevicesThreadMakesNoSockets) {
    for (const long number :
         {SYS_socket, SYS_bind, SYS_listen, SYS_connect, SYS_unlink, SYS_clone, SYS_setsockopt})
        EXPECT_TRUE(attempt(ThreadRole::Device, [&] { return call(number, AF_UNIX, SOCK_STREAM); }).violated)
            << system_call_name(static_cast<unsigned>(number));
    EXPECT_EQ(attempt(ThreadRole::Main, [] { return call(SYS_socket, AF_UNIX, SOCK_STREAM); }).result, 0);
    EXPECT_EQ(attempt(ThreadRole::Device, [] { return call(SYS_accept4, -1); }).result, EBADF);
}

// An interface with a rate is waited for until it may send again, to the nanosecond.
TEST_F(ServerSandbox, TheDevicesThreadWaitsForARate) {
    const timespec limit{.tv_sec = 0, .tv_nsec = 1};
    const auto outcome =
        attempt(ThreadRole::Device, [&] { return call(SYS_ppoll, 0, 0, reinterpret_cast<long>(&limit), 0); });
    EXPECT_FALSE(outcome.violated);
    EXPECT_EQ(outcome.result, 0);
}

TEST_F(ServerSandbox, SocketsAreMadeInTheirDirectoriesOnly) {
    if (landlock_abi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
    EXPECT_EQ(attempt(ThreadRole::Main, [&] { return bind_at(granted / "s"); }).result, 0);
    EXPECT_EQ(attempt(ThreadRole::Main,
                      [&] { return call(SYS_unlink, reinterpret_cast<long>((granted / "s").c_str())); })
                  .result,
              0);
    EXPECT_EQ(attempt(ThreadRole::Main, [&] { return bind_at(other / "s"); }).result, EACCES);
    EXPECT_EQ(bind_at(other / "s"), 0);
    EXPECT_EQ(attempt(ThreadRole::Main,
                      [&] { return call(SYS_unlink, reinterpret_cast<long>((other / "s").c_str())); })
                  .result,
              EACCES);
}

TEST_F(ServerSandbox, OffLeavesTheWallsAway) {
    const auto open_file = [] {
        return call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/etc/passwd"), O_RDONLY);
    };
    EXPECT_EQ(attempt(ThreadRole::Main, open_file, SandboxMode::Off).result, 0);
    EXPECT_TRUE(attempt(ThreadRole::Main, open_file, SandboxMode::On).violated);
}

}  // namespace
}  // namespace arclight::guestos::sandbox
