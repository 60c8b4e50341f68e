// Whose rights the process has, and what happens where a kernel lacks a wall.
#include "guestos/sandbox/privileges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "guestos/sandbox/landlock.h"
#include "guestos/sandbox/sandbox.h"
#include "tests/guestos/sandbox/jail.h"

namespace arclight::guestos::sandbox {
namespace {

/// /proc/PID/status of this process in the sandbox, read by a descriptor from before.
std::map<std::string, std::string> status_in_jail(const RunOptions& options) {
    const Attempted outcome = in_child([&] {
        const int file = open("/proc/self/status", O_RDONLY);
        if (!enter(options, [] {})) return 1;
        char text[8192];
        const ssize_t got = pread(file, text, sizeof text, 0);
        return got > 0 && write(STDERR_FILENO, text, static_cast<size_t>(got)) == got ? 0 : 1;
    });
    EXPECT_EQ(outcome.result, 0) << outcome.text;
    std::map<std::string, std::string> fields;
    std::istringstream lines(outcome.text);
    for (std::string name, value; std::getline(lines, name, ':') && std::getline(lines, value);)
        fields[name] = value;
    return fields;
}

TEST(SandboxPrivileges, NothingCanBeGained) {
    const auto status = status_in_jail(plain_options());
    EXPECT_EQ(status.at("NoNewPrivs"), "\t1");
    EXPECT_EQ(status.at("Seccomp"), "\t2");
    EXPECT_EQ(status.at("CapInh"), "\t0000000000000000");
    // CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which only root has.
    const char* kept = geteuid() == 0 ? "\t0000000000000006" : "\t0000000000000000";
    EXPECT_EQ(status.at("CapEff"), kept);
    EXPECT_EQ(status.at("CapPrm"), kept);
    if (geteuid() == 0) {
        EXPECT_EQ(status.at("CapBnd"), kept);
    }
}

TEST(SandboxPrivileges, RootBecomesAnotherUser) {
    if (geteuid() != 0) GTEST_SKIP() << "only root can";
    RunOptions options = plain_options();
    options.user = "nobody";
    const auto user = find_user("nobody");
    ASSERT_TRUE(user);
    const auto status = status_in_jail(options);
    const auto four = [](unsigned id) { return fmt::format("\t{0}\t{0}\t{0}\t{0}", id); };
    EXPECT_EQ(status.at("Uid"), four(user->uid));
    EXPECT_EQ(status.at("Gid"), four(user->gid));
    EXPECT_EQ(status.at("CapEff"), "\t0000000000000000");
    EXPECT_EQ(status.at("CapPrm"), "\t0000000000000000");
    // The same with the sandbox off, where nothing else keeps the file closed.
    options.sandbox = SandboxMode::Off;
    const auto open_shadow = [] { return open("/etc/shadow", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno; };
    ASSERT_EQ(in_child(open_shadow).result, 0);
    EXPECT_EQ(in_jail(options, ThreadRole::Main, open_shadow).result, EACCES);
    EXPECT_EQ(in_jail(options, ThreadRole::Main, [] { return call(SYS_setuid, 0); }).result, EPERM);
}

TEST(SandboxPrivileges, OnlyRootBecomesAnotherUser) {
    const Attempted outcome = in_child([] {
        if (geteuid() == 0 && !become({.uid = 65534, .gid = 65534, .groups = {}, .home = ""})) return 1;
        const auto again = become({.uid = 12345, .gid = 12345, .groups = {}, .home = ""});
        return !again && again.error().find("only root") != std::string::npos ? 0 : 2;
    });
    EXPECT_EQ(outcome.result, 0);
}

TEST(SandboxPrivileges, UsersByNameAndNumber) {
    const auto root = find_user("root");
    ASSERT_TRUE(root);
    EXPECT_EQ(root->uid, 0u);
    EXPECT_EQ(root->gid, 0u);
    EXPECT_FALSE(root->home.empty());
    const auto number = find_user("12345");
    ASSERT_TRUE(number);
    EXPECT_EQ(number->uid, 12345u);
    EXPECT_EQ(number->gid, 12345u);
    EXPECT_TRUE(number->groups.empty());
    const auto both = find_user("root:77");
    ASSERT_TRUE(both);
    EXPECT_EQ(both->gid, 77u);
    EXPECT_EQ(find_user("12345:root").value().gid, 0u);
    EXPECT_EQ(find_user("0")->home, root->home);
    for (const char* wrong :
         {"", ":", "no such user", "root:no such group", "-1", "4294967295", "1x", "0:", "root:4294967295"})
        EXPECT_FALSE(find_user(wrong)) << wrong;
}

/// Makes the kernel one that does not have that system call.
void take_away(uint32_t number) {
    const sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    const sock_fprog program{std::size(code), const_cast<sock_filter*>(code)};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST(SandboxModes, ALackingKernelIsToleratedOrRefused) {
    constexpr uint32_t kCreateRuleset = 444;
    for (const auto& [number, name] :
         {std::pair(kCreateRuleset, "Landlock"), std::pair(uint32_t{SYS_seccomp}, "seccomp")}) {
        const auto enter_as = [&](SandboxMode mode) {
            return in_child([&] {
                take_away(number);
                RunOptions options = plain_options();
                options.sandbox = mode;
                const auto entered = enter(options, [] {});
                if (!entered) dprintf(STDERR_FILENO, "%s", entered.error().c_str());
                return entered ? 0 : 1;
            });
        };
        const Attempted on = enter_as(SandboxMode::On);
        EXPECT_EQ(on.result, 0) << name;
        EXPECT_EQ(on.text, "") << name;
        const Attempted require = enter_as(SandboxMode::Require);
        EXPECT_EQ(require.result, 1) << name;
        EXPECT_NE(require.text.find(name), std::string::npos) << require.text;
        const Attempted support = in_child([&] {
            take_away(number);
            dprintf(STDERR_FILENO, "%s", describe_support().c_str());
            return 0;
        });
        EXPECT_NE(support.text.find(std::string("no ") + name), std::string::npos) << support.text;
    }
}

TEST(SandboxModes, TheOtherWallStandsWithoutOne) {
    const Attempted outcome = in_child([] {
        take_away(444);
        RunOptions options = plain_options();
        options.sandbox = SandboxMode::On;
        return enter(options, [] {}) ? call(SYS_fork) : 1;
    });
    EXPECT_TRUE(outcome.violated);
    if (landlock_abi() == 0) return;
    const Attempted files = in_child([] {
        take_away(SYS_seccomp);
        RunOptions options = plain_options();
        options.sandbox = SandboxMode::On;
        return enter(options, [] {}) ? (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0) : 1;
    });
    EXPECT_EQ(files.result, EACCES);
}

}  // namespace
}  // namespace arclight::guestos::sandbox
