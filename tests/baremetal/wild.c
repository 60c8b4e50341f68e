// Data accesses of EL0 to addresses of every kind at every width: mapped ones and those beside them, across the ends of pages, of
// 512 GiB and of the half, with tags, not canonical, of the other half, around the end of all addresses. Where nothing is
// mapped each must fault as the architecture has it, whatever the program that executes this has at such an address itself.
#include "runtime/bm.h"

#define OP(name, text)                                                                                   \
    static u64 op_##name(u64 a, u64 b) {                                                                 \
        register u64 x2 __asm__("x2") = a;                                                               \
        register u64 x3 __asm__("x3") = b;                                                               \
        __asm__ volatile(text : "+r"(x2), "+r"(x3)::"memory", "x4", "x5", "x6", "x7", "v0", "v1", "cc"); \
        return x2;                                                                                       \
    }
// Those with a displacement begin before the address and reach it. The last ones are several accesses of one structure.
// clang-format off
#define OPS(X)                                                                              \
    X(ldrb, "ldrb w2, [x3]")                                                                \
    X(ldrsh, "ldrsh x2, [x3]")                                                              \
    X(ldrw, "ldr w2, [x3]")                                                                 \
    X(ldrx, "ldr x2, [x3]")                                                                 \
    X(ldur, "add x3, x3, #255\n ldur x2, [x3, #-255]")                                      \
    X(ldr_far, "mov x4, #32760\n sub x3, x3, x4\n ldr x2, [x3, #32760]")                    \
    X(ldr_index, "mov x4, #-4096\n add x3, x3, #4095\n add x3, x3, #1\n ldr x2, [x3, x4]")  \
    X(ldp, "ldp x2, x4, [x3]\n add x2, x2, x4")                                             \
    X(ldrd, "ldr d0, [x3]\n fmov x2, d0")                                                   \
    X(ldrq, "ldr q0, [x3]\n fmov x2, d0\n mov x4, v0.d[1]\n add x2, x2, x4")                \
    X(ldpq, "ldp q0, q1, [x3]\n fmov x2, d0\n mov x4, v1.d[1]\n add x2, x2, x4")            \
    X(strb, "strb w2, [x3]")                                                                \
    X(strh, "strh w2, [x3]")                                                                \
    X(strw, "str w2, [x3]")                                                                 \
    X(strx, "str x2, [x3]")                                                                 \
    X(stp, "stp x2, x2, [x3]")                                                              \
    X(strq, "fmov d0, x2\n str q0, [x3]")                                                   \
    X(stpq, "fmov d0, x2\n stp q0, q0, [x3]")                                               \
    X(push, "mov x4, sp\n add x3, x3, #16\n mov sp, x3\n stp x2, x2, [sp, #-16]!\n mov sp, x4")                   \
    X(structure, "ldr x4, [x3]\n ldr w5, [x3, #8]\n str x2, [x3, #16]\n ldrb w6, [x3, #200]\n add x2, x4, x5\n add x2, x2, x6") \
    X(before, "sub x3, x3, #240\n ldr x4, [x3, #240]\n ldr x5, [x3, #248]\n add x2, x4, x5\n str x2, [x3, #240]")
#define ALIGNED_OPS(X)                                          \
    X(ldar, "ldar x2, [x3]")                                    \
    X(stlr, "stlr x2, [x3]")                                    \
    X(ldxr, "ldxr x2, [x3]\n clrex")                            \
    X(swp, "swp x2, x2, [x3]")                                  \
    X(ldadd, "ldadd w2, w2, [x3]")                              \
    X(casp, "mov x4, #0\n mov x5, #0\n cas x4, x2, [x3]\n add x2, x2, x4") \
    X(zva, "dc zva, x3")
// clang-format on
OPS(OP)
ALIGNED_OPS(OP)

struct op {
    const char* name;
    u64 (*function)(u64, u64);
};
#define ROW(name, text) {#name, op_##name},
static const struct op ops[] = {OPS(ROW)};
static const struct op aligned_ops[] = {ALIGNED_OPS(ROW)};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static u64 faults, hash;
static void mix(u64 value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15ul; }

static void one(const struct op* op, u64 address) {
    struct cpu* cpu = this_cpu();
    expect();
    mix(at_el0(op->function, 0x1122334455667788, address));
    mix(cpu->count);
    if (cpu->count == 0) return;
    ++faults;
    mix(cpu->esr);
    // Of the accesses of an instruction and of a structure any may be the first one.
    mix(cpu->far >> 12);
}

static void all(u64 address) {
    faults = 0;
    hash = 0;
    for (unsigned i = 0; i < COUNT(ops); ++i) one(&ops[i], address);
    if (address % 16 == 0)
        for (unsigned i = 0; i < COUNT(aligned_ops); ++i) one(&aligned_ops[i], address);
    say("%x: %d faults, %x\n", address, faults, hash);
}

// In this order: neighbours of 512 GiB that are both mapped, a page alone, a page that is read-only, the half's last page.
static const u64 places[] = {0x7ffffff000, 0x8000000000, 0xaaaaaaaab000, 0xaaaaaaaad000, 0xfffffffff000};

static void around(u64 flip) {
    static const u64 offsets[] = {0, 1, 0x7f8, 0xf00, 0xff0, 0xff1, 0xff8, 0xff9, 0xffe, 0xfff, 0x1000};
    for (unsigned p = 0; p < COUNT(places); ++p)
        for (unsigned o = 0; o < COUNT(offsets); ++o) all((places[p] + offsets[o]) ^ flip);
}

static void few(u64 flip) {
    for (unsigned p = 0; p < COUNT(places); ++p) all((places[p] + 0x100) ^ flip);
}

static void every_kind(void) {
    say("as they are\n");
    around(0);
    say("with tags\n");
    around(1ul << 56);
    few(0xfful << 56);
    say("not canonical\n");
    around(1ul << 48);
    for (unsigned bit = 47; bit < 56; ++bit) few(1ul << bit);
    say("in the other half\n");
    few(0xfffful << 48);
    few(0xfful << 48);
    say("nowhere\n");
    // Addresses at which a program on a Linux of x86 has its own code, heap, libraries and stack; and both ends.
    static const u64 nowhere[] = {0,
                                  8,
                                  0xff8,
                                  0x555555554000,
                                  0x55555555f000,
                                  0x5fffffffe000,
                                  0x7f0000000000,
                                  0x7ffff7dd0000,
                                  0x7ffffffde000,
                                  0x7ffffffff000,
                                  0x800000000000,
                                  0x7fffffffffff,
                                  0x1000000000000,
                                  0x7fffffffffffffff,
                                  0x8000000000000000,
                                  0xffffffffff600000,
                                  ~0ul - 0xfff,
                                  ~0ul - 15,
                                  ~0ul - 7,
                                  ~0ul};
    for (unsigned i = 0; i < COUNT(nowhere); ++i) all(nowhere[i]);
}

void test_main(void) {
    const u64 memory = new_block();
    for (unsigned p = 0; p < COUNT(places); ++p)
        map(places[p], memory + p * 0x1000, 3,
            (USER_DATA | NG) | (places[p] == 0xaaaaaaaad000 ? READ_ONLY : 0));
    set_sctlr(1 << 14, 0);  // DC ZVA at EL0
    tlbi(vmalle1);
    say("tags are addresses\n");
    every_kind();
    say("tags are ignored\n");
    set_tcr(TCR_DEFAULT | 1ul << 37);
    every_kind();
    say("after a change\n");
    set_tcr(TCR_DEFAULT);
    for (unsigned p = 0; p < COUNT(places); ++p) {
        map(places[p], 0, 3, 0);
        tlbi_arg(vae1, places[p] >> 12 & 0xfffffffffff);
        all(places[p] + 0x100);
        map(places[p], memory + (p ^ 1) * 0x1000, 3, USER_DATA | NG | READ_ONLY);
        all(places[p] + 0x100);
        map(places[p], memory + (p ^ 1) * 0x1000, 3, USER_DATA | NG);
        tlbi_arg(vae1, places[p] >> 12 & 0xfffffffffff);
        all(places[p] + 0x100);
    }
    tlbi_arg(aside1, 0);
    few(0);
    say("done\n");
}
