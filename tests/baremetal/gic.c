// The interrupt controller as one CPU sees it: SGIs to itself, SPIs by software, priorities, masks,
// preemption, EOI modes.
#include "runtime/gic.h"

static int nesting, log_ends = 1;
static u64 preempt_with, taken;

static void on_irq(struct frame* f) {
    const u64 iar = gic_acknowledge(), intid = iar & 0xffffff;
    ++taken;
    say("  irq %x, nesting %d, vector %x, running %x, active %d pending %d\n", iar, (u64)nesting, f->vector,
        gic_running_priority(), intid < 1020 ? gic_is_active(intid) : 9,
        intid < 1020 ? gic_is_pending(intid) : 9);
    if (intid >= 1020) return;
    if (preempt_with != 0 && nesting == 0) {
        const u64 other = preempt_with;
        preempt_with = 0;
        ++nesting;
        gic_pending(other, 1);
        say("   pending now: %x, isr %x\n", gic_highest_pending() & 0xffffff, read_sysreg(isr_el1));
        __asm__ volatile("msr daifclr, #2\n isb\n nop\n nop\n msr daifset, #2" ::: "memory");
        --nesting;
        say("   back, running %x\n", gic_running_priority());
    }
    gic_end(iar);
    if (log_ends) say("   ended: active %d running %x\n", gic_is_active(intid), gic_running_priority());
}

static void open(void) {
    __asm__ volatile("msr daifclr, #2\n isb\n nop\n nop\n msr daifset, #2" ::: "memory");
}

static void one(const char* name, u64 intid) {
    say("%s: pending %d enabled, isr %x, highest %x\n", name, gic_is_pending(intid), read_sysreg(isr_el1),
        gic_highest_pending() & 0xffffff);
    open();
}

void test_main(void) {
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    for (u64 sgi = 0; sgi < 16; sgi += 5) {
        gic_enable(sgi, 1);
        gic_sgi(sgi, 0);
        one("SGI to itself", sgi);
    }
    static const u64 spis[] = {64, 77, 100, 130};
    for (unsigned i = 0; i < 4; ++i) {
        gic_target(spis[i], 0);
        gic_level(spis[i], 1);
        gic_priority(spis[i], 0x80 + 0x10 * i);
        gic_pending(spis[i], 1);
        one("SPI not enabled", spis[i]);
        gic_enable(spis[i], 1);
        one("SPI enabled", spis[i]);
        one("SPI again", spis[i]);
    }
    say("order of priorities\n");
    for (unsigned i = 0; i < 4; ++i) gic_pending(spis[3 - i], 1);
    open();
    say("order of numbers\n");
    for (unsigned i = 0; i < 4; ++i) gic_priority(spis[i], 0x80);
    for (unsigned i = 0; i < 4; ++i) gic_pending(spis[3 - i], 1);
    open();
    say("taken back\n");
    gic_pending(spis[0], 1);
    gic_pending(spis[0], 0);
    one("none", spis[0]);
    gic_pending(spis[1], 1);
    gic_enable(spis[1], 0);
    one("disabled", spis[1]);
    gic_enable(spis[1], 1);
    one("enabled", spis[1]);
    say("priority mask\n");
    for (u64 mask = 0; mask <= 0xf0; mask += 0x20) {
        gic_mask(mask);
        gic_priority(spis[2], 0x60);
        gic_pending(spis[2], 1);
        say(" mask %x: ", mask);
        one("", spis[2]);
    }
    gic_mask(0);
    open();
    gic_mask(0xff);
    open();
    say("PSTATE.I\n");
    gic_pending(spis[0], 1);
    for (volatile int i = 0; i < 100; ++i) {
    }
    say("  taken %d, isr %x\n", taken, read_sysreg(isr_el1));
    open();
    say("preemption\n");
    gic_priority(spis[0], 0xa0);
    gic_priority(spis[1], 0x40);
    gic_priority(spis[2], 0xa0);
    gic_priority(spis[3], 0xc0);
    for (unsigned i = 1; i < 4; ++i) {
        preempt_with = spis[i];
        gic_pending(spis[0], 1);
        open();
    }
    say("split EOI\n");
    gic_eoi_mode(1);
    gic_pending(spis[0], 1);
    open();
    // Active until deactivated: not again.
    gic_pending(spis[0], 1);
    one("active and pending", spis[0]);
    gic_deactivate(spis[0]);
    one("deactivated", spis[0]);
    gic_deactivate(spis[0]);
    gic_eoi_mode(0);
    say("acknowledge with nothing there: %x\n", gic_acknowledge() & 0xffffff);
    say("priority bits: ");
    gic_priority(spis[0], 0xff);
    say("%x\n", gic_get_priority(spis[0]));
    // An interrupt that opens by ERET, by MSR DAIF, and while in EL0.
    gic_priority(spis[0], 0x80);
    gic_pending(spis[0], 1);
    write_sysreg(daif, 0x340);
    isb();
    __asm__ volatile("nop\n nop\n msr daifset, #2");
    say("done\n");
}
