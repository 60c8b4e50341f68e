// FPCR.NEP and AH (FEAT_AFP), EBF (FEAT_EBF16): what elements scalar instructions leave alone, and which signs change. The program judges,
// since QEMU 7.2 has none of them; results of arithmetic are compared in tests/jit/reference.
#include "runtime/bm.h"

__asm__(".arch armv8.6-a+fp16+bf16");

#define FIZ 1ul
#define AH 2ul
#define NEP 4ul
#define EBF (1ul << 13)

struct vector {
    u64 low, high;
};
static struct vector in[4], out;

/// v0 to v3 are `in`, x1 is 3; v0 afterwards.
#define RUN(text, fpcr)                                                                                   \
    __asm__ volatile("ldp q0, q1, [%0]\n ldp q2, q3, [%0, #32]\n msr fpcr, %1\n mov x1, #3\n isb\n " text \
                     "\n msr fpcr, xzr\n str q0, [%2]" ::"r"(in),                                         \
                     "r"((u64)(fpcr)), "r"(&out)                                                          \
                     : "memory", "cc", "x1")

// ---- NEP

static void numbers(void) {
    // 1.5, 2.25, ... as halves, singles and doubles at once matter not: any bits do, but no NaNs.
    for (unsigned i = 0; i < 4; ++i) {
        in[i].low = 0x3ff8400040204100ul + i * 0x0010001000100010ul;
        in[i].high = 0x4008420040404200ul + i * 0x0011001100110011ul;
    }
}

/// The lowest element, of 16 << size bits, is the same as without NEP, and what is above it that of in[rest].
#define KEEPS(text, size, rest)                                                     \
    do {                                                                            \
        numbers();                                                                  \
        RUN(text, 0);                                                               \
        const struct vector plain = out;                                            \
        const u64 mask = (size) == 2 ? -1ul : (1ul << (16 << (size))) - 1;          \
        judge(text ": zeros", (plain.low & ~mask) | plain.high, 0);                 \
        RUN(text, NEP);                                                             \
        judge(text,                                                                 \
              ((out.low ^ plain.low) & mask) | ((out.low ^ in[rest].low) & ~mask) | \
                  (out.high ^ in[rest].high),                                       \
              0);                                                                   \
    } while (0)
#define H(text, rest) KEEPS(text, 0, rest)
#define S(text, rest) KEEPS(text, 1, rest)
#define D(text, rest) KEEPS(text, 2, rest)
/// An instruction of one operand, and of two, in the three formats.
#define ONE(op)         \
    H(op " h0, h1", 0); \
    S(op " s0, s1", 0); \
    D(op " d0, d1", 0)
#define TWO(op)             \
    H(op " h0, h1, h2", 1); \
    S(op " s0, s1, s2", 1); \
    D(op " d0, d1, d2", 1)
#define COMPARE(op)         \
    H(op " h0, h1, h2", 2); \
    S(op " s0, s1, s2", 2); \
    D(op " d0, d1, d2", 2)
#define THREE(op)               \
    H(op " h0, h1, h2, h3", 3); \
    S(op " s0, s1, s2, s3", 3); \
    D(op " d0, d1, d2, d3", 3)

static void kept_elements(void) {
    ONE("fabs");
    ONE("fneg");
    ONE("fsqrt");
    ONE("frintn");
    ONE("frintx");
    ONE("frecpe");
    ONE("frsqrte");
    ONE("frecpx");
    ONE("fcvtzs");
    ONE("fcvtau");
    ONE("scvtf");
    ONE("ucvtf");
    TWO("fadd");
    TWO("fsub");
    TWO("fmul");
    TWO("fdiv");
    TWO("fnmul");
    TWO("fmax");
    TWO("fminnm");
    TWO("fabd");
    TWO("fmulx");
    TWO("frecps");
    TWO("frsqrts");
    COMPARE("fcmeq");
    COMPARE("facgt");
    THREE("fmadd");
    THREE("fmsub");
    THREE("fnmadd");
    THREE("fnmsub");
    S("frint32z s0, s1", 0);
    D("frint64x d0, d1", 0);
    H("fcvt h0, s1", 0);
    H("fcvt h0, d1", 0);
    S("fcvt s0, h1", 0);
    S("fcvt s0, d1", 0);
    D("fcvt d0, h1", 0);
    D("fcvt d0, s1", 0);
    S("fcvtxn s0, d1", 0);
    H("bfcvt h0, s1", 0);
    H("scvtf h0, w1", 0);
    S("ucvtf s0, x1", 0);
    D("scvtf d0, w1, #3", 0);
    H("scvtf h0, h1, #5", 0);
    S("fcvtzu s0, s1, #5", 0);
    D("ucvtf d0, d1, #5", 0);
    H("fmul h0, h1, v2.h[3]", 1);
    S("fmul s0, s1, v2.s[1]", 1);
    D("fmulx d0, d1, v2.d[1]", 1);
    H("fmla h0, h1, v2.h[3]", 0);
    S("fmls s0, s1, v2.s[1]", 0);
    D("fmla d0, d1, v2.d[1]", 0);
}

/// What NEP is not about.
#define SAME(text)                                                       \
    do {                                                                 \
        numbers();                                                       \
        RUN(text, 0);                                                    \
        const struct vector plain = out;                                 \
        RUN(text, NEP);                                                  \
        judge(text, (plain.low ^ out.low) | (plain.high ^ out.high), 0); \
    } while (0)

static void others(void) {
    SAME("fmov s0, s1");
    SAME("fmov d0, #1.5");
    SAME("fmov h0, w1");
    SAME("fcsel d0, d1, d2, ne");
    SAME("faddp s0, v1.2s");
    SAME("fmaxnmp d0, v1.2d");
    SAME("faddp h0, v1.2h");
    SAME("fmaxv s0, v1.4s");
    SAME("fcmge h0, h1, #0.0");
    SAME("fcmlt s0, s1, #0.0");
    SAME("fcmle d0, d1, #0.0");
    SAME("fadd v0.2s, v1.2s, v2.2s");
    SAME("ldr s0, [sp]");
    SAME("add d0, d1, d2");
}

// ---- AH

#define NAN_D 0x7ff8000000000123ul
#define NAN_S 0x7fc00123ul
#define NAN_H 0x7e55ul
#define SIGN (1ul << 63)

static void set(u64 a, u64 b, u64 c, u64 d) {
    in[0] = (struct vector){a, a}, in[1] = (struct vector){b, b}, in[2] = (struct vector){c, c};
    in[3] = (struct vector){d, d};
}
/// The lower half of v0 with AH.
#define SIGNS(text, expected)           \
    do {                                \
        RUN(text, AH);                  \
        judge(text, out.low, expected); \
    } while (0)
#define PAIR(single) ((single) << 32 | (single))
#define QUAD(half) PAIR((half) << 16 | (half))

static void signs(void) {
    const u64 two_d = 0x4000000000000000ul, two_s = 0x40000000ul, two_h = 0x4000ul;
    set(0, NAN_D, two_d, 0);
    SIGNS("fneg d0, d1", NAN_D);
    SIGNS("fneg v0.2d, v1.2d", NAN_D);
    SIGNS("fneg d0, d2", two_d | SIGN);
    SIGNS("fnmul d0, d1, d2", NAN_D);
    SIGNS("fmsub d0, d1, d2, d3", NAN_D);
    SIGNS("fnmadd d0, d1, d2, d3", NAN_D);
    SIGNS("fmls v0.2d, v1.2d, v2.2d", NAN_D);
    SIGNS("fmls d0, d1, v2.d[0]", NAN_D);
    SIGNS("frecps d0, d1, d2", NAN_D);
    SIGNS("frsqrts v0.2d, v1.2d, v2.2d", NAN_D);
    set(0, NAN_D | SIGN, two_d | SIGN, 0);
    SIGNS("fabs d0, d1", NAN_D | SIGN);
    SIGNS("fabs v0.2d, v1.2d", NAN_D | SIGN);
    SIGNS("fabs d0, d2", two_d);
    SIGNS("fabd d0, d1, d2", NAN_D | SIGN);
    SIGNS("fabd v0.2d, v1.2d, v2.2d", NAN_D | SIGN);
    set(0, PAIR(NAN_S), PAIR(two_s), 0);
    SIGNS("fneg s0, s1", NAN_S);
    SIGNS("fneg v0.4s, v1.4s", PAIR(NAN_S));
    SIGNS("fneg s0, s2", two_s | 1u << 31);
    SIGNS("fmls v0.2s, v1.2s, v2.2s", PAIR(NAN_S));
    SIGNS("fmls v0.4s, v1.4s, v2.s[1]", PAIR(NAN_S));
    SIGNS("fcadd v0.4s, v2.4s, v1.4s, #90", PAIR(NAN_S));
    SIGNS("fcmla v0.4s, v2.4s, v1.4s, #180", PAIR(NAN_S));
    SIGNS("fcadd v0.4s, v2.4s, v2.4s, #90", (u64)0x40800000 << 32 | 0);
    set(0, QUAD(NAN_H), QUAD(two_h), 0);
    SIGNS("fneg h0, h1", NAN_H);
    SIGNS("fneg h0, h2", two_h | 0x8000);
    SIGNS("fneg v0.8h, v1.8h", QUAD(NAN_H));
    SIGNS("fnmul h0, h1, h2", NAN_H);
    SIGNS("fmsub h0, h1, h2, h3", NAN_H);
    SIGNS("fmls v0.8h, v1.8h, v2.8h", QUAD(NAN_H));
    SIGNS("fabd h0, h1, h2", NAN_H);
    // The default NaN is negative.
    set(0x7ff0000000000000ul, 0, 0, 0);
    SIGNS("fmul d0, d0, d1", 0xfff8000000000000ul);
    // Maxima as x86 has them: the second operand, if either is a NaN.
    set(0, NAN_D, two_d, 0);
    SIGNS("fmax d0, d1, d2", two_d);
    SIGNS("fmin d0, d2, d1", NAN_D);
    // Estimates of singles with twelve bits (FEAT_RPRES), of others with eight.
    set(0, PAIR(0x3f800000ul), PAIR(0x3fa00000ul), 0);
    SIGNS("frecpe s0, s2", 0x3f4cc000);
    SIGNS("frecpe v0.4s, v2.4s", PAIR(0x3f4cc000ul));
    SIGNS("frsqrte s0, s2", 0x3f64f000);
}

// ---- EBF

static void bfloats(void) {
    // (1 + 2^-7) * (1 + 2^-7) + 2^-24 * 2^-7: rounded once.
    set(0, PAIR(0x33803f81ul), PAIR(0x3c003f81ul), 0);
    RUN("bfdot v0.4s, v1.8h, v2.8h", 0);
    judge("bfdot, to odd", out.low, PAIR(0x3f820201ul));
    RUN("bfdot v0.4s, v1.8h, v2.8h", EBF);
    judge("bfdot, to nearest", out.low, PAIR(0x3f820200ul));
    RUN("bfdot v0.4s, v1.8h, v2.8h", EBF | 1ul << 22);
    judge("bfdot, up", out.low, PAIR(0x3f820201ul));
}

void test_main(void) {
    write_sysreg(cpacr_el1, 3ul << 20);
    isb();
    kept_elements();
    others();
    signs();
    bfloats();
    say("done\n");
}
