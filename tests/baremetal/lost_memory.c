// Accesses to memory that the host takes away: 16 pages behind which lost_memory.py has a file, and of which it leaves the
// first when this program says "truncate". Every kind of access then ends in an external abort, whether the translation
// was cached before or not, and nothing else does. A late abort (of a region of tier 2) is taken at a block's boundary,
// which is here a NOP.
#include "runtime/bm.h"

#define FILE_PA 0x47000000ul  // lost_memory.py has the number
#define PAGES(n) (FILE_PA + (n)*0x1000ul)
#define TEST_VA 0x3000000000ul

enum { KEPT, WARM, COLD, CODE, TABLE_3, TABLE_2, EL0_WARM, MORE, CODE_AFTER, PAIR, PAIR_2 };

#define LOST(text, address)                                                       \
    do {                                                                          \
        const u64 result_ = PROBE(text "\n b 2f\n 2: nop", address, 0x77);        \
        report(text, result_, bm_pc);                                             \
        if (bm_address != (address)) say("   base %x\n", bm_address - (address)); \
    } while (0)

static void accesses(const char* name, u64 va) {
    say("%s\n", name);
    LOST("ldr x2, [x3]", va);
    LOST("str x2, [x3]", va);
    LOST("ldrb w2, [x3, #3]", va);
    LOST("strh w2, [x3, #2]", va);
    LOST("ldrsw x2, [x3, #4]", va);
    LOST("ldp x2, x4, [x3, #16]", va);
    LOST("stp x2, x4, [x3, #16]", va);
    LOST("ldr x2, [x3], #8", va);
    LOST("stp x2, x2, [x3, #-16]!", va + 16);
    LOST("ldr q0, [x3]", va);
    LOST("str q0, [x3, #16]", va);
    LOST("ld1 {v0.16b, v1.16b}, [x3]", va);
    LOST("st4 {v0.b, v1.b, v2.b, v3.b}[3], [x3]", va);
    LOST("ldar x2, [x3]", va);
    LOST("stlr x2, [x3]", va);
    LOST("ldxr x2, [x3]", va);
    LOST("ldaxp x2, x4, [x3]", va);
    LOST("ldtr x2, [x3]", va + 0x10);
    LOST("dc zva, x3", va + 24);
    LOST("cas x2, x4, [x3]", va);
    LOST("casp x4, x5, x6, x7, [x3]", va);
    LOST("ldadd x4, x2, [x3]", va);
    LOST("swpal w4, w2, [x3]", va);
    // Several accesses with one check; then into the page from the one before it, and out of it.
    LOST("ldr x4, [x3, #8]\n ldr x5, [x3, #16]\n ldr x2, [x3, #24]", va);
    LOST("ldr x2, [x3, #-4]", va);
    LOST("str x2, [x3, #-4]", va);
    LOST("ldur x2, [x3, #252]", va + 0xf00);
}

/// Of two pages in each turn of a loop, whose first instruction may be left out.
static u64 sum_of_two(u64 a, u64 b, u64 turns) {
    u64 sum = 0, x = 0, y = 0;
    __asm__ volatile(
        "1: nop\n ldr %1, [%3], #8\n ldr %2, [%4], #8\n add %0, %0, %1\n add %0, %0, %2\n subs %5, %5, #1\n "
        "b.ne 1b\n b 2f\n 2: nop"
        : "+r"(sum), "+r"(x), "+r"(y), "+r"(a), "+r"(b), "+r"(turns)::"memory", "cc");
    return sum;
}

static u64 el0_read(u64 address, u64 times) {
    u64 sum = 0;
    for (u64 i = 0; i < times; ++i) {
        u64 value = 0;
        __asm__ volatile("ldr %0, [%1]\n b 2f\n 2: nop" : "+r"(value) : "r"(address + i * 8) : "memory");
        sum += value;
    }
    return sum;
}
/// An SError interrupt is taken anywhere: no instruction is to be left out.
static int on_serror(struct frame* f) {
    if ((f->vector & 0x180) != 0x180) return 0;
    struct cpu* cpu = this_cpu();
    ++cpu->count;
    cpu->last_vector = f->vector;
    cpu->esr = f->esr;
    cpu->elr = f->elr;
    return 1;
}
static u64 sum_up(u64 address, u64 words) {
    u64 sum = 0;
    for (u64 i = 0; i < words; ++i) sum += ((volatile u64*)address)[i];
    return sum;
}

static u64 semihosting_call(u64 operation, u64 parameter) {
    expect();
    register u64 x0 __asm__("x0") = operation;
    register u64 x1 __asm__("x1") = parameter;
    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}
/// What the host reads and writes for a semihosting call: an error of the call, and no abort.
static void semihosting(u64 va) {
    static const char name[] = ":semihosting-features";
    enum { OPEN = 1, READ = 6, IS_ERROR = 8, ERRNO = 0x13, ELAPSED = 0x30 };
    report("SYS_ELAPSED", semihosting_call(ELAPSED, va + 0x20), 0);
    report("SYS_ISERROR", semihosting_call(IS_ERROR, va + 0x20), 0);
    const u64 open_words[] = {(u64)name, 0, sizeof name - 1};
    const u64 read_words[] = {semihosting_call(OPEN, (u64)open_words), va + 0x40, 5};
    report("SYS_READ", semihosting_call(READ, (u64)read_words), 0);
    report("SYS_ERRNO", semihosting_call(ERRNO, 0), 0);
}

static void fetch(const char* name, u64 address) {
    expect();
    const u64 value = bm_jump(address, 5);
    report(name, value, 0);
    if (this_cpu()->count != 0) say("   elr %x\n", this_cpu()->elr);
}

void test_main(void) {
    static const u32 add_one[] = {0x91000400, 0xd65f03c0};  // add x0, x0, #1; ret
    volatile u64* const kept = (volatile u64*)PAGES(KEPT);
    const u64 page = new_page();
    // A table of level 2 and one of level 3, with one translation; the latter by another table of level 2, too.
    *entry_in((u64*)PAGES(TABLE_2), 2, TEST_VA, 2) = PAGES(TABLE_3) | VALID | TABLE;
    *entry_in((u64*)PAGES(TABLE_3), 3, TEST_VA, 3) = page | KERNEL_CODE | PAGE;
    *entry(TEST_VA, 1) = PAGES(TABLE_2) | VALID | TABLE;
    *entry(TEST_VA + 0x40000000, 2) = PAGES(TABLE_3) | VALID | TABLE;
    map(0x2200000000, PAGES(EL0_WARM), 3, USER_DATA);
    tlbi(vmalle1);
    write_code(page, add_one, 2);
    write_code(PAGES(CODE), add_one, 2);
    write_code(PAGES(CODE_AFTER), add_one, 2);
    fetch("code", PAGES(CODE));
    fetch("through the tables", TEST_VA);
    fetch("through one table", TEST_VA + 0x40000000);
    accesses("there", PAGES(WARM));
    for (unsigned i = 0; i < 20; ++i) sum_of_two(PAGES(PAIR), PAGES(PAIR_2), 512);  // until every tier has it
    report("EL0", at_el0(el0_read, 0x2200000000, 3), 0);
    report("a loop", sum_up(PAGES(WARM), 512) != 0, 0);
    semihosting(PAGES(WARM));

    this_cpu()->hook = on_serror;
    say("truncate\n");
    while (kept[0] == 0) {
    }
    say("gone\n");
    // First of all: where an abort is late, it is so once.
    expect();
    sum_of_two(PAGES(PAIR), PAGES(PAIR_2), 4);
    report("two pages", 0, 0);
    LOST("ldr x2, [x3]", PAGES(PAIR_2));
    LOST("ldr x2, [x3]", PAGES(PAIR));
    accesses("cached translation", PAGES(WARM));
    accesses("no translation", PAGES(COLD));
    expect();
    const u64 sum = at_el0(el0_read, 0x2200000000, 1);
    report("EL0", this_cpu()->count != 0 ? 0 : sum, 0);
    semihosting(PAGES(WARM));
    semihosting(PAGES(MORE));
    fetch("fetch", PAGES(CODE_AFTER));
    tlbi(vmalle1);
    __asm__ volatile("ic iallu\n dsb ish\n isb" ::: "memory");
    fetch("fetch of what was executed", PAGES(CODE));
    accesses("table of level 2", TEST_VA);
    fetch("fetch, table of level 2", TEST_VA);
    accesses("table of level 3", TEST_VA + 0x40000000);
    fetch("fetch, table of level 3", TEST_VA + 0x40000000);
    // All else is there.
    judge("what is left", kept[0], 1);
    kept[1] = 7;
    judge("a store to it", kept[1], 7);
    // Until the host has asked a machine that runs for a copy.
    enum { READC = 7 };
    report("SYS_READC", semihosting_call(READC, 0), 0);
    say("done\n");
}
