// The categories of SimBench (Wagstaff, Bodin, Spink, Franke: ISPASS 2017) as one bare-metal program: code
// generation, control flow, exceptions, input and output, memory. Prints the markers of the comparison, so
// that ./bench/sweep
// --simbench times it like any other program. The answer of each is how often its event happened.
#include "runtime/gic.h"

#define RET 0xd65f03c0u
#define MOVZ_X0 0xd2800000u     // with the immediate in bits 20:5
#define ADD_X0_1 0x91000400u    // add x0, x0, #1
#define PATTERN 0x7000000000ul  // where pages of 4 KiB are mapped
#define PAGES 2048ul
#define NOWHERE 0x6000000000ul

static u64 events;

static void begin(const char* name) {
    events = 0;
    say("@@START %s\n", name);
}
static void finish(const char* name) {
    say("@@END %s\n", name);
    say("@@RESULT %s 0 %d\n", name, events);
}
#define RUN(name, times, ...)               \
    do {                                    \
        begin(name);                        \
        for (u64 i = 0; i < (times); i++) { \
            __VA_ARGS__;                    \
        }                                   \
        finish(name);                       \
    } while (0)

// ---- Code generation: functions are written, called once, and written again.

static u64 code_page;

static u64 call(u64 address) {
    u64 (*function)(void) = (u64(*)(void))address;
    return function();
}

static void small_blocks(u64 i) {
    for (u64 n = 0; n < 16; n++) {
        const u32 words[] = {MOVZ_X0 | (u32)((i + n) & 0xffff) << 5, RET};
        write_code(code_page + 64 * n, words, 2);
    }
    for (u64 n = 0; n < 16; n++) events += call(code_page + 64 * n) == ((i + n) & 0xffff);
}

static void large_blocks(u64 i) {
    u32 words[512];
    words[0] = MOVZ_X0 | (u32)(i & 0xffff) << 5;
    for (unsigned n = 1; n < 511; n++) words[n] = ADD_X0_1;
    words[511] = RET;
    write_code(code_page, words, 512);
    events += call(code_page) == (i & 0xffff) + 510;
}

// ---- Control flow: chains of 64 branches, within a page and from page to page.

#define CHAIN 64
static u64 chain_intra_direct, chain_intra_indirect, chain_inter_direct, chain_inter_indirect;

/// Each link counts in x0 and goes to the next, `stride` bytes further; the last returns.
static u64 make_chain(u64 stride, int indirect) {
    const u64 start = new_block();
    for (u64 n = 0; n < CHAIN; n++) {
        const u64 at = start + n * stride;
        u32 words[8];
        unsigned w = 0;
        words[w++] = ADD_X0_1;
        if (n + 1 == CHAIN) {
            words[w++] = RET;
        } else if (indirect) {
            words[w++] = 0x10000009u | (u32)(stride - 4) >> 2 << 5;  // adr x9, next link
            if (stride > 0x1000 - 4) words[w - 1] = 0x8b020129u;  // add x9, x9, x2 (x9, x2 from the caller)
            words[w++] = 0xd61f0120u;                             // br x9
        } else {
            words[w++] = 0x14000000u | (u32)((stride - 4) >> 2);  // b next link
        }
        write_code(at, words, w);
    }
    return start;
}

static u64 run_chain(u64 start, u64 stride) {
    register u64 x0 __asm__("x0") = 0;
    register u64 x2 __asm__("x2") = stride;
    register u64 x9 __asm__("x9") = start;
    __asm__ volatile("blr %3" : "+r"(x0), "+r"(x2), "+r"(x9) : "r"(start) : "x30", "memory", "cc");
    return x0;
}

// ---- Exceptions

static int on_exception(struct frame* f) {
    const u64 class = f->esr >> 26;
    ++events;
    if (class == 0x21)  // an instruction abort at EL1: back to the caller
        f->elr = f->x[30];
    else if (class != 0x15)  // a system call returns behind itself anyway
        f->elr += 4;
    return 1;
}

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    ++events;
    gic_end(iar);
}

static void software_interrupt(void) {
    const u64 before = events;
    gic_sgi(1, 0);
    __asm__ volatile("msr daifclr, #2\n isb" ::: "memory");
    while (*(volatile u64*)&events == before) {
    }
    __asm__ volatile("msr daifset, #2" ::: "memory");
}

// ---- Memory

static u64 touch(u64 base, u64 pages) {
    u64 sum = 0;
    for (u64 p = 0; p < pages; p++) sum += *(volatile u64*)(base + p * 4096 + (p & 63) * 8);
    return sum;
}

static void hot(void) {
    volatile u64* const page = (volatile u64*)PATTERN;
    for (unsigned n = 0; n < 512; n++) page[n] = page[n] + 1;
    events += 512;
}

static void unprivileged(void) {
    u64 value;
    for (unsigned n = 0; n < 64; n++)
        __asm__ volatile("ldtr %0, [%1]" : "=r"(value) : "r"(0x2100000000 + 8 * n) : "memory");
    events += 64;
}

static void evict(u64 i) {
    const u64 va = PATTERN + i % PAGES * 4096;
    tlbi_arg(vaae1, va >> 12);
    *(volatile u64*)va;
    ++events;
}

static void flush(void) {
    tlbi(vmalle1);
    touch(PATTERN, 16);
    ++events;
}

void test_main(void) {
    this_cpu()->hook = on_exception;
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    gic_enable(1, 1);
    code_page = new_block();
    const u64 memory = new_block();
    for (u64 p = 0; p < PAGES; p++) map(PATTERN + p * 4096, memory + (p & 511) * 4096, 3, KERNEL_DATA);
    tlbi(vmalle1);
    chain_intra_direct = make_chain(16, 0);
    chain_intra_indirect = make_chain(16, 1);
    chain_inter_direct = make_chain(4096 + 16, 0);
    chain_inter_indirect = make_chain(4096 + 16, 1);

    RUN("small-blocks", 9000, small_blocks(i));
    RUN("large-blocks", 3600, large_blocks(i));
    RUN("intra-direct", 20000000, events += run_chain(chain_intra_direct, 16));
    RUN("intra-indirect", 1800000, events += run_chain(chain_intra_indirect, 16));
    RUN("inter-direct", 1500000, events += run_chain(chain_inter_direct, 4096 + 16));
    RUN("inter-indirect", 1800000, events += run_chain(chain_inter_indirect, 4096 + 16));
    RUN("data-fault", 600000, *(volatile u64*)NOWHERE);
    RUN("fetch-fault", 600000, call(NOWHERE));
    RUN("undefined", 1000000, __asm__ volatile(".inst 0" ::: "memory"));
    RUN("system-call", 800000, __asm__ volatile("svc #1" ::: "memory"));
    RUN("interrupt", 480000, software_interrupt());
    RUN("device", 14000000, events += (read32(0x09000018) & 0x20) == 0);
    RUN("system-register", 15000000, write_sysreg(contextidr_el1, i);
        events += read_sysreg(contextidr_el1) == i);
    RUN("hot-memory", 480000, hot());
    RUN("cold-memory", 2000, touch(PATTERN, PAGES); tlbi(vmalle1); events += PAGES);
    RUN("unprivileged", 3600000, unprivileged());
    RUN("tlb-evict", 2500000, evict(i));
    RUN("tlb-flush", 120000, flush());
    say("@@DONE\n");
}
