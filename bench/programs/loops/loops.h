// Shared by the loops: small programs in C, built for the guest (arm64) and for the host (x86-64) from the
// same files.
#pragma once
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef int32_t i32;
typedef uint8_t u8;

extern double scale;     // 1 is the short form
extern char* self_path;  // this program's own file

/// A repeat count of the short form, scaled.
long N(long n);
/// Deterministic pseudo-random numbers: every process starts with the same seed.
u64 rnd(void);
/// From the seed again, for a program that runs a loop more than once.
void restart_rnd(void);

struct loop {
    const char* name;
    u64 (*run)(void);  // returns a checksum of what it computed
};
// Each ends with an empty entry.
extern const struct loop integer_loops[], data_loops[], floating_loops[], memory_loops[], system_loops[];
/// NULL: none of the `count` tables has it.
const struct loop* find_loop(const struct loop* const* tables, size_t count, const char* name);
