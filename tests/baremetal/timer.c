// The generic timer: both timers, three views of each, interrupts, waiting, and the counter's sanity.
#include "runtime/gic.h"

#define VIRTUAL 27
#define PHYSICAL 30

static volatile u64 fired[2], last_intid;

static u64 now(void) {
    isb();
    return read_sysreg(cntvct_el0);
}

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge(), intid = iar & 0xffffff;
    last_intid = intid;
    if (intid == VIRTUAL) {
        ++fired[0];
        write_sysreg(cntv_ctl_el0, 2 | 1);
    } else if (intid == PHYSICAL) {
        ++fired[1];
        write_sysreg(cntp_ctl_el0, 2 | 1);
    } else {
        say("irq %x?\n", iar);
    }
    isb();
    gic_end(iar);
}

static void yes(const char* what, int condition) { say("  %s: %s\n", what, condition ? "yes" : "NO"); }

#define TIMER(t, intid, index)                                                                            \
    static void timer_##t(void) {                                                                         \
        const u64 ms = read_sysreg(cntfrq_el0) / 1000;                                                    \
        say("timer %s\n", #t);                                                                            \
        write_sysreg(cnt##t##_ctl_el0, 0);                                                                \
        write_sysreg(cnt##t##_cval_el0, 0x123456789abcdef0);                                              \
        say("  cval %x ctl %x\n", read_sysreg(cnt##t##_cval_el0), read_sysreg(cnt##t##_ctl_el0));         \
        write_sysreg(cnt##t##_ctl_el0, ~0ul);                                                             \
        say("  ctl %x\n", read_sysreg(cnt##t##_ctl_el0));                                                 \
        write_sysreg(cnt##t##_ctl_el0, 0);                                                                \
        /* TVAL is the distance, signed, 32 bits. */                                                      \
        write_sysreg(cnt##t##_tval_el0, 1000 * ms);                                                       \
        u64 distance = read_sysreg(cnt##t##_cval_el0) - now();                                            \
        yes("TVAL sets CVAL", distance <= 1000 * ms && distance > 500 * ms);                              \
        write_sysreg(cnt##t##_tval_el0, 0xffffff00);                                                      \
        yes("negative TVAL", (s64)(read_sysreg(cnt##t##_cval_el0) - now()) < 0);                          \
        write_sysreg(cnt##t##_cval_el0, now() + 100000);                                                  \
        yes("TVAL counts down",                                                                           \
            (u64)read_sysreg(cnt##t##_tval_el0) <= 100000 || (read_sysreg(cnt##t##_tval_el0) >> 31 & 1)); \
        write_sysreg(cnt##t##_cval_el0, now() - 5);                                                       \
        yes("TVAL has 32 bits",                                                                           \
            read_sysreg(cnt##t##_tval_el0) >> 32 == 0 && read_sysreg(cnt##t##_tval_el0) >> 31 == 1);      \
        /* ISTATUS only while enabled, masked or not. */                                                  \
        say("  past, disabled: %x\n", read_sysreg(cnt##t##_ctl_el0) & 3);                                 \
        write_sysreg(cnt##t##_ctl_el0, 3);                                                                \
        isb();                                                                                            \
        say("  past, enabled and masked: %x, pending %d\n", read_sysreg(cnt##t##_ctl_el0),                \
            gic_is_pending(intid));                                                                       \
        write_sysreg(cnt##t##_ctl_el0, 1);                                                                \
        isb();                                                                                            \
        say("  past, enabled: %x, pending %d isr %x\n", read_sysreg(cnt##t##_ctl_el0),                    \
            gic_is_pending(intid), read_sysreg(isr_el1));                                                 \
        write_sysreg(cnt##t##_cval_el0, now() + 3600 * 1000 * ms);                                        \
        isb();                                                                                            \
        say("  future: %x, pending %d isr %x\n", read_sysreg(cnt##t##_ctl_el0), gic_is_pending(intid),    \
            read_sysreg(isr_el1));                                                                        \
        /* Waiting. */                                                                                    \
        for (unsigned i = 0; i < 5; ++i) {                                                                \
            fired[index] = 0;                                                                             \
            const u64 start = now();                                                                      \
            write_sysreg(cnt##t##_tval_el0, 20 * ms);                                                     \
            write_sysreg(cnt##t##_ctl_el0, 1);                                                            \
            isb();                                                                                        \
            __asm__ volatile("msr daifset, #2");                                                          \
            while (fired[index] == 0)                                                                     \
                __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");           \
            const u64 took = now() - start;                                                               \
            yes("woke in time", took >= 20 * ms && took < 2000 * ms);                                     \
            say("  fired %d intid %d\n", fired[index], last_intid);                                       \
        }                                                                                                 \
        /* Without waiting: the interrupt arrives in the middle of a loop. */                             \
        fired[index] = 0;                                                                                 \
        write_sysreg(cnt##t##_tval_el0, 5 * ms);                                                          \
        write_sysreg(cnt##t##_ctl_el0, 1);                                                                \
        __asm__ volatile("msr daifclr, #2");                                                              \
        const u64 start = now();                                                                          \
        while (fired[index] == 0 && now() - start < 5000 * ms) {                                          \
        }                                                                                                 \
        __asm__ volatile("msr daifset, #2");                                                              \
        say("  loop: fired %d\n", fired[index]);                                                          \
        /* WFI with an interrupt that is pending and masked goes on at once. */                           \
        write_sysreg(cnt##t##_cval_el0, 0);                                                               \
        write_sysreg(cnt##t##_ctl_el0, 1);                                                                \
        isb();                                                                                            \
        for (unsigned i = 0; i < 100; ++i) __asm__ volatile("wfi");                                       \
        say("  WFI went on, fired %d, isr %x\n", fired[index], read_sysreg(isr_el1));                     \
        write_sysreg(cnt##t##_ctl_el0, 0);                                                                \
        isb();                                                                                            \
        say("  off: isr %x pending %d\n", read_sysreg(isr_el1), gic_is_pending(intid));                   \
    }
TIMER(v, VIRTUAL, 0)
TIMER(p, PHYSICAL, 1)

static void counter(void) {
    say("counter\n");
    const u64 frequency = read_sysreg(cntfrq_el0);
    yes("frequency between 1 MHz and 1 GHz", frequency >= 1000000 && frequency <= 1000000000);
    u64 last = now();
    int forward = 1, same = 1;
    for (unsigned i = 0; i < 100000; ++i) {
        const u64 t = read_sysreg(cntvct_el0);
        if ((s64)(t - last) < 0) forward = 0;
        last = t;
    }
    yes("goes forward", forward);
    for (unsigned i = 0; i < 1000; ++i) {
        isb();
        const u64 v1 = read_sysreg(cntvct_el0);
        isb();
        const u64 p = read_sysreg(cntpct_el0);
        isb();
        const u64 v2 = read_sysreg(cntvct_el0);
        if (p < v1 || p > v2) same = 0;
    }
    yes("both counters are one", same);
    // Against the other clock of the board: the PL031 counts seconds. Generous, since the host may be busy.
    const u32 second = read32(0x09010000);
    while (read32(0x09010000) == second) {
    }
    const u64 start = now();
    while (read32(0x09010000) == second + 1) {
    }
    const u64 took = now() - start;
    yes("a second of the RTC is a second", took > frequency / 2 && took < frequency * 2);
}

static void both(void) {
    say("both timers at once\n");
    const u64 ms = read_sysreg(cntfrq_el0) / 1000;
    fired[0] = fired[1] = 0;
    write_sysreg(cntv_tval_el0, 30 * ms);
    write_sysreg(cntp_tval_el0, 10 * ms);
    write_sysreg(cntv_ctl_el0, 1);
    write_sysreg(cntp_ctl_el0, 1);
    u64 order = 0;
    while (fired[0] + fired[1] < 2) {
        __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");
        order = order == 0 && fired[1] ? 1 : order;
    }
    say("  physical first %d, fired %d %d\n", order, fired[0], fired[1]);
    write_sysreg(cntv_ctl_el0, 0);
    write_sysreg(cntp_ctl_el0, 0);
}

void test_main(void) {
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    gic_enable(VIRTUAL, 1);
    gic_enable(PHYSICAL, 1);
    counter();
    timer_v();
    timer_p();
    both();
    say("done\n");
}
