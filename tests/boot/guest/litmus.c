// Memory-model litmus tests: two or four threads meet in many rounds and look for outcomes that ARMv8
// forbids.
//   litmus SECONDS
// Threads on different CPUs run each round's code at the same moment as nearly as a spin barrier can make it;
// that they really overlapped is checked by counting an outcome that is allowed only with reordering or
// interleaving.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "check.h"

enum { kSlots = 512 };  // one round per slot, then all threads meet

struct Slot {
    _Alignas(64) volatile uint64_t x;
    _Alignas(64) volatile uint64_t y;
};
static struct Slot slots[kSlots];
static uint64_t seen[4][2][kSlots];

static volatile int arrived, generation;
static int parties;
static void meet(void) {
    const int mine = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == parties) {
        arrived = 0;
        __atomic_store_n(&generation, mine + 1, __ATOMIC_RELEASE);
        return;
    }
    for (unsigned spins = 0; __atomic_load_n(&generation, __ATOMIC_ACQUIRE) == mine; ++spins)
        if (spins > 200) sched_yield();
}

#define STR(p, v) asm volatile("str %1, %0" : "=Q"(*(p)) : "r"((uint64_t)(v)) : "memory")
#define LDR(r, p) asm volatile("ldr %0, %1" : "=r"(r) : "Q"(*(p)) : "memory")
#define STLR(p, v) asm volatile("stlr %1, %0" : "=Q"(*(p)) : "r"((uint64_t)(v)) : "memory")
#define LDAR(r, p) asm volatile("ldar %0, %1" : "=r"(r) : "Q"(*(p)) : "memory")
#define DMB(kind) asm volatile("dmb " #kind ::: "memory")

// Store-releases and atomics as the tests' stores: LL/SC exchanges with acquire and release, LSE swaps.
static inline void swap_llsc(volatile uint64_t* p, uint64_t v) {
    uint64_t old;
    uint32_t failed;
    asm volatile("1: ldaxr %0, %2\n stlxr %w1, %3, %2\n cbnz %w1, 1b"
                 : "=&r"(old), "=&r"(failed), "+Q"(*p)
                 : "r"(v)
                 : "memory");
}
static inline void swap_lse(volatile uint64_t* p, uint64_t v) {
    uint64_t old;
    asm volatile(".arch armv8.1-a\n swpal %2, %0, %1" : "=r"(old), "+Q"(*p) : "r"(v) : "memory");
}

typedef void (*Body)(int me, int n);
#define R(thread, which, n) seen[thread][which][n]

// Store buffer: both read 0 is forbidden with full barriers, with STLR;LDAR and with sequentially consistent
// exchanges.
#define STORE_BUFFER(name, store, load)                            \
    static void name(int me, int n) {                              \
        volatile uint64_t* mine = me ? &slots[n].y : &slots[n].x;  \
        volatile uint64_t* other = me ? &slots[n].x : &slots[n].y; \
        uint64_t r;                                                \
        store;                                                     \
        load;                                                      \
        R(me, 0, n) = r;                                           \
    }
STORE_BUFFER(sb_dmb, STR(mine, 1); DMB(ish), LDR(r, other))
STORE_BUFFER(sb_dsb, STR(mine, 1); asm volatile("dsb ish" ::: "memory"), LDR(r, other))
STORE_BUFFER(sb_stlr, STLR(mine, 1), LDAR(r, other))
STORE_BUFFER(sb_lse, swap_lse(mine, 1), LDAR(r, other))
STORE_BUFFER(sb_llsc, swap_llsc(mine, 1); DMB(ish), LDR(r, other))
STORE_BUFFER(sb_plain, STR(mine, 1), LDR(r, other))  // 0, 0 is allowed here: shows that the threads overlap
static int sb_forbidden(int n) { return R(0, 0, n) == 0 && R(1, 0, n) == 0; }

// Message passing: y seen and x not.
#define MESSAGE(name, write, read)                            \
    static void name(int me, int n) {                         \
        volatile uint64_t *x = &slots[n].x, *y = &slots[n].y; \
        uint64_t a, b;                                        \
        if (me == 0) {                                        \
            write;                                            \
        } else {                                              \
            read;                                             \
            R(1, 0, n) = a;                                   \
            R(1, 1, n) = b;                                   \
        }                                                     \
    }
MESSAGE(mp_dmb, STR(x, 1); DMB(ishst); STR(y, 1), LDR(a, y); DMB(ishld); LDR(b, x))
MESSAGE(mp_acqrel, STR(x, 1); STLR(y, 1), LDAR(a, y); LDR(b, x))
MESSAGE(mp_ldapr, STR(x, 1); STLR(y, 1), asm volatile(".arch armv8.3-a\n ldapr %0, %1"
                                                      : "=r"(a)
                                                      : "Q"(*y)
                                                      : "memory");
        LDR(b, x))
MESSAGE(mp_lse, STR(x, 1); swap_lse(y, 1), LDAR(a, y); LDR(b, x))
MESSAGE(mp_llsc, STR(x, 1); swap_llsc(y, 1), LDAR(a, y); LDR(b, x))
static int mp_forbidden(int n) { return R(1, 0, n) == 1 && R(1, 1, n) == 0; }

// Load buffering through data dependencies: neither may see the other's later store out of thin air.
static void lb_data(int me, int n) {
    volatile uint64_t* from = me ? &slots[n].y : &slots[n].x;
    volatile uint64_t* to = me ? &slots[n].x : &slots[n].y;
    uint64_t r;
    LDR(r, from);
    STR(to, r);
    R(me, 0, n) = r;
}
static int lb_forbidden(int n) { return R(0, 0, n) != 0 || R(1, 0, n) != 0; }

// Coherence: two reads of one place never go backwards.
static void corr(int me, int n) {
    uint64_t a, b;
    if (me == 0) {
        STR(&slots[n].x, 1);
    } else {
        LDR(a, &slots[n].x);
        LDR(b, &slots[n].x);
        R(1, 0, n) = a;
        R(1, 1, n) = b;
    }
}
static int corr_forbidden(int n) { return R(1, 0, n) == 1 && R(1, 1, n) == 0; }

// Independent reads of independent writes: with acquire loads, two readers agree on the order.
static void iriw(int me, int n) {
    volatile uint64_t *x = &slots[n].x, *y = &slots[n].y;
    uint64_t a, b;
    if (me == 0) STLR(x, 1);
    if (me == 1) STLR(y, 1);
    if (me >= 2) {
        LDAR(a, me == 2 ? x : y);
        LDAR(b, me == 2 ? y : x);
        R(me, 0, n) = a;
        R(me, 1, n) = b;
    }
}
static int iriw_forbidden(int n) {
    return R(2, 0, n) == 1 && R(2, 1, n) == 0 && R(3, 0, n) == 1 && R(3, 1, n) == 0;
}

// A failed LL/SC must not hide an intervening store: increments by exclusives and by LSE on one place are
// never lost.
static volatile uint64_t counter;
static void add_mixed(int me, int n) {
    uint64_t t;
    uint32_t failed;
    (void)n;
    if (me & 1)
        asm volatile(".arch armv8.1-a\n ldadd %1, %0, %2" : "=r"(t) : "r"(1ull), "Q"(counter) : "memory");
    else
        asm volatile("1: ldxr %0, %2\n add %0, %0, 1\n stxr %w1, %0, %2\n cbnz %w1, 1b"
                     : "=&r"(t), "=&r"(failed), "+Q"(counter)
                     :
                     : "memory");
}
static int never(int n) {
    (void)n;
    return 0;
}

static struct Test {
    const char* name;
    int threads;
    Body body;
    int (*outcome)(int n);
    int allowed;
} tests[] = {
    {"SB+dmb", 2, sb_dmb, sb_forbidden, 0},
    {"SB+dsb", 2, sb_dsb, sb_forbidden, 0},
    {"SB+stlr+ldar", 2, sb_stlr, sb_forbidden, 0},
    {"SB+swpal+ldar", 2, sb_lse, sb_forbidden, 0},
    {"SB+llsc+dmb", 2, sb_llsc, sb_forbidden, 0},
    {"SB", 2, sb_plain, sb_forbidden, 1},
    {"MP+dmb", 2, mp_dmb, mp_forbidden, 0},
    {"MP+stlr+ldar", 2, mp_acqrel, mp_forbidden, 0},
    {"MP+stlr+ldapr", 2, mp_ldapr, mp_forbidden, 0},
    {"MP+swpal", 2, mp_lse, mp_forbidden, 0},
    {"MP+llsc", 2, mp_llsc, mp_forbidden, 0},
    {"LB+data", 2, lb_data, lb_forbidden, 0},
    {"CoRR", 2, corr, corr_forbidden, 0},
    {"IRIW+ldar", 4, iriw, iriw_forbidden, 0},
    {"add ldxr/ldadd", 4, add_mixed, never, 0},
};
static struct Test* test;
static volatile int done;
static double until;
static uint64_t rounds, hits;

static void* thread(void* arg) {
    const int me = (int)(intptr_t)arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(me % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
    for (;;) {
        meet();
        if (done) return 0;
        for (int n = 0; n < kSlots; ++n) test->body(me, n);
        meet();
        if (me != 0) continue;
        for (int n = 0; n < kSlots; ++n) hits += (uint64_t)test->outcome(n);
        rounds += kSlots;
        memset(slots, 0, sizeof slots);
        memset(seen, 0, sizeof seen);
        done = now() > until || (hits != 0 && !test->allowed);
    }
}

int main(int argc, char** argv) {
    const int count = sizeof tests / sizeof *tests;
    const double each = (argc > 1 ? atof(argv[1]) : 5) / count;
    int failed = 0;
    for (test = tests; test < tests + count; ++test) {
        pthread_t threads[4];
        done = 0;
        rounds = hits = counter = 0;
        parties = test->threads;
        until = now() + each;
        for (intptr_t i = 0; i < test->threads; ++i) pthread_create(&threads[i], 0, thread, (void*)i);
        for (int i = 0; i < test->threads; ++i) pthread_join(threads[i], 0);
        if (test->body == add_mixed && counter != rounds * (uint64_t)test->threads) ++hits;
        printf("%-16s %9llu rounds, %llu %s\n", test->name, (unsigned long long)rounds,
               (unsigned long long)hits, test->allowed ? "reorderings (allowed)" : "forbidden");
        if (hits != 0 && !test->allowed) failed = 1;
    }
    if (failed) FAIL("forbidden outcomes");
    puts("ok");
    return 0;
}
