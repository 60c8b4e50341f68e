// Allocation tags (FEAT_MTE) as Linux gives them to programs: PROT_MTE, prctl(), signals of both kinds of faults.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HWCAP2_TAGS (1ul << 18)
#define PROT_TAGS 0x20
#define TAGGED_ADDR 1ul
#define SYNCHRONOUS (1ul << 1)
#define ASYNCHRONOUS (1ul << 2)
#define ANY_TAG (0xfffeul << 3)
#define CODE_ASYNCHRONOUS 8
#define CODE_SYNCHRONOUS 9
#define BYTES (64 * 4096ul)

static sigjmp_buf back;
static volatile int code;
static void* volatile where;

static void handler(int signal, siginfo_t* info, void* context) {
    (void)signal;
    (void)context;
    code = info->si_code;
    where = info->si_addr;
    siglongjmp(back, 1);
}
static void must(int holds, const char* what) {
    if (holds) return;
    printf("WRONG: %s (code %d, address %p)\n", what, code, where);
    exit(1);
}
static void mode(unsigned long bits) {
    must(prctl(PR_SET_TAGGED_ADDR_CTRL, TAGGED_ADDR | bits | ANY_TAG, 0, 0, 0) == 0, "prctl");
}
static char* with_tag(char* p, unsigned tag) {
    return (char*)(((uintptr_t)p & ~(15ul << 56)) | (uintptr_t)tag << 56);
}
static void set_tag(char* p, unsigned long bytes) {
    for (char* at = p; at < p + bytes; at += 16) __asm__ volatile("stg %0, [%0]" ::"r"(at) : "memory");
}
/// The si_code of what an access ends with, or 0.
static int load(volatile char* p) {
    code = 0;
    if (sigsetjmp(back, 1) == 0) {
        (void)*p;
        getppid();
    }
    return code;
}
static int store(volatile char* p) {
    code = 0;
    if (sigsetjmp(back, 1) == 0) {
        *p = 1;
        getppid();
    }
    return code;
}
static unsigned long sum(const volatile unsigned long* p) {
    unsigned long total = 0;
    for (unsigned i = 0; i < BYTES / sizeof(*p); ++i) total += p[i];
    return total;
}

int main(void) {
    must((getauxval(AT_HWCAP2) & HWCAP2_TAGS) != 0, "HWCAP2_MTE");
    const struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    mode(SYNCHRONOUS);
    char* const base = mmap(0, BYTES, PROT_READ | PROT_WRITE | PROT_TAGS, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(base != MAP_FAILED, "mmap");
    char *const right = with_tag(base, 5), *const wrong = with_tag(base, 6);
    set_tag(right, BYTES);
    must(load(right + 100) == 0 && store(right + 100) == 0, "right tags");
    must(load(wrong + 100) == CODE_SYNCHRONOUS && where == base + 100, "synchronous load");
    must(store(wrong + 4097) == CODE_SYNCHRONOUS && where == base + 4097, "synchronous store");
    for (unsigned i = 0; i < 50; ++i) {
        memset(right, (int)i, BYTES);
        must(sum((unsigned long*)right) == i * 0x0101010101010101ul * (BYTES / 8), "a sum");
    }
    // The kernel's own accesses: EFAULT.
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    must(write(ends[1], right, 64) == 64 && read(ends[0], right, 64) == 64, "right tags in the kernel");
    must(write(ends[1], wrong, 64) < 0 &&
             (must(write(ends[1], right, 64) == 64, "write"), read(ends[0], wrong, 64)) < 0,
         "wrong tags in the kernel");
    mode(ASYNCHRONOUS);
    must(store(right) == 0, "right tags, asynchronous");
    must(store(wrong) == CODE_ASYNCHRONOUS && where == 0 && *right == 1, "asynchronous store");
    must(load(wrong) == CODE_ASYNCHRONOUS, "asynchronous load");
    mode(0);
    must(load(wrong) == 0, "no checks");
    mode(SYNCHRONOUS);
    // A copy on write has the tags, too.
    const pid_t child = fork();
    if (child == 0) {
        *right = 9;
        _exit(load(wrong) == CODE_SYNCHRONOUS && load(right) == 0 && load(right + BYTES - 1) == 0 ? 0 : 1);
    }
    int status = 1;
    must(waitpid(child, &status, 0) == child && status == 0, "a child");
    munmap(base, BYTES);
    char* const again =
        mmap(0, BYTES, PROT_READ | PROT_WRITE | PROT_TAGS, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(load(again) == 0 && load(with_tag(again, 5)) == CODE_SYNCHRONOUS, "tags of new pages are 0");
    // The heap of the C library with tags (glibc.mem.tagging), in a program of its own.
    char* const old = malloc(100);
    old[0] = 1;
    free(old);
    puts("ok");
    return 0;
}
