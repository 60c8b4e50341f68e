// A condition that a register shows and the line that it drives change together: once guest code has read that an
// interrupt is due, the interrupt is taken within a few instructions, however busy the host is. Counted in turns of a
// loop, so that nothing depends on time. QEMU's main loop may be late where it has no register of its own for the
// condition (the counters, DR of the PL031), so the program judges by itself.
#include "runtime/gic.h"

#define VIRTUAL 27
#define PHYSICAL 30
#define UART 33
#define RTC 34
#define SOFTWARE 70  // an SPI that no device drives
#define UART_BASE 0x09000000ul
#define RTC_BASE 0x09010000ul

enum {
    ROUNDS = 10,
    SOON = 100,          // turns: what the rest of a translation block may hold
    GIVEN_UP = 1 << 26,  // turns: it does not come
};

void bm_secondary_entry(void);
static volatile u64 taken, asked;

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge(), intid = iar & 0x3ff;  // without GICv2's number of the sender
    if (intid >= 1020) return;
    if (intid == VIRTUAL) write_sysreg(cntv_ctl_el0, 2 | 1);
    if (intid == PHYSICAL) write_sysreg(cntp_ctl_el0, 2 | 1);
    if (intid == UART) {
        write32(UART_BASE + 0x38, 0);
        write32(UART_BASE + 0x44, 0x7ff);
    }
    if (intid == RTC) write32(RTC_BASE + 0x1c, 1);
    isb();
    gic_end(iar);
    taken = intid;
}

static void open(void) { __asm__ volatile("msr daifclr, #2" ::: "memory"); }
static void close(void) { __asm__ volatile("msr daifset, #2" ::: "memory"); }

// ---- What shows that an interrupt is due

static int virtual_status(void) { return read_sysreg(cntv_ctl_el0) >> 2 & 1; }
static int virtual_value(void) { return read_sysreg(cntv_tval_el0) >> 31 & 1; }
static int virtual_counter(void) { return read_sysreg(cntvct_el0) >= read_sysreg(cntv_cval_el0); }
static int virtual_pending(void) { return (int)gic_is_pending(VIRTUAL); }
static int virtual_highest(void) { return (gic_highest_pending() & 0x3ff) == VIRTUAL; }
static int physical_status(void) { return read_sysreg(cntp_ctl_el0) >> 2 & 1; }
static int physical_value(void) { return read_sysreg(cntp_tval_el0) >> 31 & 1; }
static int physical_counter(void) { return read_sysreg(cntpct_el0) >= read_sysreg(cntp_cval_el0); }
static int cpu_input(void) { return read_sysreg(isr_el1) >> 7 & 1; }
static int uart_raw(void) { return read32(UART_BASE + 0x3c) >> 5 & 1; }
static int uart_masked(void) { return read32(UART_BASE + 0x40) >> 5 & 1; }
static int rtc_status(void) { return read32(RTC_BASE + 0x14) & 1; }
static int rtc_time(void) { return read32(RTC_BASE) == read32(RTC_BASE + 4); }
static int software_pending(void) { return (int)gic_is_pending(SOFTWARE); }
static int sgi_pending(void) { return (int)gic_is_pending(3); }

// ---- What makes it due: now, or soon

static void start_virtual(void) {
    write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 2000);
    write_sysreg(cntv_ctl_el0, 1);
    isb();
}
static void start_physical(void) {
    write_sysreg(cntp_tval_el0, read_sysreg(cntfrq_el0) / 2000);
    write_sysreg(cntp_ctl_el0, 1);
    isb();
}
static void start_rtc(void) {
    write32(RTC_BASE + 0x10, 1);
    write32(RTC_BASE + 4, read32(RTC_BASE) + 1);
}
static void start_uart(void) {  // something was sent, as from now on is said
    write32(UART_BASE, '\r');   // taken out of the log
    write32(UART_BASE + 0x38, 0x20);
}
static void start_software(void) { gic_pending(SOFTWARE, 1); }
static void start_sgi(void) { gic_sgi(3, 0); }
static void start_other_cpu(void) { ++asked; }

// Turns from the first reading that shows it to the handler; more than GIVEN_UP: it did not come.
static u64 turns_open(void (*start)(void), int (*shows)(void)) {
    taken = 0;
    open();
    start();
    while (!taken && !shows()) {
    }
    u64 turns = 0;
    while (!taken && turns < GIVEN_UP) ++turns;
    close();
    return turns;
}

// The same with interrupts masked until the condition has been read.
static u64 turns_masked(void (*start)(void), int (*shows)(void)) {
    taken = 0;
    start();
    while (!shows()) {
    }
    u64 turns = 0;
    open();
    while (!taken && turns < GIVEN_UP) ++turns;
    close();
    return turns;
}

static void check(const char* name, u64 rounds, void (*start)(void), int (*shows)(void)) {
    u64 late = 0;
    for (u64 i = 0; i < rounds; ++i) {
        late += turns_open(start, shows) > SOON;
        if (rounds > 1) late += turns_masked(start, shows) > SOON;
    }
    judge(name, late, 0);
}

// The distributor shows what the device shows, whether or not the CPU may take it.
static void pending_follows(const char* name, u64 intid, void (*start)(void), int (*shows)(void)) {
    u64 missing = 0;
    gic_enable(intid, 0);
    for (u64 i = 0; i < ROUNDS; ++i) {
        start();
        while (!shows()) {
        }
        missing += !gic_is_pending(intid);
    }
    taken = 0;
    open();
    gic_enable(intid, 1);
    u64 turns = 0;
    while (!taken && turns < GIVEN_UP) ++turns;
    close();
    judge(name, missing + (turns > SOON), 0);
}

// The other CPU makes an interrupt pending whenever it is asked to.
void bm_secondary(u64 number) {
    (void)number;
    bm_mmu_on();
    gic_cpu_init();
    for (u64 seen = 0;;) {
        const u64 now = asked;
        if (now == seen) {
            __asm__ volatile("yield");  // the host may have one core for both
            continue;
        }
        seen = now;
        if (now == ~0ul) break;
        if (now & 1)
            gic_pending(SOFTWARE, 1);
        else
            gic_sgi(3, 0);
    }
    hvc(0x84000002, 0, 0, 0);
}

static void other_cpu(void) {
    say("on %d\n", hvc(0xc4000003, 1, (u64)bm_secondary_entry, 1));
    u64 late = 0;
    for (u64 i = 0; i < 4; ++i) {
        late += turns_open(start_other_cpu, i & 1 ? cpu_input : software_pending) > SOON;
        late += turns_open(start_other_cpu, i & 1 ? cpu_input : sgi_pending) > SOON;
    }
    judge("other CPU", late, 0);
    asked = ~0ul;
    while (hvc(0xc4000004, 1, 0, 0) != 1) __asm__ volatile("yield");
}

void test_main(void) {
    this_cpu()->irq = on_irq;
    gic_init();
    gic_cpu_init();
    const u64 used[] = {VIRTUAL, PHYSICAL, UART, RTC, SOFTWARE};
    for (unsigned i = 0; i < sizeof used / sizeof *used; ++i) {
        if (used[i] >= 32) {
            gic_target(used[i], 0);
            gic_priority(used[i], 0xa0);
        }
        gic_enable(used[i], 1);
    }
    gic_enable(3, 1);
    check("CNTV_CTL", ROUNDS, start_virtual, virtual_status);
    check("CNTV_TVAL", ROUNDS, start_virtual, virtual_value);
    check("CNTVCT", ROUNDS, start_virtual, virtual_counter);
    check("pending", ROUNDS, start_virtual, virtual_pending);
    check("highest pending", ROUNDS, start_virtual, virtual_highest);
    check("ISR", ROUNDS, start_virtual, cpu_input);
    check("CNTP_CTL", ROUNDS, start_physical, physical_status);
    check("CNTP_TVAL", ROUNDS, start_physical, physical_value);
    check("CNTPCT", ROUNDS, start_physical, physical_counter);
    pending_follows("pending follows CNTV_CTL", VIRTUAL, start_virtual, virtual_status);
    pending_follows("pending follows CNTVCT", VIRTUAL, start_virtual, virtual_counter);
    check("software", ROUNDS, start_software, software_pending);
    check("SGI", ROUNDS, start_sgi, sgi_pending);
    check("UART raw", ROUNDS, start_uart, uart_raw);
    check("UART masked", ROUNDS, start_uart, uart_masked);
    // A second each.
    if (gic_version == 3)
        check("RTC status", 1, start_rtc, rtc_status);
    else
        check("RTC time", 1, start_rtc, rtc_time);
    other_cpu();
    say("done\n");
}
