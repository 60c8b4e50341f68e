/* SVE and SVE2 under Linux: loops that the compiler has made vectors of, against the same loops without; faults of vector accesses; signal
   frames and thread switches keep the registers; prctl() changes the length. Usage: sve BYTES, the length that there is. */
#include <arm_sve.h>
#include <asm/sigcontext.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define CHECK(condition)                                             \
    do {                                                             \
        if (!(condition)) FAIL("line %d: %s", __LINE__, #condition); \
    } while (0)
#define COUNT 1009
#define SCALAR __attribute__((noinline, optimize("no-tree-vectorize,no-unroll-loops")))
#define VECTOR __attribute__((noinline, optimize("tree-vectorize")))

/* The same loops twice. */
#define LOOPS(name, attribute)                                                                      \
    attribute static void saxpy_##name(float* y, const float* x, float a) {                         \
        for (int i = 0; i < COUNT; ++i) y[i] += a * x[i];                                           \
    }                                                                                               \
    attribute static uint64_t bytes_##name(const uint8_t* a, const uint8_t* b) {                    \
        uint64_t sum = 0;                                                                           \
        for (int i = 0; i < COUNT; ++i) sum += a[i] > b[i] ? a[i] - b[i] : b[i];                    \
        return sum;                                                                                 \
    }                                                                                               \
    attribute static void gather_##name(double* to, const double* from, const int* at) {            \
        for (int i = 0; i < COUNT; ++i) to[i] = from[at[i]] * 0.5;                                  \
    }                                                                                               \
    attribute static void pairs_##name(short* to, const short* from) {                              \
        for (int i = 0; i < COUNT / 2; ++i) to[i] = (short)(from[2 * i] * 3 - from[2 * i + 1] / 2); \
    }                                                                                               \
    /* Some of which SVE2 has instructions for: URHADD, EOR3. */                                    \
    attribute static void halves_##name(uint8_t* to, const uint8_t* a, const uint8_t* b) {          \
        for (int i = 0; i < COUNT; ++i) to[i] = (uint8_t)((a[i] + b[i] + 1) >> 1);                  \
    }                                                                                               \
    attribute static void high_##name(uint8_t* to, const uint8_t* a, const uint8_t* b) {            \
        for (int i = 0; i < COUNT; ++i) to[i] = (uint8_t)(((uint16_t)(a[i] * b[i]) + 128) >> 8);    \
    }                                                                                               \
    attribute static void bits_##name(uint8_t* to, const uint8_t* a, const uint8_t* b) {            \
        for (int i = 0; i < COUNT; ++i) {                                                           \
            const uint8_t old = to[i];                                                              \
            to[i] = (uint8_t)(((old & a[i]) | (~old & b[i])) ^ a[i] ^ b[i]);                        \
        }                                                                                           \
    }
LOOPS(scalar, SCALAR)
LOOPS(vector, VECTOR)

static void check_loops(void) {
    static float x[COUNT], y[COUNT], z[COUNT];
    static uint8_t a[COUNT], b[COUNT];
    static double from[COUNT], to[COUNT], other[COUNT];
    static int at[COUNT];
    static short s[COUNT], t[COUNT], u[COUNT];
    for (int i = 0; i < COUNT; ++i) {
        x[i] = (float)i / 3, y[i] = z[i] = (float)(i * i) / 7;
        a[i] = (uint8_t)(i * 31), b[i] = (uint8_t)(i * 17 + 5);
        from[i] = i * 1.25, at[i] = i * 101 % COUNT, s[i] = (short)(i * 77);
    }
    saxpy_scalar(y, x, 1.5f), saxpy_vector(z, x, 1.5f);
    CHECK(memcmp(y, z, sizeof y) == 0);
    CHECK(bytes_scalar(a, b) == bytes_vector(a, b));
    gather_scalar(to, from, at), gather_vector(other, from, at);
    CHECK(memcmp(to, other, sizeof to) == 0);
    pairs_scalar(t, s), pairs_vector(u, s);
    CHECK(memcmp(t, u, sizeof t) == 0);
    static uint8_t c[COUNT], d[COUNT];
    halves_scalar(c, a, b), halves_vector(d, a, b);
    CHECK(memcmp(c, d, sizeof c) == 0);
    bits_scalar(c, a, b), bits_vector(d, a, b);
    CHECK(memcmp(c, d, sizeof c) == 0);
    high_scalar(c, a, b), high_vector(d, a, b);
    CHECK(memcmp(c, d, sizeof c) == 0);
}

static sigjmp_buf out;
static uint64_t fault_at;
static void on_fault(int number, siginfo_t* info, void* context) {
    (void)number, (void)context;
    fault_at = (uint64_t)info->si_addr;
    siglongjmp(out, 1);
}

/* A page, and behind it none. */
static void check_faults(void) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint8_t* memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && munmap(memory + page, page) == 0);
    uint8_t* end = memory + page;
    memset(memory, 7, page);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
    sigaction(SIGSEGV, &action, &old);
    /* The first element that is not there. */
    if (sigsetjmp(out, 1) == 0) {
        svuint8_t v = svld1_u8(svptrue_b8(), end - 5);
        svst1_u8(svptrue_b8(), memory, v);
        CHECK(0);
    }
    CHECK(fault_at == (uint64_t)end);
    /* What is not active is not accessed. */
    svuint8_t v = svld1_u8(svwhilelt_b8(0, 5), end - 5);
    CHECK(svaddv_u8(svptrue_b8(), v) == 35);
    /* First-fault loads stop there. */
    svsetffr();
    v = svldff1_u8(svptrue_b8(), end - 5);
    CHECK(svcntp_b8(svptrue_b8(), svrdffr()) == 5);
    CHECK(svaddv_u8(svrdffr(), v) == 35);
    sigaction(SIGSEGV, &old, NULL);
}

static volatile unsigned frame_length;
static void on_user(int number, siginfo_t* info, void* context) {
    (void)number, (void)info;
    ucontext_t* u = context;
    const uint8_t* at = (const uint8_t*)u->uc_mcontext.__reserved;
    for (const struct _aarch64_ctx* c = (const void*)at; c->magic != 0; at += c->size, c = (const void*)at)
        if (c->magic == SVE_MAGIC) frame_length = ((const struct sve_context*)c)->vl;
    svuint64_t noise = svdup_n_u64(0xdead);
    uint64_t space[8 * 4];
    svst1_u64(svptrue_b64(), space, noise);
}

/* Vectors live across a signal: the compiler does not know of it. */
static void check_signals(unsigned bytes) {
    struct sigaction action = {.sa_sigaction = on_user, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    uint64_t before[8], after[8];
    for (int i = 0; i < 8; ++i) before[i] = 0x1234567 * (uint64_t)(i + 1);
    const long self = getpid();
    register long x8 asm("x8") = 129, x0 asm("x0") = self, x1 asm("x1") = SIGUSR1; /* kill */
    asm volatile(
        "ptrue p7.d\n ld1d z31.d, p7/z, [%[from]]\n"
        "svc #0\n"
        "ptrue p7.d\n"
        "st1d z31.d, p7, [%[to]]\n"
        : "+r"(x0)
        : "r"(x8), "r"(x1), [from] "r"(before), [to] "r"(after)
        : "memory", "z31", "p7");
    CHECK(x0 == 0);
    /* A system call drops predicates and what is above 128 bits; that is the interface. */
    CHECK(memcmp(before, after, 16) == 0);
    CHECK(frame_length == bytes);
}

/* Threads of different contents take turns. */
static void* spin(void* argument) {
    const uint64_t mine = (uint64_t)argument;
    svuint64_t v = svindex_u64(mine, mine);
    svbool_t p = svcmpgt_n_u64(svptrue_b64(), v, 2 * mine);
    for (int i = 0; i < 2000000; ++i) {
        asm volatile("" : "+w"(v), "+Upl"(p));
        v = svadd_n_u64_x(svptrue_b64(), v, 1);
    }
    const svbool_t same = svcmpeq_u64(svptrue_b64(), v, svindex_u64(mine + 2000000, mine));
    CHECK(svcntp_b64(svptrue_b64(), same) == svcntd());
    CHECK(svcntp_b64(svptrue_b64(), p) == (svcntd() > 2 ? svcntd() - 2 : 0));
    return NULL;
}
static void check_threads(void) {
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; ++i)
        CHECK(pthread_create(&threads[i], NULL, spin, (void*)(i * 1000 + 1)) == 0);
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

/* For the compiler the length never changes. */
static uint64_t vector_bytes(void) {
    uint64_t bytes;
    asm volatile("cntb %0" : "=r"(bytes));
    return bytes;
}

/* A write of a V register clears what is above it. */
static void check_upper(void) {
    uint8_t after[64];
    memset(after, 0xff, sizeof after);
    asm volatile(
        "ptrue p0.b\n mov z3.b, #-1\n"
        "movi v3.16b, #1\n"
        "st1b z3.b, p0, [%0]\n"
        :
        : "r"(after)
        : "memory", "z3", "p0");
    for (unsigned i = 0; i < vector_bytes(); ++i) CHECK(after[i] == (i < 16));
}

int main(int argc, char** argv) {
    const unsigned bytes = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    CHECK((getauxval(AT_HWCAP) & (1u << 22)) != 0);
    CHECK(svcntb() == bytes);
    CHECK((prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK) == (int)bytes);
    check_loops();
    check_upper();
    check_faults();
    check_signals(bytes);
    check_threads();
    for (unsigned length = 16; length <= bytes; length *= 2) {
        CHECK((prctl(PR_SVE_SET_VL, length) & PR_SVE_VL_LEN_MASK) == (int)length);
        CHECK(vector_bytes() == length);
        check_loops();
        check_upper();
    }
    puts("ok");
    return 0;
}
