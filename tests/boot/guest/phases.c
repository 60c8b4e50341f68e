// Loops that change their ways: one that first always takes one branch and later always the other, with calls
// through a pointer that changes; and an interpreter that first executes a few operations and later all of
// them. Prints a checksum for each phase, and on stderr its time.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef uint64_t (*step)(uint64_t);

__attribute__((noinline)) static uint64_t left(uint64_t x) { return x * 0x9e3779b97f4a7c15u ^ x >> 29; }
__attribute__((noinline)) static uint64_t right(uint64_t x) { return (x ^ x << 13) * 5 + (x >> 7); }

__attribute__((noinline)) static uint64_t run(volatile const int* phase, volatile step* call, uint64_t x,
                                              long rounds) {
    for (long k = 0; k < rounds; k++) {
        if (*phase & 1) {
            x += x >> 3 ^ (uint64_t)k;
            x ^= x << 7;
            if (x & 0x40) x += 99;
        } else {
            x ^= x >> 9;
            x = x * 3 + 1;
            if (x & 0x80) x ^= 77;
        }
        if (*phase & 2) x = (*call)(x);
    }
    return x;
}

#define OP1(n)                                                  \
    case n:                                                     \
        x = (x ^ (n)*0x1234567ull) * 3 + (x >> ((n) % 13 + 1)); \
        x += x << 5 ^ (n);                                      \
        break;
#define OP4(n) OP1(n) OP1(n + 1) OP1(n + 2) OP1(n + 3)
#define OP16(n) OP4(n) OP4(n + 4) OP4(n + 8) OP4(n + 12)
#define OP64(n) OP16(n) OP16(n + 16) OP16(n + 32) OP16(n + 48)

__attribute__((noinline)) static uint64_t interpret(const uint8_t* code, uint64_t x, long rounds) {
    for (long k = 0; k < rounds; k++) {
        switch (code[k & 0xfff]) { OP64(0) OP64(64) OP64(128) OP64(192) }
    }
    return x;
}

static void report(const char* name, int phase, uint64_t x) {
    static struct timespec from;
    struct timespec to;
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (name) {
        printf("%s %d %016llx\n", name, phase, (unsigned long long)x);
        fprintf(stderr, "%s %d: %.3f s\n", name, phase,
                (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9);
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
}

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? atol(argv[1]) : 20000000;
    uint64_t x = 1;
    report(NULL, 0, 0);
    for (int round = 0; round < 2; round++) {
        for (volatile int phase = 0; phase < 4; phase++) {
            volatile step call = round != 0 ? left : right;
            x = run(&phase, &call, x, rounds);
            report("branch", phase, x);
        }
    }
    static uint8_t code[4096];
    for (int phase = 0; phase < 4; phase++) {
        uint32_t random = 1;
        for (int k = 0; k < 4096; k++) {
            random = random * 1664525 + 1013904223;
            code[k] = phase & 1 ? random >> 24 : k % 3 * 70;
        }
        x = interpret(code, x, rounds);
        report("interpret", phase, x);
    }
    return 0;
}
