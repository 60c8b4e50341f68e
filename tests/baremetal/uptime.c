// Says what time it is, over and over: by the counter in ms, and by the RTC in seconds; asleep and awake by turns.
#include "runtime/gic.h"

#define VIRTUAL 27

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    write_sysreg(cntv_ctl_el0, 2 | 1);
    isb();
    gic_end(iar);
}

static u64 now(void) {
    isb();
    return read_sysreg(cntvct_el0);
}

void test_main(void) {
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    gic_enable(VIRTUAL, 1);
    const u64 ms = read_sysreg(cntfrq_el0) / 1000;
    for (;;) {
        const u64 start = now();
        say("t %d rtc %d\n", start / ms, (u64)read32(0x09010000));
        while (now() - start < 10 * ms) {
        }
        write_sysreg(cntv_cval_el0, start + 30 * ms);
        write_sysreg(cntv_ctl_el0, 1);
        isb();
        while (now() < start + 30 * ms)
            __asm__ volatile("msr daifset, #2\n wfi\n msr daifclr, #2\n isb" ::: "memory");
    }
}
