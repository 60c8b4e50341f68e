// What a kernel does all day, so that its exits can be counted: system calls, page faults with their
// invalidations, and switches between two address spaces. The build says how many of each, and with ONE_ASID that both
// have the same, so that each switch is an invalidation.
#include "runtime/bm.h"

#define PAGES 16
#define TOUCHED 0x8000000000ul  // of a level 0 entry that the two address spaces do not share
#define OWN 0x8000100000ul

static u64 system_calls, faults;
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
    const u64 wrong = switches(SWITCHES, other);

    u64 sum = 0;
    for (unsigned i = 0; i < PAGES; ++i) sum += *(volatile u64*)backing[i];
    say("system calls %d, faults %d, increments %d, wrong reads %d\n", system_calls, faults, sum, wrong);
    say("done\n");
}
