// A hostile process's files. Each attempt is made outside of the sandbox too, where it must succeed: so what keeps it from
// succeeding inside is the wall.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "guestos/device_requests.h"
#include "guestos/sandbox/grants.h"
#include "guestos/sandbox/landlock.h"
#include "guestos/sandbox/privileges.h"
#include "guestos/sandbox/sandbox.h"
#include "guestos/semihosting_directories.h"
#include "host/thread.h"
#include "tests/guestos/sandbox/jail.h"

namespace arclight::guestos::sandbox {
namespace {

namespace fs = std::filesystem;

int try_open(const std::string& path, int flags) {
    return call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path.c_str()), flags, 0600);
}

class SandboxFiles : public testing::Test {
  protected:
    void SetUp() override {
        if (landlock_abi() == 0) GTEST_SKIP() << "this kernel has no Landlock";
        std::string name = (fs::temp_directory_path() / "arclight-sandbox-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory_ = name;
        for (const char* file : {"kernel", "disk", "other", "inside/file"}) write(file, "content");
    }
    void TearDown() override { fs::remove_all(directory_); }

    std::string path(const std::string& name) const { return directory_ / name; }
    void write(const std::string& name, const std::string& text) const {
        fs::create_directories((directory_ / name).parent_path());
        std::ofstream(directory_ / name) << text;
    }

    /// Of opening that file by a thread that may open files.
    int in_jail_open(const RunOptions& options, const std::string& file, int flags) const {
        const Attempted outcome =
            in_jail(options, ThreadRole::Compiler, [&] { return try_open(file, flags); });
        EXPECT_EQ(outcome.text, "");
        return outcome.result;
    }
    void expect_wall(const RunOptions& options, const std::string& file, int flags) const {
        EXPECT_EQ(in_child([&] { return try_open(file, flags); }).result, 0) << file << " without a sandbox";
        if ((flags & O_EXCL) != 0) fs::remove(file);
        EXPECT_EQ(in_jail_open(options, file, flags), EACCES) << file;
    }
    RunOptions with_disk(bool readonly, bool snapshot) const {
        RunOptions options = plain_options();
        options.kernel = path("kernel");
        options.devices = {
            disk_device({.file = path("disk"), .readonly = readonly, .snapshot = snapshot, .serial = ""})};
        return options;
    }

    fs::path directory_;
};

TEST_F(SandboxFiles, OnlyWhatTheCommandLineNamesAndOnlyAsItSays) {
    const RunOptions options = with_disk(false, false);
    EXPECT_EQ(in_jail_open(options, path("kernel"), O_RDONLY), 0);
    EXPECT_EQ(in_jail_open(options, path("disk"), O_RDWR), 0);
    expect_wall(options, path("kernel"), O_WRONLY);
    expect_wall(options, path("kernel"), O_RDONLY | O_TRUNC);
    expect_wall(options, path("other"), O_RDONLY);
    expect_wall(options, path("inside/file"), O_RDONLY);
    expect_wall(options, path("."), O_RDONLY | O_DIRECTORY);
    expect_wall(options, path("new"), O_WRONLY | O_CREAT | O_EXCL);
    for (const char* file :
         {"/etc/passwd", "/proc/self/maps", "/proc/self/mem", "/dev/null", "/proc/self/environ"})
        expect_wall(options, file, O_RDONLY);
    expect_wall(options, "/proc/self/mem", O_RDWR);  // by which any page could be written
    expect_wall(options, "/tmp", O_RDONLY | O_DIRECTORY);
}

TEST_F(SandboxFiles, DisksThatAreNotWrittenCannotBe) {
    for (const auto& [readonly, snapshot] : {std::pair(true, false), std::pair(false, true)}) {
        EXPECT_EQ(in_jail_open(with_disk(readonly, snapshot), path("disk"), O_RDONLY), 0);
        expect_wall(with_disk(readonly, snapshot), path("disk"), O_RDWR);
    }
}

TEST_F(SandboxFiles, ALinkThatIsTurnedElsewhereLeadsNowhere) {
    fs::create_symlink(path("kernel"), path("link"));
    RunOptions options = plain_options();
    options.kernel = path("link");
    EXPECT_EQ(in_jail_open(options, path("link"), O_RDONLY), 0);
    const Attempted outcome = in_jail(options, ThreadRole::Main, [&] {
        if (const int error = call(SYS_unlink, reinterpret_cast<long>(path("link").c_str())); error != EACCES)
            return 100;
        return try_open(path("other"), O_RDONLY);
    });
    EXPECT_EQ(outcome.result, EACCES);
}

TEST_F(SandboxFiles, OutputsCanBeWrittenAndNothingBesideThem) {
    RunOptions options = plain_options();
    options.stats_file = path("stats.json");
    options.dump_dtb = path("tree.dtb");
    options.trace.file = path("trace");
    options.trace.mmu = true;
    options.perf_map = false;
    for (const std::string& file : {options.stats_file, options.dump_dtb, options.trace.file}) {
        EXPECT_EQ(in_jail_open(options, file, O_WRONLY | O_CREAT | O_TRUNC), 0) << file;
        expect_wall(options, file, O_RDONLY);
    }
    expect_wall(options, path("stats.json.2"), O_WRONLY | O_CREAT | O_EXCL);
}

TEST_F(SandboxFiles, ADirectoryInAFilesPlaceOpensNothing) {
    RunOptions options = plain_options();
    options.kernel = path("inside");
    options.devices = {
        disk_device({.file = path("inside"), .readonly = false, .snapshot = false, .serial = ""})};
    expect_wall(options, path("inside/file"), O_RDONLY);
    expect_wall(options, path("inside/new"), O_WRONLY | O_CREAT | O_EXCL);
}

TEST_F(SandboxFiles, TheRegionCacheIsOneDirectory) {
    RunOptions options = plain_options();
    options.jit = JitTier::Tiered;
    options.jit_cache = path("cache/regions");
    const auto inside = [&](const std::function<int()>& attempt) {
        return in_jail(options, ThreadRole::Compiler, attempt).result;
    };
    const std::string one = path("cache/regions/1.new"), two = path("cache/regions/1.region");
    EXPECT_EQ(inside([&] {
                  if (const int error = try_open(one, O_WRONLY | O_CREAT | O_EXCL); error != 0) return error;
                  if (const int error = call(SYS_renameat, AT_FDCWD, reinterpret_cast<long>(one.c_str()),
                                             AT_FDCWD, reinterpret_cast<long>(two.c_str()));
                      error != 0)
                      return error;
                  if (const int error = try_open(two, O_RDONLY); error != 0) return error;
                  if (const int error = try_open(path("cache/regions"), O_RDONLY | O_DIRECTORY); error != 0)
                      return error;
                  return call(SYS_unlinkat, AT_FDCWD, reinterpret_cast<long>(two.c_str()), 0);
              }),
              0);
    EXPECT_EQ(inside([&] {
                  return call(SYS_unlinkat, AT_FDCWD, reinterpret_cast<long>(path("other").c_str()), 0);
              }),
              EACCES);
    expect_wall(options, path("cache/new"), O_WRONLY | O_CREAT | O_EXCL);
    options.jit_cache.clear();
    expect_wall(options, path("cache/regions/new"), O_WRONLY | O_CREAT | O_EXCL);
}

TEST_F(SandboxFiles, LightvHasTheFilesOfItsPolicyAndOfItsDirectories) {
    const std::string named = path("backing"), granted = path("granted");
    fs::create_directories(granted);
    // More nesting than any stack holds: the file is walked, not made into a tree.
    const std::string deep(200'000, '[');
    write("policy", R"(// a comment
        {"attach": [{"name": "a", "with": {"to": "file:)" +
                        named + R"(", "backings": ["own", ["file:)" + path("more") + R"("]]}}], "x": )" +
                        deep);
    RunOptions options = plain_options();
    options.lightv = path("policy");
    for (const std::string& file : {named, path("more")})
        EXPECT_EQ(in_jail_open(options, file, O_RDWR | O_CREAT), 0) << file;
    expect_wall(options, granted + "/file", O_RDWR | O_CREAT | O_EXCL);
    options.lightv_files = {granted};
    EXPECT_EQ(in_jail_open(options, granted + "/file", O_RDWR | O_CREAT), 0);
    expect_wall(options, path("other"), O_RDWR);
}

TEST_F(SandboxFiles, AControlSocketsDirectoryIsForSockets) {
    RunOptions options = plain_options();
    options.control = path("inside/socket");
    sockaddr_un address{.sun_family = AF_UNIX};
    options.control.copy(address.sun_path, sizeof address.sun_path - 1);
    const auto bind_there = [&] {
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        return call(SYS_bind, fd, reinterpret_cast<long>(&address), sizeof address);
    };
    EXPECT_EQ(in_jail(options, ThreadRole::Main, bind_there).result, 0);
    EXPECT_TRUE(fs::is_socket(options.control));
    expect_wall(options, path("inside/file"), O_RDONLY);
    expect_wall(options, path("inside/new"), O_WRONLY | O_CREAT | O_EXCL);
    std::string elsewhere = path("elsewhere");
    elsewhere.copy(address.sun_path, elsewhere.size() + 1);
    address.sun_path[elsewhere.size()] = '\0';
    EXPECT_EQ(in_jail(options, ThreadRole::Main, bind_there).result, EACCES);
}

TEST_F(SandboxFiles, SemihostingHasItsDirectoriesAndOnlyWhenItIsOn) {
    RunOptions options = plain_options();
    options.semihosting_files = {path("inside")};
    expect_wall(options, path("inside/file"), O_RDONLY);
    options.semihosting = SemihostingAccess::Kernel;
    EXPECT_EQ(in_jail_open(options, path("inside/file"), O_RDWR), 0);
    EXPECT_EQ(in_jail_open(options, path("inside/new"), O_WRONLY | O_CREAT | O_EXCL), 0);
    expect_wall(options, path("other"), O_RDONLY);
    expect_wall(options, path("new"), O_WRONLY | O_CREAT | O_EXCL);
    expect_wall(options, path("inside"), O_RDONLY | O_DIRECTORY);
    const Attempted removed = in_jail(options, ThreadRole::Compiler, [&] {
        return call(SYS_unlinkat, AT_FDCWD, reinterpret_cast<long>(path("inside/file").c_str()), 0);
    });
    EXPECT_EQ(removed.result, 0);
    options.semihosting_files.clear();
    expect_wall(options, path("inside/new"), O_RDONLY);
}

// By a virtual CPU's thread, in both worlds: what the guest asks for passes, with the list of such a thread.
TEST_F(SandboxFiles, SemihostingWorksOnVirtualCpus) {
    RunOptions options = plain_options();
    options.semihosting = SemihostingAccess::Kernel;
    options.semihosting_files = {path("inside")};
    // Opened as it is in a run: by the main thread, inside the jail.
    for (const ThreadRole role : {ThreadRole::Vcpu, ThreadRole::KvmVcpu}) {
        write("inside/file", "content");
        const Attempted outcome = in_child([&] {
            if (!enter(options, [] {})) return 101;
            const auto directories = SemihostingDirectories::open(options.semihosting_files);
            if (!directories) return 102;
            int result = 0;
            host::start_thread("attempt", role, [&] {
                const int fd = directories->open("file", O_RDWR);
                if (fd < 0) result = -fd;
                if (result == 0) result = -directories->rename("file", "moved");
                if (result == 0) result = -directories->remove("moved");
                if (result == 0 && directories->open("../other", O_RDONLY) != -EXDEV) result = 103;
            }).join();
            return result;
        });
        EXPECT_EQ(outcome.result, 0) << outcome.text;
    }
}

// From one of the directories into another, and within one: Landlock asks for a right of its own.
TEST_F(SandboxFiles, SemihostingMovesFilesBetweenItsDirectoriesOnly) {
    RunOptions options = plain_options();
    options.semihosting = SemihostingAccess::Kernel;
    options.semihosting_files = {path("inside"), path("second")};
    for (const ThreadRole role : {ThreadRole::Vcpu, ThreadRole::KvmVcpu}) {
        write("inside/file", "content");
        write("inside/below/keep", "content");
        write("second/keep", "content");
        const Attempted outcome = in_child([&] {
            if (!enter(options, [] {})) return 101;
            const auto directories = SemihostingDirectories::open(options.semihosting_files);
            if (!directories) return 102;
            int result = 0;
            host::start_thread("attempt", role, [&] {
                result = -directories->rename("file", path("second") + "/moved");
                if (result == 0) result = -directories->rename(path("second") + "/moved", "below/again");
                if (result == 0 && directories->rename("below/again", "../outside") != -EXDEV) result = 103;
            }).join();
            return result;
        });
        EXPECT_EQ(outcome.result, 0) << outcome.text;
        EXPECT_TRUE(fs::exists(path("inside/below/again")));
    }
    // Without the walls of SemihostingDirectories: nothing leaves for where semihosting has no directory.
    const auto move_out = [&] {
        return call(SYS_renameat, AT_FDCWD, reinterpret_cast<long>(path("second/keep").c_str()), AT_FDCWD,
                    reinterpret_cast<long>(path("stolen").c_str()));
    };
    EXPECT_EQ(in_jail(options, ThreadRole::Main, move_out).result, EACCES);
    EXPECT_EQ(in_child(move_out).result, 0);
}

TEST_F(SandboxFiles, PipesByTheirDescriptorStayOpenable) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    RunOptions options = plain_options();
    options.kernel = "/dev/fd/" + std::to_string(ends[0]);
    EXPECT_EQ(in_jail_open(options, options.kernel, O_RDONLY), 0);
    close(ends[0]);
    close(ends[1]);
}

// What seccomp forbids as well, here by Landlock alone.
TEST_F(SandboxFiles, LandlockAloneForbidsPrograms) {
    const auto restricted = [](const std::function<int()>& attempt) {
        return in_child([&] {
                   if (!forbid_new_privileges() || !restrict_files({}, {})) return 200;
                   return attempt();
               })
            .result;
    };
    const auto execute = [] { return execl("/bin/true", "true", nullptr) == 0 ? 0 : errno; };
    EXPECT_EQ(in_child(execute).result, 0);
    EXPECT_EQ(restricted(execute), EACCES);

    const auto signal_parent = [] { return call(SYS_kill, getppid(), 0); };
    EXPECT_EQ(in_child(signal_parent).result, 0);
    if (landlock_abi() >= 6) {
        EXPECT_EQ(restricted(signal_parent), EPERM);
    }

    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(listen(listener, 4), 0);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    const auto connect_there = [&] {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        return call(SYS_connect, fd, reinterpret_cast<long>(&address), sizeof address);
    };
    EXPECT_EQ(in_child(connect_there).result, 0);
    if (landlock_abi() >= 4) {
        EXPECT_EQ(restricted(connect_there), EACCES);
    }
    close(listener);
}

TEST_F(SandboxFiles, ANetworkReadsNamesAndListensAtItsPortsOnly) {
    RunOptions options = plain_options();
    options.networks.push_back(
        {.tftp = path("inside"), .forwards = {{.host_port = 0}, {.udp = true, .host_port = 9}}});
    const auto opens = [&](const std::string& file) {
        return in_jail(options, ThreadRole::Network, [&] { return try_open(file, O_RDONLY); }).result;
    };
    if (std::error_code error; fs::exists("/etc/resolv.conf", error)) {
        EXPECT_EQ(opens("/etc/resolv.conf"), 0);
    }
    EXPECT_EQ(opens(path("inside/file")), 0);
    EXPECT_EQ(opens(path("other")), EACCES);
    EXPECT_EQ(opens("/etc/passwd"), EACCES);
    expect_wall(plain_options(), "/etc/resolv.conf", O_RDONLY);

    // A listener outside, for connections, and a free port that no forward names.
    const auto any_port = [](int type) {
        sockaddr_in address{
            .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
        socklen_t size = sizeof address;
        const int fd = socket(AF_INET, type, 0);
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
        return std::pair(fd, address);
    };
    auto [listener, there] = any_port(SOCK_STREAM);
    ASSERT_EQ(listen(listener, 4), 0);
    auto [unused, elsewhere] = any_port(SOCK_STREAM);
    close(unused);
    const auto on = [&](long number, sockaddr_in address) {
        return in_jail(options, ThreadRole::Network,
                       [&] {
                           const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                           return call(number, fd, reinterpret_cast<long>(&address), sizeof address);
                       })
            .result;
    };
    EXPECT_EQ(on(SYS_connect, there), 0);
    sockaddr_in named = elsewhere;
    named.sin_port = 0;  // the one that is forwarded
    EXPECT_EQ(on(SYS_bind, named), 0);
    if (landlock_abi() >= 4) {
        EXPECT_EQ(on(SYS_bind, elsewhere), EACCES);
        options.networks[0].restrict_guest = true;
        EXPECT_EQ(on(SYS_connect, there), EACCES) << "a restricted guest makes no connections";
    }
    close(listener);
}

TEST_F(SandboxFiles, ASharedDirectoryIsATreeForItsThread) {
    RunOptions options = plain_options();
    add_share(options, {.directory = path("inside")});
    const auto by = [&](ThreadRole role, long number, const std::string& file, long a = 0, long b = 0) {
        return in_jail(options, role,
                       [&] { return call(number, AT_FDCWD, reinterpret_cast<long>(file.c_str()), a, b); });
    };
    constexpr ThreadRole kShare = ThreadRole::Share;
    EXPECT_EQ(by(kShare, SYS_openat, path("inside/file"), O_RDWR).result, 0);
    EXPECT_EQ(by(kShare, SYS_mkdirat, path("inside/made"), 0700).result, 0);
    EXPECT_EQ(by(kShare, SYS_mknodat, path("inside/pipe"), S_IFIFO | 0600).result, 0);
    const std::string from = path("inside/pipe"), to = path("inside/made/moved"), out = path("moved");
    const auto rename = [&](const std::string& target) {
        return in_jail(options, kShare, [&] {
            return call(SYS_renameat, AT_FDCWD, reinterpret_cast<long>(from.c_str()), AT_FDCWD,
                        reinterpret_cast<long>(target.c_str()));
        });
    };
    EXPECT_NE(rename(out).result, 0) << "out of the directory";
    if (landlock_abi() >= 2) {
        EXPECT_EQ(rename(to).result, 0);
        EXPECT_EQ(by(kShare, SYS_unlinkat, to).result, 0);
    }
    EXPECT_EQ(by(kShare, SYS_unlinkat, path("inside/made"), AT_REMOVEDIR).result, 0);
    EXPECT_EQ(by(kShare, SYS_openat, path("other"), O_RDONLY).result, EACCES);
    EXPECT_EQ(by(kShare, SYS_mkdirat, path("outside"), 0700).result, EACCES);
    EXPECT_NE(by(kShare, SYS_mknodat, path("inside/null"), S_IFCHR | 0600, makedev(1, 3)).result, 0);
    EXPECT_TRUE(in_jail(options, kShare, [] { return call(SYS_socket, AF_INET, SOCK_STREAM); }).violated);
    EXPECT_TRUE(in_jail(options, kShare, [] { return call(SYS_execve); }).violated);
    EXPECT_TRUE(by(ThreadRole::Vcpu, SYS_mkdirat, path("inside/made"), 0700).violated);
    EXPECT_TRUE(by(ThreadRole::Device, SYS_openat, path("inside/file"), O_RDONLY).violated);
    EXPECT_TRUE(in_jail(plain_options(), kShare, [] { return call(SYS_mkdirat); }).violated)
        << "without a shared directory";
    options = plain_options();
    add_share(options, {.directory = path("inside"), .readonly = true});
    EXPECT_EQ(by(kShare, SYS_openat, path("inside/file"), O_RDONLY).result, 0);
    EXPECT_EQ(by(kShare, SYS_openat, path("inside/file"), O_RDWR).result, EACCES);
    EXPECT_EQ(by(kShare, SYS_mkdirat, path("inside/made"), 0700).result, EACCES);
}

}  // namespace
}  // namespace arclight::guestos::sandbox
