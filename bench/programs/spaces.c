// Work for the shadow policies (bench/shadow): address spaces made, changed, switched and thrown away.
//   spaces fork|cow|exec|mmap|protect|ring|grow COUNT
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kPage = 4096, kCowPages = 256, kMapPages = 64, kRing = 12, kRingPages = 24, kGrowPages = 512 };
static uint64_t sum;

static void need(int condition, const char* what) {
    if (condition) return;
    perror(what);
    exit(1);
}
static uint8_t* map(size_t pages) {
    uint8_t* p = mmap(0, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(p != MAP_FAILED, "mmap");
    return p;
}
static void touch(uint8_t* p, int pages, int value) {
    for (int i = 0; i < pages; ++i) p[i * kPage + value % kPage] += (uint8_t)(value + i);
    sum += p[value % kPage];
}
static void reap(void) {
    int status;
    need(wait(&status) > 0 && status == 0, "child");
}
static int born(void) {
    const pid_t child = fork();
    need(child >= 0, "fork");
    return child == 0;
}

static void forks(int count) {
    for (int i = 0; i < count; ++i) {
        if (born()) _exit(0);
        reap();
    }
}
// Both sides write to half of what they share.
static void copy_on_write(int count) {
    uint8_t* p = map(kCowPages);
    touch(p, kCowPages, 1);
    for (int i = 0; i < count; ++i) {
        if (born()) {
            touch(p, kCowPages / 2, i);
            _exit(0);
        }
        touch(p + kCowPages / 2 * kPage, kCowPages / 2, i);
        reap();
    }
}
static void execs(int count) {
    for (int i = 0; i < count; ++i) {
        if (born()) {
            execl("/proc/self/exe", "spaces", "fork", "0", (char*)0);
            _exit(1);
        }
        reap();
    }
}
static void maps(int count) {
    for (int i = 0; i < count; ++i) {
        uint8_t* p = map(kMapPages);
        touch(p, kMapPages, i);
        need(munmap(p, kMapPages * kPage) == 0, "munmap");
    }
}
static void protects(int count) {
    uint8_t* p = map(kMapPages);
    for (int i = 0; i < count; ++i) {
        touch(p, kMapPages, i);
        need(mprotect(p, kMapPages * kPage, PROT_READ) == 0, "mprotect");
        for (int k = 0; k < kMapPages; ++k) sum += p[k * kPage];
        need(mprotect(p, kMapPages * kPage, PROT_READ | PROT_WRITE) == 0, "mprotect");
    }
}
// A token goes round many processes, each of which uses memory of its own.
static void ring(int count) {
    int ends[kRing][2];
    for (int i = 0; i < kRing; ++i) need(pipe(ends[i]) == 0, "pipe");
    for (int i = 0; i < kRing; ++i) {
        if (!born()) continue;
        uint8_t* p = map(kRingPages);
        for (int n = 0; n < count; ++n) {
            uint64_t token;
            need(read(ends[i][0], &token, sizeof token) == sizeof token, "read");
            touch(p, kRingPages, n);
            token += p[n % kPage] + i;
            need(write(ends[(i + 1) % kRing][1], &token, sizeof token) == sizeof token, "write");
        }
        _exit(0);
    }
    uint64_t token = 0;
    need(write(ends[0][1], &token, sizeof token) == sizeof token, "write");
    for (int i = 0; i < kRing; ++i) reap();
    need(read(ends[0][0], &token, sizeof token) == sizeof token, "read");
    sum += token;
}
// Memory is taken and kept for long: faults, and nothing to invalidate.
static void grow(int count) {
    for (int i = 0; i < count; ++i) touch(map(kGrowPages), kGrowPages, i);
}

int main(int argc, char** argv) {
    static const struct {
        const char* name;
        void (*run)(int);
    } kinds[] = {{"fork", forks},       {"cow", copy_on_write}, {"exec", execs}, {"mmap", maps},
                 {"protect", protects}, {"ring", ring},         {"grow", grow}};
    if (argc != 3) return 2;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        if (strcmp(argv[1], kinds[i].name) != 0) continue;
        kinds[i].run(atoi(argv[2]));
        if (atoi(argv[2]) != 0) printf("%s %llu\n", argv[1], (unsigned long long)sum);
        return 0;
    }
    return 2;
}
