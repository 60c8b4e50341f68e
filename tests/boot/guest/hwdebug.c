// Hardware breakpoints and watchpoints, by ptrace as debuggers set them and by perf_event_open, where the
// kernel itself steps over them. Prints what was caught; another machine's output must be the same.
#include <asm/ptrace.h>
#include <elf.h>
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint64_t data[64] __attribute__((aligned(64)));
static volatile int sink;

__attribute__((noinline)) static int called(int n) {
    __asm__ volatile("" ::: "memory");
    return n * 3 + 1;
}

static void child(void) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (int i = 0; i < 3; ++i) {
        sink = called(i);
        data[8] = (uint64_t)i;                 // watched for stores
        sink = *(volatile uint8_t*)&data[16];  // and for loads, the first four bytes
        sink = (int)((volatile uint32_t*)data)[33];
        data[17] = 1;
    }
    _exit(sink == 0 ? 0 : 1);
}

static void die(const char* what) {
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static struct user_hwdebug_state state_of(pid_t pid, int kind) {
    struct user_hwdebug_state state = {0};
    struct iovec io = {&state, sizeof state};
    if (ptrace(PTRACE_GETREGSET, pid, kind, &io) != 0) die("PTRACE_GETREGSET");
    return state;
}

static void set(pid_t pid, int kind, const struct user_hwdebug_state* state, unsigned count) {
    struct iovec io = {(void*)state,
                       offsetof(struct user_hwdebug_state, dbg_regs[0]) + count * sizeof state->dbg_regs[0]};
    if (ptrace(PTRACE_SETREGSET, pid, kind, &io) != 0) die("PTRACE_SETREGSET");
}

static uint64_t pc_of(pid_t pid) {
    struct user_regs_struct regs;
    struct iovec io = {&regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0) die("NT_PRSTATUS");
    return regs.pc;
}

static void debugger(void) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) child();
    int status;
    waitpid(pid, &status, 0);
    const struct user_hwdebug_state none = {0};
    struct user_hwdebug_state breaks = {0}, watches = {0};
    // Breakpoints: enabled, EL0, four bytes. Watchpoints: stores of eight bytes; loads of the first four.
    breaks.dbg_regs[0].addr = (uint64_t)called;
    breaks.dbg_regs[0].ctrl = 1 | 2 << 1 | 0xf << 5;
    watches.dbg_regs[0].addr = (uint64_t)&data[8];
    watches.dbg_regs[0].ctrl = 1 | 2 << 1 | 2 << 3 | 0xff << 5;
    watches.dbg_regs[1].addr = (uint64_t)&data[16];
    watches.dbg_regs[1].ctrl = 1 | 2 << 1 | 1 << 3 | 0x0f << 5;
    if ((state_of(pid, NT_ARM_HW_WATCH).dbg_info & 0xff) < 2) die("too few watchpoints");
    set(pid, NT_ARM_HW_BREAK, &breaks, 1);
    set(pid, NT_ARM_HW_WATCH, &watches, 2);
    ptrace(PTRACE_CONT, pid, 0, 0);
    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        siginfo_t info;
        ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
        printf("signal %d code %d", WSTOPSIG(status), info.si_code);
        const uint64_t address = (uint64_t)info.si_addr, pc = pc_of(pid);
        if (address == (uint64_t)called)
            printf(" breakpoint, pc %s\n", pc == address ? "there" : "elsewhere");
        else
            printf(" data+%lu is %ld\n", address - (uint64_t)data,
                   ptrace(PTRACE_PEEKDATA, pid, (void*)(address & ~7ul), 0));
        if (WSTOPSIG(status) != SIGTRAP) die("another signal");
        // Over it, without it.
        set(pid, NT_ARM_HW_BREAK, &none, 1);
        set(pid, NT_ARM_HW_WATCH, &none, 2);
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) break;
        ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
        printf("  step: signal %d code %d, pc+%ld\n", WSTOPSIG(status), info.si_code,
               (long)(pc_of(pid) - pc));
        set(pid, NT_ARM_HW_BREAK, &breaks, 1);
        set(pid, NT_ARM_HW_WATCH, &watches, 2);
        ptrace(PTRACE_CONT, pid, 0, 0);
    }
    printf("the child ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static int event(unsigned type, const volatile void* address, unsigned length) {
    struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT,
                                   .size = sizeof attr,
                                   .bp_type = type,
                                   .bp_addr = (uint64_t)address,
                                   .bp_len = length,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    const int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) die("perf_event_open");
    return fd;
}
static uint64_t count_of(int fd) {
    uint64_t count = 0;
    if (read(fd, &count, sizeof count) != sizeof count) die("read");
    return count;
}

static void counters(void) {
    const int calls = event(HW_BREAKPOINT_X, (const void*)called, sizeof(long));
    const int stores = event(HW_BREAKPOINT_W, &data[24], 8), loads = event(HW_BREAKPOINT_R, &data[32], 4);
    for (int i = 0; i < 1000; ++i) {
        sink = called(i);
        data[24] = (uint64_t)i;
        data[25] = (uint64_t)i;
        if (i % 2 == 0) sink = (int)((volatile uint32_t*)data)[64];
        sink = (int)((volatile uint32_t*)data)[65];
        if (i % 10 == 0) usleep(100);  // other threads in between
    }
    printf("counted %lu calls, %lu stores, %lu loads\n", count_of(calls), count_of(stores), count_of(loads));
    close(calls);
    sink = called(1);
    printf("and the rest %lu\n", count_of(stores));
}

int main(void) {
    debugger();
    counters();
    return 0;
}
