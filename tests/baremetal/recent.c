// What is younger than QEMU 7.2, so that the program judges: memory copied and set by single instructions (FEAT_MOPS), minimum,
// maximum and bit counts (FEAT_CSSC), hinted branches (FEAT_HBC), ordered accesses with writeback, of pairs and of vectors
// (FEAT_LRCPC3), atomic operations on 16 bytes (FEAT_LSE128).
#include "runtime/bm.h"

__asm__(".arch armv8.8-a+cssc");

// Single ones of the three are written as numbers, since the assembler wants all.
#define VA 0x3000000000ul
#define PAGES 4
#define BYTES (PAGES * 4096ul)

static u8 model[BYTES];
static u64 seed = 1;

static u64 random(u64 below) {
    seed = seed * 6364136223846793005ul + 1442695040888963407ul;
    return (seed >> 33) % below;
}

static void fill(void) {
    for (u64 i = 0; i < BYTES; ++i) model[i] = ((volatile u8*)VA)[i] = (u8)(i * 7 + (i >> 8));
}
static u64 differences(void) {
    u64 n = 0;
    for (u64 i = 0; i < BYTES; ++i) n += ((volatile u8*)VA)[i] != model[i];
    return n;
}

struct registers {
    u64 to, from, size, flags;
};
#define OPERATION(name, p, m, e)                                                         \
    static struct registers name(struct registers r) {                                   \
        register u64 x1 __asm__("x1") = r.to;                                            \
        register u64 x2 __asm__("x2") = r.from;                                          \
        register u64 x3 __asm__("x3") = r.size;                                          \
        __asm__ volatile("msr nzcv, %3\n " p "\n " m "\n " e "\n mrs %3, nzcv"           \
                         : "+r"(x1), "+r"(x2), "+r"(x3), "+r"(r.flags)::"memory", "cc"); \
        return (struct registers){x1, x2, x3, r.flags};                                  \
    }
OPERATION(copy, "cpyp [x1]!, [x2]!, x3!", "cpym [x1]!, [x2]!, x3!", "cpye [x1]!, [x2]!, x3!")
OPERATION(copy_forward, "cpyfp [x1]!, [x2]!, x3!", "cpyfm [x1]!, [x2]!, x3!", "cpyfe [x1]!, [x2]!, x3!")
OPERATION(copy_unprivileged, "cpypt [x1]!, [x2]!, x3!", "cpymt [x1]!, [x2]!, x3!", "cpyet [x1]!, [x2]!, x3!")
OPERATION(set, "setp [x1]!, x3!, x2", "setm [x1]!, x3!, x2", "sete [x1]!, x3!, x2")
OPERATION(set_unprivileged, "setpt [x1]!, x3!, x2", "setmt [x1]!, x3!, x2", "setet [x1]!, x3!, x2")
OPERATION(copy_main, "nop", ".inst 0x1d420461", "nop")
OPERATION(copy_prologue, ".inst 0x1d020461", "nop", "nop")
OPERATION(set_epilogue, "nop", "nop", ".inst 0x19c28461")

static void model_copy(u64 to, u64 from, u64 n) {
    if (to < from)
        for (u64 i = 0; i < n; ++i) model[to + i] = model[from + i];
    else
        for (u64 i = n; i-- > 0;) model[to + i] = model[from + i];
}

static void many(void) {
    u64 wrong_memory = 0, wrong_registers = 0;
    fill();
    for (unsigned i = 0; i < 600; ++i) {
        const u64 most = i % 5 == 0 ? BYTES / 2 : i % 5 == 1 ? 40 : 300;
        const u64 n = random(most), to = random(BYTES - n + 1);
        // Often close to each other, so that they overlap.
        u64 from = i % 3 ? random(BYTES - n + 1) : to + random(200);
        if (i % 6 == 3) from = to > 100 ? to - random(100) : from;
        if (from + n > BYTES) from = BYTES - n;
        const unsigned kind = (unsigned)random(3);
        struct registers r = {VA + to, VA + from, n, 0x60000000};
        if (kind == 0) {
            model_copy(to, from, n);
            r = copy(r);
            // Forward: behind both; backward they stay.
            const int backward = from < to && from + n > to;
            wrong_registers +=
                r.to != VA + to + (backward ? 0 : n) || r.from != VA + from + (backward ? 0 : n);
        } else if (kind == 1) {
            if (to > from && from + n > to) continue;  // CPYF is not for these
            model_copy(to, from, n);
            r = copy_forward(r);
            wrong_registers += r.to != VA + to + n || r.from != VA + from + n;
        } else {
            for (u64 k = 0; k < n; ++k) model[to + k] = (u8)i;
            r.from = i | 0x5500;
            r = set(r);
            wrong_registers += r.to != VA + to + n || r.from != (i | 0x5500);
        }
        wrong_registers += r.size != 0 || r.flags != 0;
        if (i % 50 == 49) wrong_memory += differences();
    }
    judge("copies and sets: memory", wrong_memory, 0);
    judge("copies and sets: registers", wrong_registers, 0);
}

// ---- Faults, with the registers as the handler sees them.

static struct { u64 count, esr, far, to, from, size; } seen;
static u64 page_to_map, page_attributes;

/// Maps what is not there and goes on; or, the second time, gives up.
static int handler(struct frame* f) {
    ++seen.count;
    seen.esr = f->esr;
    seen.far = f->far;
    seen.to = f->x[1];
    seen.from = f->x[2];
    seen.size = f->x[3];
    if (seen.count > 1 || page_to_map == 0) {
        f->elr += 4;
        return 1;
    }
    *entry(page_to_map, 3) = page_attributes;
    tlbi(vmalle1);
    return 1;
}

static void fault(const char* name, struct registers (*operation)(struct registers), u64 to, u64 from, u64 n,
                  unsigned hole, u64 esr, u64 far, u64 left) {
    fill();
    const u64 page = VA + hole * 4096ul, before = *entry(page, 3);
    *entry(page, 3) = 0;
    tlbi(vmalle1);
    seen.count = 0;
    page_to_map = page;
    page_attributes = before;
    this_cpu()->hook = handler;
    const struct registers r = operation((struct registers){VA + to, VA + from, n, 0});
    this_cpu()->hook = 0;
    *entry(page, 3) = before;
    tlbi(vmalle1);
    say("~ %s\n", name);
    judge("faults", seen.count, 1);
    judge("esr", seen.esr, esr);
    judge("far", seen.far, VA + far);
    judge("left", seen.size, left);
    judge("left at last", r.size, 0);
    if (operation == set)
        for (u64 k = 0; k < n; ++k) model[to + k] = (u8)(VA + from);
    else
        model_copy(to, from, n);
    judge("memory", differences(), 0);
}

#define ABORT(write) (0x25ul << 26 | 1ul << 25 | (write) << 6 | 7)

static void faults(void) {
    fault("read, forward", copy, 100, 0x1f00, 0x1000, 2, ABORT(0ul), 0x2000, -(0x1000ul - 0x100));
    fault("write, forward", copy_forward, 0x1f80, 8, 0x1000, 2, ABORT(1ul), 0x2000, -(0x1000ul - 0x80));
    fault("at the first byte", copy, 0x2000, 0, 64, 2, ABORT(1ul), 0x2000, -64ul);
    fault("set", set, 0x0ff0, 0x77, 0x2000, 1, ABORT(1ul), 0x1000, -(0x2000ul - 16));
    // Backward it comes from above: the highest byte of the missing page is the first that is missed, or the step that has it.
    fill();
    *entry(VA + 0x1000, 3) &= ~1ul;
    tlbi(vmalle1);
    seen.count = 0;
    page_to_map = VA + 0x1000;
    page_attributes = *entry(VA + 0x1000, 3) | 1;
    this_cpu()->hook = handler;
    copy((struct registers){VA + 0x900, VA + 0x800, 0x1000, 0});
    this_cpu()->hook = 0;
    judge("backward: faults", seen.count, 1);
    judge("backward: the page", seen.far >> 12, (VA + 0x1000) >> 12);
    judge("backward: left", seen.size, 0x1000);
    model_copy(0x900, 0x800, 0x1000);
    judge("backward: memory", differences(), 0);
}

static void rights(void) {
    // EL0's rights: a kernel's page is not its.
    struct cpu* cpu = this_cpu();
    fill();
    page_to_map = 0;
    seen.count = 0;
    cpu->hook = handler;
    copy_unprivileged((struct registers){VA, VA + 64, 32, 0});
    judge("unprivileged: faults", seen.count, 2);  // CPYM's and CPYE's
    judge("unprivileged: esr", seen.esr & ~0x40ul, 0x25ul << 26 | 1ul << 25 | 15);
    seen.count = 0;
    set_unprivileged((struct registers){VA, 7, 32, 0});
    judge("unprivileged set: faults", seen.count, 2);
    judge("nothing was written", differences(), 0);
    // Registers in the form of option B.
    seen.count = 0;
    copy_main((struct registers){VA, VA + 64, 32, 1ul << 29});
    judge("option B: faults", seen.count, 1);
    judge("option B: esr", seen.esr, 0x27ul << 26 | 1ul << 25 | 3ul << 16 | 1 << 10 | 2 << 5 | 3);
    seen.count = 0;
    set_epilogue((struct registers){VA, 9, 32, 1ul << 29});
    judge("option B: esr", seen.esr, 0x27ul << 26 | 1ul << 25 | 1ul << 24 | 7ul << 16 | 1 << 10 | 2 << 5 | 3);
    cpu->hook = 0;
    // A size that no memory has, and backwards, since the two overlap.
    judge("saturates", copy_prologue((struct registers){VA + 64, VA, -1ul, 0}).size, 0x7ffffffffffffful);
    expect();
    PROBE(".inst 0x19030443", VA, 8);  // cpyfp [x3]!, [x3]!, x2!
    verdict("one register twice", 1ul << 25, 0);
}

static u64 el0_copy(u64 to, u64 from) { return copy((struct registers){to, from, 16, 0}).size; }

static void at_el0_only_by_leave(void) {
    expect();
    at_el0(el0_copy, 0x2100001000 - 64, 0x2100001000 - 128);
    judge("no leave: three are undefined", this_cpu()->count, 3);
    judge("no leave: esr", this_cpu()->esr, 1ul << 25);
    set_sctlr(1ul << 33, 0);
    expect();
    judge("by leave", at_el0(el0_copy, 0x2100000000, 0x2100000100), 0);
    judge("by leave: faults", this_cpu()->count, 0);
    set_sctlr(0, 1ul << 33);
}

// ---- FEAT_CSSC and FEAT_HBC

static const s64 numbers[] = {0,
                              1,
                              -1,
                              2,
                              127,
                              -128,
                              255,
                              0x7fffffff,
                              -0x7fffffff - 1,
                              0xffffffff,
                              0x100000000,
                              0x7fffffffffffffff,
                              -0x7fffffffffffffff - 1,
                              0x5555aaaa3333cccc,
                              96,
                              -80};
#define NUMBERS (sizeof numbers / sizeof *numbers)

#define TWO(type, text, expression)                                         \
    do {                                                                    \
        u64 wrong = 0;                                                      \
        for (unsigned i = 0; i < NUMBERS; ++i)                              \
            for (unsigned k = 0; k < NUMBERS; ++k) {                        \
                const type a = (type)numbers[i], b = (type)numbers[k];      \
                u64 r;                                                      \
                __asm__(text : "=r"(r) : "r"(numbers[i]), "r"(numbers[k])); \
                (void)b;                                                    \
                wrong += r != (u64)(expression);                            \
            }                                                               \
        judge(text, wrong, 0);                                              \
    } while (0)

static u64 ones(u64 v) {
    u64 n = 0;
    for (; v; v &= v - 1) ++n;
    return n;
}
static u64 trailing(u64 v, u64 width) {
    u64 n = 0;
    while (n < width && !(v >> n & 1)) ++n;
    return n;
}

static void bits(void) {
    TWO(s64, "smax %0, %1, %2", a > b ? a : b);
    TWO(s64, "smin %0, %1, %2", a < b ? a : b);
    TWO(u64, "umax %0, %1, %2", a > b ? a : b);
    TWO(u64, "umin %0, %1, %2", a < b ? a : b);
    TWO(int, "smax %w0, %w1, %w2", (u32)(a > b ? a : b));
    TWO(int, "smin %w0, %w1, %w2", (u32)(a < b ? a : b));
    TWO(u32, "umax %w0, %w1, %w2", a > b ? a : b);
    TWO(u32, "umin %w0, %w1, %w2", a < b ? a : b);
    TWO(s64, "smax %0, %1, #-80", a > -80 ? a : -80);
    TWO(s64, "smin %0, %1, #96", a < 96 ? a : 96);
    TWO(u64, "umax %0, %1, #200", a > 200 ? a : 200);
    TWO(u64, "umin %0, %1, #2", a < 2 ? a : 2);
    TWO(int, "smax %w0, %w1, #-1", (u32)(a > -1 ? a : -1));
    TWO(u32, "umin %w0, %w1, #255", a < 255 ? a : 255);
    TWO(u64, "cnt %0, %1", ones(a));
    TWO(u32, "cnt %w0, %w1", ones(a));
    TWO(u64, "ctz %0, %1", trailing(a, 64));
    TWO(u32, "ctz %w0, %w1", trailing(a, 32));
    TWO(u64, "abs %0, %1", (s64)a < 0 ? -a : a);
    TWO(u32, "abs %w0, %w1", (int)a < 0 ? (u32)-a : a);
    u64 taken = 0;
    for (unsigned i = 0; i < 100; ++i)
        __asm__("cmp %1, #50\n bc.lo 1f\n add %0, %0, #1\n1:" : "+r"(taken) : "r"((u64)i) : "cc");
    judge("bc.lo", taken, 50);
}

// ---- FEAT_LRCPC3 and FEAT_LSE128, as numbers: x4 has the address, x5 and x6 or v5 the data.

struct ordered {
    u64 address, first, second;
};
#define ORDERED(name, instruction)                                              \
    static struct ordered name(struct ordered o) {                              \
        register u64 x4 __asm__("x4") = o.address;                              \
        register u64 x5 __asm__("x5") = o.first;                                \
        register u64 x6 __asm__("x6") = o.second;                               \
        __asm__ volatile(instruction : "+r"(x4), "+r"(x5), "+r"(x6)::"memory"); \
        return (struct ordered){x4, x5, x6};                                    \
    }
#define ORDERED_VECTOR(name, instruction)                                                                 \
    static struct ordered name(struct ordered o) {                                                        \
        register u64 x4 __asm__("x4") = o.address;                                                        \
        __asm__ volatile("fmov d5, %1\n mov v5.d[1], %2\n" instruction "\n fmov %1, d5\n mov %2, v5.d[1]" \
                         : "+r"(x4), "+r"(o.first), "+r"(o.second)::"memory", "v5");                      \
        return (struct ordered){x4, o.first, o.second};                                                   \
    }
ORDERED(stlr_w, ".inst 0x99800885")           // stlr w5, [x4, #-4]!
ORDERED(stlr_x, ".inst 0xd9800885")           // stlr x5, [x4, #-8]!
ORDERED(ldapr_w, ".inst 0x99c00885")          // ldapr w5, [x4], #4
ORDERED(ldapr_x, ".inst 0xd9c00885")          // ldapr x5, [x4], #8
ORDERED(stilp_w, ".inst 0x99061885")          // stilp w5, w6, [x4]
ORDERED(stilp_x, ".inst 0xd9061885")          // stilp x5, x6, [x4]
ORDERED(stilp_w_pre, ".inst 0x99060885")      // stilp w5, w6, [x4, #-8]!
ORDERED(stilp_x_pre, ".inst 0xd9060885")      // stilp x5, x6, [x4, #-16]!
ORDERED(ldiapp_w, ".inst 0x99461885")         // ldiapp w5, w6, [x4]
ORDERED(ldiapp_x, ".inst 0xd9461885")         // ldiapp x5, x6, [x4]
ORDERED(ldiapp_w_post, ".inst 0x99460885")    // ldiapp w5, w6, [x4], #8
ORDERED(ldiapp_x_post, ".inst 0xd9460885")    // ldiapp x5, x6, [x4], #16
ORDERED_VECTOR(stlur_b, ".inst 0x1d1ff885")   // stlur b5, [x4, #-1]
ORDERED_VECTOR(stlur_h, ".inst 0x5d002885")   // stlur h5, [x4, #2]
ORDERED_VECTOR(stlur_s, ".inst 0x9d004885")   // stlur s5, [x4, #4]
ORDERED_VECTOR(stlur_d, ".inst 0xdd1f8885")   // stlur d5, [x4, #-8]
ORDERED_VECTOR(stlur_q, ".inst 0x1d810885")   // stlur q5, [x4, #16]
ORDERED_VECTOR(ldapur_b, ".inst 0x1d5ff885")  // ldapur b5, [x4, #-1]
ORDERED_VECTOR(ldapur_h, ".inst 0x5d402885")  // ldapur h5, [x4, #2]
ORDERED_VECTOR(ldapur_s, ".inst 0x9d404885")  // ldapur s5, [x4, #4]
ORDERED_VECTOR(ldapur_d, ".inst 0xdd5f8885")  // ldapur d5, [x4, #-8]
ORDERED_VECTOR(ldapur_q, ".inst 0x1dc10885")  // ldapur q5, [x4, #16]
ORDERED_VECTOR(stl1_0, ".inst 0x0d018485")    // stl1 {v5.d}[0], [x4]
ORDERED_VECTOR(stl1_1, ".inst 0x4d018485")    // stl1 {v5.d}[1], [x4]
ORDERED_VECTOR(ldap1_0, ".inst 0x0d418485")   // ldap1 {v5.d}[0], [x4]
ORDERED_VECTOR(ldap1_1, ".inst 0x4d418485")   // ldap1 {v5.d}[1], [x4]
ORDERED(ldclrp, ".inst 0x19261085")           // ldclrp x5, x6, [x4]
ORDERED(ldsetpa, ".inst 0x19a63085")          // ldsetpa x5, x6, [x4]
ORDERED(swppl, ".inst 0x19668085")            // swppl x5, x6, [x4]
ORDERED(swppal, ".inst 0x19e68085")           // swppal x5, x6, [x4]

#define A 0x1122334455667788ul
#define B 0x99aabbccddeeff01ul

/// Memory before: 0 1 2 3 4 5 6 7 as doublewords, the address in the middle. What is there after it, at `place`, and what the registers have.
static void ordered(const char* name, struct ordered (*act)(struct ordered), s64 moved, u64 first, u64 second,
                    s64 place, u64 low, u64 high) {
    volatile u64* memory = (volatile u64*)VA;
    for (unsigned n = 0; n < 3; ++n) {  // once is not enough for tier 2 in tiered runs
        for (unsigned i = 0; i < 8; ++i) memory[i] = i * 0x0101010101010101ul;
        const struct ordered r = act((struct ordered){VA + 32, A, B});
        if (r.address != VA + 32 + (u64)moved || r.first != first || r.second != second ||
            memory[4 + place] != low || memory[5 + place] != high)
            say("WRONG %s: x4 %lx, x5 %lx, x6 %lx, %lx %lx\n", name, r.address - VA, r.first, r.second,
                memory[4 + place], memory[5 + place]);
    }
    judge(name, 0, 0);
}
#define EACH(n) ((n)*0x0101010101010101ul)

static void ordered_accesses(void) {
    ordered("stlr w", stlr_w, -4, A, B, -1, 0x5566778803030303ul, EACH(4));
    ordered("stlr x", stlr_x, -8, A, B, -1, A, EACH(4));
    ordered("ldapr w", ldapr_w, 4, 0x04040404, B, 0, EACH(4), EACH(5));
    ordered("ldapr x", ldapr_x, 8, EACH(4), B, 0, EACH(4), EACH(5));
    ordered("stilp w", stilp_w, 0, A, B, 0, 0xddeeff0155667788ul, EACH(5));
    ordered("stilp x", stilp_x, 0, A, B, 0, A, B);
    ordered("stilp w pre", stilp_w_pre, -8, A, B, -1, 0xddeeff0155667788ul, EACH(4));
    ordered("stilp x pre", stilp_x_pre, -16, A, B, -2, A, B);
    ordered("ldiapp w", ldiapp_w, 0, 0x04040404, 0x04040404, 0, EACH(4), EACH(5));
    ordered("ldiapp x", ldiapp_x, 0, EACH(4), EACH(5), 0, EACH(4), EACH(5));
    ordered("ldiapp w post", ldiapp_w_post, 8, 0x04040404, 0x04040404, 0, EACH(4), EACH(5));
    ordered("ldiapp x post", ldiapp_x_post, 16, EACH(4), EACH(5), 0, EACH(4), EACH(5));
    ordered("stlur b", stlur_b, 0, A, B, -1, 0x8803030303030303ul, EACH(4));
    ordered("stlur h", stlur_h, 0, A, B, 0, 0x0404040477880404ul, EACH(5));
    ordered("stlur s", stlur_s, 0, A, B, 0, 0x5566778804040404ul, EACH(5));
    ordered("stlur d", stlur_d, 0, A, B, -1, A, EACH(4));
    ordered("stlur q", stlur_q, 0, A, B, 2, A, B);
    ordered("ldapur b", ldapur_b, 0, 3, 0, 0, EACH(4), EACH(5));
    ordered("ldapur h", ldapur_h, 0, 0x0404, 0, 0, EACH(4), EACH(5));
    ordered("ldapur s", ldapur_s, 0, 0x04040404, 0, 0, EACH(4), EACH(5));
    ordered("ldapur d", ldapur_d, 0, EACH(3), 0, 0, EACH(4), EACH(5));
    ordered("ldapur q", ldapur_q, 0, EACH(6), EACH(7), 0, EACH(4), EACH(5));
    ordered("stl1 0", stl1_0, 0, A, B, 0, A, EACH(5));
    ordered("stl1 1", stl1_1, 0, A, B, 0, B, EACH(5));
    ordered("ldap1 0", ldap1_0, 0, EACH(4), B, 0, EACH(4), EACH(5));
    ordered("ldap1 1", ldap1_1, 0, A, EACH(4), 0, EACH(4), EACH(5));
    ordered("ldclrp", ldclrp, 0, EACH(4), EACH(5), 0, EACH(4) & ~A, EACH(5) & ~B);
    ordered("ldsetpa", ldsetpa, 0, EACH(4), EACH(5), 0, EACH(4) | A, EACH(5) | B);
    ordered("swppl", swppl, 0, EACH(4), EACH(5), 0, A, B);
    ordered("swppal", swppal, 0, EACH(4), EACH(5), 0, A, B);
    // Across 16 bytes they are misaligned.
    const u64 misaligned = 0x25ul << 26 | 1ul << 25 | 0x21;
    CHECK(".inst 0xd9061865", VA + 8, 8, misaligned | 1 << 6, VA + 8);   // stilp x5, x6, [x3]
    CHECK(".inst 0xd9461865", VA + 8, 8, misaligned, VA + 8);            // ldiapp x5, x6, [x3]
    CHECK(".inst 0x9d007863", VA + 8, 8, misaligned | 1 << 6, VA + 15);  // stlur s3, [x3, #7]
    CHECK(".inst 0x1dc00863", VA + 8, 8, misaligned, VA + 8);            // ldapur q3, [x3]
    CHECK(".inst 0x19268065", VA + 8, 8, misaligned, VA + 8);            // swpp x5, x6, [x3]
    CHECK(".inst 0x193f8065", VA, 8, 1ul << 25, 0);                      // swpp x5, xzr, [x3]
}

void test_main(void) {
    // Backwards, so that what is adjacent is not adjacent in physical memory.
    for (unsigned i = PAGES; i-- > 0;) map(VA + i * 4096ul, new_page(), 3, KERNEL_DATA);
    tlbi(vmalle1);
    bits();
    ordered_accesses();
    many();
    faults();
    rights();
    at_el0_only_by_leave();
    say("done\n");
}
