// Two guests that share a cache of compiled regions: run.sh. Both execute loops that count by one. In the
// first one, the attacker (-DATTACKER), another CPU makes them count by two for moments, without the
// maintenance that a guest owes after it has stored to code; so the loop may count by one or two there, but
// what is filed as a loop that counts by one must do that in the second guest.
#include "runtime/bm.h"

#define LOOPS 2000
#define PAGES 0x44000000ul
#define IN_PAGE 0x40

enum {
    BY_ONE = 0x91000400u,  // add x0, x0, #1
    BY_TWO = 0x91000800u,  // add x0, x0, #2
    NAME = 0x52800003u,    // mov w3, #0: with the number of the loop no two are alike
    COUNT = 0xf1000421u,   // subs x1, x1, #1
    AGAIN = 0x54ffffa1u,   // b.ne to the first
    RETURN = 0xd65f03c0u
};

static u64 page_of(u64 loop) { return PAGES + 0x1000 * loop; }

static void write_loop(u64 loop) {
    const u32 code[] = {BY_ONE, NAME | (u32)loop << 5, COUNT, AGAIN, RETURN};
    write_code(page_of(loop) + IN_PAGE, code, sizeof code / sizeof *code);
}

static u64 run(u64 loop, u64 times) { return ((u64(*)(u64, u64))(page_of(loop) + IN_PAGE))(0, times); }

#ifdef ATTACKER
void bm_secondary_entry(void);
static volatile u64 target, end;

static void wait(u64 n) {
    while (n--) __asm__ volatile("nop");
}

void bm_secondary(u64 number) {
    (void)number;
    bm_mmu_on();
    u64 random = 1;
    while (!end) {
        const u64 word = target;
        if (word == 0) continue;
        random = random * 6364136223846793005ul + 1442695040888963407ul;
        write32(word, BY_TWO);
        wait(random >> 56);
        write32(word, BY_ONE);
        wait(random >> 48 & 255);
    }
    hvc(0x84000002, 0, 0, 0);
}

void test_main(void) {
    hvc(0xc4000003, 1, (u64)bm_secondary_entry, 1);
    for (u64 loop = 0; loop < LOOPS; ++loop) {
        write_loop(loop);
        target = page_of(loop) + IN_PAGE;
        for (int k = 0; k < 8; ++k) run(loop, 1000000);
        target = 0;
    }
    end = 1;
    say("done\n");
}
#else
void test_main(void) {
    u64 wrong = 0;
    for (u64 loop = 0; loop < LOOPS; ++loop) {
        write_loop(loop);
        u64 counted = 0;
        for (int k = 0; k < 30; ++k) {
            const u64 x = run(loop, 20000);
            if (x != 20000) counted = x;
        }
        if (counted == 0) continue;
        ++wrong;
        say("WRONG loop %d counts %d instead of 20000\n", loop, counted);
    }
    say("%d wrong\n", wrong);
    say("done\n");
}
#endif
