// Data processing: hashing, sorting, joining, matching.
#include <regex.h>

#include "loops.h"

// SHA-256 (FIPS 180-4) in plain C: no crypto instructions.
static const u32 sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 rotate(u32 x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(u32 h[8], const u8* p) {
    u32 w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        const u32 a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    u32 s[8];
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        const u32 e = s[4], a = s[0];
        const u32 t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
                       sha256_k[i] + w[i];
        const u32 t2 =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static u64 sha256(void) {
    static u8 data[1 << 16];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (u8)rnd();
    u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    for (long k = N(150); k--;)
        for (size_t i = 0; i < sizeof data; i += 64) sha256_block(h, data + i);
    return (u64)h[0] << 32 | h[7];
}

// Quicksort with insertion sort for short runs, on 64-bit keys; then a merge of two sorted halves.
static void quicksort(u64* a, long n) {
    while (n > 16) {
        const u64 pivot = a[n / 2];
        long i = 0, j = n - 1;
        while (i <= j) {
            while (a[i] < pivot) i++;
            while (a[j] > pivot) j--;
            if (i <= j) {
                const u64 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j + 1 < n - i) {
            quicksort(a, j + 1);
            a += i, n -= i;
        } else {
            quicksort(a + i, n - i);
            n = j + 1;
        }
    }
    for (long i = 1; i < n; i++) {
        const u64 v = a[i];
        long j = i;
        for (; j > 0 && a[j - 1] > v; j--) a[j] = a[j - 1];
        a[j] = v;
    }
}

static u64 sort(void) {
    enum { M = 1 << 17 };
    static u64 a[M], b[M];
    u64 sum = 0;
    for (long k = N(40); k--;) {
        for (int i = 0; i < M; i++) a[i] = rnd();
        quicksort(a, M / 2);
        quicksort(a + M / 2, M / 2);
        for (long i = 0, l = 0, r = M / 2; i < M; i++)
            b[i] = r == M || (l < M / 2 && a[l] <= a[r]) ? a[l++] : a[r++];
        for (int i = 1; i < M; i++)
            if (b[i - 1] > b[i]) return 0;
        sum = sum * 31 + b[M / 3];
    }
    return sum;
}

// Build a hash table of one relation, probe it with another: the inner loop of a database's join.
static u64 hashjoin(void) {
    enum { ROWS = 1 << 18, SLOTS = 1 << 19 };
    struct row {
        u32 key, value;
    };
    static struct row left[ROWS], right[ROWS];
    static u32 slot[SLOTS], next[ROWS];
    u64 sum = 0;
    for (long k = N(25); k--;) {
        for (int i = 0; i < ROWS; i++) {
            left[i] = (struct row){(u32)rnd() % (ROWS * 2), (u32)i};
            right[i] = (struct row){(u32)rnd() % (ROWS * 2), (u32)i * 7};
        }
        memset(slot, 255, sizeof slot);
        for (u32 i = 0; i < ROWS; i++) {
            u32* s = &slot[left[i].key * 2654435761u >> 13];
            next[i] = *s;
            *s = i;
        }
        for (int i = 0; i < ROWS; i++)
            for (u32 j = slot[right[i].key * 2654435761u >> 13]; j != ~0u; j = next[j])
                if (left[j].key == right[i].key) sum += (u64)left[j].value * 3 + right[i].value;
    }
    return sum;
}

// libc's regular expressions over generated text.
static u64 regex(void) {
    static const char* const patterns[] = {"[aeiou]{2}[xyz]", "^(ab|cd|ef)+", "([a-m]+)9([n-z]+)",
                                           "q[^u ]+ [0-9]*[13579] "};
    enum { LINES = 400 };
    static char line[LINES][64];
    for (int i = 0; i < LINES; i++)
        for (int j = 0; j < 63; j++) {
            const u64 r = rnd() % 40;
            line[i][j] = (char)(r < 26 ? 'a' + (int)r : r < 36 ? '0' + (int)r - 26 : ' ');
        }
    u64 sum = 0;
    for (long k = N(60); k--;)
        for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
            regex_t expression;
            if (regcomp(&expression, patterns[p], REG_EXTENDED) != 0) return 0;
            for (int i = 0; i < LINES; i++) {
                regmatch_t match;
                for (const char* at = line[i]; regexec(&expression, at, 1, &match, 0) == 0 && match.rm_eo > 0;
                     at += match.rm_eo)
                    sum = sum * 33 + (u64)match.rm_so + (u64)match.rm_eo;
            }
            regfree(&expression);
        }
    return sum;
}

const struct loop data_loops[] = {
    {"sha256", sha256}, {"sort", sort}, {"hashjoin", hashjoin}, {"regex", regex}, {0, 0}};
