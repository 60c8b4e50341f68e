// What it costs to change code and mappings while other threads of the process compute: microseconds an operation.
// Usage: broadcast THREADS: that many compute, elsewhere and then in the code that changes.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { kMaxThreads = 16, kRounds = 300, kPatches = 100, kPage = 4096 };
static const uint32_t kMovX0 = 0xd2800000, kRet = 0xd65f03c0;  // ARM ARM C6.2
static const double kMaxSeconds = 5;
// Of patching, which takes a fraction of a microsecond: over many of the host's time slices, in which the other threads run
// what was patched. Its cost is also the median of as many batches, in which whoever takes the core now and then does not show.
static const double kPatchSeconds = 0.4;
enum { kMaxBatches = 200000 };
static double batches[kMaxBatches];

static atomic_int stop;
static uint32_t* code;
static int calls_code;
static uint64_t results[kMaxThreads];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void* compute(void* result) {
    uint64_t x = 1;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        x = calls_code ? x + ((uint64_t(*)(void))(uintptr_t)code)() : x * 6364136223846793005u + 1;
    *(uint64_t*)result = x;
    return NULL;
}

static void put_code(uint32_t value) {
    code[0] = kMovX0 | (value & 0xff) << 5;
    code[1] = kRet;
    __builtin___clear_cache((char*)code, (char*)code + 8);
}

static int less(const void* a, const void* b) {
    const double x = *(const double*)a, y = *(const double*)b;
    return (x > y) - (x < y);
}

int main(int argc, char** argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 0;
    if (threads < 0 || threads > kMaxThreads) return 2;
    code = mmap(NULL, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char* data = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || data == MAP_FAILED) return 1;
    for (calls_code = 0; calls_code < 2; ++calls_code) {
        pthread_t ids[kMaxThreads];
        atomic_store(&stop, 0);
        put_code(0);
        for (int i = 0; i < threads; ++i)
            if (pthread_create(&ids[i], NULL, compute, &results[i]) != 0) return 1;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        double start = now(), last = start;
        int n = 0;
        for (; n < kMaxBatches && last - start < kPatchSeconds; ++n) {
            for (int i = 0; i < kPatches; ++i) put_code((uint32_t)i);
            const double end = now();
            batches[n] = end - last;
            last = end;
        }
        const double patch = (last - start) / n / kPatches;
        qsort(batches, (size_t)n, sizeof *batches, less);
        const double median = batches[n / 2] / kPatches;
        start = now();
        for (n = 0; n < kRounds && now() - start < kMaxSeconds; ++n) {
            *data = 1;
            if (mprotect(data, kPage, PROT_READ) != 0 || mprotect(data, kPage, PROT_READ | PROT_WRITE) != 0)
                return 1;
        }
        const double protect = (now() - start) / n;
        atomic_store(&stop, 1);
        for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
        printf("%s: patch %.3f median %.3f mprotect %.1f\n", calls_code ? "same" : "elsewhere", 1e6 * patch,
               1e6 * median, 1e6 * protect);
        fflush(stdout);
    }
    return 0;
}
