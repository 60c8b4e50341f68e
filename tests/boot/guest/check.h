// Reporting and timing for the guest programs: each prints its trouble and ends with 1, or with "ok".
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/// What a program maps is there, or above it; 0: anywhere.
#ifndef WINDOW_AT
#define WINDOW_AT 0ul
#endif

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/// Whoever runs a program that works until a moment may end it before, with a file.
static inline int still_time(double until) { return now() < until && access("/stop", F_OK) != 0; }

#define FAIL(...)                      \
    do {                               \
        fflush(stdout);                \
        printf("FAIL %s: ", __func__); \
        printf(__VA_ARGS__);           \
        putchar('\n');                 \
        fflush(stdout);                \
        _exit(1);                      \
    } while (0)
