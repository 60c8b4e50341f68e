// Hammers its own mappings and compares every page with what it wrote.
//   mappings SECONDS SEED
//
// A model says what each page of a window must hold: nothing, zeros, or the words of a stamp; and what may be
// done with it. Steps map, unmap, move, protect and share pages, swap them to a file, fork, and store; what
// is forbidden must fault. Meanwhile the machine under the program may do with its physical pages what it
// likes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"

// Of the kernel.
#ifndef PAGE_BYTES
#define PAGE_BYTES 4096
#endif

enum { kPage = PAGE_BYTES, kWords = kPage / 8, kPages = 192, kFilePages = 48, kSwapPages = 32 };
enum Kind { kNothing, kAnonymous, kShared, kPrivate };

typedef struct {
    enum Kind kind;
    int protection;
    int file_page;   // of kShared, kPrivate
    int own;         // kPrivate: written, so no longer the file's
    uint64_t stamp;  // of kAnonymous, and of kPrivate if it is its own; 0: zeros
} Page;

static uint8_t* window;
static Page pages[kPages];
static int file, swap_file;
static uint64_t file_stamp[kFilePages];
static uint64_t random_state, steps, compared, faults, forks, next_stamp;

static uint64_t random_number(void) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}
static int pick(int limit) { return (int)((random_number() >> 33) % (uint64_t)limit); }

static uint64_t word(uint64_t stamp, int i) {
    return stamp == 0 ? 0 : (stamp * 0x9e3779b97f4a7c15 + (uint64_t)i * 0xd1342543de82ef95) ^ stamp >> 7;
}
static uint64_t fresh_stamp(void) { return ++next_stamp << 8 | 1; }
static uint8_t* at(int p) { return window + (size_t)p * kPage; }

static uint64_t* stamp_of(Page* p) {
    return p->kind == kShared || (p->kind == kPrivate && !p->own) ? &file_stamp[p->file_page] : &p->stamp;
}

// ---- What must fault

static sigjmp_buf after_fault;
static volatile sig_atomic_t expecting;
static void on_fault(int number, siginfo_t* info, void* context) {
    (void)context;
    if (!expecting || number != SIGSEGV)
        FAIL("signal %d, code %d at %p", number, info->si_code, info->si_addr);
    siglongjmp(after_fault, 1);
}
static void must_fault(int p, int write) {
    volatile uint64_t* cell = (volatile uint64_t*)at(p) + pick(kWords);
    if (sigsetjmp(after_fault, 1) == 0) {
        expecting = 1;
        if (write)
            *cell = 1;
        else
            (void)*cell;
        expecting = 0;
        FAIL("page %d: a %s that is not allowed went through", p, write ? "store" : "load");
    }
    expecting = 0;
    ++faults;
}

// ---- Pages against the model

static void compare(int p) {
    Page* page = &pages[p];
    if (page->kind == kNothing || !(page->protection & PROT_READ)) return must_fault(p, 0);
    const uint64_t stamp = *stamp_of(page);
    const volatile uint64_t* words = (const volatile uint64_t*)at(p);
    for (int i = 0; i < kWords; ++i) {
        const uint64_t got = words[i];
        if (got != word(stamp, i))
            FAIL("page %d (kind %d, stamp %llx) has %llx in word %d instead of %llx, step %llu", p,
                 page->kind, (unsigned long long)stamp, (unsigned long long)got, i,
                 (unsigned long long)word(stamp, i), (unsigned long long)steps);
    }
    if (!(page->protection & PROT_WRITE) && pick(4) == 0) must_fault(p, 1);
    ++compared;
}
static void compare_all(void) {
    for (int p = 0; p < kPages; ++p) compare(p);
}
static void store(int p) {
    Page* page = &pages[p];
    if (page->kind == kNothing || !(page->protection & PROT_WRITE)) return must_fault(p, 1);
    const uint64_t stamp = fresh_stamp();
    page->own = 1;
    *stamp_of(page) = stamp;
    volatile uint64_t* words = (volatile uint64_t*)at(p);
    for (int i = 0; i < kWords; ++i) words[i] = word(stamp, i);
}

// ---- Steps

static int protection_of(int n) { return n == 0 ? PROT_NONE : n == 1 ? PROT_READ : PROT_READ | PROT_WRITE; }

static void must(int done, const char* what) {
    if (!done) FAIL("%s: %s", what, strerror(errno));
}
static void map_some(int p, int count) {
    const int kind = 1 + pick(3), protection = protection_of(pick(6)), first = pick(kFilePages - count);
    const int flags = MAP_FIXED | (kind == kAnonymous ? MAP_PRIVATE | MAP_ANONYMOUS
                                   : kind == kShared  ? MAP_SHARED
                                                      : MAP_PRIVATE);
    must(mmap(at(p), (size_t)count * kPage, protection, flags, kind == kAnonymous ? -1 : file,
              kind == kAnonymous ? 0 : first * kPage) == at(p),
         "mmap");
    for (int i = 0; i < count; ++i) pages[p + i] = (Page){kind, protection, first + i, 0, 0};
}
static void unmap(int p, int count) {
    // PROT_NONE keeps the place; a hole could be taken by somebody else's mmap.
    must(munmap(at(p), (size_t)count * kPage) == 0, "munmap");
    must(mmap(at(p), (size_t)count * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
             at(p),
         "mmap");
    memset(&pages[p], 0, sizeof(Page) * (size_t)count);
}
static void protect(int p, int count) {
    const int protection = protection_of(pick(4));
    for (int i = 0; i < count; ++i)
        if (pages[p + i].kind != kNothing) {
            must(mprotect(at(p + i), kPage, protection) == 0, "mprotect");
            pages[p + i].protection = protection;
        }
}
static void move(int from, int to) {
    if (from == to || pages[from].kind == kNothing) return;
    must(mremap(at(from), kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) == at(to), "mremap");
    pages[to] = pages[from];
    must(mmap(at(from), kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at(from),
         "mmap");
    pages[from] = (Page){0};
}
static void forget(int p) {
    if (pages[p].kind == kNothing) return;
    must(madvise(at(p), kPage, MADV_DONTNEED) == 0, "madvise");
    pages[p].own = 0;
    pages[p].stamp = 0;
}
// Out through a file and back into a fresh mapping, by the kernel's own copies to and from the pages.
static void swap(int p, int count) {
    int went[kSwapPages] = {0};
    for (int i = 0; i < count; ++i) {
        went[i] = pages[p + i].kind == kAnonymous && (pages[p + i].protection & PROT_READ);
        if (went[i]) must(pwrite(swap_file, at(p + i), kPage, (off_t)i * kPage) == kPage, "pwrite");
    }
    for (int i = 0; i < count; ++i) {
        if (!went[i]) continue;
        must(mmap(at(p + i), kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
                 at(p + i),
             "mmap");
        must(pread(swap_file, at(p + i), kPage, (off_t)i * kPage) == kPage, "pread");
        pages[p + i].protection = PROT_READ | PROT_WRITE;
    }
}
// Through the file, past the mappings of it.
static void write_file(void) {
    const int f = pick(kFilePages);
    static uint64_t words[kWords];
    file_stamp[f] = fresh_stamp();
    for (int i = 0; i < kWords; ++i) words[i] = word(file_stamp[f], i);
    must(pwrite(file, words, kPage, (off_t)f * kPage) == kPage, "pwrite");
}
static void fork_child(void) {
    // Shared pages are the file's for parent and child: the child leaves them alone.
    fflush(stdout);
    const pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        compare_all();
        for (int i = 0; i < 40; ++i) {
            const int p = pick(kPages);
            if (pages[p].kind != kShared) store(p);
        }
        compare_all();
        _exit(7);
    }
    for (int i = 0; i < 20; ++i) {  // copy on write on both sides at once
        const int p = pick(kPages);
        if (pages[p].kind != kShared) store(p);
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child, "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) FAIL("child's status %x", status);
    compare_all();
    ++forks;
}

static void random_step(void) {
    const int p = pick(kPages), most = kPages - p < kSwapPages ? kPages - p : kSwapPages,
              count = 1 + pick(most);
    switch (pick(32)) {
        case 0:
        case 1:
        case 2:
        case 3: map_some(p, count); break;
        case 4: unmap(p, count); break;
        case 5:
        case 6: protect(p, count); break;
        case 7:
        case 8: move(p, pick(kPages)); break;
        case 9: forget(p); break;
        case 10: swap(p, count); break;
        case 11: write_file(); break;
        case 12:
            if (pick(4) == 0) fork_child();
            break;
        case 13:
            if (pick(4) == 0) compare_all();
            break;
        default:
            for (int i = 0; i < 4; ++i) pick(2) ? store(pick(kPages)) : compare(pick(kPages));
            break;
    }
    ++steps;
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const double until = now() + atof(argv[1]);
    random_state = strtoull(argv[2], 0, 0) * 0x9e3779b97f4a7c15 + 1;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    char name[64];
    snprintf(name, sizeof name, "/tmp/mappings-file-%d", (int)getpid());
    mkdir("/tmp", 0777);
    must((file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && unlink(name) == 0, name);
    must((swap_file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && unlink(name) == 0, name);
    must(ftruncate(file, kFilePages * kPage) == 0, "ftruncate");
    window = mmap((void*)WINDOW_AT, kPages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(window != MAP_FAILED && (uintptr_t)window >= WINDOW_AT, "mmap");
    do
        for (int i = 0; i < 50; ++i) random_step();
    while (still_time(until));
    compare_all();
    printf("%llu steps, %llu pages compared, %llu faults, %llu forks\nok\n", (unsigned long long)steps,
           (unsigned long long)compared, (unsigned long long)faults, (unsigned long long)forks);
    return 0;
}
