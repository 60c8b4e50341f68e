// A program, and what disturbs it: `neighbour chase MIB SECONDS` follows pointers at random through MIB of memory, and says how many
// nanoseconds a step takes; `compute` uses no memory; `stream` writes through memory, as fast as it goes, in as many threads as
// there are CPUs, and says nothing.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kLine = 64, kBatch = 1 << 16 };

static double seconds;
static size_t bytes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// One cycle through all lines (Sattolo).
static void** make_chain(void) {
    const size_t lines = bytes / kLine;
    char* memory = aligned_alloc(kLine, bytes);
    size_t* order = malloc(lines * sizeof *order);
    if (memory == NULL || order == NULL) exit(1);
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < lines; ++i) order[i] = i;
    for (size_t i = lines - 1; i > 0; --i) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        const size_t k = random % i, other = order[k];
        order[k] = order[i];
        order[i] = other;
    }
    for (size_t i = 0; i < lines; ++i)
        *(void**)(memory + order[i] * kLine) = memory + order[(i + 1) % lines] * kLine;
    void** const first = (void**)(memory + order[0] * kLine);
    free(order);
    return first;
}

static void chase(void) {
    void** at = make_chain();
    uint64_t steps = 0;
    const double start = now();
    double took;
    do {
        for (int i = 0; i < kBatch; ++i) at = (void**)*at;
        steps += kBatch;
    } while ((took = now() - start) < seconds);
    printf("chase: %.3f ns\n", 1e9 * took / (double)steps + (at == NULL));
}

static void compute(void) {
    uint64_t steps = 0, value = 1;
    const double start = now();
    double took;
    do {
        for (int i = 0; i < kBatch; ++i) value = value * 6364136223846793005u + 1442695040888963407u;
        steps += kBatch;
    } while ((took = now() - start) < seconds);
    printf("compute: %.3f ns\n", 1e9 * took / (double)steps + (value == 0));
}

static void* stream(void* unused) {
    (void)unused;
    char* memory = malloc(bytes);
    if (memory == NULL) exit(1);
    const double start = now();
    for (int i = 0; now() - start < seconds; ++i) memset(memory, i, bytes);
    return NULL;
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    bytes = (size_t)atoi(argv[2]) << 20;
    seconds = atof(argv[3]);
    if (bytes == 0 || seconds <= 0) return 2;
    if (strcmp(argv[1], "chase") == 0) {
        chase();
    } else if (strcmp(argv[1], "compute") == 0) {
        compute();
    } else {
        const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        pthread_t last;
        for (long i = 0; i < cpus; ++i)
            if (pthread_create(&last, NULL, stream, NULL) != 0) return 1;
        pthread_join(last, NULL);
    }
    return 0;
}
