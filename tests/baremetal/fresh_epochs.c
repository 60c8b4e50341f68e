// A hot loop over two pages, in a soft TLB that is emptied again and again, as each new process has one of its own: shared_code.py looks
// whether it becomes a region.
#include "runtime/bm.h"

#define TURNS 3000
#define TIMES 20000

u64 first_page(u64 turns, u64 x);

__asm__(
    ".text\n"
    ".balign 4096\n"
    "first_page: add x1, x1, x0\n"
    "  b second_page\n"
    ".balign 4096\n"
    "second_page: eor x1, x1, x0, lsl #3\n"
    "  subs x0, x0, #1\n"
    "  b.ne first_page\n"
    "  mov x0, x1\n"
    "  ret\n"
    ".balign 4096\n");

void bm_secondary(u64 me) { (void)me; }

void test_main(void) {
    u64 x = 0;
    for (u64 n = 0; n < TIMES; ++n) {
        x = first_page(TURNS, x);
        tlbi(vmalle1);
        __asm__ volatile("dsb nsh\n isb" ::: "memory");
    }
    say("%d turns, %lx\n", TURNS * TIMES, x);
    say("done\n");
}
