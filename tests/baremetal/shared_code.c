// Two CPUs that take turns to run the same code, which branches from page to page: shared_code.py counts how often such a branch
// was linked.
#include "runtime/gic.h"

#define TURNS 1000

void bm_secondary_entry(void);
u64 one_page(u64 x);

__asm__(
    ".text\n"
    ".balign 4096\n"
    "one_page: add x0, x0, #1\n"
    "  b another_page\n"
    ".balign 4096\n"
    "another_page: add x0, x0, #2\n"
    "  b a_third_page\n"
    ".balign 4096\n"
    "a_third_page: add x0, x0, #4\n"
    "  ret\n"
    ".balign 4096\n");

static volatile u64 turn, sum, wrong;

static void take_turns(u64 me) {
    for (u64 n = 0; n < TURNS; ++n) {
        while (turn % 2 != me) {
        }
        __asm__ volatile("dmb ish" ::: "memory");
        const u64 before = sum;
        sum = one_page(before);
        if (sum != before + 7) ++wrong;
        __asm__ volatile("dmb ish" ::: "memory");
        turn = turn + 1;
    }
}

void bm_secondary(u64 me) {
    bm_mmu_on();
    take_turns(me);
    hvc(0x84000002, 0, 0, 0);
}

void test_main(void) {
    (void)hvc(0xc4000003, affinity_of(1), (u64)bm_secondary_entry, 1);
    take_turns(0);
    while (turn != 2 * TURNS) {
    }
    say("%d turns, sum %d, wrong %d\n", turn, sum, wrong);
    say("done\n");
}
