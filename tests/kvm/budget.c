// What a kernel does all day, so that its exits can be counted: system calls, page faults with their
// invalidations, switches between two address spaces, reads of a device, interrupts, timer ticks, waits for events. The
// build says how many of each, and with ONE_ASID that both address spaces have the same, so that each switch is an
// invalidation.
#include "runtime/gic.h"

#ifndef DEVICE_READS
#define DEVICE_READS 320
#endif
#ifndef INTERRUPTS
#define INTERRUPTS 320
#endif
#ifndef TICKS
#define TICKS 10
#endif
#ifndef WAITS
#define WAITS 320
#endif
#ifndef CONTIGUOUS_PAGES
#define CONTIGUOUS_PAGES 0ul
#endif
#ifndef TAGGED_READS
#define TAGGED_READS 320
#endif
#define CONTIGUOUS_AT 0x8040000000ul
#define UART_FLAGS 0x09000018ul
#define SGI 3
#define TIMER 27

#define PAGES 16
#define TOUCHED 0x8000000000ul  // of a level 0 entry that the two address spaces do not share
#define OWN 0x8000100000ul

static u64 system_calls, faults, interrupts;
static volatile u64 ticks;
static u64 backing[PAGES];

static int kernel(struct frame* f) {
    const u64 ec = f->esr >> 26;
    if (ec == 0x15 && (f->esr & 0xffff) == 1) {
        ++system_calls;
        return 1;
    }
    const u64 page = (f->far - TOUCHED) >> 12;
    if (ec == 0x24 && page < PAGES) {
        ++faults;
        map(TOUCHED + page * 0x1000, backing[page], 3, USER_DATA | NG);
        dsb();
        return 1;
    }
    return 0;
}

static u64 call_often(u64 n, u64 unused) {
    (void)unused;
    for (u64 i = 0; i < n; ++i) __asm__ volatile("svc #1" ::: "memory");
    return n;
}

static u64 touch(u64 n, u64 unused) {
    (void)unused;
    for (u64 i = 0; i < n; ++i) ++*(volatile u64*)(TOUCHED + i * 0x1000);
    return n;
}

static u64 read_own(u64 address, u64 unused) {
    (void)unused;
    return *(volatile u64*)address;
}

static void page_faults(u64 rounds) {
    for (u64 r = 0; r < rounds; ++r) {
        at_el0(touch, PAGES, 0);
        for (u64 i = 0; i < PAGES; ++i) {
            const u64 va = TOUCHED + i * 0x1000;
            *(volatile u64*)entry(va, 3) = 0;
            tlbi_arg(vae1is, va >> 12 | 1ul << 48);
        }
    }
}

static u64 switches(u64 rounds, u64* other) {
    u64 wrong = 0;
    for (u64 r = 0; r < rounds; ++r) {
        const u64 asid = 1 + (r & 1);
#ifdef ONE_ASID
        write_sysreg(ttbr0_el1, (u64)(asid == 1 ? bm_root[0] : other) | 1ul << 48);
        isb();
        tlbi_arg(aside1, 1ul << 48);
        dsb();
#else
        write_sysreg(ttbr0_el1, (u64)(asid == 1 ? bm_root[0] : other) | asid << 48);
#endif
        isb();
        wrong += at_el0(read_own, OWN, 0) != asid;
    }
    write_sysreg(ttbr0_el1, (u64)bm_root[0] | 1ul << 48);
    isb();
    return wrong;
}

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    if ((iar & 0xffffff) == SGI) ++interrupts;
    if ((iar & 0xffffff) == TIMER) {
        ++ticks;
        write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 500);
        isb();
    }
    gic_end(iar);
}

static void events(void) {
    u64 read = 0;
    for (u64 i = 0; i < DEVICE_READS; ++i) read += read32(UART_FLAGS) != ~0u;
    gic_init();
    gic_cpu_init();
    gic_enable(SGI, 1);
    this_cpu()->irq = on_irq;
    __asm__ volatile("msr daifclr, #2" ::: "memory");
    for (u64 i = 0; i < INTERRUPTS; ++i) {
        const u64 before = interrupts;
        gic_sgi(SGI, 0);
        while (*(volatile u64*)&interrupts == before) {
        }
    }
    gic_enable(TIMER, 1);
    write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 500);
    write_sysreg(cntv_ctl_el0, 1);
    while (ticks < TICKS) {
    }
    write_sysreg(cntv_ctl_el0, 0);
    __asm__ volatile("msr daifset, #2" ::: "memory");
    for (u64 i = 0; i < WAITS; ++i) __asm__ volatile("wfe\n yield" ::: "memory");
    say("device reads %d, interrupts %d\n", read, interrupts);
}

// By addresses with tags.
static u64 tagged(void) {
    static volatile u64 words[64];
    u64 wrong = 0;
    set_tcr(TCR_DEFAULT | 1ul << 37);
    for (u64 i = 0; i < 64; ++i) words[i] = i;
    for (u64 i = 0; i < TAGGED_READS; ++i) wrong += *(volatile u64*)((u64)&words[i % 64] | i << 56) != i % 64;
    set_tcr(TCR_DEFAULT);
    return wrong;
}

// Pages that are called contiguous, in no order.
static u64 contiguous(void) {
    u64 wrong = 0;
    const u64 first = new_block(), pages = CONTIGUOUS_PAGES;
    for (u64 i = 0; i < pages; ++i) {
        *(volatile u64*)(first + i * 0x1000) = i;
        map(CONTIGUOUS_AT + i * 0x1000, first + i * 0x1000, 3, KERNEL_DATA | CONTIGUOUS);
    }
    dsb();
    isb();
    for (u64 i = 0; i < pages; ++i) {
        const u64 page = i * 37 & (pages - 1);
        wrong += *(volatile u64*)(CONTIGUOUS_AT + page * 0x1000) != page;
    }
    return wrong;
}

void test_main(void) {
    u64* other = new_table();
    for (unsigned i = 0; i < 512; ++i) other[i] = i == 1 ? 0 : bm_root[0][i];
    for (u64 asid = 1; asid <= 2; ++asid) {
        const u64 page = new_page();
        *(volatile u64*)page = asid;
        *entry_in(asid == 1 ? bm_root[0] : other, 0, OWN, 3) = page | USER_DATA | NG | PAGE;
    }
    for (unsigned i = 0; i < PAGES; ++i) backing[i] = new_page();
    write_sysreg(ttbr0_el1, (u64)bm_root[0] | 1ul << 48);
    tlbi(vmalle1);
    this_cpu()->hook = kernel;

    at_el0(call_often, SYSTEM_CALLS, 0);
    page_faults(FAULTS / PAGES);
    const u64 wrong = switches(SWITCHES, other) + contiguous() + tagged();

    events();

    u64 sum = 0;
    for (unsigned i = 0; i < PAGES; ++i) sum += *(volatile u64*)backing[i];
    say("system calls %d, faults %d, increments %d, wrong reads %d\n", system_calls, faults, sum, wrong);
    say("done\n");
}
