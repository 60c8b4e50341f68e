// One page of RAM at nearly every address there is, in both halves, by four tables that lead to each other. A
// guest that accesses it everywhere, from EL1 and EL0, uses up whatever a host maps guest addresses with; and
// what it reads must be that page, at the addresses of the host's own code, heap and stacks above all.
#include "runtime/bm.h"

#define WORDS 512ul
#define EVERY (VALID | NORMAL | INNER | AF | EL0 | UXN | PXN)
#define FIRST_FREE 1ul  // slots of 512 GiB of the lower half: the first is the runtime's
#define SLOT_BITS 39
#ifndef REGIONS
#define REGIONS 17000ul  // more host page tables than a CPU's fastmem has
#endif

static u64* page;
static u64 right, wrong;

// No constant in memory: EL0 runs it too.
static inline u64 word(u64 address) {
    return (address >> 3 & (WORDS - 1)) * 0x0101010101010101 + 0x5a5a5a5a00000000;
}
static inline u64 next(u64 random) {
    random ^= random << 13;
    random ^= random >> 7;
    return random ^ random << 17;
}
/// In the lower half's free slots or in the upper half, aligned, and not in the last page of a slot always.
static inline u64 anywhere(u64 random) {
    const u64 a = (random & 0xffffffffffff) & ~7ul;
    return random >> 63 ? a | 0xffff000000000000 : a >> SLOT_BITS == 0 ? a | FIRST_FREE << SLOT_BITS : a;
}

/// How many of `count` reads from `start` on, `stride` bytes apart (0: anywhere), find the right word.
static u64 read_all(u64 start, u64 stride, u64 count) {
    u64 good = 0;
    for (u64 i = 0; i < count; ++i) {
        const u64 address = stride == 0 ? anywhere(start) : start;
        good += *(volatile u64*)address == word(address);
        start = stride == 0 ? next(start) : start + stride;
    }
    return good;
}
static u64 el0_slots(u64 start, u64 count) { return read_all(start, 1ul << SLOT_BITS, count); }
static u64 el0_random(u64 seed, u64 count) { return read_all(seed, 0, count); }

static void result(const char* name, u64 good, u64 of) {
    say("%s: %d of %d\n", name, good, of);
    right += good;
    wrong += of - good;
}

/// Writes at the address, and what the page holds after that.
static void write_at(u64 address) {
    u64* const there = page + (address >> 3 & (WORDS - 1));
    *(volatile u64*)address = ~word(address);
    const int arrived = *(volatile u64*)there == ~word(address);
    *there = word(address);
    const int back = *(volatile u64*)address == word(address);
    right += arrived && back;
    wrong += !(arrived && back);
}

static void slots(void) {
    const u64 upper = 0xffff000000000000, lower = FIRST_FREE << SLOT_BITS;
    static const u64 offsets[] = {0, 0x7ffff8, 0x7ffffff000, 0x7ffffffff8, 0x2aaaaaaaa8};
    for (unsigned i = 0; i < 5; ++i) {
        result("lower slots", read_all(lower + offsets[i], 1ul << SLOT_BITS, 511), 511);
        result("upper slots", read_all(upper + offsets[i], 1ul << SLOT_BITS, 512), 512);
        result("lower slots, EL0", at_el0(el0_slots, lower + offsets[i], 511), 511);
        result("upper slots, EL0", at_el0(el0_slots, upper + offsets[i], 512), 512);
    }
}

// Where this program keeps its own things (backend/code_buffer, backend/kvm/page_tables), and where hosts put
// programs, heaps, libraries and stacks.
static const u64 interesting[] = {
    0x5a0000000000,     0x5a0000004000,     0x5b0000000000,     0x5b0000002000,    0x5b0000200000,
    0x555555554000,     0x555555800000,     0x7ffff7dd5000,     0x7ffff7fff000,    0x7ffffffde000,
    0x7fffffffe000,     0x7ffffffff000,     0x7f0000000000,     0x800000000000,    0xffff800000000000,
    0xffffffff81000000, 0xffffffffff600000, 0xfffffffffffff000, 0xfffffffffffffff8};
#define INTERESTING (sizeof(interesting) / sizeof(interesting[0]))

static void of_the_host(void) {
    const u64 before = right;
    for (unsigned i = 0; i < INTERESTING; ++i)
        for (u64 offset = 0; offset < 0x200000; offset += 0x3ff18) {
            const u64 address = (interesting[i] + (interesting[i] == ~7ul ? 0 : offset)) & ~7ul;
            if (address < 1ul << SLOT_BITS) continue;  // wrapped around
            write_at(address);
        }
    say("addresses of a host: %d right\n", right - before);
}

// With tags where the top byte counts for nothing, and where it does.
static void tags(void) {
    const u64 seed = 0x123456789abcdef1;
    u64 random = seed, taken = 0, exact = 0;
    set_tcr(TCR_DEFAULT | 1ul << 37 | 1ul << 38);
    for (unsigned i = 0; i < 300; ++i, random = next(random))
        write_at((anywhere(random) & ~(0xfful << 56)) | (random << 56));
    set_tcr(TCR_DEFAULT);
    random = seed;
    for (unsigned i = 0; i < 300; ++i, random = next(random)) {
        const u64 address = anywhere(random) ^ (((random & 0xff) | 1) << 56);
        PROBE("str x2, [x3]", address, 1);
        taken += this_cpu()->count == 1;
        exact += this_cpu()->far == address && this_cpu()->esr == 0x96000044;
    }
    result("tagged, taken", taken, 300);
    result("tagged, described", exact, 300);
    // Bits 55:48, which are no tag at all.
    taken = 0;
    for (unsigned i = 0; i < 300; ++i, random = next(random)) {
        const u64 address = anywhere(random) ^ (1ul << (48 + i % 8));
        PROBE("ldr x2, [x3]", address, 1);
        taken += this_cpu()->count == 1;
    }
    result("not canonical, taken", taken, 300);
}

// Accesses that begin in one slot and end in the next one.
static void across(void) {
    u64 good = 0, of = 0;
    for (u64 slot = FIRST_FREE + 1; slot < 512; slot += 7, ++of) {
        u64 value = 0;
        register u64 x3 __asm__("x3") = (slot << SLOT_BITS) - 4;
        __asm__ volatile("ldr %0, [x3]" : "=r"(value) : "r"(x3) : "memory");
        good += value == (word(0xff8) >> 32 | word(0) << 32);
    }
    result("from slot to slot", good, of);
    PROBE("ldr x2, [x3]", 0x1000000000000 - 4, 0);
    result("out of the lower half", this_cpu()->count, 1);
}

void test_main(void) {
    page = (u64*)new_page();
    u64* const leaves = new_table();
    u64* const middle = new_table();
    u64* const top = new_table();
    for (u64 i = 0; i < WORDS; ++i) {
        page[i] = word(8 * i);
        leaves[i] = (u64)page | EVERY | PAGE;
        middle[i] = (u64)leaves | VALID | TABLE;
        top[i] = (u64)middle | VALID | TABLE;
        if (i >= FIRST_FREE) bm_root[0][i] = (u64)top | VALID | TABLE;
        bm_root[1][i] = (u64)top | VALID | TABLE;
    }
    tlbi(vmalle1);
    slots();
    of_the_host();
    tags();
    across();
    result("anywhere", read_all(0x9e3779b97f4a7c15, 0, 1000), 1000);
    result("anywhere, EL0", at_el0(el0_random, 0xdeadbeefcafef00d, 1000), 1000);
    result("a table each", read_all(3ul << SLOT_BITS, 0x200000 + 4096, REGIONS), REGIONS);
    for (u64 i = 0; i < WORDS; ++i) wrong += page[i] != word(8 * i);
    say("right %d, wrong %d\ndone\n", right, wrong);
}
