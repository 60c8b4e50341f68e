// Bare-metal programs to count instructions of (bench/host-instructions): integer work with rotations,
// data-dependent branches and memory, floating point, vectors, table look-ups by byte, strides of powers of
// two. COMPUTE chooses; there is no kernel, no timer, no device but the line at the end.
#include "runtime/bm.h"

enum { SHA256 = 1, SORT, NBODY, MATMUL, CRC, FFT };

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

#if COMPUTE == 4
enum { SIZE = 192 };
/// -O2 vectorises the inner loop.
__attribute__((optimize("O3"))) static u64 matmul(u64 times) {
    static float a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; ++j) a[i][j] = (float)(i - j) * 0.5f, b[i][j] = (float)(i + j) * 0.25f;
    while (times-- != 0)
        for (int i = 0; i < SIZE; ++i)
            for (int k = 0; k < SIZE; ++k)
                for (int j = 0; j < SIZE; ++j) c[i][j] += a[i][k] * b[k][j];
    return (u64)(c[3][5] + c[SIZE - 1][1]);
}
#endif

__attribute__((unused)) static u64 crc(u64 bytes) {
    static u32 table[256];
    static unsigned char data[1 << 16];
    for (u32 i = 0; i < 256; ++i) {
        u32 c = i;
        for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? c >> 1 ^ 0xedb88320u : c >> 1;
        table[i] = c;
    }
    for (u32 i = 0; i < sizeof data; ++i) data[i] = (unsigned char)(i * 2654435761u >> 24);
    u32 c = ~0u;
    for (u64 i = 0; i < bytes; ++i) c = table[(c ^ data[i % sizeof data]) & 0xff] ^ c >> 8;
    return ~c;
}

#if COMPUTE == 6
enum { POINTS = 4096 };
struct complex {
    double re, im;
};
/// In place; the twiddle factors by recurrence, since there is no library.
static void transform(struct complex* x) {
    for (unsigned i = 1, j = 0; i < POINTS; ++i) {
        unsigned bit = POINTS >> 1;
        for (; (j & bit) != 0; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            const struct complex t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
    double cosine = -1, sine = 0;  // of pi; of half the angle at each step
    for (unsigned half = 1; half < POINTS; half *= 2) {
        for (unsigned start = 0; start < POINTS; start += 2 * half) {
            struct complex w = {1, 0};
            for (unsigned k = start; k < start + half; ++k) {
                const struct complex u = x[k], y = x[k + half];
                const struct complex v = {y.re * w.re - y.im * w.im, y.re * w.im + y.im * w.re};
                x[k] = (struct complex){u.re + v.re, u.im + v.im};
                x[k + half] = (struct complex){u.re - v.re, u.im - v.im};
                w = (struct complex){w.re * cosine - w.im * sine, w.re * sine + w.im * cosine};
            }
        }
        sine = -__builtin_sqrt((1 - cosine) / 2);
        cosine = __builtin_sqrt((1 + cosine) / 2);
    }
}
static u64 fft(u64 times) {
    static struct complex x[POINTS];
    for (unsigned i = 0; i < POINTS; ++i) x[i] = (struct complex){(double)(i * i % 97), (double)(i % 13)};
    while (times-- != 0) {
        transform(x);
        for (unsigned i = 0; i < POINTS; ++i) x[i].re *= 1.0 / 64, x[i].im *= 1.0 / 64;
    }
    return (u64)(x[1].re * x[1].re + x[7].im * x[7].im);
}
#endif

void test_main(void) {
    write_sysreg(cpacr_el1, 3 << 20);
    isb();
#if COMPUTE == 1
    say("sha256 %x\n", sha256(12000));
#elif COMPUTE == 2
    say("sort %x\n", sort(1 << 18));
#elif COMPUTE == 3
    say("nbody %x\n", nbody(40000));
#elif COMPUTE == 4
    say("matmul %x\n", matmul(4));
#elif COMPUTE == 5
    say("crc %x\n", crc(6000000));
#else
    say("fft %x\n", fft(36));
#endif
}
