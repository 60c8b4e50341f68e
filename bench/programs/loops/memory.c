// Memory: latency, bandwidth, libc copies.
#include "loops.h"

static u64 chase(void) { /* random pointer chase over 64 MiB, 64-byte nodes */
    size_t n = 1 << 20;
    struct nd {
        struct nd* p;
        u64 v[7];
    }* a = aligned_alloc(64, n * 64);
    u32* ix = malloc(n * 4);
    for (size_t i = 0; i < n; i++) ix[i] = i;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = rnd() % i;
        u32 t = ix[i];
        ix[i] = ix[j];
        ix[j] = t;
    }
    for (size_t i = 0; i < n; i++) {
        a[ix[i]].p = &a[ix[(i + 1) % n]];
        a[ix[i]].v[0] = i;
    }
    struct nd* p = a;
    u64 s = 0;
    for (long k = N(6000000); k--;) {
        s += p->v[0];
        p = p->p;
    }
    return s;
}
static u64 stream(void) { /* STREAM copy/scale/add/triad, 3 x 16 MiB */
    size_t n = 2 << 20;
    double *a = malloc(n * 8), *b = malloc(n * 8), *c = malloc(n * 8);
    for (size_t i = 0; i < n; i++) {
        a[i] = 1;
        b[i] = 2;
        c[i] = 0;
    }
    for (long k = N(60); k--;) {
        for (size_t i = 0; i < n; i++) c[i] = a[i];
        for (size_t i = 0; i < n; i++) b[i] = 3.0 * c[i];
        for (size_t i = 0; i < n; i++) c[i] = a[i] + b[i];
        for (size_t i = 0; i < n; i++) a[i] = (b[i] + 3.0 * c[i]) * 0.0625;
        __asm__ volatile("" ::: "memory");
    }
    return (u64)(a[5] * 1e6) ^ (u64)(c[n - 1] * 1e3);
}
static u64 memcpy_(void) { /* libc memcpy/memset, sizes 16 B .. 1 MiB */
    u8 *a = malloc(4 << 20), *b = malloc(4 << 20);
    memset(a, 7, 4 << 20);
    memset(b, 1, 4 << 20);
    u64 s = 0;
    for (long k = N(400); k--;) {
        for (size_t z = 16; z <= 1 << 20; z <<= 2) {
            long m = (2 << 20) / z;
            if (m > 4096) m = 4096;
            for (long i = 0; i < m; i++) {
                memcpy(b + (i & 1023), a + ((i * 7) & 1023), z);
            }
            __asm__ volatile("" ::: "memory");
        }
        memset(a, k, 1 << 20);
        s += b[100] + a[5];
    }
    return s;
}

const struct loop memory_loops[] = {{"chase", chase}, {"stream", stream}, {"memcpy", memcpy_}, {0, 0}};
