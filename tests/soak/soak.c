// soak SECONDS SEED: processes that compute while their own code is invalidated, remapped and rewritten under
// them. Prints "wrong ..." for each result that is not the first one of its kind, and at the end "rounds N
// wrong N".
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "../../bench/programs/loops/loops.h"

static const struct {
    const char* name;
    double percent;
} parts[] = {{"nbody", 0.05},  {"alu", 0.1},  {"crc", 0.02},   {"interp", 0.1}, {"coremk", 0.2},
             {"sha256", 0.03}, {"lbm", 0.01}, {"regex", 0.01}, {"fft", 0.01},   {"hmm", 0.01}};
enum { kParts = sizeof parts / sizeof *parts, kProcesses = 3 };

struct shared {
    u64 sums[kParts];  // written once, before the others start
    long rounds, wrong;
} * shared;

static u64 chaos;  // another sequence than the loops' own, which must not differ
static u64 any(u64 below) {
    chaos ^= chaos << 13;
    chaos ^= chaos >> 7;
    chaos ^= chaos << 17;
    return chaos % below;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

extern char __executable_start[], etext[];

static void invalidate(char* from, size_t bytes) { __builtin___clear_cache(from, from + bytes); }

/// Pages of this program's code are invalidated, or replaced by a private copy at another physical address.
static void disturb(void) {
    char* const start = __executable_start;
    const size_t pages = (size_t)(etext - start) / 4096;
    char* const page = start + any(pages) * 4096;
    switch (any(6)) {
        case 0: invalidate(page, 4096); break;
        case 1:
            if (any(4) == 0) invalidate(start, pages * 4096);
            break;
        case 2: invalidate(page + any(1024) * 4, 4); break;
        case 3:
            mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
            *(volatile char*)page = *(volatile char*)page;  // the kernel makes a private copy
            invalidate(page, 4096);
            mprotect(page, 4096, PROT_READ | PROT_EXEC);
            break;
        case 4: {
            const pid_t child = fork();
            if (child == 0) _exit(0);
            if (child > 0) waitpid(child, NULL, 0);
            break;
        }
        default: madvise(page, 4096, MADV_PAGEOUT); break;
    }
}

/// A function made of words that change: it returns what was written last.
static u64 written(u32 value) {
    static u32* code;
    if (code == NULL) {
        code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED) exit(3);
    }
    const u32 iterations = 200;
    code[0] = 0x52800000 | (value & 0xffff) << 5;        // mov w0, #value
    code[1] = 0x52800001 | iterations << 5;              // mov w1, #iterations
    code[2] = 0x11000000 | (value >> 16 & 0xfff) << 10;  // add w0, w0, #n
    code[3] = 0x51000421;                                // sub w1, w1, #1
    code[4] = 0x35ffffc1;                                // cbnz w1, -8
    code[5] = 0xd65f03c0;                                // ret
    invalidate((char*)code, 24);
    u64 sum = 0;
    for (int k = 0; k < 300; k++) sum += ((u32(*)(void))code)();
    const u32 expected = (value & 0xffff) + iterations * (value >> 16 & 0xfff);
    return sum - (u64)expected * 300;
}

static const struct loop* find(const char* name) {
    static const struct loop* const tables[] = {integer_loops, data_loops, floating_loops, memory_loops};
    const struct loop* loop = find_loop(tables, sizeof tables / sizeof *tables, name);
    if (loop != NULL) return loop;
    exit(2);
}

static u64 run(int part) {
    scale = parts[part].percent / 100;
    restart_rnd();
    return find(parts[part].name)->run();
}

static void wrong(const char* what, u64 is, u64 was) {
    __atomic_fetch_add(&shared->wrong, 1, __ATOMIC_RELAXED);
    printf("wrong %s: %016llx, was %016llx\n", what, (unsigned long long)is, (unsigned long long)was);
    fflush(stdout);
}

static void work(int number, double until, u64 seed) {
    chaos = seed * 0x9e3779b97f4a7c15ull + (u64)number + 1;
    while (now() < until) {
        const int part = (int)any(kParts);
        const u64 sum = run(part);
        if (sum != shared->sums[part]) wrong(parts[part].name, sum, shared->sums[part]);
        if (written((u32)any(1u << 28)) != 0) wrong("written", 0, 0);
        if (any(4) == 0) disturb();
        __atomic_fetch_add(&shared->rounds, 1, __ATOMIC_RELAXED);
    }
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    self_path = argv[0];
    const double until = now() + atof(argv[1]);
    const u64 seed = strtoull(argv[2], NULL, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 3;
    for (int part = 0; part < kParts; part++) {
        shared->sums[part] = run(part);
        printf("%s %016llx\n", parts[part].name, (unsigned long long)shared->sums[part]);
    }
    fflush(stdout);
    for (int number = 0; number < kProcesses; number++) {
        const pid_t child = fork();
        if (child < 0) return 3;
        if (child == 0) {
            work(number, until, seed);
            _exit(0);
        }
    }
    int bad = 0, status;
    while (wait(&status) > 0)
        if (status != 0) bad++, printf("wrong: a process ended with %#x\n", status);
    printf("rounds %ld wrong %ld\n", shared->rounds, shared->wrong + bad);
    return shared->wrong + bad != 0;
}
