// A guest under LightV: says where its pages are and what it sees in them.
//   lightv watch SECONDS          one page: each new first word, with CNTVCT_EL0 of the moment
//   lightv touch SECONDS          one page, read and written; what signal ends it
//   lightv checksum SECONDS MIB   many pages, written and compared in turn until /stop is there: a lost write is found
//   lightv add SECONDS            one page: what a load and store of it cost
//   lightv code SECONDS           one page of code, called again and again: each new answer
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

enum { kPage = 4096, kWords = kPage / 8 };

static uint64_t counter(void) {
    uint64_t value;
    asm volatile("isb\n mrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}

static uint64_t physical(const void* address) {
    const int file = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry = 0;
    if (file < 0 || pread(file, &entry, 8, (off_t)((uintptr_t)address / kPage * 8)) != 8) FAIL("pagemap");
    close(file);
    if (!(entry >> 63)) FAIL("not present");
    return (entry & ((1ull << 55) - 1)) * kPage;
}

static uint8_t* take_pages(size_t bytes, int protection) {
    uint8_t* p = mmap(0, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) FAIL("mmap");
    // A large page of the guest's would take others' pages along.
    madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}
static void introduce(const char* mode, uint8_t* page) {
    printf("%s page pa=0x%llx va=0x%llx pid=%d\n", mode, (unsigned long long)physical(page),
           (unsigned long long)(uintptr_t)page, (int)getpid());
    fflush(stdout);
}

static void watch(double seconds) {
    uint8_t* page = take_pages(kPage, PROT_READ | PROT_WRITE);
    volatile uint64_t* cell = (volatile uint64_t*)page;
    uint64_t last = *cell = 1;
    introduce("watch", page);
    for (const double until = now() + seconds; now() < until;)
        for (int i = 0; i < 100000; ++i) {
            const uint64_t value = *cell;
            if (value == last) continue;
            const uint64_t when = counter();
            last = value;
            printf("saw 0x%llx at %llu\n", (unsigned long long)value, (unsigned long long)when);
            fflush(stdout);
        }
}

static void on_signal(int number, siginfo_t* info, void* context) {
    (void)context;
    printf("signal %d code %d\n", number, info->si_code);
    fflush(stdout);
    // Until standard input ends: the page must not be given back while it is out of order.
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    _exit(0);
}
static void touch(double seconds) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    uint8_t* page = take_pages(kPage, PROT_READ | PROT_WRITE);
    memset(page, 1, kPage);
    introduce("touch", page);
    uint64_t sum = 0;
    for (const double until = now() + seconds; now() < until;)
        for (int i = 0; i < 1000; ++i) sum += ++*(volatile uint64_t*)(page + i % kWords * 8);
    printf("no signal, %llu\n", (unsigned long long)sum);
}

static void add(double seconds) {
    uint8_t* page = take_pages(kPage, PROT_READ | PROT_WRITE);
    volatile uint64_t* cells = (volatile uint64_t*)page;
    introduce("add", page);
    // Half of the time for whoever wants to do something to the page.
    double start = now() + seconds / 2;
    uint64_t steps = 0, base = 0;
    for (double t; (t = now()) < start + seconds / 2;) {
        if (t < start) base = steps;
        for (int i = 0; i < 1000; ++i) cells[i % 64]++;
        steps += 1000;
    }
    printf("%.3f ns\n", seconds / 2 * 1e9 / (double)(steps - base));
}

static uint64_t word(uint64_t page, uint64_t version, int i) {
    return (page * 0x9e3779b97f4a7c15 + version * 0xd1342543de82ef95 + (uint64_t)i) * 0xff51afd7ed558ccd;
}
static void checksum(double seconds, size_t mib) {
    const size_t pages = mib * 256;
    uint8_t* base = take_pages(pages * kPage, PROT_READ | PROT_WRITE);
    uint32_t* version = calloc(pages, sizeof *version);
    uint64_t checked = 0;
    for (size_t p = 0; p < pages; ++p)
        for (int i = 0; i < kWords; ++i) ((uint64_t*)(base + p * kPage))[i] = word(p, 0, i);
    introduce("checksum", base);
    for (const double until = now() + seconds; still_time(until);)
        for (size_t p = 0; p < pages; ++p) {
            volatile uint64_t* words = (volatile uint64_t*)(base + p * kPage);
            const uint64_t old = version[p]++;
            // Word by word, so that a page is always in the middle of being written somewhere.
            for (int i = 0; i < kWords; ++i) {
                if (words[i] != word(p, old, i))
                    FAIL("page %zu version %llu word %d is %llx", p, (unsigned long long)old, i,
                         (unsigned long long)words[i]);
                words[i] = word(p, old + 1, i);
            }
            ++checked;
        }
    printf("%llu pages checked\nok\n", (unsigned long long)checked);
}

static void code(double seconds) {
    uint32_t* page = (uint32_t*)take_pages(kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
    page[0] = 0xd2800020;  // mov x0, 1
    page[1] = 0xd65f03c0;  // ret
    __builtin___clear_cache((char*)page, (char*)page + 8);
    introduce("code", (uint8_t*)page);
    uint64_t last = 1;
    for (const double until = now() + seconds; now() < until;)
        for (int i = 0; i < 100000; ++i) {
            const uint64_t value = ((uint64_t(*)(void))page)();
            if (value == last) continue;
            last = value;
            printf("returned %llu\n", (unsigned long long)value);
            fflush(stdout);
        }
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    const double seconds = atof(argv[2]);
    if (strcmp(argv[1], "watch") == 0)
        watch(seconds);
    else if (strcmp(argv[1], "touch") == 0)
        touch(seconds);
    else if (strcmp(argv[1], "checksum") == 0 && argc == 4)
        checksum(seconds, (size_t)atol(argv[3]));
    else if (strcmp(argv[1], "add") == 0)
        add(seconds);
    else if (strcmp(argv[1], "code") == 0)
        code(seconds);
    else
        return 2;
    return 0;
}
