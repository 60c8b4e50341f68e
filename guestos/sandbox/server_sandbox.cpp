#include "guestos/sandbox/server_sandbox.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "guestos/sandbox/landlock.h"
#include "guestos/sandbox/privileges.h"
#include "guestos/sandbox/seccomp.h"
#include "guestos/sandbox/violation.h"
#include "host/thread_role.h"

namespace arclight::guestos::sandbox {

namespace {

using Kind = Condition::Kind;

constexpr Condition equals(uint8_t argument, uint32_t value) { return {Kind::Equals, argument, value}; }
constexpr Condition lacks(uint8_t argument, uint32_t mask) { return {Kind::Lacks, argument, mask}; }

constexpr uint32_t kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
constexpr uint32_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

uint32_t process = 0;

std::vector<sock_filter> filter_for(ThreadRole role) {
    return make_filter(server_rules(role, process), role);
}

}  // namespace

// The device thread's calls are in both: the list of a process holds those of its threads.
std::vector<Rule> server_rules(ThreadRole role, uint32_t process_id) {
    std::vector<Rule> rules = {
        // ---- Looked at
        {SYS_mmap, {lacks(2, PROT_EXEC)}},
        {SYS_mprotect, {lacks(2, PROT_EXEC)}},
        {SYS_tgkill, {equals(0, process_id)}},
        {SYS_rt_sigaction, {Condition{Kind::Differs, 0, SIGSYS}}},
        {SYS_prctl, {equals(0, PR_SET_NAME)}},
        // What front ends send: notifications do not block, and memory is looked at for what could be taken away.
        {SYS_fcntl, {equals(1, F_SETFL)}},
        {SYS_fcntl, {equals(1, F_GET_SEALS)}},
        // ---- The device's thread: front ends and what they give, the resource
        {SYS_epoll_wait},
        {SYS_poll},
        {SYS_ppoll},  // until an interface has some of its rate again
        {SYS_read},
        {SYS_write},
        {SYS_readv},
        {SYS_writev},
        {SYS_preadv},
        {SYS_pwritev},
        {SYS_fdatasync},
        {SYS_fadvise64},
        {SYS_fallocate},
        {SYS_futex},
        {SYS_epoll_ctl},
        {SYS_accept4},
        {SYS_recvmsg},
        {SYS_sendto},
        {SYS_readlink},
        {SYS_fstat},
        {SYS_newfstatat},
        {SYS_fstatfs},
        {SYS_close},
        {SYS_memfd_create},  // what stands in for memory that a front end takes away
        {SYS_ftruncate},
        {SYS_munmap},
        {SYS_madvise},
        {SYS_mremap},
        {SYS_brk},
        // ---- Threads, signals, the end
        {SYS_rt_sigprocmask},
        {SYS_rt_sigreturn},
        {SYS_sigaltstack},
        {SYS_sched_yield},
        {SYS_clock_gettime},
        {SYS_clock_nanosleep},
        {SYS_restart_syscall},
        {SYS_getrandom},
        {SYS_gettid},
        {SYS_getpid},
        {SYS_set_robust_list},
        {SYS_rseq},
        {SYS_exit},
        {SYS_exit_group},
    };
    if (role != ThreadRole::Main) return rules;
    const Rule mains[] = {
        // Threads, not processes; the C library is to use the call whose flags can be looked at.
        {SYS_clone, {Condition{Kind::Has, 0, kThread}, lacks(0, kNamespaces)}},
        {SYS_clone3, {}, Outcome::Unsupported},
        {SYS_seccomp, {equals(0, SECCOMP_SET_MODE_FILTER), lacks(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)}},
        {SYS_socket, {equals(0, AF_UNIX)}},
        // Whether one that a dead server has left is alive.
        {SYS_connect},
        {SYS_bind},
        {SYS_listen},
        {SYS_fchmod},
        {SYS_unlink},
        {SYS_recvfrom},
        {SYS_getsockopt},
        {SYS_setsockopt},
        {SYS_geteuid},
        {SYS_epoll_create1},
        {SYS_eventfd2},
        {SYS_sched_setaffinity},
        {SYS_lseek},
    };
    rules.insert(rules.end(), std::begin(mains), std::end(mains));
    return rules;
}

Result<void> enter_server(SandboxMode mode, const std::vector<std::string>& socket_directories) {
    for (const auto& done : {drop_capabilities(), forbid_new_privileges()})
        if (!done) return done;
    if (mode == SandboxMode::Off) return {};
    Result<void> missing;
    const auto build = [&](Result<void> wall) {
        if (!wall && missing) missing = failure("--sandbox require: {}", wall.error());
        return wall.has_value();
    };
    std::vector<FileGrant> grants;
    for (const std::string& directory : socket_directories)
        grants.push_back({directory, FileGrant::kMakeSocket | FileGrant::kRemove});
    build(restrict_files(grants, {}));
    process = static_cast<uint32_t>(getpid());
    report_violations();
    if (build(install_filter(filter_for(ThreadRole::Main), Threads::All)))
        set_thread_role_hook([](ThreadRole role) { narrow_thread(filter_for(role)); });
    return mode == SandboxMode::Require ? missing : Result<void>();
}

}  // namespace arclight::guestos::sandbox
