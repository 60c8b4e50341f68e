// Threads of one process: locks, futexes, seqlocks, page tables and code that change under other CPUs, forks.
//   threads NAME SECONDS      NAME: mutex futex seqlock cas128 map protect jit cross fork
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check.h"

enum { kMaxThreads = 16 };
static int thread_count;
static double until;
static uint64_t progress[kMaxThreads];

static void run_threads(void* (*body)(void*)) {
    pthread_t threads[kMaxThreads];
    for (intptr_t i = 0; i < thread_count; ++i)
        if (pthread_create(&threads[i], 0, body, (void*)i) != 0) FAIL("pthread_create");
    for (int i = 0; i < thread_count; ++i) pthread_join(threads[i], 0);
    uint64_t sum = 0;
    for (int i = 0; i < thread_count; ++i) {
        if (progress[i] == 0) FAIL("thread %d never got anywhere", i);
        sum += progress[i];
    }
    printf("%d threads, %llu steps\n", thread_count, (unsigned long long)sum);
}
// A busy host may leave a thread without a turn for a while, which is no fault of the guest's locks.
enum { kGraceSeconds = 30 };
static int everybody_got_somewhere(void) {
    for (int i = 0; i < thread_count; ++i)
        if (__atomic_load_n(&progress[i], __ATOMIC_RELAXED) == 0) return 0;
    return 1;
}
static int time_left(void) {
    const double t = now();
    return t < until || (t < until + kGraceSeconds && !everybody_got_somewhere());
}

// ---- A mutex, a spin lock of exclusives, one of LSE, all around plain counters

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile uint32_t spin_exclusive, spin_lse, spin_byte;
static volatile uint64_t under_mutex, under_exclusive, under_lse, under_byte;
static uint64_t atomically;

static void lock_exclusive(void) {
    uint32_t t;
    // As the kernel's old spin lock: WFE until the line changes.
    asm volatile("sevl\n1: wfe\n2: ldaxr %w0, %1\n cbnz %w0, 1b\n stxr %w0, %w2, %1\n cbnz %w0, 2b"
                 : "=&r"(t), "+Q"(spin_exclusive)
                 : "r"(1)
                 : "memory");
}
static void lock_lse(void) {
    uint32_t old;
    do
        asm volatile(".arch armv8.1-a\n mov %w0, wzr\n casa %w0, %w2, %1\n yield"
                     : "=&r"(old), "+Q"(spin_lse)
                     : "r"(1)
                     : "memory");
    while (old != 0);
}
static void* mutex_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    while (time_left())
        for (int i = 0; i < 200; ++i) {
            pthread_mutex_lock(&mutex);
            under_mutex = under_mutex + 1;
            pthread_mutex_unlock(&mutex);
            lock_exclusive();
            under_exclusive = under_exclusive + 1;
            asm volatile("stlr wzr, %0" : "=Q"(spin_exclusive) : : "memory");
            lock_lse();
            under_lse = under_lse + 1;
            asm volatile("stlr wzr, %0" : "=Q"(spin_lse) : : "memory");
            while (__atomic_exchange_n((uint8_t*)&spin_byte, 1, __ATOMIC_ACQUIRE)) sched_yield();
            under_byte = under_byte + 1;
            __atomic_store_n((uint8_t*)&spin_byte, 0, __ATOMIC_RELEASE);
            __atomic_fetch_add(&atomically, 1, __ATOMIC_RELAXED);
            ++progress[me];
        }
    return 0;
}
static void test_mutex(void) {
    run_threads(mutex_thread);
    uint64_t sum = 0;
    for (int i = 0; i < thread_count; ++i) sum += progress[i];
    if (under_mutex != sum || under_exclusive != sum || under_lse != sum || under_byte != sum ||
        atomically != sum)
        FAIL("%llu steps, but mutex %llu, ldaxr %llu, casa %llu, byte %llu, ldadd %llu",
             (unsigned long long)sum, (unsigned long long)under_mutex, (unsigned long long)under_exclusive,
             (unsigned long long)under_lse, (unsigned long long)under_byte, (unsigned long long)atomically);
}

// ---- Futex ping-pong in pairs: a lost wake-up hangs

static struct { _Alignas(64) uint32_t turn; } tables[kMaxThreads / 2];
static void futex(uint32_t* word, int op, uint32_t value) { syscall(SYS_futex, word, op, value, 0, 0, 0); }
static void* futex_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    uint32_t* turn = &tables[me / 2].turn;
    const uint32_t side = (uint32_t)me & 1;
    for (;;) {
        uint32_t v;
        while (((v = __atomic_load_n(turn, __ATOMIC_ACQUIRE)) & 1) != side && v != ~1u && v != ~0u)
            futex(turn, FUTEX_WAIT_PRIVATE, v);
        const int over = v >= ~1u || !time_left();
        __atomic_store_n(turn, over ? (side ? ~1u : ~0u) : v + 1, __ATOMIC_RELEASE);
        futex(turn, FUTEX_WAKE_PRIVATE, 1);
        ++progress[me];
        if (over) return 0;
    }
}
static void test_futex(void) { run_threads(futex_thread); }

// ---- Seqlock: readers never see a half-written record

static volatile uint32_t sequence;
static volatile uint64_t record[8];
static void* seqlock_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    uint64_t n = 0;
    while (time_left()) {
        if (me == 0) usleep(100);  // else readers on slower CPUs never meet a quiet moment
        for (int i = 0; i < 500; ++i) {
            if (me == 0) {
                ++n;
                sequence = sequence + 1;
                asm volatile("dmb ishst" ::: "memory");
                for (int k = 0; k < 8; ++k) record[k] = n * (uint64_t)(k + 1);
                asm volatile("dmb ishst" ::: "memory");
                sequence = sequence + 1;
                ++progress[me];
                continue;
            }
            uint64_t copy[8];
            uint32_t before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
            if (before & 1) {
                sched_yield();
                continue;
            }
            for (int k = 0; k < 8; ++k) copy[k] = record[k];
            asm volatile("dmb ishld" ::: "memory");
            if (sequence != before) continue;
            for (int k = 0; k < 8; ++k)
                if (copy[k] != copy[0] * (uint64_t)(k + 1)) FAIL("a torn record");
            ++progress[me];
        }
    }
    return 0;
}
static void test_seqlock(void) { run_threads(seqlock_thread); }

// ---- 128-bit exclusives and CASP: both halves change together

static _Alignas(16) struct { uint64_t lo, hi; } pair;
static void* cas128_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    while (time_left())
        for (int i = 0; i < 500; ++i) {
            uint64_t lo, hi;
            uint32_t failed;
            if (me & 1) {
                asm volatile(
                    "1: ldaxp %0, %1, %3\n add %0, %0, 1\n sub %1, %1, 1\n stlxp %w2, %0, %1, %3\n cbnz %w2, "
                    "1b"
                    : "=&r"(lo), "=&r"(hi), "=&r"(failed), "+Q"(pair)
                    :
                    : "memory");
                --lo, ++hi;
            } else {
                register uint64_t x0 asm("x0") = 0, x1 asm("x1") = 0, x2 asm("x2"), x3 asm("x3");
                uint64_t e0, e1;
                do {
                    e0 = x0, e1 = x1, x2 = x0 + 1, x3 = x1 - 1;
                    asm volatile(".arch armv8.1-a\n caspal x0, x1, x2, x3, [%4]"
                                 : "+r"(x0), "+r"(x1)
                                 : "r"(x2), "r"(x3), "r"(&pair)
                                 : "memory");
                } while (x0 != e0 || x1 != e1);
                lo = x0, hi = x1;
            }
            if (lo + hi != 0) FAIL("halves %llx and %llx", (unsigned long long)lo, (unsigned long long)hi);
            ++progress[me];
        }
    return 0;
}
static void test_cas128(void) {
    run_threads(cas128_thread);
    uint64_t sum = 0;
    for (int i = 0; i < thread_count; ++i) sum += progress[i];
    if (pair.lo != sum || pair.hi != -sum)
        FAIL("%llu steps, but %llx", (unsigned long long)sum, (unsigned long long)pair.lo);
}

// ---- TLB broadcast: thread 0 moves pages about; once its system call has returned, nobody may see the old
// ones

#ifndef PAGE_BYTES
#define PAGE_BYTES 4096  // of the kernel
#endif
enum { kPages = 16, kPage = PAGE_BYTES };
static uint8_t* window;
static volatile uint64_t published;  // version that every page of the window has had since
static void* map_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    uint64_t version = 0;
    while (time_left()) {
        if (me == 0) {
            ++version;
            // A fresh mapping with new contents, moved over the old one in one step: nobody may fault in
            // between.
            uint8_t* fresh = mmap((void*)WINDOW_AT, kPages * kPage, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            if (fresh == MAP_FAILED) FAIL("mmap");
            for (int p = 0; p < kPages; ++p) *(uint64_t*)(fresh + p * kPage + 8 * p) = version;
            if (mremap(fresh, kPages * kPage, kPages * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, window) !=
                window)
                FAIL("mremap");
            __atomic_store_n(&published, version, __ATOMIC_RELEASE);
            ++progress[me];
            continue;
        }
        for (int i = 0; i < 64; ++i)
            for (int p = 0; p < kPages; ++p) {
                const uint64_t least = __atomic_load_n(&published, __ATOMIC_ACQUIRE);
                const volatile uint64_t* cell = (volatile uint64_t*)(window + p * kPage + 8 * p);
                // mremap unmaps before it moves: then the page is absent, or an anonymous zero page came in
                // meanwhile.
                const uint64_t v = *cell;
                if (v < least)
                    FAIL("page %d shows version %llu after %llu was in place", p, (unsigned long long)v,
                         (unsigned long long)least);
                ++progress[me];
            }
    }
    return 0;
}
// Readers may fault while mremap has the window unmapped: they wait until it is back.
static void retry_fault(int signal_number, siginfo_t* info, void* context) {
    (void)signal_number, (void)context;
    if ((uint8_t*)info->si_addr < window || (uint8_t*)info->si_addr >= window + kPages * kPage)
        FAIL("fault at %p", info->si_addr);
    sched_yield();
}
static void catch_faults(void) {
    struct sigaction action = {.sa_sigaction = retry_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
}
static void test_map(void) {
    catch_faults();
    window =
        mmap((void*)WINDOW_AT, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run_threads(map_thread);
}

// ---- mprotect: after write permission is gone, no store may get through

static volatile uint32_t allowed_epoch;  // odd: writing is allowed
static void* protect_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    volatile uint64_t* cells = (volatile uint64_t*)window;
    while (time_left()) {
        if (me == 0) {
            if (mprotect(window, kPages * kPage, PROT_READ) != 0) FAIL("mprotect");
            uint64_t before[kPages], after;
            for (int p = 0; p < kPages; ++p) before[p] = cells[p * kPage / 8];
            for (int i = 0; i < 20; ++i) sched_yield();
            for (int p = 0; p < kPages; ++p)
                if ((after = cells[p * kPage / 8]) != before[p]) FAIL("page %d written while read-only", p);
            if (mprotect(window, kPages * kPage, PROT_READ | PROT_WRITE) != 0) FAIL("mprotect");
            sched_yield();
            ++progress[me];
            continue;
        }
        for (int i = 0; i < 100; ++i) {
            __atomic_fetch_add((uint64_t*)&cells[(i % kPages) * kPage / 8], 1, __ATOMIC_RELAXED);
            ++progress[me];
        }
    }
    return 0;
}
static void test_protect(void) {
    catch_faults();
    window =
        mmap((void*)WINDOW_AT, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run_threads(protect_thread);
}

// ---- Code written by one thread and run by the others

static uint32_t* code;
static volatile uint64_t code_version;
typedef uint64_t (*Function)(void);
static void write_code(uint64_t version) {
    // movz x0, low; movk x0, high, lsl 16; ret
    code[0] = 0xd2800000u | (uint32_t)(version & 0xffff) << 5;
    code[1] = 0xf2a00000u | (uint32_t)(version >> 16 & 0xffff) << 5;
    code[2] = 0xd65f03c0u;
    // As a JIT does it: clean to the point of unification, invalidate, everywhere (ARM ARM B2.4.4).
    asm volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" : : "r"(code) : "memory");
}
static void* jit_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    static volatile uint64_t acknowledged[kMaxThreads];
    uint64_t version = 0;
    while (time_left()) {
        if (me == 0) {
            ++version;
            // Nobody is in the code: the architecture lets only some instructions change under execution.
            write_code(version);
            __atomic_store_n(&code_version, version, __ATOMIC_RELEASE);
            if (((Function)code)() != version) FAIL("the writer runs old code");
            for (int i = 1; i < thread_count; ++i)
                while (__atomic_load_n(&acknowledged[i], __ATOMIC_ACQUIRE) != version && time_left())
                    sched_yield();
            ++progress[me];
        } else {
            const uint64_t wanted = __atomic_load_n(&code_version, __ATOMIC_ACQUIRE);
            if (wanted == version) {
                sched_yield();
                continue;
            }
            asm volatile("isb" ::: "memory");
            const uint64_t got = ((Function)code)();
            if (got != wanted)
                FAIL("version %llu instead of %llu", (unsigned long long)got, (unsigned long long)wanted);
            version = wanted;
            ++progress[me];
            __atomic_store_n(&acknowledged[me], version, __ATOMIC_RELEASE);
        }
    }
    return 0;
}
static void test_jit(void) {
    code =
        mmap((void*)WINDOW_AT, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    write_code(0);
    run_threads(jit_thread);
}

// ---- A branch patched while others run it, which the architecture allows: either target, and soon the new
// one

static volatile uint32_t target_now;
static void* cross_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    while (time_left()) {
        if (me == 0) {
            const uint32_t which = target_now ^ 1;
            // b to the mov of 0 or of 1, as the kernel's static keys
            __atomic_store_n(&code[0], 0x14000000u | (which ? 3 : 1), __ATOMIC_RELAXED);
            asm volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" : : "r"(code) : "memory");
            __atomic_store_n(&target_now, which, __ATOMIC_RELEASE);
            if (((Function)code)() != which) FAIL("the writer runs the old branch");
            ++progress[me];
            for (int i = 0; i < 20; ++i) sched_yield();
            continue;
        }
        for (int i = 0; i < 200; ++i) {
            const uint64_t got = ((Function)code)();
            if (got > 1) FAIL("neither target: %llx", (unsigned long long)got);
            ++progress[me];
        }
    }
    return 0;
}
static void test_cross(void) {
    code =
        mmap((void*)WINDOW_AT, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint32_t text[] = {0x14000001, 0xd2800000, 0xd65f03c0, 0xd2800020,
                             0xd65f03c0};  // b; mov x0, 0; ret; mov x0, 1; ret
    memcpy(code, text, sizeof text);
    __builtin___clear_cache((char*)code, (char*)code + sizeof text);
    run_threads(cross_thread);
}

// ---- Forks from several threads at once: copy on write of shared pages, exit, wait

static void* fork_thread(void* arg) {
    const intptr_t me = (intptr_t)arg;
    static _Alignas(4096) volatile uint64_t data[kMaxThreads][512];
    while (time_left()) {
        const uint64_t mark = data[me][0] = progress[me] * 3 + 1;
        const pid_t pid = fork();
        if (pid < 0) FAIL("fork: %s", strerror(errno));
        if (pid == 0) {
            for (int i = 1; i < 512; ++i) data[me][i] = mark;
            _exit(data[me][0] == mark && data[me][511] == mark ? 7 : 1);
        }
        data[me][0] = ~mark;  // the child must not see it
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) FAIL("child's status %x", status);
        if (data[me][1] != 0) FAIL("the child's store reached its parent");
        ++progress[me];
    }
    return 0;
}
static void test_fork(void) { run_threads(fork_thread); }

int main(int argc, char** argv) {
    static const struct {
        const char* name;
        void (*run)(void);
        int threads_per_cpu;
    } tests[] = {{"mutex", test_mutex, 1},   {"futex", test_futex, 2}, {"seqlock", test_seqlock, 1},
                 {"cas128", test_cas128, 1}, {"map", test_map, 1},     {"protect", test_protect, 1},
                 {"jit", test_jit, 1},       {"cross", test_cross, 1}, {"fork", test_fork, 1}};
    if (argc != 3) return 2;
    for (unsigned i = 0; i < sizeof tests / sizeof *tests; ++i) {
        if (strcmp(tests[i].name, argv[1]) != 0) continue;
        thread_count = (int)sysconf(_SC_NPROCESSORS_ONLN) * tests[i].threads_per_cpu;
        if (thread_count < 2) thread_count = 2;
        if (thread_count > kMaxThreads) thread_count = kMaxThreads;
        until = now() + atof(argv[2]);
        tests[i].run();
        puts("ok");
        return 0;
    }
    return 2;
}
