// Loops of accesses for ./bench/tags: LOOP chooses one, TAGGED says whether their pages have allocation tags, REPEATS how often a loop goes
// over its BYTES. It prints how many loads and stores a turn over them has, and a sum of what was read.
#include "runtime/bm.h"

__asm__(".arch armv8.5-a+memtag");

#define LDR 1
#define LDRB 2
#define STR 3
#define STRB 4
#define LDP 5
#define STP 6
#define TWO_LDP 7
#define LDP_ACROSS 8
#define DEPENDENT 9
#define LDADD 10
#define LDTR 11
#define OBJECTS 12
#define ONE_ENTRY 13

#define BYTES 0x10000ul
#define ATA (1ul << 43)
#define SYNCHRONOUS (1ul << 40 | 1ul << 38)
#define TBI (3ul << 37)
#define AREA 0x3000000000ul
// Pages so far apart share an entry of the soft TLB.
#define FAR_AWAY (1ul << 26)
#define TAG 5ul

// Of each: bytes between turns, accesses a turn, and the turn; x3 is the address.
#if LOOP == LDR
#define STEP 8
#define ACCESSES 1
#define TURN "ldr x2, [x3]\n"
#elif LOOP == LDRB
#define STEP 1
#define ACCESSES 1
#define TURN "ldrb w2, [x3]\n"
#elif LOOP == STR
#define STEP 8
#define ACCESSES 1
#define TURN "str x3, [x3]\n"
#elif LOOP == STRB
#define STEP 1
#define ACCESSES 1
#define TURN "strb w3, [x3]\n"
#elif LOOP == LDP
#define STEP 16
#define ACCESSES 1
#define TURN "ldp x2, x5, [x3]\n"
#elif LOOP == STP
#define STEP 16
#define ACCESSES 1
#define TURN "stp x3, x3, [x3]\n"
#elif LOOP == TWO_LDP
#define STEP 32
#define ACCESSES 2
#define TURN "ldp x2, x5, [x3]\n ldp x6, x7, [x3, #16]\n"
#elif LOOP == LDP_ACROSS
#define STEP 32
#define ACCESSES 1
#define TURN "ldp x2, x5, [x3, #8]\n"
#elif LOOP == DEPENDENT
#define STEP 8
#define ACCESSES 1
#define TURN "ldr x8, [x8]\n"
#elif LOOP == LDADD
#define STEP 8
#define ACCESSES 1
#define TURN "ldadd x4, x2, [x3]\n"
#elif LOOP == LDTR
#define STEP 8
#define ACCESSES 1
#define TURN "ldtr x2, [x3]\n"
#elif LOOP == OBJECTS  // of 64 bytes, with tags of their own
#define STEP 64
#define ACCESSES 3
#define TURN "ldr x2, [x3]\n ldr x5, [x3, #24]\n str x5, [x3, #40]\n"
#elif LOOP == ONE_ENTRY  // pages that share one entry of the soft TLB, in turns
#define STEP 8
#define ACCESSES 2
#define TURN "ldr x2, [x3]\n ldr x5, [x8]\n"
#endif

static u64 tagged(u64 va, u64 tag) { return TAGGED ? va | tag << 56 : va; }
static u64 tag_of(u64 offset) { return LOOP == OBJECTS ? offset / 64 % 4 : TAG; }

/// Sum of the last values; `other` is x8.
__attribute__((noinline)) static u64 go(u64 at, u64 other) {
    register u64 x2 __asm__("x2") = 0;
    register u64 x3 __asm__("x3") = at;
    register u64 x4 __asm__("x4") = at + BYTES;
    register u64 x5 __asm__("x5") = 0;
    register u64 x8 __asm__("x8") = other;
    __asm__ volatile("1: " TURN
#if LOOP == OBJECTS  // the next one's tag is the next of four
                     "  add x3, x3, #64\n"
                     "  ubfx x9, x3, #6, #2\n"
#if TAGGED
                     "  bfi x3, x9, #56, #2\n"
#else
                     "  bfi x6, x9, #56, #2\n"
#endif
                     "  eor x9, x3, x4\n"
                     "  tst x9, #0xffffffffffffff\n"
#else
#if LOOP == ONE_ENTRY
                     "  add x8, x8, %[step]\n"
#endif
                     "  add x3, x3, %[step]\n"
                     "  cmp x3, x4\n"
#endif
                     "  b.ne 1b\n"
                     : "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x8)
                     : [step] "i"(STEP)
                     : "x6", "x7", "x9", "memory", "cc");
    return x2 + x5;
}

static void map_pages(u64 va, u64 attributes) {
    for (u64 i = 0; i < BYTES; i += 4096) map(va + i, new_page(), 3, attributes);
    tlbi(vmalle1);
    for (u64 i = 0; i < BYTES; i += 16) {
        const u64 at = tagged(va + i, tag_of(i));
        if (TAGGED) __asm__ volatile("stg %0, [%0]" ::"r"(at) : "memory");
        ((volatile u64*)at)[0] = i * 0x0101010101010101ul;
        ((volatile u64*)at)[1] = ~i;
    }
}

void test_main(void) {
    write_sysreg(mair_el1, 0xf04400fful);
    set_tcr(TCR_DEFAULT | TBI);
    const u64 attributes = (LOOP == LDTR ? USER_DATA : KERNEL_DATA) | (TAGGED ? 3 << 2 : 0);
    if (TAGGED) {
        set_sctlr(ATA | ATA >> 1 | SYNCHRONOUS, 0);
        __asm__ volatile("msr tco, #0");
    }
    map_pages(AREA, attributes);
    if (LOOP == ONE_ENTRY) map_pages(AREA + FAR_AWAY, attributes);
    const u64 at = tagged(AREA, tag_of(0));
    u64 other = tagged(AREA + FAR_AWAY, TAG);
    if (LOOP == DEPENDENT) {  // a ring through all of them
        for (u64 i = 0; i < BYTES / 8; ++i) ((volatile u64*)at)[i] = at + (i * 8 + 24 * 8 + 8) % BYTES;
        other = at;
    }
    u64 sum = 0;
    expect();
    for (u64 k = 0; k < REPEATS; ++k) sum = sum * 3 + go(at, other);
    say("accesses %d, faults %d, sum %x\n", BYTES / STEP * ACCESSES, this_cpu()->count, sum);
}
