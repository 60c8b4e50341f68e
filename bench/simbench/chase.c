// A pointer chase over 256 MiB, which no TLB covers, by pages of 4 KiB and by blocks of 2 MiB; and the same
// over 1 MiB, which is compute. For ./bench/sweep --simbench, as simbench.c; nodes are made before the clock
// starts.
#include "runtime/bm.h"

#define BYTES (256ul << 20)
#define RAM 0x50000000ul
#define BY_PAGES 0x7000000000ul
#define BY_BLOCKS 0x6000000000ul
#define NODE 64ul

/// One cycle through all nodes: a full-period linear congruence (Knuth, volume 2, 3.2.1.2).
static u64 make(u64 base, u64 bytes) {
    const u64 mask = bytes / NODE - 1;
    for (u64 i = 0; i <= mask; ++i)
        *(u64*)(base + i * NODE) = base + ((i * 1664525 + 1013904223) & mask) * NODE;
    return base;
}

static void chase(const char* name, u64 base, u64 bytes, u64 steps) {
    u64 at = make(base, bytes);
    say("@@START %s\n", name);
    for (u64 i = 0; i < steps; ++i) at = *(volatile u64*)at;
    say("@@END %s\n", name);
    say("@@RESULT %s 0 %d\n", name, (at - base) / NODE);
}

void test_main(void) {
    for (u64 o = 0; o < BYTES; o += 4096) map(BY_PAGES + o, RAM + o, 3, KERNEL_DATA);
    for (u64 o = 0; o < BYTES; o += 0x200000) map(BY_BLOCKS + o, RAM + o, 2, KERNEL_DATA);
    tlbi(vmalle1);
    chase("chase-4k", BY_PAGES, BYTES, 8000000);
    chase("chase-2m", BY_BLOCKS, BYTES, 8000000);
    chase("chase-hot", BY_PAGES, 1ul << 20, 200000000);
    say("@@DONE\n");
}
