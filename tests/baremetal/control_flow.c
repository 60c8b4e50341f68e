// Pointer authentication. What a code is differs between implementations, so that the program judges.
#include "runtime/bm.h"

__asm__(".arch armv8.5-a");

#define EN_IA (1ul << 31)
#define EN_IB (1ul << 30)
#define EN_DA (1ul << 27)
#define EN_DB (1ul << 13)
#define EN_ALL (EN_IA | EN_IB | EN_DA | EN_DB)
#define TBI0 (1ul << 37)
#define TBID0 (1ul << 51)

#define LOW 0x0000003012345678ul
#define HIGH 0xffff800012345678ul
#define MODIFIER 0x4455667788ul

// ---- Pointer authentication

static void set_keys(u64 seed) {
    write_sysreg(S3_0_C2_C1_0, 0x0123456789abcdef * seed);
    write_sysreg(S3_0_C2_C1_1, 0xfedcba9876543210 * seed);
    write_sysreg(S3_0_C2_C1_2, 0x13579bdf02468ace * seed);
    write_sysreg(S3_0_C2_C1_3, 0x2468ace013579bdf * seed);
    write_sysreg(S3_0_C2_C2_0, 0x1122334455667788 * seed);
    write_sysreg(S3_0_C2_C2_1, 0x99aabbccddeeff00 * seed);
    write_sysreg(S3_0_C2_C2_2, 0xa5a5a5a55a5a5a5a * seed);
    write_sysreg(S3_0_C2_C2_3, 0xc3c3c3c33c3c3c3c * seed);
    write_sysreg(S3_0_C2_C3_0, 0x0f1e2d3c4b5a6978 * seed);
    write_sysreg(S3_0_C2_C3_1, 0x8796a5b4c3d2e1f0 * seed);
    isb();
}

#define FAULT(key) (0x1cul << 26 | 1ul << 25 | (key))
/// One key: `sign` and `auth` are instructions on x2, with the modifier x3 where there is one.
#define ROUND_TRIP(sign, auth, strip, key, pointer)                                            \
    do {                                                                                       \
        const u64 signed_ = PROBE(sign, MODIFIER, pointer);                                    \
        judge(sign ": signs", signed_ != (pointer), 1);                                        \
        judge("bit 55 and the address stay", (signed_ ^ (pointer)) & 0x0080fffffffffffful, 0); \
        judge(auth, PROBE(auth, MODIFIER, signed_), pointer);                                  \
        judge(strip, PROBE(strip, 0, signed_), pointer);                                       \
        CHECK(auth " /* another code */", MODIFIER, signed_ ^ 1ul << 48, FAULT(key), 0);       \
        CHECK(auth " /* no code */", MODIFIER, pointer, FAULT(key), 0);                        \
        set_keys(77);                                                                          \
        CHECK(auth " /* another key */", MODIFIER, signed_, FAULT(key), 0);                    \
        set_keys(1);                                                                           \
    } while (0)
#define WITH_MODIFIER(sign, auth, strip, key, pointer)                                \
    do {                                                                              \
        ROUND_TRIP(sign, auth, strip, key, pointer);                                  \
        const u64 signed_ = PROBE(sign, MODIFIER, pointer);                           \
        CHECK(auth " /* another modifier */", MODIFIER + 16, signed_, FAULT(key), 0); \
    } while (0)

static void keys(u64 pointer) {
    WITH_MODIFIER("pacia x2, x3", "autia x2, x3", "xpaci x2", 0, pointer);
    WITH_MODIFIER("pacib x2, x3", "autib x2, x3", "xpaci x2", 1, pointer);
    WITH_MODIFIER("pacda x2, x3", "autda x2, x3", "xpacd x2", 2, pointer);
    WITH_MODIFIER("pacdb x2, x3", "autdb x2, x3", "xpacd x2", 3, pointer);
    ROUND_TRIP("paciza x2", "autiza x2", "xpaci x2", 0, pointer);
    ROUND_TRIP("pacizb x2", "autizb x2", "xpaci x2", 1, pointer);
    ROUND_TRIP("pacdza x2", "autdza x2", "xpacd x2", 2, pointer);
    ROUND_TRIP("pacdzb x2", "autdzb x2", "xpacd x2", 3, pointer);
}

#define LR(text) "mov x4, x30\n mov x30, x2\n " text "\n mov x2, x30\n mov x30, x4"
#define X17(text)                                                   \
    "mov x4, x16\n mov x5, x17\n mov x16, x3\n mov x17, x2\n " text \
    "\n mov x2, x17\n mov x16, x4\n mov x17, x5"
/// A hint and the instruction that it is.
#define SAME(hint, plain) judge(#hint, PROBE(hint, MODIFIER, pointer), PROBE(plain, MODIFIER, pointer))
#define INVERSE(sign, auth) judge(#auth, PROBE(auth, MODIFIER, PROBE(sign, MODIFIER, pointer)), pointer)

static void hints(u64 pointer) {
    SAME(LR("paciasp"), "mov x3, sp\n pacia x2, x3");
    SAME(LR("pacibsp"), "mov x3, sp\n pacib x2, x3");
    SAME(LR("paciaz"), "paciza x2");
    SAME(LR("pacibz"), "pacizb x2");
    SAME(X17("pacia1716"), "pacia x2, x3");
    SAME(X17("pacib1716"), "pacib x2, x3");
    INVERSE(LR("paciasp"), LR("autiasp"));
    INVERSE(LR("pacibsp"), LR("autibsp"));
    INVERSE(LR("paciaz"), LR("autiaz"));
    INVERSE(LR("pacibz"), LR("autibz"));
    INVERSE(X17("pacia1716"), X17("autia1716"));
    INVERSE(X17("pacib1716"), X17("autib1716"));
    INVERSE(LR("paciasp"), LR("xpaclri"));
}

#define UNTOUCHED(text) judge("disabled: " text, PROBE(text, MODIFIER, LOW ^ 1ul << 48), LOW ^ 1ul << 48)
static void disabled(void) {
    set_sctlr(0, EN_ALL);
    UNTOUCHED("pacia x2, x3");
    UNTOUCHED("autib x2, x3");
    UNTOUCHED("pacda x2, x3");
    UNTOUCHED("autdzb x2");
    judge("disabled: strips", PROBE("xpaci x2", 0, LOW ^ 1ul << 48), LOW);
    judge("disabled: pacga", PROBE("pacga x2, x2, x3", MODIFIER, LOW) != 0, 1);
    set_sctlr(EN_IB, 0);
    UNTOUCHED("pacia x2, x3");
    judge("one enabled", PROBE("pacib x2, x3", MODIFIER, LOW) != LOW, 1);
    set_sctlr(EN_ALL, 0);
}

static void tags(void) {
    const u64 tagged = LOW | 0x5aul << 56;
    set_tcr(TCR_DEFAULT | TBI0);
    u64 code = PROBE("pacia x2, x3", MODIFIER, tagged);
    judge("the tag stays", code >> 56, 0x5a);
    judge("and is authenticated", PROBE("autia x2, x3", MODIFIER, code), tagged);
    CHECK("autia x2, x3 /* another tag */", MODIFIER, code ^ 1ul << 56, FAULT(0), 0);
    set_tcr(TCR_DEFAULT | TBI0 | TBID0);
    code = PROBE("pacia x2, x3", MODIFIER, LOW);
    judge("no tags of code", PROBE("autia x2, x3", MODIFIER, code), LOW);
    judge("bits above", PROBE("xpaci x2", 0, LOW | 0x5aul << 56), LOW);
    judge("tags of data", PROBE("xpacd x2", 0, LOW | 0x5aul << 56), LOW | 0x5aul << 56);
    set_tcr(TCR_DEFAULT);
}

static void generic(void) {
    const u64 code = PROBE("pacga x2, x2, x3", MODIFIER, LOW);
    judge("pacga: low half", code & 0xffffffff, 0);
    judge("pacga: of the value", PROBE("pacga x2, x2, x3", MODIFIER, LOW + 1) != code, 1);
    judge("pacga: of the modifier", PROBE("pacga x2, x2, x3", MODIFIER + 1, LOW) != code, 1);
    judge("pacga: again", PROBE("pacga x2, x2, x3", MODIFIER, LOW), code);
}

static u64 forty_two(void) { return 42; }
static u64 cell = 99;

#define CALL(text, sign)                                            \
    judge(text, ({                                                  \
              const u64 f_ = PROBE(sign, MODIFIER, (u64)forty_two); \
              register u64 x0_ __asm__("x0") = 0;                   \
              register u64 x9_ __asm__("x9") = f_;                  \
              register u64 x10_ __asm__("x10") = MODIFIER;          \
              __asm__ volatile("adr x30, 1f\n " text "\n1:"         \
                               : "+r"(x0_)                          \
                               : "r"(x9_), "r"(x10_)                \
                               : "x30", "memory");                  \
              x0_;                                                  \
          }),                                                       \
          42)

static void branches(void) {
    CALL("blraa x9, x10", "pacia x2, x3");
    CALL("blrab x9, x10", "pacib x2, x3");
    CALL("blraaz x9", "paciza x2");
    CALL("blrabz x9", "pacizb x2");
    CALL("braa x9, x10", "pacia x2, x3");
    CALL("brab x9, x10", "pacib x2, x3");
    CALL("braaz x9", "paciza x2");
    CALL("brabz x9", "pacizb x2");
    judge("retaa", PROBE("mov x4, x30\n adr x30, 2f\n paciasp\n retaa\n mov x2, #1\n2: mov x30, x4", 0, 7),
          7);
    judge("retab", PROBE("mov x4, x30\n adr x30, 2f\n pacibsp\n retab\n mov x2, #1\n2: mov x30, x4", 0, 7),
          7);
    judge(
        "eretaa",
        PROBE(
            "mrs x4, elr_el1\n mrs x5, spsr_el1\n adr x6, 2f\n mov x7, sp\n pacia x6, x7\n msr elr_el1, x6\n"
            " mrs x6, daif\n add x6, x6, #5\n msr spsr_el1, x6\n eretaa\n mov x2, #1\n2: msr elr_el1, x4\n"
            " msr spsr_el1, x5",
            0, 8),
        8);
    judge("ldraa", PROBE("pacdza x3\n ldraa x2, [x3]", (u64)&cell, 0), 99);
    judge("ldrab", PROBE("pacdzb x3\n ldrab x2, [x3, #-32]", (u64)&cell + 32, 0), 99);
    judge("ldraa!", PROBE("pacdza x3\n ldraa x2, [x3, #64]!", (u64)&cell - 64, 0), 99);
    judge("its base", bm_address, (u64)&cell);
    CHECK("ldraa x2, [x3]", (u64)&cell, 0, FAULT(2), 0);
    CHECK("ldrab x2, [x3, #8]!", (u64)&cell, 0, FAULT(3), 0);
    judge("no base", bm_address, (u64)&cell);
    CHECK("retab", 0, 0, FAULT(1), 0);
    CHECK("braaz x3", (u64)forty_two, 0, FAULT(0), 0);
}

static u64 el0_pair(u64 pointer, u64 modifier) {
    register u64 x2 __asm__("x2") = pointer;
    register u64 x3 __asm__("x3") = modifier;
    __asm__ volatile("pacia x2, x3\n autia x2, x3" : "+r"(x2) : "r"(x3));
    return x2;
}
static u64 el0_wrong(u64 pointer, u64 modifier) {
    register u64 x2 __asm__("x2") = pointer;
    register u64 x3 __asm__("x3") = modifier;
    __asm__ volatile("autib x2, x3" : "+r"(x2) : "r"(x3));
    return x2;
}

void test_main(void) {
    set_keys(1);
    set_sctlr(EN_ALL, 0);
    keys(LOW);
    keys(HIGH);
    hints(LOW);
    hints(HIGH);
    disabled();
    tags();
    generic();
    branches();
    judge("at EL0", at_el0(el0_pair, LOW, MODIFIER), LOW);
    expect();
    at_el0(el0_wrong, LOW, MODIFIER);
    verdict("a fault at EL0", FAULT(1), 0);
    say("done\n");
}
