// Up to 8 CPUs that read some pages each, and one that all read, until that holds END: residents.py changes what lies
// behind it meanwhile, and counts what the CPUs have to translate again.
#include "runtime/gic.h"

#define END 0xe0e0e0e0ul
#define TARGET 0x47000000ul  // residents.py has the number
#define PAGES 64
#define RESIDENT(cpu, n) (TARGET + 0x40000ul + ((cpu)*PAGES + (n)) * 0x1000ul)

void bm_secondary_entry(void);

static volatile u64 looking, ended;

static void add(volatile u64* to) {
    __asm__ volatile("ldaddal %0, xzr, [%1]" ::"r"(1ul), "r"(to) : "memory");
}

static void look(u64 me) {
    add(&looking);
    while (*(volatile u64*)TARGET != END)
        for (u64 n = 0; n < PAGES; ++n) (void)*(volatile u64*)RESIDENT(me, n);
    add(&ended);
}

void bm_secondary(u64 me) {
    bm_mmu_on();
    look(me);
    hvc(0x84000002, 0, 0, 0);
}

void test_main(void) {
    u64 cpus = 1;
    while (cpus < 8 && hvc(0xc4000003, affinity_of(cpus), (u64)bm_secondary_entry, cpus) == 0) ++cpus;
    while (looking < cpus - 1) {
    }
    say("%d look\n", cpus);
    look(0);
    while (ended < cpus) {
    }
    say("done\n");
}
