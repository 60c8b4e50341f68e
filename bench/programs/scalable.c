// Loops that a compiler makes vectors of, for ./bench/scalable: LOOP chooses one, REPEATS how often it goes over COUNT elements.
// Compiled for SVE it asks for the longest vectors that there are. It prints a sum of the results, which is the same for all vectors.
#include "runtime/bm.h"

#define DAXPY 1
#define ADD_WORDS 2
#define BYTES 3
#define DIFFERENCES 4
#define POSITIVE 5
#define WIDENED 6
#define DOT 7
#define STENCIL 8
#define COUNT 1021

static double x[COUNT + 2], y[COUNT + 2];
static float f[COUNT], g[COUNT];
static int a[COUNT], b[COUNT], c[COUNT];
static u8 s[COUNT], t[COUNT], r[COUNT];

__attribute__((noinline)) static u64 run(long n) {
#if LOOP == DAXPY
    for (long i = 0; i < n; ++i) y[i] += 0.5 * x[i];
#elif LOOP == ADD_WORDS
    for (long i = 0; i < n; ++i) c[i] += a[i] + b[i];
#elif LOOP == BYTES
    for (long i = 0; i < n; ++i) r[i] = s[i] > t[i] ? s[i] : (u8)(t[i] ^ r[i]);
#elif LOOP == DIFFERENCES
    u64 sum = 0;
    for (long i = 0; i < n; ++i) sum += (u64)(a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    return sum;
#elif LOOP == POSITIVE
    for (long i = 0; i < n; ++i)
        if (a[i] > 0) c[i] = a[i] * 3 + b[i];
#elif LOOP == WIDENED
    for (long i = 0; i < n; ++i) c[i] += s[i] * 7 + t[i];
#elif LOOP == DOT
    float sum = 0;
    for (long i = 0; i < n; ++i) sum += f[i] * g[i];
    return (u64)sum;
#elif LOOP == STENCIL
    for (long i = 1; i < n; ++i) y[i] = (x[i - 1] + x[i] + x[i + 1]) * 0.25;
#endif
    return 0;
}

void test_main(void) {
    // CPACR_EL1: FPEN and ZEN; then the longest vectors.
    write_sysreg(cpacr_el1, 3 << 20 | 3 << 16);
    isb();
#ifdef __ARM_FEATURE_SVE
    write_sysreg(s3_0_c1_c2_0, 15);
    isb();
#endif
    for (unsigned i = 0; i < COUNT; ++i) {
        x[i] = (double)(i & 63), y[i] = 1.0;
        f[i] = (float)(i & 3), g[i] = (float)(i & 1);
        a[i] = (int)(i * 2654435761u) >> 8, b[i] = (int)(i * 40503u), c[i] = 0;
        s[i] = (u8)(i * 7), t[i] = (u8)(i * 13), r[i] = (u8)i;
    }
    u64 sum = 0;
    for (u64 k = 0; k < REPEATS; ++k) {
        sum += run(COUNT);
        __asm__ volatile("" ::: "memory");
    }
    for (unsigned i = 0; i < COUNT; ++i) sum = sum * 31 + (u64)y[i] + (u64)c[i] + r[i];
    say("sum %x\n", sum);
}
