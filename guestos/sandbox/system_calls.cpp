#include "guestos/sandbox/system_calls.h"

#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <utility>

#include "devices/vhost_user/kernel_requests.h"

namespace arclight::guestos::sandbox {

namespace {

constexpr unsigned bit(ThreadRole role) { return 1u << static_cast<unsigned>(role); }
constexpr unsigned kMain = bit(ThreadRole::Main), kKvmVcpu = bit(ThreadRole::KvmVcpu),
                   kVcpus = bit(ThreadRole::Vcpu) | kKvmVcpu, kEvents = bit(ThreadRole::EventLoop),
                   kDevice = bit(ThreadRole::Device), kCompiler = bit(ThreadRole::Compiler),
                   kControl = bit(ThreadRole::Control), kNetwork = bit(ThreadRole::Network),
                   kShare = bit(ThreadRole::Share), kDebugger = bit(ThreadRole::Debugger),
                   kAll = (1u << kThreadRoles) - 1;

/// Parts of the table that only some runs need.
enum class When : uint8_t {
    Always,
    Kvm,
    ControlSocket,
    SemihostingFiles,
    UserNetwork,
    ForwardedCommands,
    ForwardedChardevs,
    NetSockets,
    NetClients,
    Tap,
    FlashFile,
    KeptBlocks,
    Shares,
    Daemons,
    DaemonClients,
    Vhost,
    VhostVsock,
    VhostNet,
    HostDevices,
    Profile,
    Vsock,
    IoUring,
    Placement,
    HandOver,
    Colours,
    Snapshots,
    CharServers,
    CharClients,
    Debugger,
    Lightv
};

struct Row {
    unsigned number;
    unsigned roles;  ///< beside Main, which has every row
    Condition first{}, second{};
    When when = When::Always;
    Outcome outcome = Outcome::Allow;
};

using Kind = Condition::Kind;
constexpr Condition equals(uint8_t argument, uint64_t value) {
    return {Kind::Equals, argument, static_cast<uint32_t>(value)};
}
constexpr Condition lacks(uint8_t argument, uint64_t mask) {
    return {Kind::Lacks, argument, static_cast<uint32_t>(mask)};
}
/// No new executable memory; or none that is writable at the same time.
constexpr Condition kNotExecutable = lacks(2, PROT_EXEC),
                    kNotWritableAndExecutable = {Kind::HasNot, 2, PROT_WRITE | PROT_EXEC};
constexpr Condition kProcessId = {Kind::Equals, 0, 0};  // its value is Needs::process
constexpr uint64_t kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
constexpr uint64_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
/// In C++ the flexible array of <linux/kvm.h> changes a structure's size, and with it those of three requests.
constexpr uint64_t kGetSupportedCpuid = _IOWR(KVMIO, 0x05, uint64_t), kSetMsrs = _IOW(KVMIO, 0x89, uint64_t),
                   kSetCpuid2 = _IOW(KVMIO, 0x90, uint64_t);

/// UFFDIO_MOVE, which <linux/userfaultfd.h> has since Linux 6.8: five words.
constexpr uint64_t kMovePages = _IOC(_IOC_READ | _IOC_WRITE, UFFDIO, 0x05, 5 * sizeof(uint64_t));

namespace vhost = devices::vhost_user::kernel;

constexpr uint64_t kClientSocket = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

constexpr Row ioctl_row(unsigned roles, uint64_t request, When when = When::Always) {
    return {.number = SYS_ioctl, .roles = roles, .first = equals(1, request), .when = when};
}

constexpr Row socket_row(uint64_t family, uint64_t type) {
    return {.number = SYS_socket,
            .roles = kNetwork,
            .first = equals(0, family),
            .second = equals(1, type),
            .when = When::UserNetwork};
}

/// Of a connection that is made anew.
constexpr Row client_row(unsigned roles, uint64_t family, When when) {
    return {.number = SYS_socket,
            .roles = roles,
            .first = equals(0, family),
            .second = equals(1, kClientSocket),
            .when = when};
}

constexpr Row snapshot_row(unsigned number) {
    return {.number = number, .roles = kControl, .when = When::Snapshots};
}
constexpr Row share_row(unsigned number) { return {.number = number, .roles = kShare, .when = When::Shares}; }

// Kernels since 5.11 know without running the filter what a call's number alone allows, so that only rows with
// conditions cost anything there; hence they are first, and the rest goes by how often a run makes the call.
constexpr Row kRows[] = {
    // ---- Looked at
    ioctl_row(kKvmVcpu, KVM_RUN, When::Kvm),
    ioctl_row(kKvmVcpu, KVM_SET_USER_MEMORY_REGION, When::Kvm),
    // isatty(), and the terminal's mode, which a signal's handler restores on whatever thread it comes to. Not TIOCSTI
    // and TIOCLINUX, by which text can be typed into the shell that waits behind this program.
    ioctl_row(kAll, TCGETS),
    ioctl_row(kAll, TCSETS),
    ioctl_row(kAll, TIOCGPGRP),
    ioctl_row(kVcpus | kEvents, TIOCGWINSZ),  // what a console's port tells its driver
    ioctl_row(0, BLKGETSIZE64),
    ioctl_row(0, KVM_GET_API_VERSION, When::Kvm),
    ioctl_row(0, KVM_CHECK_EXTENSION, When::Kvm),
    ioctl_row(0, KVM_GET_VCPU_MMAP_SIZE, When::Kvm),
    ioctl_row(0, KVM_CREATE_VM, When::Kvm),
    ioctl_row(0, KVM_SET_TSS_ADDR, When::Kvm),
    ioctl_row(0, KVM_SET_IDENTITY_MAP_ADDR, When::Kvm),
    ioctl_row(0, kGetSupportedCpuid, When::Kvm),
    ioctl_row(0, kSetMsrs, When::Kvm),
    ioctl_row(0, kSetCpuid2, When::Kvm),
    ioctl_row(0, KVM_CREATE_VCPU, When::Kvm),
    ioctl_row(0, KVM_SET_XCRS, When::Kvm),
    ioctl_row(0, KVM_SET_DEVICE_ATTR, When::Kvm),
    ioctl_row(0, KVM_GET_SREGS, When::Kvm),
    ioctl_row(0, KVM_GET_STATS_FD, When::Kvm),
    // Of vhost devices, whose files are open already: the kernel serves rings in guest memory.
    ioctl_row(kDevice, vhost::kSetFeatures, When::Vhost),
    ioctl_row(kDevice, vhost::kSetMemTable, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringNum, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringBase, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringAddr, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringCall, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringErr, When::Vhost),
    ioctl_row(kDevice, vhost::kSetVringKick, When::Vhost),
    ioctl_row(kDevice, vhost::kGetVringBase, When::Vhost),
    ioctl_row(kDevice, vhost::kSetRunning, When::VhostVsock),
    ioctl_row(kDevice, vhost::kNetSetBackend, When::VhostNet),
    ioctl_row(kDevice, TUNSETVNETHDRSZ, When::VhostNet),
    ioctl_row(kDevice, TUNSETOFFLOAD, When::VhostNet),
    ioctl_row(kDevice, TUNSETQUEUE, When::VhostNet),
    // Of devices of the host's, whose files are open already: what their registers do, and guest memory for them.
    ioctl_row(kVcpus | kControl | kDebugger, VFIO_DEVICE_SET_IRQS, When::HostDevices),
    ioctl_row(kVcpus | kControl | kDebugger, VFIO_DEVICE_RESET, When::HostDevices),
    ioctl_row(0, VFIO_IOMMU_MAP_DMA, When::HostDevices),
    ioctl_row(0, VFIO_IOMMU_UNMAP_DMA, When::HostDevices),
    ioctl_row(kControl, FICLONE, When::Snapshots),
    // Of the descriptor of userfaultfd that is there already: writes to pages that move sleep.
    ioctl_row(kControl, UFFDIO_REGISTER, When::Lightv),
    ioctl_row(kControl, UFFDIO_UNREGISTER, When::Lightv),
    ioctl_row(kControl, UFFDIO_WRITEPROTECT, When::Lightv),
    ioctl_row(kControl, UFFDIO_WAKE, When::Lightv),
    // And of one by which pages of chosen colours become a machine's memory.
    ioctl_row(kControl, UFFDIO_REGISTER, When::Colours),
    ioctl_row(kControl, UFFDIO_UNREGISTER, When::Colours),
    ioctl_row(kControl, kMovePages, When::Colours),
    {.number = SYS_mprotect, .roles = kAll & ~kCompiler, .first = kNotExecutable},
    {.number = SYS_mprotect, .roles = kCompiler, .first = kNotWritableAndExecutable},
    {.number = SYS_mmap, .roles = kAll & ~kCompiler & ~kMain, .first = kNotExecutable},
    {.number = SYS_mmap, .roles = kCompiler, .first = kNotWritableAndExecutable},
    {.number = SYS_mmap, .roles = 0, .first = kNotWritableAndExecutable},
    {.number = SYS_tgkill, .roles = kAll, .first = kProcessId},
    // What reports violations stays in place.
    {.number = SYS_rt_sigaction, .roles = kAll, .first = {Kind::Differs, 0, SIGSYS}},
    {.number = SYS_prctl, .roles = kAll, .first = equals(0, PR_SET_NAME)},
    // Threads, not processes. The one that ticks for LightV is started late.
    {.number = SYS_clone,
     .roles = kControl,
     .first = {Kind::Has, 0, kThread},
     .second = lacks(0, kNamespaces)},
    // Its flags are in memory, where no filter can look: the C library then uses clone().
    {.number = SYS_clone3, .roles = kControl, .outcome = Outcome::Unsupported},
    {.number = SYS_seccomp,
     .roles = 0,
     .first = equals(0, SECCOMP_SET_MODE_FILTER),
     .second = lacks(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)},
    {.number = SYS_arch_prctl, .roles = kKvmVcpu, .first = equals(0, 0x1003)},  // ARCH_GET_FS
    {.number = SYS_socket, .roles = 0, .first = equals(0, AF_UNIX), .when = When::ControlSocket},
    // Streams and datagrams, and no other form of these. No name of an interface is looked up, for which the C library wants
    // a Unix socket.
    client_row(kEvents, AF_UNIX, When::CharClients),
    client_row(kEvents, AF_INET, When::CharClients),
    client_row(kEvents, AF_INET6, When::CharClients),
    client_row(kDevice, AF_UNIX, When::Vsock),
    client_row(kDevice, AF_UNIX, When::DaemonClients),
    {.number = SYS_socketpair,
     .roles = kDevice,
     .first = equals(0, AF_UNIX),
     .second = equals(1, SOCK_STREAM | SOCK_CLOEXEC),
     .when = When::DaemonClients},
    socket_row(AF_INET, SOCK_STREAM | SOCK_CLOEXEC),
    socket_row(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC),
    socket_row(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC),
    socket_row(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC),
    {.number = SYS_socket,
     .roles = kNetwork,
     .first = equals(0, AF_UNIX),
     .second = equals(1, SOCK_DGRAM | SOCK_CLOEXEC),
     .when = When::UserNetwork,
     .outcome = Outcome::Unsupported},
    {.number = SYS_socket,
     .roles = kNetwork,
     .first = equals(0, AF_UNIX),
     .second = equals(1, SOCK_STREAM | SOCK_CLOEXEC),
     .when = When::ForwardedCommands},
    client_row(kNetwork, AF_UNIX, When::NetClients),
    client_row(kNetwork, AF_INET, When::NetClients),
    client_row(kNetwork, AF_INET6, When::NetClients),
    ioctl_row(kNetwork, TUNSETOFFLOAD, When::Tap),
    {.number = SYS_ioctl, .roles = kNetwork, .first = equals(1, FIONREAD), .when = When::UserNetwork},
    {.number = SYS_ioctl, .roles = kNetwork, .first = equals(1, FIONBIO), .when = When::UserNetwork},

    // ---- Waiting, waking, timers: what is made all the time
    {SYS_futex, kAll},
    {SYS_read, kAll},
    {SYS_write, kAll},
    {SYS_rt_sigreturn, kAll},
    {SYS_timerfd_settime, kVcpus | kEvents | kControl | kDebugger},
    {SYS_epoll_wait, kEvents},
    {SYS_sched_yield, kAll},
    {SYS_poll, kAll},
    {SYS_preadv, kDevice | kShare | kControl},  // a disk that is saved
    {SYS_pwritev, kDevice | kShare},
    {SYS_clock_gettime, kAll},  // where the vDSO cannot answer
    {SYS_newfstatat, kAll},
    {SYS_fdatasync, kDevice | kShare | kControl},
    {SYS_fallocate, kDevice | kControl},
    {SYS_pread64, kDevice | kShare | kCompiler | kControl},
    {SYS_pwrite64, kDevice | kShare | kControl},

    // ---- Memory
    {SYS_munmap, kAll},
    {SYS_madvise, kAll},
    {SYS_brk, kAll},
    {SYS_mremap, kAll},
    {SYS_mincore, kKvmVcpu},
    {SYS_mbind, kControl},

    // ---- Threads, signals, the end
    {SYS_rt_sigprocmask, kAll},
    {SYS_sigaltstack, kAll},
    {SYS_clock_nanosleep, kAll},
    {SYS_restart_syscall, kAll},
    {SYS_getrandom, kAll},
    {SYS_gettid, kAll},
    {SYS_getpid, kAll},
    {SYS_getpgrp, kAll},
    {SYS_set_robust_list, kAll},
    {SYS_rseq, kAll},
    {SYS_exit, kAll},
    {SYS_exit_group, kAll},
    {SYS_timer_create, kVcpus},
    {SYS_timer_settime, kVcpus},
    {SYS_timer_delete, kVcpus},
    {SYS_epoll_ctl, kEvents},
    {SYS_sched_getaffinity, kVcpus | kCompiler | kControl},

    // ---- Files: of those that Landlock grants
    {SYS_close, kAll},
    {SYS_lseek, kAll},
    {SYS_writev, kAll},
    {SYS_fstat, kAll},
    {SYS_openat, kCompiler | kControl | kNetwork},
    {SYS_renameat, kCompiler},
    {SYS_unlinkat, kCompiler},
    {SYS_utimensat, kCompiler},
    {SYS_geteuid, kCompiler | kControl},
    {SYS_getdents64, kCompiler},
    {SYS_readlink, kCompiler},
    {SYS_access, kCompiler},
    {SYS_fcntl, kCompiler | kControl | kNetwork},
    {SYS_dup, kCompiler},
    {SYS_sysinfo, kCompiler},
    {SYS_fstatfs, kCompiler | kControl},
    {SYS_ftruncate, kControl},
    {SYS_flock, kControl},  // disk images that modules of LightV open
    {SYS_mkdir, 0},
    {SYS_stat, 0},
    {SYS_unlink, 0},

    // ---- Semihosting: beneath its directories
    {.number = SYS_openat2, .roles = kVcpus, .when = When::SemihostingFiles},
    {.number = SYS_unlinkat, .roles = kVcpus, .when = When::SemihostingFiles},
    {.number = SYS_renameat, .roles = kVcpus, .when = When::SemihostingFiles},

    // ---- Flash: what is programmed is in its file before the next instruction
    {.number = SYS_pwrite64, .roles = kVcpus, .when = When::FlashFile},
    // ---- Devices of the host's: their configuration space and ports
    {.number = SYS_pread64, .roles = kVcpus | kDebugger, .when = When::HostDevices},
    {.number = SYS_pwrite64, .roles = kVcpus | kDebugger, .when = When::HostDevices},
    // KVM's counters, at a mark of the guest's.
    {.number = SYS_pread64, .roles = kKvmVcpu, .when = When::Profile},
    // ---- Disks' rings: made by Main, each for reads and writes of one file; a device uses the one that it has
    {.number = SYS_io_uring_enter, .roles = kDevice, .when = When::IoUring},
    {.number = SYS_io_uring_setup, .roles = 0, .when = When::IoUring},
    {.number = SYS_io_uring_register, .roles = 0, .when = When::IoUring},
    {.number = SYS_pread64, .roles = kVcpus, .when = When::KeptBlocks},
    {.number = SYS_fdatasync, .roles = kVcpus, .when = When::FlashFile},
    // ---- Shared directories: beneath them
    {.number = SYS_prlimit64, .roles = 0, .first = equals(0, 0), .when = When::Shares},
    share_row(SYS_openat2),
    share_row(SYS_openat),
    share_row(SYS_getdents64),
    share_row(SYS_fstatfs),
    share_row(SYS_fsync),
    share_row(SYS_ftruncate),
    share_row(SYS_truncate),
    share_row(SYS_utimensat),
    share_row(SYS_chmod),
    share_row(SYS_fchownat),
    share_row(SYS_readlinkat),
    share_row(SYS_unlinkat),
    share_row(SYS_renameat),
    share_row(SYS_linkat),
    share_row(SYS_symlinkat),
    share_row(SYS_mkdirat),
    share_row(SYS_mknodat),
    share_row(SYS_getxattr),
    share_row(SYS_lgetxattr),
    share_row(SYS_setxattr),
    share_row(SYS_removexattr),
    share_row(SYS_listxattr),

    // ---- Devices that daemons carry out: connected before, with guest memory and eventfds for the daemon
    {.number = SYS_sendmsg, .roles = kDevice, .when = When::Daemons},
    {.number = SYS_sendto, .roles = kDevice, .when = When::Daemons},
    {.number = SYS_recvfrom, .roles = kDevice, .when = When::Daemons},
    {.number = SYS_connect, .roles = kDevice, .when = When::DaemonClients},
    // ---- The guest's sockets at Unix sockets of the host's
    {.number = SYS_accept4, .roles = kDevice, .when = When::Vsock},
    {.number = SYS_connect, .roles = kDevice, .when = When::Vsock},
    {.number = SYS_recvfrom, .roles = kDevice, .when = When::Vsock},
    {.number = SYS_sendto, .roles = kDevice, .when = When::Vsock},
    {.number = SYS_shutdown, .roles = kDevice, .when = When::Vsock},
    {.number = SYS_bind, .roles = 0, .when = When::Vsock},
    {.number = SYS_listen, .roles = 0, .when = When::Vsock},
    {.number = SYS_fchmod, .roles = 0, .when = When::Vsock},
    {.number = SYS_recvmsg, .roles = 0, .when = When::Snapshots},  // a connection to an image's next server
    {.number = SYS_sched_setaffinity, .roles = kControl, .when = When::Placement},
    {.number = SYS_sched_setaffinity, .roles = kVcpus, .first = equals(0, 0), .when = When::HandOver},
    // ---- Snapshots by name: in their directory
    snapshot_row(SYS_access),
    snapshot_row(SYS_copy_file_range),
    snapshot_row(SYS_fsync),
    snapshot_row(SYS_getdents64),
    snapshot_row(SYS_mkdir),
    snapshot_row(SYS_rename),
    snapshot_row(SYS_renameat2),
    snapshot_row(SYS_rmdir),
    snapshot_row(SYS_unlink),
    snapshot_row(SYS_unlinkat),
    snapshot_row(SYS_utimensat),

    // ---- LightV's socket
    {.number = SYS_accept4, .roles = kControl, .when = When::ControlSocket},
    {.number = SYS_recvmsg, .roles = kControl, .when = When::ControlSocket},  // with a snapshot's file
    {.number = SYS_sendto, .roles = kControl, .when = When::ControlSocket},
    {.number = SYS_setsockopt, .roles = kControl, .when = When::ControlSocket},
    {.number = SYS_bind, .roles = 0, .when = When::ControlSocket},
    {.number = SYS_listen, .roles = 0, .when = When::ControlSocket},
    {.number = SYS_connect,
     .roles = 0,
     .when = When::ControlSocket},  // is one that a dead run has left alive?
    {.number = SYS_fchmod, .roles = 0, .when = When::ControlSocket},
    {.number = SYS_getsockopt, .roles = kControl, .when = When::ControlSocket},

    // ---- Chardevs: listening sockets and first connections are older than the list
    {.number = SYS_accept4, .roles = kEvents, .when = When::CharServers},
    {.number = SYS_connect, .roles = kEvents, .when = When::CharClients},
    {.number = SYS_getsockopt, .roles = kEvents, .when = When::CharClients},
    {.number = SYS_setsockopt, .roles = kEvents, .when = When::CharClients},

    // ---- A debugger's connection. The socket was made before.
    {.number = SYS_accept4, .roles = kDebugger, .when = When::Debugger},
    {.number = SYS_recvfrom, .roles = kDebugger, .when = When::Debugger},
    {.number = SYS_sendto, .roles = kDebugger, .when = When::Debugger},
    {.number = SYS_setsockopt, .roles = kDebugger, .when = When::Debugger},

    // ---- A guest's network (libslirp)
    {.number = SYS_recvfrom, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_sendto, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_recvmsg, .roles = kNetwork, .when = When::UserNetwork},  // why a datagram has not arrived
    {.number = SYS_connect, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_bind, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_listen, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_accept, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_shutdown, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_getsockname, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_getpeername, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_getsockopt, .roles = kNetwork, .when = When::UserNetwork},
    {.number = SYS_setsockopt, .roles = kNetwork, .when = When::UserNetwork},

    // ---- A forward of the guest's to a chardev: the event loop is asked for more of its input.
    {.number = SYS_timerfd_settime, .roles = kNetwork, .when = When::ForwardedChardevs},

    // ---- Frames. Sockets and first connections are older than the list.
    {.number = SYS_recvfrom, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_sendto, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_sendmsg, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_recvmmsg, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_sendmmsg, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_ppoll, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_accept4, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_getsockopt, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_setsockopt, .roles = kNetwork, .when = When::NetSockets},
    {.number = SYS_connect, .roles = kNetwork, .when = When::NetClients},

    // ---- Only while a machine is built or taken apart
    {SYS_epoll_create1, 0},
    {SYS_timerfd_create, 0},
    {SYS_eventfd2, 0},
    {SYS_pipe2, 0},
    {SYS_memfd_create, kControl},  // memory that modules of LightV put behind pages
    {SYS_getrusage, kControl},     // the times that info jit shows
    {SYS_getppid, 0},              // the KVM probe's example of a system call
    {SYS_getcwd, 0},
    {SYS_uname, 0},
};

struct Name {
    unsigned number;
    const char* name;
};
constexpr Name kNames[] = {
#include "system_call_names.inc"
};

bool is_needed(When when, const Needs& needs) {
    switch (when) {
        case When::Always: return true;
        case When::Kvm: return needs.kvm;
        case When::ControlSocket: return needs.control_socket;
        case When::SemihostingFiles: return needs.semihosting_files;
        case When::UserNetwork: return needs.user_network;
        case When::ForwardedCommands: return needs.forwarded_commands;
        case When::ForwardedChardevs: return needs.forwarded_chardevs;
        case When::NetSockets: return needs.net_sockets;
        case When::NetClients: return needs.net_clients;
        case When::Tap: return needs.tap;
        case When::FlashFile: return needs.flash_file;
        case When::KeptBlocks: return needs.kept_blocks;
        case When::Shares: return needs.shares;
        case When::Daemons: return needs.daemons;
        case When::DaemonClients: return needs.daemon_clients;
        case When::Vhost: return needs.vhost_vsock || needs.vhost_net;
        case When::VhostVsock: return needs.vhost_vsock;
        case When::VhostNet: return needs.vhost_net;
        case When::HostDevices: return needs.host_devices;
        case When::Profile: return needs.profile;
        case When::Vsock: return needs.vsock;
        case When::IoUring: return needs.io_uring;
        case When::Placement: return needs.placement;
        case When::HandOver: return needs.hand_over;
        case When::Colours: return needs.colours;
        case When::Snapshots: return needs.snapshots;
        case When::CharServers: return needs.char_servers;
        case When::CharClients: return needs.char_clients;
        case When::Debugger: return needs.debugger;
        case When::Lightv: return needs.lightv;
    }
    return false;
}

}  // namespace

std::vector<Rule> rules_for(ThreadRole role, const Needs& needs) {
    unsigned roles = bit(role);
    if (needs.compiles_on_vcpus && (roles & kVcpus) != 0) roles |= kCompiler;
    std::vector<Rule> rules;
    for (const Row& row : kRows) {
        if (!is_needed(row.when, needs)) continue;
        if (role != ThreadRole::Main && (row.roles & roles) == 0) continue;
        Rule rule{row.number, {row.first, row.second}, row.outcome};
        if (row.number == SYS_tgkill) rule.conditions[0].value = needs.process;
        rules.push_back(rule);
    }
    return rules;
}

const char* system_call_name(unsigned number) {
    const auto* found = std::ranges::find(kNames, number, &Name::number);
    return found != std::end(kNames) ? found->name : nullptr;
}

const char* role_name(ThreadRole role) {
    switch (role) {
        case ThreadRole::Main: return "main";
        case ThreadRole::Vcpu: return "virtual CPU";
        case ThreadRole::KvmVcpu: return "virtual CPU (KVM)";
        case ThreadRole::EventLoop: return "event loop";
        case ThreadRole::Device: return "device";
        case ThreadRole::Compiler: return "compiler";
        case ThreadRole::Control: return "control";
        case ThreadRole::Network: return "network";
        case ThreadRole::Debugger: return "debugger";
        case ThreadRole::Share: return "shared directory";
    }
    return "unknown";
}

}  // namespace arclight::guestos::sandbox
