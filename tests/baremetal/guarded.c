// Guarded pages (FEAT_BTI): what may be branched to in one, by which branch, and PSTATE.BTYPE as exceptions save it. For two CPUs,
// of which the second is switched on again and again, since what it does first is of interest.
#include "runtime/bm.h"

#define CPU_OFF 0x84000002
#define CPU_ON 0xc4000003
#define AFFINITY_INFO 0xc4000004
#define BT0 (1ul << 35)
#define BT1 (1ul << 36)
#define GP (1ul << 50)

void bm_secondary_entry(void);

#define PLAIN 0x3000000000ul
#define GUARDED 0x3000010000ul
#define LATE 0x3000020000ul  // GUARDED under another address, but plain at first

enum { NOP, BTI, BTI_C, BTI_J, BTI_JC, PACIASP, PACIBSP, BRK, HLT, AUTIASP, LANDINGS };
static const u32 landing_words[] = {0xd503201f, 0xd503241f, 0xd503245f, 0xd503249f, 0xd50324df,
                                    0xd503233f, 0xd503237f, 0xd4200000, 0xd4400000, 0xd50323bf};
static const char* const landing_names[] = {"nop",     "bti",     "bti c", "bti j", "bti jc",
                                            "paciasp", "pacibsp", "brk",   "hlt",   "autiasp"};
static struct { u64 count, esr, spsr, offset; } last;
static u64 targets;

static int note(struct frame* f) {
    ++last.count;
    last.esr = f->esr;
    last.spsr = f->spsr >> 10 & 3;
    last.offset = f->elr - targets;
    f->spsr &= ~(3ul << 10);
    f->elr += 4;
    return 1;
}

// Where from: words in a page of either kind, that go to x1 in a way of their own and come back to x30 or to the next word.
enum { BLR, BR, BR_X16, BR_X17, RET, JUMPS };
static const char* const jump_names[] = {"blr", "br", "br x16", "br x17", "ret"};
static const u32 jump_words[JUMPS][5] = {
    {0xd50324df, 0xaa1e03e9, 0xd63f0020, 0xaa0903fe,
     0xd65f03c0},                                      // bti jc; mov x9, x30; blr x1; mov x30, x9; ret
    {0xd50324df, 0xd61f0020},                          // br x1
    {0xd50324df, 0xaa0103f0, 0xd61f0200},              // mov x16, x1; br x16
    {0xd50324df, 0xaa0103f1, 0xd61f0220},              // mov x17, x1; br x17
    {0xd50324df, 0xaa1e03e9, 0xaa0103fe, 0xd65f03c0},  // mov x9, x30; mov x30, x1; ret
};

static void make_page(u64 va, u64 attributes) {
    const u64 pa = new_page();
    map(va, pa, 3, KERNEL_CODE | attributes);
    for (unsigned i = 0; i < LANDINGS; ++i) {
        // A landing, then back: where RET came from has put x30 into x9.
        const u32 words[] = {landing_words[i], 0x14000002, 0xd503201f, 0xd65f03c0};
        write_code(pa + i * 16, words, 4);
        const u32 from_ret[] = {landing_words[i], 0xd503201f, 0xaa0903fe, 0xd65f03c0};
        write_code(pa + 0x200 + i * 16, from_ret, 4);
    }
    for (unsigned i = 0; i < JUMPS; ++i) write_code(pa + 0x400 + i * 32, jump_words[i], 5);
}

static void go(u64 from, u64 to) {
    register u64 x1 __asm__("x1") = to;
    register u64 x2 __asm__("x2") = from;
    __asm__ volatile("blr x2" ::"r"(x1), "r"(x2) : "x30", "x9", "x16", "x17", "memory");
}

static void all_jumps(const char* name, u64 from, u64 to) {
    say("%s\n", name);
    for (unsigned jump = 0; jump < JUMPS; ++jump) {
        for (unsigned landing = 0; landing < LANDINGS; ++landing) {
            targets = to + (jump == RET ? 0x200 : 0) + landing * 16;
            say("  %s to %s:", jump_names[jump], landing_names[landing]);
            // Again and again: what was found once must not let others through.
            for (unsigned again = 0; again < 3; ++again) {
                last.count = last.esr = last.spsr = 0;
                go(from + 0x400 + jump * 32, targets);
                if (again == 2 && last.count != 0)
                    say(" %d times, esr %x btype %d offset %x", last.count, last.esr, last.spsr, last.offset);
                else
                    say(" %d", last.count);
            }
            say("\n");
        }
    }
}

// In a page of which both kinds of branches are taken, in a loop that is worth compiling.
static u64 hot_loop(u64 from, u64 to, unsigned n) {
    last.count = 0;
    targets = to;
    for (unsigned i = 0; i < n; ++i)
        go(from + 0x400 + (i & 1 ? BLR : BR_X16) * 32, to + 16 * (i % 3 == 2 ? BTI_J : BTI_C));
    return last.count;
}

static int remember(struct frame* f) {
    last.spsr = f->spsr >> 10 & 3;
    return 0;
}

static void jump_once(unsigned jump, u64 page, unsigned landing) {
    last.count = last.esr = last.spsr = last.offset = 0;
    targets = page + (jump == RET ? 0x200 : 0) + landing * 16;
    go(PLAIN + 0x400 + jump * 32, targets);
}

// What a CPU does first behind its reset: it has met no guarded page yet.
static volatile u64 first_jump, first_landing, first_page, times_before, arrived;

void bm_secondary(u64 number) {
    (void)number;
    bm_mmu_on();
    this_cpu()->hook = note;
    if (first_page == LATE) {
        for (u64 i = 0; i < times_before; ++i) jump_once(first_jump, LATE, BTI_JC);
        *entry(LATE, 3) |= GP;
        tlbi(vmalle1is);
    } else {
        for (u64 i = 0; i < times_before; ++i) jump_once(first_jump, PLAIN, BTI_JC);
    }
    jump_once(first_jump, first_page, first_landing);
    ++arrived;
    dsb();
    hvc(CPU_OFF, 0, 0, 0);
}

static void first_branches(u64 page, u64 others) {
    static const unsigned landings[] = {NOP, BTI_C, BTI_J, PACIASP, BRK};
    say("the first branch, into %x after %d others\n", page, others);
    for (unsigned jump = 0; jump < JUMPS; ++jump)
        for (unsigned k = 0; k < sizeof(landings) / sizeof(landings[0]); ++k) {
            const unsigned landing = landings[k];
            first_jump = jump, first_landing = landing, first_page = page, times_before = others;
            const u64 plain = *entry(LATE, 3);
            dsb();
            const u64 before = arrived;
            hvc(CPU_ON, 1, (u64)bm_secondary_entry, 1);
            while (arrived == before || hvc(AFFINITY_INFO, 1, 0, 0) != 1) {
            }
            *entry(LATE, 3) = plain;
            tlbi(vmalle1is);
            say("  %s to %s: %d times, esr %x btype %d offset %x\n", jump_names[jump], landing_names[landing],
                last.count, last.esr, last.spsr, last.offset);
        }
}

static void guarded(void) {
    make_page(PLAIN, 0);
    make_page(GUARDED, GP);
    *entry(LATE, 3) = *entry(GUARDED, 3) & ~GP;
    first_branches(GUARDED, 0);
    first_branches(GUARDED, 40);
    first_branches(LATE, 40);
    this_cpu()->hook = note;
    all_jumps("from a plain page into a plain one", PLAIN, PLAIN);
    all_jumps("from a plain page into a guarded one", PLAIN, GUARDED);
    all_jumps("from a guarded page into a plain one", GUARDED, PLAIN);
    all_jumps("from a guarded page into a guarded one", GUARDED, GUARDED);
    set_sctlr(BT1, 0);
    all_jumps("strict", GUARDED, GUARDED);
    set_sctlr(BT0, BT1);
    all_jumps("strict at EL0", GUARDED, GUARDED);
    set_sctlr(0, BT0);
    say("many: %d faults\n", hot_loop(PLAIN, GUARDED, 6000));
    say("many more: %d faults\n", hot_loop(GUARDED, GUARDED, 6000));
    // A page that becomes one of the other kind.
    const u64 before = *entry(GUARDED, 3);
    *entry(GUARDED, 3) = before & ~GP;
    tlbi(vmalle1);
    // QEMU 7.2 keeps code that it has made for the guarded page.
    u64 faults = 0;
    for (unsigned jump = 0; jump < JUMPS; ++jump)
        for (unsigned landing = 0; landing < BRK; ++landing) {
            jump_once(jump, GUARDED, landing);
            faults += last.count;
        }
    judge("no longer guarded", faults, 0);
    *entry(GUARDED, 3) = before;
    tlbi(vmalle1);
    all_jumps("and again", PLAIN, GUARDED);
    // Without an invalidation: what may follow a branch is up to SCTLR_EL1 at the branch.
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | BT1);
    isb();
    all_jumps("strict at once", GUARDED, GUARDED);
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) & ~BT1);
    isb();
    all_jumps("and not", GUARDED, GUARDED);
    // PSTATE.BTYPE is 0 behind any other instruction.
    this_cpu()->hook = remember;
    last.spsr = 9;
    const u32 svc[] = {0xd50324df, 0xd4000001, 0xd65f03c0};
    write_code((before & 0xfffffffff000) + 0x700, svc, 3);
    go(PLAIN + 0x400, GUARDED + 0x700);
    say("btype at svc %d\n", last.spsr);
    this_cpu()->hook = 0;
    // A misaligned target.
    for (unsigned low = 1; low < 4; ++low) {
        expect();
        bm_jump(GUARDED + 16 * BTI_JC + low, 0);
        struct cpu* cpu = this_cpu();
        say("misaligned %d: esr %x far %x\n", (u64)low, cpu->esr, cpu->far);
    }
}

void test_main(void) {
    guarded();
    say("done\n");
}
