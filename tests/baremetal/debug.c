// Breakpoint and watchpoint exceptions: where they match, at which EL, linked to a context, and what they
// report.
#include "runtime/bm.h"

enum { EL1 = 1, EL0_ONLY = 2, BOTH = 3 };
enum { LOADS = 1, STORES = 2 };
#define MDE (1ul << 15)
#define KDE (1ul << 13)
#define ALL_BYTES 0xfful

// Adds 15 in four steps, one that a breakpoint stopped before is left out; in a page of its own, and called
// from another.
__asm__(
    ".text\n"
    ".balign 4096\n"
    "target: add x0, x0, #1\n"
    "  add x0, x0, #2\n"
    "  add x0, x0, #4\n"
    "  add x0, x0, #8\n"
    "  ret\n"
    ".balign 4096\n"
    "twice: mov x9, x30\n"
    "  bl target\n"
    "  bl target\n"
    "  mov x30, x9\n"
    "  ret\n"
    ".balign 4096\n");
extern u8 target[], twice[];

static void bcr(unsigned n, u64 value, u64 control) {
    switch (n) {
#define ONE(i)                                  \
    case i:                                     \
        write_sysreg(dbgbvr##i##_el1, value);   \
        write_sysreg(dbgbcr##i##_el1, control); \
        break;
        ONE(0) ONE(1) ONE(2) ONE(3) ONE(4) ONE(5)
#undef ONE
    }
    isb();
}
static void wcr(unsigned n, u64 value, u64 control) {
    switch (n) {
#define ONE(i)                                  \
    case i:                                     \
        write_sysreg(dbgwvr##i##_el1, value);   \
        write_sysreg(dbgwcr##i##_el1, control); \
        break;
        ONE(0) ONE(1) ONE(2) ONE(3)
#undef ONE
    }
    isb();
}
static void clear(void) {
    for (unsigned i = 0; i < 6; ++i) bcr(i, 0, 0);
    for (unsigned i = 0; i < 4; ++i) wcr(i, 0, 0);
}
static u64 breakpoint(unsigned el) { return 1 | el << 1 | 0xf << 5; }
static u64 watchpoint(unsigned el, unsigned which, u64 bytes) {
    return 1 | el << 1 | which << 3 | bytes << 5;
}
static void mdscr(u64 value) {
    write_sysreg(mdscr_el1, value);
    isb();
}

// ---- Breakpoints

static void call(const char* name, unsigned el, const u8* code) {
    struct cpu* cpu = this_cpu();
    expect();
    const u64 alias = el == 0 ? USER_ALIAS : 0;
    const u64 r =
        bm_lower((u64)code + alias, 0, 0, el == 0 ? 0x3c0 : 0x1c5, el == 0 ? 0x2100001000 : 0x41800000);
    say("  %s: %d", name, r);
    if (cpu->count)
        say(" [%d times, vector %x esr %x pc+%x]", cpu->count, cpu->last_vector, cpu->esr,
            cpu->elr - alias - (u64)target);
    say("\n");
}

static void call_quietly(u64 code) {
    expect();
    bm_lower(code, 0, 0, 0x3c0, 0x2100001000);
}

static u64 stops;  // where, and plus one each time
static int stop_at_once(struct frame* f) {
    if (f->esr != 0xc2000022) return 0;
    stops = (stops ? stops : f->elr) + 1;
    bcr(4, 0, 0);
    return 1;
}

static void breakpoints(void) {
    say("breakpoints\n");
    const u64 kernel = (u64)target, user = kernel + USER_ALIAS;
    mdscr(MDE | KDE);
    for (unsigned i = 0; i < 3; ++i) call("none", 0, twice), call("none", 1, twice);
    for (unsigned el = 1; el < 4; ++el) {
        say(" PMC %d\n", (u64)el);
        for (unsigned n = 0; n < 6; n += 5) {
            bcr(n, kernel + 4, breakpoint(el));
            call("at EL1", 1, twice);
            bcr(n, user + 4, breakpoint(el));
            call("at EL0", 0, twice);
            bcr(n, user + 4, breakpoint(el) & ~1ul);
            call("disabled", 0, twice);
        }
    }
    say(" where\n");
    for (unsigned i = 0; i < 4; ++i) {
        bcr(0, user + 4 * i, breakpoint(EL0_ONLY));
        call("each in turn", 0, twice);
    }
    bcr(1, user, breakpoint(BOTH));
    bcr(2, user + 12, breakpoint(EL0_ONLY));
    call("three", 0, twice);
    call("three", 0, target);
    clear();
    call("cleared", 0, twice);
    bcr(0, user + 4, breakpoint(EL0_ONLY));
    say(" enables\n");
    mdscr(KDE);
    call("no MDE", 0, target);
    mdscr(MDE);
    call("MDE", 0, target);
    bcr(0, kernel + 4, breakpoint(BOTH));
    call("no KDE", 1, target);
    mdscr(MDE | KDE);
    call("KDE", 1, target);
    expect();
    say("  masked: %d", bm_lower(kernel, 0, 0, 0x3c5, 0x41800000));
    say(" [%d]\n", this_cpu()->count);
    bcr(0, user + 4, breakpoint(EL0_ONLY));
    write_sysreg(oslar_el1, 1);
    isb();
    call_quietly(user);
    judge("OS lock", this_cpu()->count, 0);  // QEMU 7.2 looks at another bit
    write_sysreg(oslar_el1, 0);
    isb();
    call("unlocked", 0, target);

    say(" linked\n");
    write_sysreg(contextidr_el1, 0x1234);
    bcr(0, user + 4, breakpoint(EL0_ONLY) | 1 << 20 | 5 << 16);
    call("nothing there", 0, target);
    bcr(5, 0x1234, breakpoint(BOTH) | 3 << 20);
    call("this context", 0, target);
    write_sysreg(contextidr_el1, 0x1235);
    isb();
    call("another", 0, target);
    bcr(5, 0x1235, breakpoint(BOTH) | 3 << 20);
    call("this again", 0, target);
    bcr(0, user + 4, breakpoint(EL0_ONLY) | 1 << 20 | 4 << 16);
    call("the wrong one", 0, target);
    bcr(5, 0, 0);
    bcr(4, 0x1235, breakpoint(BOTH) | 2 << 20);
    // QEMU 7.2 has no context breakpoints but linked ones.
    this_cpu()->hook = stop_at_once;
    stops = 0;
    call_quietly(user);
    judge("context breakpoint", stops, user + 1);
    bcr(4, 0x1235, breakpoint(BOTH) | 2 << 20);
    write_sysreg(contextidr_el1, 0);
    isb();
    stops = 0;
    call_quietly(user);
    judge("in another context", stops, 0);
    this_cpu()->hook = 0;
    clear();

    // A breakpoint on code that was just written, and code written under it.
    say(" new code\n");
    const u64 page = new_page();
    static const u32 code[] = {0x91000400, 0x91000800, 0xd65f03c0}, other[] = {0x91004000};
    write_code(page, code, 3);
    bcr(3, page + 4, breakpoint(EL1));
    expect();
    say("  %d", bm_lower(page, 0, 0, 0x1c5, 0x41800000));
    write_code(page, other, 1);
    say(" %d", bm_lower(page, 0, 0, 0x1c5, 0x41800000));
    bcr(3, page, breakpoint(EL1));
    say(" %d", bm_lower(page, 0, 0, 0x1c5, 0x41800000));
    clear();
    say(" %d [%d]\n", bm_lower(page, 0, 0, 0x1c5, 0x41800000), this_cpu()->count);
}

// ---- Watchpoints

#define DATA 0x2300001000ul  // in the middle of three pages
#define ACCESS(name, text)                                                                         \
    static u64 access_##name(u64 a, u64 b) {                                                       \
        register u64 x2 __asm__("x2") = a;                                                         \
        register u64 x3 __asm__("x3") = b;                                                         \
        __asm__ volatile(text : "+r"(x2), "+r"(x3)::"memory", "x4", "x5", "x6", "x7", "x8", "cc"); \
        return x2;                                                                                 \
    }
// clang-format off
#define ACCESSES(X)                              \
    X(ldrb, "ldrb w2, [x3]")                     \
    X(ldrh, "ldrh w2, [x3]")                     \
    X(ldr_w, "ldr w2, [x3]")                     \
    X(ldr_x, "ldr x2, [x3]")                     \
    X(strb, "strb w2, [x3]")                     \
    X(strh, "strh w2, [x3]")                     \
    X(str_w, "str w2, [x3]")                     \
    X(str_x, "str x2, [x3]")                     \
    X(ldp, "ldp x2, x4, [x3]")                   \
    X(stp, "stp x2, x2, [x3]")                   \
    X(ldr_q, "ldr q0, [x3]")                     \
    X(str_q, "str q0, [x3]")                     \
    X(ldp_q, "ldp q0, q1, [x3]")                 \
    X(stp_q, "stp q0, q1, [x3]")                 \
    X(ldtr, "ldtr x2, [x3]")                     \
    X(sttr, "sttr x2, [x3]")                     \
    X(post, "ldr x2, [x3], #8\n sub x2, x3, x2")
#define ATOMICS(X)                   \
    X(ldar, "ldar x2, [x3]")         \
    X(stlr, "stlr x2, [x3]")         \
    X(ldxr, "ldxr x2, [x3]\n clrex")
// clang-format on
ACCESSES(ACCESS)
ATOMICS(ACCESS)
ACCESS(stxr, "ldxr x4, [x3]\n stxr w2, x4, [x3]")
ACCESS(ldadd, "ldadd x2, x2, [x3]")
ACCESS(cas, "cas x2, x2, [x3]")
ACCESS(casp, "mov x4, #0\n mov x5, #0\n mov x6, #0\n mov x7, #0\n casp x4, x5, x6, x7, [x3]\n mov x2, x4")
ACCESS(zva, "dc zva, x3")
ACCESS(ld1, "ld1 {v0.16b-v3.16b}, [x3]")
ACCESS(st4, "st4 {v0.4h-v3.4h}, [x3]")
ACCESS(prfm, "prfm pldl1keep, [x3]")

static u64 run(unsigned el, u64 (*f)(u64, u64), u64 address) {
    const u64 alias = el == 0 ? USER_ALIAS : 0;
    expect();
    return bm_lower((u64)f + alias, 0x77, address, el == 0 ? 0x3c0 : 0x1c5,
                    el == 0 ? 0x2100001000 : 0x41800000);
}
static void touch(const char* name, unsigned el, u64 (*f)(u64, u64), u64 address) {
    *(volatile u64*)(DATA + 0x100) = 0;
    run(el, f, address);
    struct cpu* cpu = this_cpu();
    say("  %s at +%x, EL%d: ", name, address - DATA, (u64)el);
    if (cpu->count == 0)
        say("none\n");
    else
        say("%d times, vector %x esr %x far +%x\n", cpu->count, cpu->last_vector, cpu->esr, cpu->far - DATA);
}
static void all(u64 address) {
#define TOUCH(name, text) touch(#name, 0, access_##name, address);
    ACCESSES(TOUCH)
    if ((address & 7) == 0) {
        ATOMICS(TOUCH)
    }
#undef TOUCH
}
static void expect_watch(const char* name, unsigned el, u64 (*f)(u64, u64), u64 address, u64 write, u64 far) {
    run(el, f, address);
    struct cpu* cpu = this_cpu();
    const u64 esr = (el == 0 ? 0xd2000022 : 0xd6000022) | write << 6;
    judge(name, cpu->count == 1 ? cpu->esr ^ (cpu->far - DATA) << 32 : cpu->count, esr ^ (far - DATA) << 32);
}

// A store of a word; QEMU 7.2 finds that it hits what is near it.
static void expect_misaligned(u64 a, u64 watched, u64 select) {
    const u64 first = watched + __builtin_ctzl(select), last = watched + 63 - __builtin_clzl(select);
    if (a <= last && a + 3 >= first) {
        expect_watch("str_w", 0, access_str_w, a, 1, a > first ? a : first);
    } else {
        run(0, access_str_w, a);
        judge("str_w", this_cpu()->count, 0);
    }
}

static void watchpoints(void) {
    say("watchpoints\n");
    for (unsigned i = 0; i < 3; ++i) map(DATA + 0x1000 * i - 0x1000, new_page(), 3, USER_DATA);
    tlbi(vmalle1);
    mdscr(MDE | KDE);
    const u64 at = DATA + 0x100;
    for (unsigned which = 1; which < 4; ++which) {
        say(" kind %d\n", (u64)which);
        wcr(0, at, watchpoint(BOTH, which, ALL_BYTES));
        all(at);
        all(at + 8);
        all(at - 8);
    }
    say(" bytes\n");
    static const u8 selections[] = {0x01, 0x02, 0x80, 0x0f, 0xf0, 0x3c, 0x06};
    for (unsigned i = 0; i < sizeof selections; ++i) {
        say(" %x\n", (u64)selections[i]);
        wcr(0, at, watchpoint(EL0_ONLY, 3, selections[i]));
        for (u64 a = at - 3; a < at + 9; ++a) {
            touch("ldrb", 0, access_ldrb, a);
            if ((a & 3) == 0)
                touch("str_w", 0, access_str_w, a);
            else
                expect_misaligned(a, at, selections[i]);
        }
    }
    say(" an upper word\n");
    wcr(0, at + 4, watchpoint(EL0_ONLY, 3, 0xf));
    for (u64 a = at; a < at + 12; a += 2) touch("ldrh", 0, access_ldrh, a);
    wcr(0, at + 4, watchpoint(EL0_ONLY, 3, 0x2));
    for (u64 a = at; a < at + 12; a += 1) touch("ldrb", 0, access_ldrb, a);
    say(" masks\n");
    for (unsigned mask = 3; mask < 20; mask += 3) {
        const u64 size = 1ul << mask, start = at & ~(size - 1);
        wcr(1, start, watchpoint(EL0_ONLY, 3, ALL_BYTES) | (u64)mask << 24);
        say(" %d\n", (u64)mask);
        if (start > DATA - 0x1000)
            touch("below", 0, access_ldrb, start - 1), touch("into", 0, access_str_x, start - 4);
        touch("first", 0, access_ldrb, start < DATA - 0x1000 ? DATA - 0x1000 : start);
        if (start + size < DATA + 0x2000)
            touch("last", 0, access_ldrb, start + size - 1), touch("above", 0, access_ldrb, start + size);
    }
    clear();
    say(" across pages\n");
    // Here QEMU 7.2 takes a load for a store.
    for (unsigned i = 0; i < 2; ++i) {
        const u64 watched = i ? DATA - 1 : DATA;
        wcr(2, watched & ~7ul, watchpoint(BOTH, 3, 1 << (watched & 7)));
        for (unsigned el = 0; el < 2; ++el) {
            expect_watch("ldr", el, access_ldr_x, DATA - 4, 0, watched);
            expect_watch("str", el, access_str_x, DATA - 4, 1, watched);
            expect_watch("ldp", el, access_ldp, DATA - 4, 0, watched);
            expect_watch("stp q", el, access_stp_q, DATA - 20, 1, watched);
        }
        run(0, access_ldr_w, i ? DATA : DATA - 4);
        judge("beside it", this_cpu()->count, 0);
    }
    say(" privileges\n");
    for (unsigned el = 1; el < 4; ++el) {
        wcr(2, at, watchpoint(el, 3, ALL_BYTES));
        for (unsigned from = 0; from < 2; ++from) {
            touch("ldr", from, access_ldr_x, at);
            touch("sttr", from, access_sttr, at);
        }
    }
    wcr(2, at, watchpoint(BOTH, 3, ALL_BYTES));
    mdscr(MDE);
    touch("no KDE", 1, access_ldr_x, at);
    touch("no KDE", 0, access_ldr_x, at);
    mdscr(KDE);
    touch("no MDE", 0, access_ldr_x, at);
    mdscr(MDE | KDE);
    touch("MDE", 0, access_ldr_x, at);
    touch("prefetch", 0, access_prfm, at);
    say(" linked\n");
    wcr(2, at, watchpoint(BOTH, 3, ALL_BYTES) | 1 << 20 | 5 << 16);
    touch("nothing there", 0, access_ldr_x, at);
    write_sysreg(contextidr_el1, 77);
    bcr(5, 77, breakpoint(BOTH) | 3 << 20);
    touch("this context", 0, access_ldr_x, at);
    write_sysreg(contextidr_el1, 78);
    isb();
    touch("another", 0, access_ldr_x, at);
    write_sysreg(contextidr_el1, 0);
    bcr(5, 0, 0);
    say(" faults come first\n");
    wcr(2, 0x2300009000, watchpoint(BOTH, 3, ALL_BYTES));
    touch("unmapped", 0, access_ldr_x, 0x2300009000);
    wcr(2, at, watchpoint(BOTH, 3, ALL_BYTES));
    touch("misaligned", 0, access_ldar, at - 4);
    // What QEMU 7.2 sees as several accesses, or as another kind of access.
    say(" atomics\n");
    expect_watch("ldadd", 0, access_ldadd, at, 0, at);
    expect_watch("cas", 0, access_cas, at, 0, at);
    expect_watch("casp", 0, access_casp, at, 0, at);
    wcr(2, at, watchpoint(BOTH, STORES, ALL_BYTES));
    expect_watch("ldadd, stores", 0, access_ldadd, at, 1, at);
    expect_watch("casp, stores", 0, access_casp, at, 1, at);
    expect_watch("stxr", 0, access_stxr, at, 1, at);
    expect_watch("zva", 0, access_zva, at - 0x30 + 0x33, 1, at);
    expect_watch("st4", 0, access_st4, at - 24, 1, at);
    wcr(2, at, watchpoint(BOTH, LOADS, ALL_BYTES));
    expect_watch("ld1", 1, access_ld1, at - 40, 0, at);
    clear();
    all(at);
}

void test_main(void) {
    write_sysreg(oslar_el1, 0);
    write_sysreg(osdlr_el1, 0);
    write_sysreg(cpacr_el1, 3 << 20);
    set_sctlr(1 << 14, 0);  // DC ZVA at EL0
    clear();
    breakpoints();
    watchpoints();
    say("done\n");
}
