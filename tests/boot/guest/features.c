// What a program may do with the CPU's features once the kernel lets it: signed return addresses, guarded pages, random numbers.
// Compiled for Armv8.5-A with -mbranch-protection=standard.
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "check.h"

#ifndef HWCAP2_RNG
#define HWCAP2_RNG (1 << 16)
#endif
#ifndef HWCAP2_BTI
#define HWCAP2_BTI (1 << 17)
#endif
#define PROT_GUARDED 0x10

/// How a child ends: the signal, or 0.
static int signal_of(void (*child)(void)) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        child();
        _exit(0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) FAIL("waitpid");
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// ---- Return addresses

static uint64_t flipped;

/// The frame record is at the frame pointer: x29, x30.
__attribute__((noinline, optimize("no-omit-frame-pointer"))) static uint64_t returns(unsigned depth) {
    uint64_t* frame = __builtin_frame_address(0);
    __asm__ volatile("" ::: "x30", "memory");
    const uint64_t saved = frame[1];
    frame[1] ^= flipped;
    __asm__ volatile("" ::: "memory");
    return depth == 0 ? saved : returns(depth - 1) ^ saved;
}

static void many_returns(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < 20000; ++i) sum += returns(i % 20);
    if (sum == 0) FAIL("no return address");
}
static void address_changed(void) {
    flipped = 4;
    returns(0);
}
static void code_changed(void) {
    flipped = (uint64_t)1 << 49;
    returns(0);
}

static uint64_t sign(uint64_t pointer, uint64_t modifier) {
    __asm__("pacda %0, %1" : "+r"(pointer) : "r"(modifier));
    return pointer;
}
static uint64_t authenticate(uint64_t pointer, uint64_t modifier) {
    __asm__ volatile("autda %0, %1" : "+r"(pointer) : "r"(modifier));
    return pointer;
}
static uint64_t generic_code(uint64_t value, uint64_t modifier) {
    uint64_t code;
    __asm__("pacga %0, %1, %2" : "=r"(code) : "r"(value), "r"(modifier));
    return code;
}
// A code has 7 bits or more: one in 128 that is right by chance.
static uint64_t pointer_with_code, modifier = 5, other = 6;
static void another_modifier(void) { authenticate(pointer_with_code, other); }
static void keys_of_another_process(void) {
    for (int i = 0; i < 8; ++i) {
        if (prctl(PR_PAC_RESET_KEYS, 0, 0, 0, 0) != 0) FAIL("PR_PAC_RESET_KEYS");
        authenticate(pointer_with_code, modifier);
    }
}

static void pointers(void) {
    const uint64_t pointer = (uint64_t)&flipped;
    while ((pointer_with_code = sign(pointer, modifier)) == pointer)
        if (++modifier == 50) FAIL("pacda does nothing");
    for (other = modifier + 1; sign(pointer, other) == pointer_with_code;) ++other;
    if (authenticate(pointer_with_code, modifier) != pointer) FAIL("autda");
    const uint64_t code = generic_code(1, 2);
    if ((code & 0xffffffff) != 0 || code == 0 || code == generic_code(1, 3)) FAIL("pacga");
    // Codes are of 15 bits: one in 32768 is right by chance, and so the program's third attempt is never needed.
    for (unsigned i = 0; signal_of(another_modifier) != SIGILL; ++i)
        if (i == 3) FAIL("a wrong modifier");
    for (unsigned i = 0; signal_of(keys_of_another_process) != SIGILL; ++i)
        if (i == 3) FAIL("new keys");
}

// ---- Guarded pages

static uint32_t* page;
static void (*target)(void);

// No tail call, which is a jump that BTI j accepts.
static void call(void) {
    target();
    __asm__ volatile("" ::: "memory");
}
static void jump(void) { __asm__ volatile("adr x30, 1f\n br %0\n1:" ::"r"(target) : "x30", "memory"); }

static void guarded_pages(void) {
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) FAIL("mmap");
    const uint32_t code[] = {0xd503201f, 0xd65f03c0, 0xd503245f,
                             0xd65f03c0, 0xd503249f, 0xd65f03c0};  // nop, bti c, bti j
    memcpy(page, code, sizeof code);
    __builtin___clear_cache((char*)page, (char*)page + sizeof code);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC | PROT_GUARDED) != 0) FAIL("PROT_BTI");
    enum { Nop = 0, BtiC = 2, BtiJ = 4 };
    const struct {
        unsigned where;
        void (*how)(void);
        int signal;
    } rows[] = {{BtiC, call, 0},     {BtiC, jump, 0},     {BtiJ, call, SIGILL}, {BtiJ, jump, 0},
                {Nop, call, SIGILL}, {Nop, jump, SIGILL}, {BtiC, call, 0}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i) {
        target = (void (*)(void))(page + rows[i].where);
        const int got = signal_of(rows[i].how);
        if (got != rows[i].signal) FAIL("row %u: signal %d, not %d", i, got, rows[i].signal);
    }
    // In this process, for whom the page is guarded no more afterwards.
    target = (void (*)(void))(page + BtiC);
    for (unsigned i = 0; i < 10000; ++i) call(), jump();
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) FAIL("mprotect");
    target = (void (*)(void))page;
    for (unsigned i = 0; i < 10000; ++i) call(), jump();
}

// ---- The rest

static void random_numbers(void) {
    uint64_t last = 0;
    for (unsigned i = 0; i < 1000; ++i) {
        uint64_t value, flags;
        __asm__ volatile("msr nzcv, %2\n mrs %0, S3_3_C2_C4_0\n mrs %1, nzcv"
                         : "=&r"(value), "=&r"(flags)
                         : "r"((uint64_t)15 << 28)
                         : "cc");
        if (flags != 0) FAIL("rndr: no number");
        if (value == last) FAIL("rndr: the same number twice");
        last = value;
    }
    printf("rndr %lx\n", (unsigned long)last);
}

int main(void) {
    if ((getauxval(AT_HWCAP) & HWCAP_PACA) == 0 || (getauxval(AT_HWCAP2) & HWCAP2_RNG) == 0)
        FAIL("HWCAPs %lx %lx", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    many_returns();
    const int changed = signal_of(address_changed), code = signal_of(code_changed);
    if (changed != SIGILL || code != SIGILL) FAIL("a changed return address: signals %d, %d", changed, code);
    pointers();
    if ((getauxval(AT_HWCAP2) & HWCAP2_BTI) != 0) guarded_pages();
    random_numbers();
    puts("ok");
    return 0;
}
