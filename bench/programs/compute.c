// Three bare-metal programs to count instructions of (bench/host-instructions): integer work with rotations,
// data-dependent branches and memory, floating point. COMPUTE chooses; there is no kernel, no timer, no
// device but the line at the end.
#include "runtime/bm.h"

enum { SHA256 = 1, SORT, NBODY };

__attribute__((unused)) static u32 rotate(u32 x, unsigned n) { return x >> n | x << (32 - n); }

__attribute__((unused)) static u64 sha256(u64 blocks) {
    static u32 k[64], w[64];
    for (unsigned i = 0; i < 64; ++i)
        k[i] = 0x428a2f98u * (2 * i + 1);  // the work is the same with any constants
    u32 h[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    while (blocks-- != 0) {
        for (unsigned i = 0; i < 16; ++i) w[i] = (u32)blocks * 2654435761u + i;
        for (unsigned i = 16; i < 64; ++i) {
            const u32 a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        u32 s[8];
        for (unsigned i = 0; i < 8; ++i) s[i] = h[i];
        for (unsigned i = 0; i < 64; ++i) {
            const u32 a = s[0], e = s[4];
            const u32 t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                           ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
            const u32 t2 =
                (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
            for (unsigned j = 7; j > 0; --j) s[j] = s[j - 1];
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (unsigned i = 0; i < 8; ++i) h[i] += s[i];
    }
    return h[0] ^ h[7];
}

__attribute__((unused)) static void quicksort(u32* a, long n) {
    while (n > 1) {
        const u32 pivot = a[n / 2];
        long i = 0, j = n - 1;
        while (i <= j) {
            while (a[i] < pivot) ++i;
            while (a[j] > pivot) --j;
            if (i > j) break;
            const u32 t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
        quicksort(a, j + 1);
        a += i;
        n -= i;
    }
}

__attribute__((unused)) static u64 sort(u64 n) {
    static u32 a[1 << 18];
    u32 x = 1;
    for (u64 i = 0; i < n; ++i) a[i] = x = x * 1664525u + 1013904223u;
    quicksort(a, (long)n);
    u64 sum = 0;
    for (u64 i = 0; i < n; ++i) sum = sum * 31 + a[i];
    return sum;
}

#if COMPUTE == 3
struct body {
    double x[3], v[3], mass;
};
static u64 nbody(u64 steps) {
    static struct body b[5];
    for (int i = 0; i < 5; ++i) {
        b[i].mass = 1.0 / (1 + i * i);
        for (int d = 0; d < 3; ++d) b[i].x[d] = i * 1.5 + d * 0.25 * (i & 1), b[i].v[d] = (d - i) * 0.01;
    }
    while (steps-- != 0) {
        for (int i = 0; i < 5; ++i) {
            for (int j = i + 1; j < 5; ++j) {
                double d[3], r2 = 0;
                for (int k = 0; k < 3; ++k) d[k] = b[i].x[k] - b[j].x[k], r2 += d[k] * d[k];
                const double f = 0.001 / (r2 * __builtin_sqrt(r2));
                for (int k = 0; k < 3; ++k)
                    b[i].v[k] -= d[k] * b[j].mass * f, b[j].v[k] += d[k] * b[i].mass * f;
            }
        }
        for (int i = 0; i < 5; ++i)
            for (int k = 0; k < 3; ++k) b[i].x[k] += 0.001 * b[i].v[k];
    }
    return (u64)(b[0].x[0] * 1e9);
}
#endif

void test_main(void) {
    write_sysreg(cpacr_el1, 3 << 20);
    isb();
#if COMPUTE == 1
    say("sha256 %x\n", sha256(12000));
#elif COMPUTE == 2
    say("sort %x\n", sort(1 << 18));
#else
    say("nbody %x\n", nbody(40000));
#endif
}
