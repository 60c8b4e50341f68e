// What waiting for another CPU costs when that has no core of the host: microseconds an operation.
// Usage: spinning THREADS [SECONDS [ROW...]]
//   barrier    all threads wait for all by loads in a loop
//   ticket     a ticket lock, taken for some 100 instructions
//   exchange   a lock by exchanges
//   yield      a barrier whose loop has YIELD
//   shootdown  each thread maps, touches and unmaps memory of the process (ebizzy)
//   messages   pairs of threads send bytes through pipes (hackbench)
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kMaxThreads = 64, kPages = 16 };

static int threads;
static double seconds = 1;
static atomic_int arrived, phase, now_serving, next_ticket, lock, stop;
static uint64_t work;
static uint64_t done[kMaxThreads];
static int pipes[kMaxThreads][2];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void wait_phase(int old, int yield) {
    if (yield)
        while (atomic_load_explicit(&phase, memory_order_acquire) == old && !atomic_load(&stop))
            __asm__ volatile("yield");
    else
        while (atomic_load_explicit(&phase, memory_order_acquire) == old) {
        }
}

// The last one lets the others go on; the first thread says when it is over, in a phase of its own.
static void barrier(int self, int yield) {
    for (;;) {
        const int old = atomic_load(&phase);
        if (old < 0) return;
        if (atomic_fetch_add(&arrived, 1) == threads - 1) {
            atomic_store(&arrived, 0);
            atomic_store(&phase, atomic_load(&stop) ? -1 : (old + 1) & 0xffffff);
        } else {
            wait_phase(old, yield);
        }
        ++done[self];
    }
}

static void hold(void) {
    for (int i = 0; i < 30; ++i) work = work * 6364136223846793005u + 1;
}

static void ticket(int self) {
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        const int mine = atomic_fetch_add(&next_ticket, 1);
        while (atomic_load_explicit(&now_serving, memory_order_acquire) != mine) {
        }
        hold();
        atomic_store_explicit(&now_serving, mine + 1, memory_order_release);
        ++done[self];
    }
}

static void exchange(int self) {
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        while (atomic_exchange_explicit(&lock, 1, memory_order_acquire) != 0) {
        }
        hold();
        atomic_store_explicit(&lock, 0, memory_order_release);
        ++done[self];
    }
}

static void shootdown(int self) {
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        char* p = mmap(NULL, kPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) exit(1);
        for (int i = 0; i < kPages; ++i) p[i * 4096] = 1;
        munmap(p, kPages * 4096);
        ++done[self];
    }
}

// Threads form a ring of pipes; a byte is in half of them.
static void messages(int self) {
    char byte = 0;
    const int to = (self + 1) % threads;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        if (read(pipes[self][0], &byte, 1) != 1 || write(pipes[to][1], &byte, 1) != 1) exit(1);
        ++done[self];
    }
    if (write(pipes[to][1], &byte, 1) != 1) exit(1);
}

static const char* const kNames[] = {"barrier", "ticket", "exchange", "yield", "shootdown", "messages"};
static int kind;

static void* thread(void* arg) {
    const int self = (int)(intptr_t)arg;
    switch (kind) {
        case 0: barrier(self, 0); break;
        case 1: ticket(self); break;
        case 2: exchange(self); break;
        case 3: barrier(self, 1); break;
        case 4: shootdown(self); break;
        case 5: messages(self); break;
    }
    return NULL;
}

/// Without names, all rows.
static int wanted(const char* name, int count, char** names) {
    for (int i = 0; i < count; ++i)
        if (strcmp(name, names[i]) == 0) return 1;
    return count == 0;
}

int main(int argc, char** argv) {
    threads = argc > 1 ? atoi(argv[1]) : 2;
    if (argc > 2) seconds = atof(argv[2]);
    if (threads < 1 || threads > kMaxThreads) return 2;
    for (int i = 0; i < threads; ++i)
        if (pipe(pipes[i]) != 0) return 1;
    const int names = argc > 3 ? argc - 3 : 0;
    for (kind = 0; kind < 6; ++kind) {
        if (!wanted(kNames[kind], names, argv + argc - names)) continue;
        pthread_t ids[kMaxThreads];
        memset(done, 0, sizeof done);
        stop = arrived = phase = now_serving = next_ticket = lock = 0;
        if (kind == 5)
            for (int i = 0; i < threads; i += 2)
                if (write(pipes[i][1], "", 1) != 1) return 1;
        const double start = now();
        for (intptr_t i = 0; i < threads; ++i)
            if (pthread_create(&ids[i], NULL, thread, (void*)i) != 0) return 1;
        const double left = seconds;
        nanosleep(&(struct timespec){.tv_sec = (time_t)left,
                                     .tv_nsec = (long)(1e9 * (left - (double)(time_t)left))},
                  NULL);
        atomic_store(&stop, 1);
        for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL);
        const double took = now() - start;
        uint64_t all = 0, least = UINT64_MAX, most = 0;
        for (int i = 0; i < threads; ++i) {
            all += done[i];
            if (done[i] < least) least = done[i];
            if (done[i] > most) most = done[i];
        }
        if (kind == 0 || kind == 3) all /= (uint64_t)threads;
        printf("%s: %.3f us fairness %.2f\n", kNames[kind], 1e6 * took / (double)(all != 0 ? all : 1),
               most != 0 ? (double)least / (double)most : 0.0);
        fflush(stdout);
    }
    return 0;
}
