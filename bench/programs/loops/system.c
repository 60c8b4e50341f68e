// The operating system: calls, faults, processes, signals, pipes.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "loops.h"

static u64 getpid_(void) {
    u64 s = 0;
    for (long k = N(60000); k--;) s += syscall(SYS_getppid) >= 0;
    return s;
}
static u64 clock_(void) {
    struct timespec t;
    u64 s = 0;
    for (long k = N(8000000); k--;) s += clock_gettime(CLOCK_MONOTONIC, &t) == 0;
    return s;
}
static u64 pgfault(void) { /* mmap 4 MiB, touch each page, munmap (no THP) */
    u64 s = 0;
    for (long k = N(25); k--;) {
        size_t z = 4 << 20;
        u8* p = mmap(0, z, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(p, z, MADV_NOHUGEPAGE);
        for (size_t i = 0; i < z; i += 4096) p[i] = 1;
        s += p[4096];
        munmap(p, z);
    }
    return s;
}
static u64 mprot(void) { /* mprotect RW<->RO on 16 pages + SIGSEGV-free touch: TLBI pressure */
    u64 s = 0;
    u8* p = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long k = N(10000); k--;) {
        for (int i = 0; i < 16; i++) p[i * 4096] = k;
        mprotect(p, 1 << 16, PROT_READ);
        s += p[4096];
        mprotect(p, 1 << 16, PROT_READ | PROT_WRITE);
    }
    return s & 0xff;
}
static u64 forkexec(void) {
    u64 s = 0;
    for (long k = N(200); k--;) {
        pid_t p = fork();
        if (!p) {
            execl(self_path, self_path, "true", (char*)0);
            _exit(1);
        }
        int st;
        waitpid(p, &st, 0);
        s += st == 0;
    }
    return s;
}
static u64 ctxsw(void) { /* process ping-pong over two pipes */
    int a[2], b[2];
    char c = 0;
    long n = N(8000);
    if (pipe(a) || pipe(b)) return 0;
    pid_t p = fork();
    if (!p) {
        for (long k = n; k--;) {
            if (read(a[0], &c, 1) != 1) _exit(1);
            c++;
            if (write(b[1], &c, 1) != 1) _exit(1);
        }
        _exit(0);
    }
    for (long k = n; k--;) {
        if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) return 1;
    }
    int st;
    waitpid(p, &st, 0);
    return (u8)c;
}
static volatile u64 sigs;
static void onsig(int x) { sigs += x; }
static u64 signal_(void) {
    signal(SIGUSR1, onsig);
    for (long k = N(15000); k--;) raise(SIGUSR1);
    return sigs;
}
static u64 atomics(void) {
    static u64 x, y;
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    for (long k = N(15000000); k--;) {
        __atomic_fetch_add(&x, 3, __ATOMIC_SEQ_CST);
        u64 e = y;
        __atomic_compare_exchange_n(&y, &e, e + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&m);
        x ^= y;
        pthread_mutex_unlock(&m);
    }
    return x ^ y;
}

static u64 pipe_(void) { /* 64 KiB writes through a pipe to another process */
    enum { CHUNK = 1 << 16 };
    static u8 buffer[CHUNK];
    int ends[2], status;
    const long n = N(1500);
    for (int i = 0; i < CHUNK; i++) buffer[i] = (u8)rnd();
    if (pipe(ends)) return 0;
    const pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        u64 bytes = 0;
        for (long got; (got = read(ends[0], buffer, CHUNK)) > 0;) bytes += (u64)got;
        _exit(bytes == (u64)n * CHUNK ? 42 : 1);
    }
    close(ends[0]);
    for (long k = n; k--;)
        if (write(ends[1], buffer, CHUNK) != CHUNK) return 0;
    close(ends[1]);
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

const struct loop system_loops[] = {
    {"getpid", getpid_}, {"clock", clock_},   {"pgfault", pgfault}, {"mprot", mprot}, {"forkexec", forkexec},
    {"ctxsw", ctxsw},    {"signal", signal_}, {"atomics", atomics}, {"pipe", pipe_},  {0, 0}};
