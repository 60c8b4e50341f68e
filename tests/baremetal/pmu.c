// The performance monitors: registers, the three events, overflow with its interrupt, and who may use them.
#include "runtime/gic.h"

#define PMU 23
#define C (1ul << 31)
#define SW_INCR 0x00ul
#define INST_RETIRED 0x08ul
#define CPU_CYCLES 0x11ul
#define NOT_AT_EL1 (1ul << 31)
#define NOT_AT_EL0 (1ul << 30)

static volatile u64 fired, at_interrupt;

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    if ((iar & 0xffffff) != PMU) say("irq %x?\n", iar);
    ++fired;
    at_interrupt = read_sysreg(pmovsclr_el0);
    write_sysreg(pmovsclr_el0, at_interrupt);
    isb();
    gic_end(iar);
}

static u64 now(void) {
    isb();
    return read_sysreg(cntvct_el0);
}
static void wait_us(u64 us) {
    const u64 end = now() + us * (read_sysreg(cntfrq_el0) / 1000000);
    while (now() < end) {
    }
}
static void yes(const char* what, int condition) { say("  %s: %s\n", what, condition ? "yes" : "NO"); }

static void stop(void) {
    write_sysreg(pmcr_el0, 6);  // P, C: all counters from zero
    write_sysreg(pmcntenclr_el0, ~0ul);
    write_sysreg(pmintenclr_el1, ~0ul);
    write_sysreg(pmovsclr_el0, ~0ul);
    write_sysreg(pmccfiltr_el0, 0);
    write_sysreg(pmuserenr_el0, 0);
    isb();
}

#define EACH_COUNTER(X) X(0) X(1) X(2) X(3) X(4) X(5)

static void registers(void) {
    say("registers\n");
    stop();
    say("  counters %d\n", read_sysreg(pmcr_el0) >> 11 & 31);
    yes("software increments and cycles are announced",
        (read_sysreg(pmceid0_el0) & (1 << SW_INCR | 1 << CPU_CYCLES)) == (1 << SW_INCR | 1 << CPU_CYCLES));
    write_sysreg(pmcntenset_el0, ~0ul);
    say("  enabled %x %x\n", read_sysreg(pmcntenset_el0), read_sysreg(pmcntenclr_el0));
    write_sysreg(pmcntenclr_el0, 0x15);
    say("  enabled %x\n", read_sysreg(pmcntenset_el0));
    write_sysreg(pmintenset_el1, ~0ul);
    write_sysreg(pmintenclr_el1, C | 2);
    say("  interrupts %x %x\n", read_sysreg(pmintenset_el1), read_sysreg(pmintenclr_el1));
    write_sysreg(pmovsset_el0, C | 0xff);
    say("  overflow %x\n", read_sysreg(pmovsset_el0));
    write_sysreg(pmovsclr_el0, 5);
    say("  overflow %x\n", read_sysreg(pmovsclr_el0));
    stop();
#define ONE(n)                                                                                     \
    write_sysreg(pmevtyper##n##_el0, NOT_AT_EL0 | CPU_CYCLES);                                     \
    write_sysreg(pmevcntr##n##_el0, 0x1000 + n);                                                   \
    write_sysreg(pmselr_el0, n);                                                                   \
    isb();                                                                                         \
    say("  %d: %x %x, ", (u64)n, read_sysreg(pmevtyper##n##_el0), read_sysreg(pmevcntr##n##_el0)); \
    say("%x %x\n", read_sysreg(pmxevtyper_el0), read_sysreg(pmxevcntr_el0));                       \
    write_sysreg(pmxevcntr_el0, 0x2000 + n);                                                       \
    write_sysreg(pmxevtyper_el0, NOT_AT_EL1);                                                      \
    say("  %d: %x %x\n", (u64)n, read_sysreg(pmevtyper##n##_el0), read_sysreg(pmevcntr##n##_el0));
    EACH_COUNTER(ONE)
#undef ONE
    write_sysreg(pmselr_el0, 31);
    write_sysreg(pmxevtyper_el0, NOT_AT_EL1);
    say("  filter of cycles %x\n", read_sysreg(pmccfiltr_el0));
    write_sysreg(pmcr_el0, 2);
#define ONE(n) say("  %d: %x\n", (u64)n, read_sysreg(pmevcntr##n##_el0));
    EACH_COUNTER(ONE)
#undef ONE
    stop();
}

static void cycles(void) {
    say("cycles\n");
    stop();
    write_sysreg(pmevtyper2_el0, CPU_CYCLES);
    write_sysreg(pmcntenset_el0, C | 4);
    yes("stand without PMCR.E", read_sysreg(pmccntr_el0) == 0 && read_sysreg(pmevcntr2_el0) == 0);
    write_sysreg(pmcr_el0, 1);
    isb();
    wait_us(100);
    const u64 a = read_sysreg(pmccntr_el0), b = read_sysreg(pmevcntr2_el0);
    yes("both count", a > 1000 && b > 1000);
    write_sysreg(pmcntenclr_el0, C);
    isb();
    const u64 stands = read_sysreg(pmccntr_el0), goes = read_sysreg(pmevcntr2_el0);
    wait_us(100);
    yes("one stands", read_sysreg(pmccntr_el0) == stands);
    yes("one goes on", read_sysreg(pmevcntr2_el0) > goes);
    write_sysreg(pmevtyper2_el0, CPU_CYCLES | NOT_AT_EL1);
    isb();
    const u64 filtered = read_sysreg(pmevcntr2_el0);
    wait_us(100);
    yes("the filter of EL1", read_sysreg(pmevcntr2_el0) == filtered);
    stop();
}

static u64 ten(u64 a, u64 b) {
    (void)a, (void)b;
    __asm__ volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop");
    return 0;
}

// QEMU 7.2 counts no instructions without -icount.
static void instructions(void) {
    say("instructions\n");
    stop();
    write_sysreg(pmevtyper1_el0, INST_RETIRED);
    write_sysreg(pmevtyper3_el0, INST_RETIRED | NOT_AT_EL1);
    write_sysreg(pmcntenset_el0, 2 | 8);
    write_sysreg(pmcr_el0, 1);
    isb();
    u64 before, after, count = 1000;
    __asm__ volatile("mrs %0, pmevcntr1_el0\n1: sub %2, %2, #1\n cbnz %2, 1b\n mrs %1, pmevcntr1_el0"
                     : "=&r"(before), "=&r"(after), "+r"(count));
    const u64 counted = after - before;
    judge("a loop of 2000", counted >= 2000 && counted <= 2003, 1);
    judge("none at EL0 yet", read_sysreg(pmevcntr3_el0), 0);
    at_el0(ten, 0, 0);
    const u64 user = read_sysreg(pmevcntr3_el0);
    judge("ten at EL0 and some around", user >= 10 && user < 100, 1);
    write_sysreg(pmcr_el0, 0);
    isb();
    const u64 stands = read_sysreg(pmevcntr1_el0);
    judge("stands", read_sysreg(pmevcntr1_el0), stands);
    stop();
}

static void software(void) {
    say("software increments\n");
    stop();
    write_sysreg(pmevtyper0_el0, SW_INCR);
    write_sysreg(pmevtyper5_el0, SW_INCR);
    write_sysreg(pmevtyper4_el0, CPU_CYCLES);
    write_sysreg(pmcntenset_el0, 0x31);
    write_sysreg(pmcr_el0, 1);
    write_sysreg(pmevcntr5_el0, 0xfffffffe);
    write_sysreg(pmintenset_el1, 0x20);
    isb();
    for (unsigned i = 0; i < 3; ++i) {
        write_sysreg(pmswinc_el0, 0x21);
        isb();
        say("  %x %x, overflow %x, pending %d isr %x\n", read_sysreg(pmevcntr0_el0),
            read_sysreg(pmevcntr5_el0) & 0xffffffff, read_sysreg(pmovsset_el0), gic_is_pending(PMU),
            read_sysreg(isr_el1));
    }
    stop();
    say("  stopped: pending %d isr %x\n", gic_is_pending(PMU), read_sysreg(isr_el1));
}

// FEAT_PMUv3p5, which QEMU's CPU has not: overflow of 32 bits, or with PMCR_EL0.LP of 64.
static void long_counters(void) {
    say("long counters\n");
    stop();
    write_sysreg(pmevtyper1_el0, SW_INCR);
    write_sysreg(pmcntenset_el0, 2);
    for (u64 lp = 0; lp <= 0x80; lp += 0x80) {
        write_sysreg(pmcr_el0, 1 | lp);
        for (unsigned bits = 32; bits <= 64; bits += 32) {
            write_sysreg(pmevcntr1_el0, -1ul >> (64 - bits));
            write_sysreg(pmovsclr_el0, ~0ul);
            write_sysreg(pmswinc_el0, 2);
            isb();
            judge("the counter goes on", read_sysreg(pmevcntr1_el0), bits == 32 ? 1ul << 32 : 0);
            judge("overflow", read_sysreg(pmovsset_el0), bits == 64 || lp == 0 ? 2 : 0);
        }
    }
    stop();
}

static void line_is(const char* what, int up) {
    isb();
    judge(what, gic_is_pending(PMU) << 8 | read_sysreg(isr_el1), up ? 0x180 : 0);
}

// The level follows E, the overflow and its enable at once. QEMU 7.2 does not look at writes of PMCR_EL0.
static void level(void) {
    say("level\n");
    stop();
    write_sysreg(pmovsset_el0, C | 1);
    line_is("overflow", 0);
    write_sysreg(pmintenset_el1, C);
    line_is("its enable", 0);
    write_sysreg(pmcr_el0, 1);
    line_is("E", 1);
    write_sysreg(pmovsclr_el0, 1);
    line_is("another overflow gone", 1);
    write_sysreg(pmintenclr_el1, C);
    line_is("disabled", 0);
    write_sysreg(pmintenset_el1, C);
    line_is("enabled", 1);
    write_sysreg(pmcr_el0, 0);
    line_is("no E", 0);
    write_sysreg(pmcr_el0, 1);
    line_is("E again", 1);
    write_sysreg(pmovsclr_el0, C);
    line_is("overflow gone", 0);
    stop();
}

static void overflow(void) {
    say("overflow of cycles\n");
    // Awake and asleep, of the cycle counter and of an event counter.
    for (unsigned i = 0; i < 12; ++i) {
        stop();
        const u64 bit = i & 1 ? C : 8;
        write_sysreg(pmevtyper3_el0, CPU_CYCLES);
        write_sysreg(pmevcntr3_el0, 0xffffffff - 2000000);
        write_sysreg(pmccntr_el0, ~0ul - 2000000);
        fired = at_interrupt = 0;
        write_sysreg(pmintenset_el1, bit);
        write_sysreg(pmcntenset_el0, bit);
        const u64 start = now(), limit = 10 * read_sysreg(cntfrq_el0);
        write_sysreg(pmcr_el0, 1);
        isb();
        if (i & 2) {
            __asm__ volatile("msr daifclr, #2");
            while (fired == 0 && now() - start < limit) {
            }
            __asm__ volatile("msr daifset, #2");
        } else {
            __asm__ volatile("msr daifset, #2");
            while (fired == 0 && now() - start < limit)
                __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");
        }
        const u64 count = bit == C ? read_sysreg(pmccntr_el0) : read_sysreg(pmevcntr3_el0) & 0xffffffff;
        say("  fired %d of %x", fired, at_interrupt);
        yes(", not before its time", now() - start >= read_sysreg(cntfrq_el0) / 1000);
        yes("goes on from zero", count < 0x80000000);
    }
    stop();
}

// A read that shows the overflow has the interrupt taken behind it, however late whoever waits for it is.
static void together(void) {
    say("overflow and interrupt together\n");
    u64 late = 0;
    for (unsigned i = 0; i < 30; ++i) {
        stop();
        write_sysreg(pmccntr_el0, ~0ul - 300000);
        fired = 0;
        write_sysreg(pmintenset_el1, C);
        write_sysreg(pmcntenset_el0, C);
        write_sysreg(pmcr_el0, 1);
        isb();
        __asm__ volatile("msr daifclr, #2");
        while (read_sysreg(pmccntr_el0) > 1ul << 63) {
        }
        isb();
        __asm__ volatile("nop\n nop");
        late += fired == 0;
        __asm__ volatile("msr daifset, #2");
    }
    judge("late", late, 0);
    stop();
}

#define EL0(name, text)                                        \
    static u64 el0_##name(u64 a, u64 b) {                      \
        register u64 x2 __asm__("x2") = a;                     \
        register u64 x3 __asm__("x3") = b;                     \
        __asm__ volatile(text : "+r"(x2), "+r"(x3)::"memory"); \
        return x2;                                             \
    }
// clang-format off
#define EL0_LIST(X)                                    \
    X(pmccntr, "mrs x2, pmccntr_el0\n mov x2, #1")     \
    X(pmevcntr0, "mrs x2, pmevcntr0_el0")              \
    X(pmxevcntr, "mrs x2, pmxevcntr_el0")              \
    X(pmevcntr0_write, "msr pmevcntr0_el0, x3")        \
    X(pmevtyper0, "mrs x2, pmevtyper0_el0")            \
    X(pmovsset, "mrs x2, pmovsset_el0")                \
    X(pmswinc, "msr pmswinc_el0, x3")                  \
    X(pmselr, "msr pmselr_el0, x3")                    \
    X(pmintenset, "mrs x2, pmintenset_el1")
// clang-format on
EL0_LIST(EL0)

static void el0_one(const char* name, u64 (*f)(u64, u64)) {
    expect();
    const u64 r = at_el0(f, 0x55, 0);
    const struct cpu* cpu = this_cpu();
    say("  %s = %x", name, r);
    if (cpu->count) say(" [%d vector %x esr %x]", cpu->count, cpu->last_vector, cpu->esr);
    say("\n");
}

static void user(void) {
    say("at EL0\n");
    stop();
    write_sysreg(pmevtyper0_el0, 0);
    write_sysreg(pmselr_el0, 0);
    for (u64 enabled = 0; enabled < 16; enabled = enabled ? enabled * 2 : 1) {
        write_sysreg(pmuserenr_el0, enabled);
        isb();
        say(" pmuserenr %x\n", enabled);
#define EL0_RUN(name, text) el0_one(#name, el0_##name);
        EL0_LIST(EL0_RUN)
    }
    stop();
}

void test_main(void) {
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    gic_enable(PMU, 1);
    registers();
    cycles();
    instructions();
    software();
    long_counters();
    level();
    overflow();
    together();
    user();
    say("done\n");
}
