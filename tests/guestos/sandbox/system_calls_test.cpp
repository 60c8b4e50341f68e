// A hostile thread's system calls. What is forbidden ends the process by SIGSYS with a line that names the call, so that a
// call which fails for another reason (no privilege, a bad argument) does not pass for a wall.
#include "guestos/sandbox/system_calls.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/vfio.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

#include "devices/vhost_user/kernel_requests.h"
#include "guestos/sandbox/seccomp.h"
#include "tests/guestos/sandbox/jail.h"

namespace arclight::guestos::sandbox {
namespace {

struct Attempt {
    const char* what;
    long number;
    long arguments[5] = {};
};

int make(const Attempt& a) {
    return call(a.number, a.arguments[0], a.arguments[1], a.arguments[2], a.arguments[3], a.arguments[4]);
}

void expect_violation(const Attempted& outcome, const Attempt& attempt, ThreadRole role) {
    SCOPED_TRACE(testing::Message() << attempt.what << " by " << role_name(role));
    EXPECT_TRUE(outcome.violated) << "returned " << outcome.result << ", signal " << outcome.signal << ", "
                                  << outcome.text;
    const std::string line =
        fmt::format("system call {} ({}) is forbidden in a thread of role '{}'", attempt.number,
                    system_call_name(static_cast<unsigned>(attempt.number)), role_name(role));
    EXPECT_NE(outcome.text.find(line), std::string::npos) << outcome.text;
    EXPECT_EQ(std::ranges::count(outcome.text, '\n'), 1);
}

/// Everything that a run may need: the list of Main, which contains all others, is at its longest.
RunOptions wide_options() {
    RunOptions options = plain_options();
    options.accel = Accel::Auto;
    options.control = "/tmp/no-socket-is-made";
    options.semihosting = SemihostingAccess::Userspace;
    options.semihosting_files = {"/tmp/no-file-is-made"};
    return options;
}

/// And with a network for the guest.
RunOptions networked_options() {
    RunOptions options = wide_options();
    options.networks.emplace_back();
    return options;
}

constexpr long kAnywhere = 0, kNone = -1;
const long kPage = sysconf(_SC_PAGESIZE);

TEST(SandboxSystemCalls, NobodyMayMakeThese) {
    const long nothing = reinterpret_cast<long>("");
    const Attempt attempts[] = {
        {"another program", SYS_execve, {reinterpret_cast<long>("/bin/true")}},
        {"another program by descriptor", SYS_execveat, {kNone, nothing, 0, 0, AT_EMPTY_PATH}},
        {"another process", SYS_fork},
        {"another process, sharing memory", SYS_vfork},
        {"another process by clone", SYS_clone, {SIGCHLD}},
        {"a thread in a user name space",
         SYS_clone,
         {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER}},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME}},
        {"another process's memory", SYS_process_vm_readv, {getppid()}},
        {"into another process's memory", SYS_process_vm_writev, {getppid()}},
        {"another process's descriptor", SYS_pidfd_getfd, {kNone}},
        {"a handle of a process", SYS_pidfd_open, {getppid()}},
        {"a signal to another process", SYS_kill, {getppid(), 0}},
        {"a signal to another thread", SYS_tkill, {getppid(), 0}},
        {"a signal to another process's thread", SYS_tgkill, {getppid(), getppid(), 0}},
        {"a signal with a value", SYS_rt_sigqueueinfo, {getppid(), 0}},
        {"another handler for violations", SYS_rt_sigaction, {SIGSYS}},
        {"bpf", SYS_bpf, {kNone}},
        {"a filter that asks somebody else",
         SYS_seccomp,
         {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER}},
        {"performance counters", SYS_perf_event_open},
        {"page faults in user space", SYS_userfaultfd},
        {"io_uring", SYS_io_uring_setup, {1}},
        {"asynchronous I/O", SYS_io_setup, {1}},
        {"keys", SYS_keyctl, {kNone}},
        {"a new key", SYS_add_key},
        {"mounts", SYS_mount},
        {"unmounting", SYS_umount2},
        {"another root", SYS_chroot, {nothing}},
        {"another root by exchange", SYS_pivot_root},
        {"another root of a name space", SYS_open_tree, {kNone}},
        {"name spaces", SYS_unshare, {CLONE_NEWUSER}},
        {"another's name space", SYS_setns, {kNone}},
        {"kernel modules", SYS_finit_module, {kNone}},
        {"another kernel", SYS_kexec_load},
        {"restarting the host", SYS_reboot},
        {"another user", SYS_setuid, {0}},
        {"other users", SYS_setresuid, {0, 0, 0}},
        {"other groups", SYS_setgroups},
        {"capabilities", SYS_capset},
        {"memory that is executable as soon as readable", SYS_personality, {0x0400000}},
        {"code segments", SYS_modify_ldt},
        {"ports", SYS_ioperm, {0, 1, 1}},
        {"files by handle", SYS_open_by_handle_at, {kNone}},
        {"other rights of a file", SYS_chmod, {nothing}},
        {"another owner of a file", SYS_fchownat, {kNone, nothing}},
        {"another name of a file", SYS_linkat, {kNone, nothing, kNone, nothing}},
        {"a symbolic link", SYS_symlinkat, {nothing, kNone, nothing}},
        {"a device", SYS_mknodat, {kNone, nothing}},
        {"attributes of files", SYS_setxattr, {nothing, nothing}},
        {"watching files", SYS_fanotify_init},
        {"the host's clock", SYS_clock_settime, {kNone}},
        {"the host's name", SYS_sethostname, {nothing}},
        {"the kernel's log", SYS_syslog},
        {"the network", SYS_socket, {AF_INET, SOCK_STREAM}},
        {"the network, version 6", SYS_socket, {AF_INET6, SOCK_STREAM}},
        {"the kernel's sockets", SYS_socket, {AF_NETLINK, SOCK_RAW}},
        {"raw packets", SYS_socket, {AF_PACKET, SOCK_RAW}},
        {"a pair of sockets", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
        {"messages with descriptors", SYS_sendmsg, {kNone}},
        {"shared memory", SYS_shmget},
        {"typing into the terminal", SYS_ioctl, {0, TIOCSTI}},
        {"pasting into the terminal", SYS_ioctl, {0, TIOCLINUX}},
        {"another controlling terminal", SYS_ioctl, {0, TIOCSCTTY}},
        {"the process's memory map", SYS_prctl, {PR_SET_MM}},
        {"its death's signal", SYS_prctl, {PR_SET_PDEATHSIG}},
        {"a map of writable code",
         SYS_mmap,
         {0, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, kNone}},
        {"writable code", SYS_mprotect, {kAnywhere, kPage, PROT_READ | PROT_WRITE | PROT_EXEC}},
        {"protection keys", SYS_pkey_mprotect, {kAnywhere, kPage, PROT_EXEC}},
        {"code in other pages", SYS_remap_file_pages},
    };
    for (const ThreadRole role : kEveryRole)
        for (const Attempt& attempt : attempts)
            expect_violation(in_jail(wide_options(), role, [&] { return make(attempt); }), attempt, role);
}

TEST(SandboxSystemCalls, RolesMayMakeTheirOwnOnly) {
    struct Case {
        Attempt attempt;
        std::vector<ThreadRole> allowed;  ///< beside Main
    };
    using enum ThreadRole;
    const long nothing = reinterpret_cast<long>("");
    constexpr long kThreadFlags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    const Case cases[] = {
        {{"opening", SYS_openat, {kNone, nothing}}, {Compiler, Control, Network}},
        {{"renaming", SYS_renameat, {kNone, nothing, kNone, nothing}}, {Compiler, Vcpu, KvmVcpu}},
        {{"removing", SYS_unlinkat, {kNone, nothing}}, {Compiler, Vcpu, KvmVcpu}},
        {{"opening beneath a directory", SYS_openat2, {kNone}}, {Vcpu, KvmVcpu}},
        {{"making a directory", SYS_mkdir, {nothing}}, {}},
        {{"a disk's writes", SYS_pwritev, {kNone}}, {Device, Share}},
        {{"a file's flush", SYS_fdatasync, {kNone}}, {Device, Control, Share}},
        {{"timers", SYS_timerfd_settime, {kNone}}, {Vcpu, KvmVcpu, EventLoop, Control, Debugger}},
        {{"waiting for events", SYS_epoll_wait, {kNone}}, {EventLoop}},
        {{"signals by time", SYS_timer_create, {kNone}}, {Vcpu, KvmVcpu}},
        {{"running a virtual machine", SYS_ioctl, {kNone, KVM_RUN}}, {KvmVcpu}},
        {{"memory of a virtual machine", SYS_ioctl, {kNone, KVM_SET_USER_MEMORY_REGION}}, {KvmVcpu}},
        {{"another virtual machine", SYS_ioctl, {kNone, static_cast<long>(KVM_CREATE_VM)}}, {}},
        {{"what is mapped", SYS_mincore, {1}}, {KvmVcpu}},
        {{"executable memory", SYS_mprotect, {1, kPage, PROT_READ | PROT_EXEC}}, {Compiler}},
        {{"a map of code", SYS_mmap, {0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE, kNone}}, {Compiler}},
        {{"a thread", SYS_clone, {kThreadFlags}}, {Control}},
        {{"a client of the socket", SYS_accept4, {kNone}}, {Control}},
        {{"a Unix socket", SYS_socket, {AF_UNIX, -1}}, {}},
        {{"a path for a socket", SYS_bind, {kNone}}, {}},
        {{"a connection", SYS_connect, {kNone}}, {}},
        {{"more filters", SYS_seccomp, {SECCOMP_SET_MODE_FILTER, 0, 0}}, {}},
        {{"memory files", SYS_memfd_create, {0}}, {Control}},
        {{"another core for itself", SYS_sched_setaffinity, {0}}, {Vcpu, KvmVcpu}},
    };
    for (const Case& c : cases)
        for (const ThreadRole role : kEveryRole) {
            // A thread by clone() would need a stack: that those who may can is for the machine's tests.
            const bool allowed = role == Main || std::ranges::find(c.allowed, role) != c.allowed.end();
            if (allowed && c.attempt.number == SYS_clone) continue;
            const Attempted outcome = in_jail(wide_options(), role, [&] { return make(c.attempt); });
            if (!allowed) {
                expect_violation(outcome, c.attempt, role);
                continue;
            }
            EXPECT_FALSE(outcome.violated)
                << c.attempt.what << " by " << role_name(role) << ": " << outcome.text;
            EXPECT_EQ(outcome.text, "");
        }
}

TEST(SandboxSystemCalls, WhatARunDoesNotNeedIsNotThere) {
    const Attempt kvm{"a virtual machine", SYS_ioctl, {kNone, static_cast<long>(KVM_CREATE_VM)}};
    const Attempt socket{"a Unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM}};
    const Attempt code{"code", SYS_mprotect, {1, kPage, PROT_EXEC}};
    const Attempt network{"the network", SYS_socket, {AF_INET, SOCK_STREAM}};
    expect_violation(in_jail(wide_options(), ThreadRole::Network, [&] { return make(network); }), network,
                     ThreadRole::Network);
    for (const Attempt& attempt : {kvm, socket, network})
        expect_violation(in_jail(plain_options(), ThreadRole::Main, [&] { return make(attempt); }), attempt,
                         ThreadRole::Main);
    const Attempt opening{"opening beneath a directory", SYS_openat2, {kNone}};
    const Attempt removing{"removing", SYS_unlinkat, {kNone}};
    RunOptions without_files = plain_options();
    without_files.semihosting = SemihostingAccess::Kernel;
    for (const RunOptions& options : {plain_options(), without_files})
        for (const Attempt& attempt : {opening, removing})
            expect_violation(in_jail(options, ThreadRole::Vcpu, [&] { return make(attempt); }), attempt,
                             ThreadRole::Vcpu);
    const Attempt core{"another core", SYS_sched_setaffinity, {0}};
    const Attempt others{"another thread's core", SYS_sched_setaffinity, {1}};
    RunOptions naps = plain_options();
    naps.spin = SpinPolicy::Nap;
    EXPECT_FALSE(in_jail(plain_options(), ThreadRole::Vcpu, [&] { return make(core); }).violated);
    expect_violation(in_jail(naps, ThreadRole::Vcpu, [&] { return make(core); }), core, ThreadRole::Vcpu);
    expect_violation(in_jail(plain_options(), ThreadRole::Vcpu, [&] { return make(others); }), others,
                     ThreadRole::Vcpu);
    RunOptions compiling = plain_options();
    compiling.jit = JitTier::Tier2;
    EXPECT_FALSE(in_jail(compiling, ThreadRole::Vcpu, [&] { return make(code); }).violated);
    expect_violation(in_jail(plain_options(), ThreadRole::Vcpu, [&] { return make(code); }), code,
                     ThreadRole::Vcpu);
}

// A virtual CPU writes what the guest programs into flash, where there is an image to write it to.
TEST(SandboxSystemCalls, FlashIsWrittenByVirtualCpus) {
    const Attempt writing{"writing at an offset", SYS_pwrite64, {kNone, kAnywhere, 0, 0}};
    RunOptions flash = plain_options(), fixed = plain_options();
    flash.flash = {{.file = "/tmp/code", .readonly = true}, {.file = "/tmp/vars"}};
    fixed.flash = {{.file = "/tmp/code", .readonly = true}};
    fixed.bios = "/tmp/code";
    EXPECT_FALSE(in_jail(flash, ThreadRole::Vcpu, [&] { return make(writing); }).violated);
    for (const RunOptions& options : {plain_options(), fixed})
        expect_violation(in_jail(options, ThreadRole::Vcpu, [&] { return make(writing); }), writing,
                         ThreadRole::Vcpu);
}

// Those that may access a device's registers, and only where there is a device.
TEST(SandboxSystemCalls, DevicesOfTheHostsAreForVirtualCpus) {
    const auto may = [](ThreadRole role, bool devices, unsigned long request) {
        const std::vector<Rule> rules = rules_for(role, {.host_devices = devices});
        return std::ranges::any_of(rules, [&](const Rule& rule) {
            return rule.number == SYS_ioctl && rule.conditions[0].value == request;
        });
    };
    for (const unsigned long request : {VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET}) {
        for (const ThreadRole role : {ThreadRole::Vcpu, ThreadRole::KvmVcpu, ThreadRole::Main}) {
            EXPECT_TRUE(may(role, true, request)) << role_name(role);
            EXPECT_FALSE(may(role, false, request)) << role_name(role);
        }
        for (const ThreadRole role : {ThreadRole::Network, ThreadRole::Device, ThreadRole::Compiler})
            EXPECT_FALSE(may(role, true, request)) << role_name(role);
    }
    for (const ThreadRole role : kEveryRole)
        EXPECT_EQ(may(role, true, VFIO_IOMMU_MAP_DMA), role == ThreadRole::Main) << role_name(role);
}

// Where a profile is taken, the CPU that writes a mark reads KVM's counters there.
TEST(SandboxSystemCalls, CountersOfKvmAreReadWhereThereIsAProfile) {
    const auto may = [](ThreadRole role, bool profile) {
        return std::ranges::any_of(rules_for(role, {.kvm = true, .profile = profile}),
                                   [](const Rule& rule) { return rule.number == SYS_pread64; });
    };
    EXPECT_TRUE(may(ThreadRole::KvmVcpu, true));
    EXPECT_FALSE(may(ThreadRole::KvmVcpu, false));
    EXPECT_FALSE(may(ThreadRole::Vcpu, true));
    EXPECT_FALSE(may(ThreadRole::Network, true));
}

// The device's thread tells the kernel of rings, and only of what the run has.
TEST(SandboxSystemCalls, TheKernelsRingsAreForTheirDevice) {
    namespace vhost = devices::vhost_user::kernel;
    const auto may = [](ThreadRole role, const Needs& needs, unsigned long request) {
        const std::vector<Rule> rules = rules_for(role, needs);
        return std::ranges::any_of(rules, [&](const Rule& rule) {
            return rule.number == SYS_ioctl && rule.conditions[0].value == static_cast<uint32_t>(request);
        });
    };
    const Needs none{.daemons = true}, vsock{.vhost_vsock = true}, net{.vhost_net = true};
    for (const ThreadRole role : kEveryRole) {
        const bool its = role == ThreadRole::Device || role == ThreadRole::Main;
        for (const unsigned long request :
             {vhost::kSetFeatures, vhost::kSetMemTable, vhost::kSetVringKick, vhost::kGetVringBase}) {
            EXPECT_EQ(may(role, net, request), its) << role_name(role);
            EXPECT_EQ(may(role, vsock, request), its) << role_name(role);
            EXPECT_FALSE(may(role, none, request)) << role_name(role);
        }
        for (const unsigned long request :
             {vhost::kNetSetBackend, static_cast<unsigned long>(TUNSETQUEUE),
              static_cast<unsigned long>(TUNSETOFFLOAD), static_cast<unsigned long>(TUNSETVNETHDRSZ)}) {
            EXPECT_EQ(may(role, net, request), its) << role_name(role);
            EXPECT_FALSE(may(role, vsock, request)) << role_name(role);
        }
        EXPECT_EQ(may(role, vsock, vhost::kSetRunning), its);
        EXPECT_FALSE(may(role, net, vhost::kSetRunning));
        for (const unsigned long request : {vhost::kSetOwner, vhost::kGetFeatures})
            EXPECT_FALSE(may(role, net, request)) << "made before";
    }
}

TEST(SandboxSystemCalls, OnlyTheNetworksThreadMakesConnections) {
    const long nothing = reinterpret_cast<long>("");
    const Attempt calls[] = {
        {"a stream", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC}},
        {"datagrams", SYS_socket, {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC}},
        {"a stream, version 6", SYS_socket, {AF_INET6, SOCK_STREAM | SOCK_CLOEXEC}},
        {"datagrams, version 6", SYS_socket, {AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC}},
        {"connecting", SYS_connect, {kNone}},
        {"an address", SYS_bind, {kNone}},
        {"listening", SYS_listen, {kNone}},
        {"accepting", SYS_accept, {kNone}},
        {"sending", SYS_sendto, {kNone}},
        {"receiving", SYS_recvfrom, {kNone}},
        {"receiving errors", SYS_recvmsg, {kNone}},
        {"options", SYS_setsockopt, {kNone}},
        {"its options", SYS_getsockopt, {kNone}},
        {"half an end", SYS_shutdown, {kNone}},
        {"its own address", SYS_getsockname, {kNone}},
        {"its peer", SYS_getpeername, {kNone}},
    };
    for (const Attempt& attempt : calls)
        for (const ThreadRole role : kEveryRole) {
            const bool allowed = role == ThreadRole::Network || role == ThreadRole::Main;
            // What the control socket needs as well.
            const bool shared = role == ThreadRole::Control &&
                                (attempt.number == SYS_recvmsg || attempt.number == SYS_sendto ||
                                 attempt.number == SYS_setsockopt || attempt.number == SYS_getsockopt);
            const Attempted outcome = in_jail(networked_options(), role, [&] { return make(attempt); });
            if (!allowed && !shared) {
                expect_violation(outcome, attempt, role);
            } else {
                EXPECT_FALSE(outcome.violated)
                    << attempt.what << " by " << role_name(role) << ": " << outcome.text;
            }
        }
    // What a network needs no more than others do.
    const Attempt forbidden[] = {
        {"raw packets", SYS_socket, {AF_PACKET, SOCK_RAW}},
        {"raw IP", SYS_socket, {AF_INET, SOCK_RAW | SOCK_CLOEXEC}},
        {"SCTP", SYS_socket, {AF_INET, SOCK_SEQPACKET | SOCK_CLOEXEC}},
        {"raw IP, version 6", SYS_socket, {AF_INET6, SOCK_RAW | SOCK_CLOEXEC}},
        {"the kernel's sockets", SYS_socket, {AF_NETLINK, SOCK_RAW}},
        {"a virtual machine's socket", SYS_socket, {AF_VSOCK, SOCK_STREAM}},
        {"a Unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM}},
        {"a pair of sockets", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
        {"messages with descriptors", SYS_sendmsg, {kNone}},
        {"many messages", SYS_sendmmsg, {kNone}},
        {"another program", SYS_execve, {reinterpret_cast<long>("/bin/true")}},
        {"another process", SYS_fork},
        {"a thread", SYS_clone, {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD}},
        {"a disk's writes", SYS_pwritev, {kNone}},
        {"removing", SYS_unlinkat, {kNone, nothing}},
        {"an interface's settings", SYS_ioctl, {kNone, SIOCSIFADDR}},
        {"interfaces", SYS_ioctl, {kNone, SIOCGIFCONF}},
        {"code", SYS_mprotect, {1, kPage, PROT_READ | PROT_EXEC}},
    };
    for (const Attempt& attempt : forbidden)
        expect_violation(in_jail(networked_options(), ThreadRole::Network, [&] { return make(attempt); }),
                         attempt, ThreadRole::Network);
    // The C library asks for one to look up an interface, and does without.
    EXPECT_EQ(in_jail(networked_options(), ThreadRole::Network,
                      [] { return call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC); })
                  .result,
              ENOSYS);
}

TEST(SandboxSystemCalls, TheDebuggersThreadTalksToItsSocketAndNoMore) {
    RunOptions options = plain_options();
    options.gdb = "tcp::1234";
    for (const Attempt& attempt :
         {Attempt{"accepting", SYS_accept4, {kNone}}, Attempt{"sending", SYS_sendto, {kNone}},
          Attempt{"receiving", SYS_recvfrom, {kNone}}, Attempt{"options", SYS_setsockopt, {kNone}}}) {
        EXPECT_FALSE(in_jail(options, ThreadRole::Debugger, [&] { return make(attempt); }).violated)
            << attempt.what;
        expect_violation(in_jail(options, ThreadRole::Vcpu, [&] { return make(attempt); }), attempt,
                         ThreadRole::Vcpu);
        expect_violation(in_jail(plain_options(), ThreadRole::Debugger, [&] { return make(attempt); }),
                         attempt, ThreadRole::Debugger);
    }
    for (const Attempt& attempt :
         {Attempt{"a socket", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC}},
          Attempt{"connecting", SYS_connect, {kNone}}, Attempt{"listening", SYS_listen, {kNone}},
          Attempt{"a file", SYS_openat, {kNone}},
          Attempt{"another program", SYS_execve, {reinterpret_cast<long>("/bin/true")}},
          Attempt{"a disk's writes", SYS_pwritev, {kNone}}})
        expect_violation(in_jail(options, ThreadRole::Debugger, [&] { return make(attempt); }), attempt,
                         ThreadRole::Debugger);
}

/// getpid of the 32-bit interface. It ends the process where the host's kernel has no such interface.
int call_by_int80() {
    int result = 20;
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result > 0 ? 0 : 1;
}

TEST(SandboxSystemCalls, OtherInterfacesOfTheKernelAreClosed) {
    const bool has_int80 = in_child(call_by_int80).result == 0;
    for (const ThreadRole role : kEveryRole) {
        constexpr long kX32 = 0x4000'0000;
        EXPECT_TRUE(in_jail(plain_options(), role, [] { return call(kX32 | SYS_getpid); }).violated);
        const Attempted by_int80 = in_jail(plain_options(), role, call_by_int80);
        EXPECT_TRUE(has_int80 ? by_int80.violated : by_int80.result != 0);
    }
}

TEST(SandboxSystemCalls, AViolationCannotBeBlocked) {
    const Attempted outcome = in_jail(plain_options(), ThreadRole::Vcpu, [] {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, nullptr);
        call(SYS_fork);
        return 0;
    });
    EXPECT_TRUE(outcome.violated);
}

TEST(SandboxSystemCalls, ThreadsOfThreadsStayInTheirList) {
    const Attempt open{"opening", SYS_mkdir, {reinterpret_cast<long>("")}};
    const Attempted outcome = in_jail(plain_options(), ThreadRole::Control, [&] {
        int result = -1;
        std::thread([&] { result = make(open); }).join();
        return result;
    });
    expect_violation(outcome, open, ThreadRole::Control);
}

TEST(SandboxSystemCalls, OffChangesNothing) {
    RunOptions options = plain_options();
    options.sandbox = SandboxMode::Off;
    for (const ThreadRole role : kEveryRole)
        EXPECT_EQ(in_jail(options, role, [] { return call(SYS_socket, AF_UNIX, SOCK_STREAM); }).result, 0);
}

TEST(SandboxSystemCalls, NamesAreTheKernels) {
    EXPECT_STREQ(system_call_name(SYS_read), "read");
    EXPECT_STREQ(system_call_name(SYS_clone3), "clone3");
    EXPECT_EQ(system_call_name(9999), nullptr);
}

/// Does the filter allow the call by its number alone? The kernel finds that out by running it with nothing but number and
/// architecture, and where it is so runs it no more (seccomp_is_const_allow(), kernel/seccomp.c, since 5.11).
bool allows_by_number(std::span<const sock_filter> filter, unsigned number) {
    uint32_t a = 0;
    for (size_t pc = 0; pc < filter.size(); ++pc) {
        const sock_filter& f = filter[pc];
        switch (f.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                if (f.k == offsetof(seccomp_data, nr))
                    a = number;
                else if (f.k == offsetof(seccomp_data, arch))
                    a = AUDIT_ARCH_X86_64;
                else
                    return false;
                break;
            case BPF_RET | BPF_K: return f.k == SECCOMP_RET_ALLOW;
            case BPF_JMP | BPF_JEQ | BPF_K: pc += a == f.k ? f.jt : f.jf; break;
            default: return false;
        }
    }
    return false;
}

// What a run makes all the time costs no filter, however long it is.
TEST(SandboxSystemCalls, TheKernelAllowsHotCallsByTheirNumber) {
    Needs needs{.kvm = true,
                .control_socket = true,
                .semihosting_files = true,
                .flash_file = true,
                .user_network = true,
                .debugger = true,
                .shares = true,
                .char_servers = true,
                .char_clients = true};
    for (const ThreadRole role : kEveryRole) {
        const std::vector<Rule> rules = rules_for(role, needs);
        const std::vector<sock_filter> filter = make_filter(rules, role);
        for (const unsigned number :
             {SYS_futex, SYS_read, SYS_write, SYS_timerfd_settime, SYS_epoll_wait, SYS_sched_yield, SYS_poll,
              SYS_preadv, SYS_pwritev, SYS_fdatasync, SYS_clock_gettime, SYS_madvise}) {
            const bool allowed = std::ranges::find(rules, number, &Rule::number) != rules.end();
            EXPECT_EQ(allows_by_number(filter, number), allowed)
                << role_name(role) << ": " << system_call_name(number);
        }
        EXPECT_FALSE(allows_by_number(filter, SYS_ioctl)) << role_name(role);
        EXPECT_TRUE(allows_by_number(filter, SYS_futex)) << role_name(role);
    }
}

}  // namespace
}  // namespace arclight::guestos::sandbox
