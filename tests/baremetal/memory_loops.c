// Loops that copy or fill memory (jit/ir/memory_loop.h): with every length and alignment, over pages that are not there, that may
// only be read, and that two addresses have, and over themselves. A fault's registers, and those at the end, and the memory are hashed.
#include "runtime/bm.h"

#define AREA 0x3000000000ul
enum { PAGES = 24, FRAMES = 20, TRIALS = 120, LONGEST = 3 * 4096 };

struct registers {
    u64 x[16], q[8], nzcv;
};

// x16 has the registers' place, x17 is free.
#define FORM(name, body)                                                                                   \
    void name(struct registers*);                                                                          \
    __asm__(                                                                                               \
        ".pushsection .text\n .balign 4\n" #name                                                           \
        ": mov x16, x0\n"                                                                                  \
        "ldr x17, [x16, #192]\n msr nzcv, x17\n"                                                           \
        "ldp q0, q1, [x16, #128]\n ldp q2, q3, [x16, #160]\n ldp x2, x3, [x16, #16]\n"                     \
        "ldp x4, x5, [x16, #32]\n ldp x6, x7, [x16, #48]\n ldp x8, x9, [x16, #64]\n"                       \
        "ldp x10, x11, [x16, #80]\n ldp x12, x13, [x16, #96]\n ldp x14, x15, [x16, #112]\n"                \
        "ldp x0, x1, [x16]\n 1: " body                                                                     \
        "\n"                                                                                               \
        "stp q0, q1, [x16, #128]\n stp q2, q3, [x16, #160]\n stp x0, x1, [x16]\n stp x2, x3, [x16, #16]\n" \
        "stp x4, x5, [x16, #32]\n stp x6, x7, [x16, #48]\n stp x8, x9, [x16, #64]\n"                       \
        "stp x10, x11, [x16, #80]\n stp x12, x13, [x16, #96]\n stp x14, x15, [x16, #112]\n"                \
        "mrs x17, nzcv\n str x17, [x16, #192]\n ret\n .popsection");

FORM(copies_of_delayed_by_a_turn,
     "stp x6,x7,[x3,#16]\n"
     "ldp x6,x7,[x1,#16]\n"
     "stp x8,x9,[x3,#32]\n"
     "ldp x8,x9,[x1,#32]\n"
     "stp x10,x11,[x3,#48]\n"
     "ldp x10,x11,[x1,#48]\n"
     "stp x12,x13,[x3,#64]!\n"
     "ldp x12,x13,[x1,#64]!\n"
     "subs x2,x2,#64\n"
     "b.hi 1b")
FORM(the_kernel_s_copy_to_programs,
     "sttr x7,[x6]\n"
     "sttr x8,[x6,#8]\n"
     "add x6,x6,#16\n"
     "ldp x7,x8,[x1],#16\n"
     "sttr x9,[x6]\n"
     "sttr x10,[x6,#8]\n"
     "add x6,x6,#16\n"
     "ldp x9,x10,[x1],#16\n"
     "subs x2,x2,#32\n"
     "b.ge 1b")
FORM(vectors,
     "ldp q0,q1,[x1],#32\n"
     "stp q0,q1,[x0],#32\n"
     "subs x2,x2,#32\n"
     "b.ne 1b")
FORM(delayed_vectors,
     "stp q0,q1,[x3,#16]\n"
     "ldp q0,q1,[x1,#16]\n"
     "stp q2,q3,[x3,#48]\n"
     "ldp q2,q3,[x1,#48]\n"
     "add x3,x3,#64\n"
     "add x1,x1,#64\n"
     "subs x2,x2,#64\n"
     "b.hi 1b")
FORM(by_an_index,
     "ldr q0,[x1,x7]\n"
     "str q0,[x0,x7]\n"
     "add x7,x7,#16\n"
     "cmp x7,x2\n"
     "b.ne 1b")
FORM(bytes_to_a_limit,
     "ldrb w7,[x1],#1\n"
     "strb w7,[x0],#1\n"
     "cmp x1,x4\n"
     "b.lo 1b")
FORM(words_counted_in_words,
     "ldr w7,[x1],#4\n"
     "str w7,[x0],#4\n"
     "subs w5,w5,#1\n"
     "b.ne 1b")
FORM(downwards,
     "ldp x6,x7,[x1,#-16]\n"
     "stp x6,x7,[x0,#-16]\n"
     "sub x1,x1,#16\n"
     "sub x0,x0,#16\n"
     "subs x2,x2,#16\n"
     "b.hi 1b")
FORM(downwards_delayed,
     "stp x6,x7,[x0,#-16]\n"
     "ldp x6,x7,[x1,#-16]\n"
     "stp x8,x9,[x0,#-32]!\n"
     "ldp x8,x9,[x1,#-32]!\n"
     "subs x2,x2,#32\n"
     "b.hi 1b")
FORM(downwards_half_registers,
     "str w6,[x0],#-8\n"
     "ldr w6,[x1],#-8\n"
     "str d1,[x0,#4]\n"
     "ldr d1,[x1,#4]\n"
     "subs x2,x2,#8\n"
     "b.hi 1b")
FORM(halves_of_registers_delayed,
     "str w6,[x0]\n"
     "ldr w6,[x1]\n"
     "str s1,[x0,#4]\n"
     "ldr s1,[x1,#4]\n"
     "str d2,[x0,#8]\n"
     "ldr d2,[x1,#8]\n"
     "add x0,x0,#16\n"
     "add x1,x1,#16\n"
     "subs x2,x2,#16\n"
     "b.hi 1b")
FORM(a_fill_of_vectors,
     "str q0,[x0],#16\n"
     "cmp x0,x8\n"
     "b.ne 1b")
FORM(a_fill_of_pairs,
     "stp q0,q1,[x3,#32]\n"
     "stp q1,q0,[x3,#64]!\n"
     "subs x2,x2,#64\n"
     "b.hi 1b")
FORM(zeros,
     "stp xzr,xzr,[x0],#16\n"
     "cmp x0,x8\n"
     "b.lo 1b")
FORM(bytes_of_a_register,
     "strb w9,[x0],#1\n"
     "sub x2,x2,#1\n"
     "cbnz x2,1b")
FORM(a_pattern_downwards,
     "stp x10,x9,[x0,#-16]!\n"
     "subs x5,x5,#1\n"
     "b.ne 1b")
FORM(three_bytes,
     "strh w10,[x0]\n"
     "strb w9,[x0,#2]\n"
     "add x0,x0,#3\n"
     "subs x5,x5,#1\n"
     "b.ne 1b")
FORM(lines_of_zeros,
     "dc zva,x3\n"
     "add x3,x3,#64\n"
     "subs x2,x2,#64\n"
     "b.hi 1b")
FORM(lines_by_their_size,
     "dc zva,x3\n"
     "add x3,x3,x4\n"
     "subs x2,x2,x4\n"
     "b.gt 1b")
FORM(a_page,
     "dc zva,x3\n"
     "add x3,x3,#64\n"
     "tst x3,#4095\n"
     "b.ne 1b")
FORM(pages,
     "ldp x6,x7,[x1]\n"
     "ldp x8,x9,[x1,#16]\n"
     "stnp x6,x7,[x3]\n"
     "stnp x8,x9,[x3,#16]\n"
     "add x3,x3,#32\n"
     "add x1,x1,#32\n"
     "tst x3,#4095\n"
     "b.ne 1b")
FORM(to_a_signed_limit,
     "ldr x6,[x1],#8\n"
     "str x6,[x0],#8\n"
     "cmp x0,x8\n"
     "b.lt 1b")

static const struct form {
    const char* name;
    void (*run)(struct registers*);
    int step;  // bytes of a turn; negative: downwards
} forms[] = {
    {"copies of 64 delayed by a turn", copies_of_delayed_by_a_turn, 64},
    {"the kernel's copy to programs", the_kernel_s_copy_to_programs, 32},
    {"vectors", vectors, 32},
    {"delayed vectors", delayed_vectors, 64},
    {"by an index", by_an_index, 16},
    {"bytes to a limit", bytes_to_a_limit, 1},
    {"words, counted in words", words_counted_in_words, 4},
    {"downwards", downwards, -16},
    {"downwards, delayed", downwards_delayed, -32},
    {"downwards, half registers", downwards_half_registers, -8},
    {"halves of registers, delayed", halves_of_registers_delayed, 16},
    {"a fill of vectors", a_fill_of_vectors, 16},
    {"a fill of pairs", a_fill_of_pairs, 64},
    {"zeros", zeros, 16},
    {"bytes of a register", bytes_of_a_register, 1},
    {"a pattern downwards", a_pattern_downwards, -16},
    {"three bytes", three_bytes, 3},
    {"lines of zeros", lines_of_zeros, 64},
    {"lines by their size", lines_by_their_size, 64},
    {"a page", a_page, 64},
    {"pages", pages, 32},
    {"to a signed limit", to_a_signed_limit, 8},
};

static u64 state = 0x243f6a8885a308d3, hash, faults, frames[FRAMES];
static unsigned frame_of[PAGES];

static u64 next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}
static u64 pick(u64 limit) { return (next() >> 20) % limit; }
static void add(u64 value) { hash = (hash ^ value) * 0x100000001b3 + (hash >> 29); }

// The page is there from now on, for everything.
static int fault(struct frame* f) {
    if (f->esr >> 26 != 0x25 || f->far < AREA || f->far >= AREA + PAGES * 4096) return 0;
    ++faults;
    for (unsigned i = 0; i < 16; ++i) add(f->x[i]);
    add(f->far), add(f->esr), add(f->spsr & 0xf0000000);
    const u64 page = (f->far - AREA) / 4096;
    map(AREA + page * 4096, frames[frame_of[page]], 3, USER_DATA);
    tlbi_arg(vae1, (AREA >> 12) + page);
    return 1;
}

static void new_mappings(void) {
    for (unsigned i = 0; i < PAGES; ++i) {
        frame_of[i] = (unsigned)pick(FRAMES);
        const u64 kind = pick(8);
        if (kind == 0)
            *entry(AREA + i * 4096ul, 3) = 0;
        else
            map(AREA + i * 4096ul, frames[frame_of[i]], 3, USER_DATA | (kind == 1 ? READ_ONLY : 0));
    }
    tlbi(vmalle1);
}

static void trial(const struct form* f) {
    struct registers r;
    for (unsigned i = 0; i < 16; ++i) r.x[i] = next();
    for (unsigned i = 0; i < 8; ++i) r.q[i] = next();
    r.nzcv = next() & 0xf0000000;
    const u64 step = (u64)(f->step < 0 ? -f->step : f->step);
    const u64 turns = 1 + pick(pick(3) == 0 ? 12 : LONGEST / step), bytes = turns * step;
    // Room on both sides, for what is loaded and stored before and behind.
    const u64 room = (PAGES - 2) * 4096ul - LONGEST - 256;
    u64 to = AREA + 4096 + pick(room), from = AREA + 4096 + pick(room);
    if (pick(4) == 0) from = to + pick(512) - 256;
    if (pick(3) == 0) to &= ~15ul, from &= ~15ul;
    if (from < AREA + 4096) from = AREA + 4096;
    const u64 aligned = to & ~63ul, shift = f->step < 0 ? bytes : 0;
    r.x[0] = to + shift;
    r.x[1] = from + shift;
    r.x[2] = bytes;
    r.x[3] = f->run == lines_of_zeros ? to : aligned;
    r.x[4] = from + bytes;
    r.x[5] = turns;
    r.x[6] = f->run == the_kernel_s_copy_to_programs ? to : r.x[6];
    if (f->run == by_an_index) r.x[7] = 0;
    if (f->run == lines_by_their_size) r.x[4] = pick(4) == 0 ? 128 : 64;
    r.x[8] = to + bytes;
    f->run(&r);
    for (unsigned i = 0; i < 16; ++i) add(r.x[i]);
    for (unsigned i = 0; i < 8; ++i) add(r.q[i]);
    add(r.nzcv);
}

void test_main(void) {
    for (unsigned i = 0; i < FRAMES; ++i) {
        frames[i] = new_page();
        for (unsigned w = 0; w < 512; ++w) ((u64*)frames[i])[w] = next();
    }
    map(AREA, frames[0], 3, USER_DATA);
    for (unsigned n = 0; n < sizeof(forms) / sizeof(forms[0]); ++n) {
        hash = faults = 0;
        this_cpu()->hook = fault;
        for (unsigned i = 0; i < TRIALS; ++i) {
            if (i % 4 == 0) new_mappings();
            trial(&forms[n]);
        }
        this_cpu()->hook = 0;
        for (unsigned i = 0; i < FRAMES; ++i)
            for (unsigned w = 0; w < 512; ++w) add(((u64*)frames[i])[w]);
        say("%s: %d faults, %x\n", forms[n].name, faults, hash);
    }
    say("done\n");
}
