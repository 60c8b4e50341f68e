// Allocation tags (FEAT_MTE): the instructions, what is checked at EL1, at EL0 and by LDTR, synchronously, asynchronously and
// both, and what is not: TCO, TCMA, other pages, the stack pointer's accesses.
#include "runtime/bm.h"

__asm__(".arch armv8.5-a+memtag");

#define ATA (1ul << 43)
#define ATA0 (1ul << 42)
#define TCF(n) ((u64)(n) << 40)
#define TCF0(n) ((u64)(n) << 38)
#define TBI (3ul << 37)
#define TCMA (3ul << 57)
#define TAGGED (3 << 2)

#define LOW 0x3000000000ul
#define HIGH 0xffff800000000000ul
#define PLAIN 0x3000100000ul
#define USER 0x3000200000ul
#define TAG(n) ((u64)(n) << 56)
/// `va` with this tag instead of its own.
static u64 tagged(u64 va, u64 tag) { return (va & ~TAG(15)) | TAG(tag); }

static const char* const modes[] = {"none", "synchronous", "asynchronous", "asymmetric"};

static void set_mode(unsigned el1, unsigned el0) {
    set_sctlr(TCF(el1) | TCF0(el0), (TCF(3) | TCF0(3)) & ~(TCF(el1) | TCF0(el0)));
}
static void set_tco(u64 on) {
    if (on)
        __asm__ volatile("msr tco, #1");
    else
        __asm__ volatile("msr tco, #0");
}
static void faults_so_far(void) {
    say("  TFSR %x TFSRE0 %x\n", read_sysreg(tfsr_el1), read_sysreg(tfsre0_el1));
    write_sysreg(tfsr_el1, 0);
    write_sysreg(tfsre0_el1, 0);
}
static void tag_range(u64 va, u64 bytes, u64 tag) {
    for (u64 at = va; at < va + bytes; at += 16)
        __asm__ volatile("stg %0, [%1]" ::"r"(tagged(at, tag)), "r"(at) : "memory");
}
static u64 tag_at(u64 va) {
    u64 value = 0;
    __asm__ volatile("ldg %0, [%1]" : "+r"(value) : "r"(va) : "memory");
    return value >> 56;
}
static void show_tags(u64 va, unsigned n) {
    say(" ");
    for (unsigned i = 0; i < n; ++i) say(" %x", tag_at(va + i * 16));
    say("\n");
}

static void pages(void) {
    for (u64 i = 0; i < 2; ++i) {
        map(LOW + i * 4096, new_page(), 3, (KERNEL_DATA | TAGGED));
        map(HIGH + i * 4096, new_page(), 3, (KERNEL_DATA | TAGGED));
        map(PLAIN + i * 4096, new_page(), 3, KERNEL_DATA);
        map(USER + i * 4096, new_page(), 3, (USER_DATA | TAGGED));
    }
    tlbi(vmalle1);
}

static void pointers(void) {
    say("pointers\n");
    TRY("gmi x2, x3, x2", tagged(LOW, 5), 0x100);
    TRY("gmi x2, x3, x2", tagged(HIGH, 15), 0);
    TRY("subp x2, x3, x2", tagged(LOW, 5), tagged(LOW + 0x123, 9));
    TRY("subps x2, x3, x2\n mrs x2, nzcv", tagged(LOW, 5), tagged(LOW, 9));
    TRY("subps x2, x2, x3\n mrs x2, nzcv", tagged(LOW, 5), tagged(HIGH, 9));
    for (u64 exclude = 0; exclude < 0x10000; exclude = exclude * 3 + 1) {
        write_sysreg(gcr_el1, exclude);
        TRY("addg x2, x3, #16, #3", tagged(LOW, 14), 0);
        TRY("subg x2, x3, #1008, #15", tagged(LOW, 2), 0);
        TRY("addg x2, x3, #0, #0", tagged(HIGH, 1), 0);
        write_sysreg(rgsr_el1, 0x123405);
        for (unsigned i = 0; i < 5; ++i) TRY("irg x2, x3, x2", LOW, 0x41);
        say("  RGSR %x\n", read_sysreg(rgsr_el1));
    }
    write_sysreg(gcr_el1, 0xffff);
    TRY("irg x2, x3", LOW, 0);
    write_sysreg(gcr_el1, 1);
    set_sctlr(0, ATA);
    TRY("addg x2, x3, #16, #3", tagged(LOW, 14), 0);
    TRY("irg x2, x3, x2", tagged(LOW, 3), 0x41);
    set_sctlr(ATA, 0);
}

static void instructions(u64 va) {
    say("instructions at %x\n", va);
    for (unsigned i = 0; i < 2048; i += 8) *(volatile u64*)(va + i) = i;
    tag_range(va, 2048, 0);
    TRY("stg x3, [x3]", tagged(va, 1), 0);
    TRY("stg x2, [x3, #16]", va, tagged(0, 2));
    TRY("stg x2, [x3], #-32", va + 32, tagged(0, 3));
    say("  %x\n", bm_address);
    TRY("stg x2, [x3, #48]!", va, tagged(0, 4));
    say("  %x\n", bm_address);
    TRY("st2g x2, [x3, #64]", va, tagged(0, 5));
    TRY("stzg x2, [x3, #96]", va, tagged(0, 6));
    TRY("stz2g x2, [x3, #112]", va, tagged(0, 7));
    TRY("stgp x2, x3, [x3, #144]", tagged(va, 8), 0x1234);
    TRY("stgp x2, x3, [x3], #16", tagged(va + 160, 9), 0x5678);
    TRY("stgp x2, x3, [x3, #176]!", tagged(va, 10), 0x9abc);
    show_tags(va, 16);
    for (unsigned i = 96; i < 208; i += 8) say("  %x", *(volatile u64*)(tagged(va, va >> 56) + i));
    say("\n");
    TRY("ldg x2, [x3, #80]", va, 0x1122334455667788);
    TRY("ldg x2, [x3]", va + 37, 0);
    TRY("ldgm x2, [x3]", va + 64, 0);
    TRY("stgm x2, [x3]", va + 256, 0xfedcba9876543210);
    show_tags(va + 256, 16);
    TRY("stzgm x2, [x3]", va + 512, 0x0b);
    TRY("dc gva, x3", tagged(va + 640, 12), 0);
    TRY("dc gzva, x3", tagged(va + 704 + 63, 13), 0);
    show_tags(va + 512, 20);
    for (unsigned i = 512; i < 832; i += 32) say("  %x", *(volatile u64*)(va + i));
    say("\n");
    TRY("stg x2, [x3]", va + 8, tagged(0, 2));
    TRY("st2g x2, [x3]", va + 4, tagged(0, 2));
    TRY("stgp x2, x3, [x3]", va + 1, 0);
    TRY("st2g x2, [x3]", va + 4096 - 16, tagged(0, 3));
    say("  %x %x\n", tag_at(va + 4096 - 16), tag_at(va + 4096));
    TRY("stz2g x2, [x3]", va + 8192 - 16, tagged(0, 3));
    TRY("ldg x2, [x3]", va + 8192, 0);
    TRY("ldgm x2, [x3]", va + 8192, 0);
    TRY("dc gva, x3", va + 8192 + 40, 0);
    set_sctlr(0, ATA);
    TRY("stg x2, [x3]", va, tagged(0, 14));
    TRY("ldg x2, [x3]", va, tagged(0, 14));
    TRY("stzg x2, [x3]", va + 96, tagged(0, 14));
    TRY("ldgm x2, [x3]", va, 5);
    set_sctlr(ATA, 0);
    show_tags(va, 8);
}

static void accesses(u64 va) {
    TRY("ldr x2, [x3]", va, 0x77);
    TRY("ldr x2, [x3, #8]!", va, 0x77);
    TRY("ldrb w2, [x3], #1", va, 0x77);
    TRY("str x2, [x3]", va, 0x77);
    TRY("ldp x2, x4, [x3, #16]", va, 0x77);
    TRY("stp x2, x2, [x3, #16]", va, 0x77);
    TRY("ldr q0, [x3]", va, 0x77);
    TRY("str q0, [x3]", va, 0x77);
    TRY("ldtr x2, [x3]", va, 0x77);
    TRY("sttr x2, [x3]", va, 0x77);
    TRY("ldxr x2, [x3]", va, 0x77);
    TRY("ldar x2, [x3]", va, 0x77);
    TRY("stlr x2, [x3]", va, 0x77);
    TRY("ld1 {v0.4s, v1.4s}, [x3]", va, 0x77);
    TRY("ldr x2, [x3, #12]", va, 0x77);
    TRY("mov x4, sp\n mov sp, x3\n ldr x2, [sp, #16]\n mov sp, x4", va, 0x77);
    TRY("mov x4, sp\n mov sp, x3\n ldp x5, x6, [sp]\n mov sp, x4", va, 0x77);
    TRY("mov x4, sp\n mov sp, x3\n str x2, [sp]\n mov sp, x4", va, 0x77);
    TRY("mov x4, sp\n mov sp, x3\n ldar x2, [sp]\n mov sp, x4", va, 0x77);
    faults_so_far();
}

// Judged here: WnR of atomics, which QEMU 7.2 has otherwise (D19.2.37), and accesses of several granules.
static void more_accesses(u64 va, u64 tag, unsigned mode, int right) {
    const u64 here = tagged(va, tag);
    const u64 read = !right && (mode == 1 || mode == 3) ? 0x96000011 : 0;
    const u64 write = !right && mode == 1 ? 0x96000051 : 0;
    CHECK("st3 {v0.4s, v1.4s, v2.4s}, [x3]", here, 0x77, write, here);
    CHECK("dc zva, x3", here + 24, 0x77, write, here);
    CHECK("ld4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x3]", here, 0x77, read, here);
    CHECK("ldadd x4, x2, [x3]", here, 0x77, read, here);
    CHECK("cas x4, x2, [x3]", here, 0x77, read, here);
    CHECK("casp x4, x5, x6, x7, [x3]", here, 0x77, read, here);
    const u64 asynchronous = read_sysreg(tfsr_el1);
    judge("asynchronously", asynchronous, !right && mode >= 2 ? 1ul << (va >> 63) : 0);
    write_sysreg(tfsr_el1, 0);
}

static void checks(u64 va) {
    tag_range(va, 4096, 6);
    for (unsigned mode = 0; mode < 4; ++mode) {
        set_mode(mode, 0);
        say("EL1, %s, right\n", modes[mode]);
        accesses(tagged(va, 6));
        more_accesses(va, 6, mode, 1);
        say("EL1, %s, wrong\n", modes[mode]);
        accesses(tagged(va, 7));
        more_accesses(va, 7, mode, 0);
        set_mode(0, mode);
        say("EL0's, %s\n", modes[mode]);
        TRY("ldtr x2, [x3]", tagged(USER, 7), 0x77);
        TRY("sttr x2, [x3]", tagged(USER, 7), 0x77);
        TRY("ldr x2, [x3]", tagged(USER, 7), 0x77);
        faults_so_far();
    }
    say("not checked\n");
    set_mode(1, 1);
    set_tco(1);
    TRY("ldr x2, [x3]", tagged(va, 7), 0x77);
    say("  TCO %x\n", read_sysreg(tco));
    set_tco(0);
    TRY("str x2, [x3]", tagged(va, 7), 0x77);
    TRY("ldr x2, [x3]", tagged(PLAIN, 7), 0x77);
    set_tcr(TCR_DEFAULT | TBI | TCMA);
    TRY("ldr x2, [x3]", tagged(va, 0), 0x77);
    TRY("ldr x2, [x3]", tagged(va, 15), 0x77);
    TRY("ldr x2, [x3]", tagged(va, 1), 0x77);
    set_tcr(TCR_DEFAULT | TBI);
    TRY("ldr x2, [x3]", tagged(va, va >> 63 ? 15 : 0), 0x77);
    set_sctlr(0, ATA);
    TRY("ldr x2, [x3]", tagged(va, 7), 0x77);
    set_sctlr(ATA, 0);
    TRY("ldr x2, [x3]", tagged(va, 7), 0x77);
    set_tcr(TCR_DEFAULT);
    TRY("ldr x2, [x3]", va, 0x77);
    set_tcr(TCR_DEFAULT | TBI);
    say("edges\n");
    tag_range(va + 4096 - 16, 16, 6);
    tag_range(va + 4096, 16, 9);
    TRY("ldr x2, [x3]", tagged(va + 4096 - 4, 6), 0x77);
    TRY("str x2, [x3]", tagged(va + 4096 - 4, 9), 0x77);
    TRY("ldp x2, x4, [x3]", tagged(va + 4096 - 8, 6), 0x77);
    tag_range(va + 32, 16, 2);
    TRY("ldr q0, [x3]", tagged(va + 24, 6), 0x77);
    TRY("ldr x2, [x3]", tagged(va + 28, 2), 0x77);
    CHECK("dc zva, x3", tagged(va + 24, 6), 0x77, 0x96000051, tagged(va + 32, 6));
    set_mode(0, 0);
}

static u64 el0_read(u64 address, u64 unused) {
    (void)unused;
    return *(volatile u64*)address;
}
static u64 el0_write(u64 address, u64 value) {
    *(volatile u64*)address = value;
    return value;
}
static u64 el0_read_unchecked(u64 address, u64 unused) {
    (void)unused;
    u64 value;
    __asm__ volatile("msr tco, #1\n ldr %0, [%1]\n msr tco, #0" : "=r"(value) : "r"(address) : "memory");
    return value;
}
static u64 el0_tag(u64 address, u64 tag) {
    u64 value = 0;
    __asm__ volatile("stg %2, [%1]\n ldg %0, [%1]" : "+r"(value) : "r"(address), "r"(TAG(tag)) : "memory");
    return value;
}
static u64 el0_tag_block(u64 address, u64 unused) {
    (void)unused;
    u64 value = 0;
    __asm__ volatile("ldgm %0, [%1]" : "+r"(value) : "r"(address) : "memory");
    return value;
}
#define AT_EL0(function, a, b)                        \
    do {                                              \
        expect();                                     \
        report(#function, at_el0(function, a, b), 0); \
    } while (0)

static void user(void) {
    tag_range(USER, 64, 6);
    for (unsigned mode = 0; mode < 4; ++mode) {
        say("EL0, %s\n", modes[mode]);
        set_mode(0, mode);
        for (u64 tag = 6; tag < 8; ++tag) {
            AT_EL0(el0_read, tagged(USER, tag), 0);
            AT_EL0(el0_write, tagged(USER, tag), 0x33);
        }
        AT_EL0(el0_read_unchecked, tagged(USER, 7), 0);
        AT_EL0(el0_tag, tagged(USER + 32, 3), 11);
        AT_EL0(el0_tag_block, USER, 0);
        faults_so_far();
    }
    set_sctlr(0, ATA0);
    AT_EL0(el0_tag, tagged(USER + 32, 3), 12);
    AT_EL0(el0_read, tagged(USER, 7), 0);
    set_sctlr(ATA0, 0);
    set_mode(0, 1);
    expect();
    at_el0(el0_read, tagged(USER, 7), 0);
    say("TCO behind an exception from EL0: spsr %x\n", this_cpu()->spsr >> 25 & 1);
    set_mode(0, 0);
}

// Worth compiling: reads and writes all of two pages, of which one granule may have another tag.
static u64 sum(u64 address) {
    u64 total = 0;
    for (u64 i = 0; i < 8192; i += 8) {
        total = total * 3 + *(volatile u64*)(address + i);
        *(volatile u64*)(address + i) = i;
    }
    return total;
}

static void loops(u64 va) {
    say("loops\n");
    tag_range(va, 8192, 5);
    for (unsigned mode = 0; mode < 4; ++mode) {
        set_mode(mode, 0);
        for (unsigned i = 0; i < 12; ++i) {
            expect();
            const u64 total = sum(tagged(va, 5));
            const u64 right = this_cpu()->count;
            tag_range(va + i * 640, 16, i);
            expect();
            const u64 again = sum(tagged(va, 5));
            say("  %x: %d faults; %x: %d faults\n", total, right, again, this_cpu()->count);
            tag_range(va + i * 640, 16, 5);
        }
        faults_so_far();
    }
    set_mode(0, 0);
}

// Objects of 80 bytes with tags of their own, in pages that share an entry of a soft TLB; two granules of each are looked at together, and
// one by itself. One object's middle granule, or what is behind it, gets another tag for a while.
#define FAR_AWAY (1ul << 26)
static u64 visit(u64 va, u64 rounds) {
    u64 total = 0;
    for (u64 round = 0; round < rounds; ++round)
        for (u64 i = 0; i < 48; ++i) {
            const u64 object = tagged(va + i / 2 * 80 + (i & 1) * FAR_AWAY, i / 2);
            volatile u64* const p = (volatile u64*)object;
            total = total * 3 + p[0] + p[3];
            p[0] = i;
            if ((i & 3) == 0) total += *(volatile u8*)(object + 79);
        }
    return total;
}
static void objects(u64 va) {
    say("objects\n");
    map(va + FAR_AWAY, new_page(), 3, (KERNEL_DATA | TAGGED));
    tlbi(vmalle1);
    for (u64 i = 0; i < 48; ++i) {
        const u64 object = va + i / 2 * 80 + (i & 1) * FAR_AWAY;
        for (u64 k = 0; k < 80; k += 8) *(volatile u64*)(object + k) = i * k;
        tag_range(object, 80, i / 2 & 15);
    }
    for (unsigned mode = 1; mode < 4; ++mode) {
        set_mode(mode, 0);
        for (unsigned i = 0; i < 80; i += 16) {
            expect();
            const u64 total = visit(va, 50);
            say("  %x: %d faults\n", total, this_cpu()->count);
            const u64 wrong = va + 6 * 80 + i;
            tag_range(wrong, 16, 12);
            expect();
            visit(va, 3);
            say("  granule %d: %d faults\n", i / 16, this_cpu()->count);
            tag_range(wrong, 16, 6);
        }
        faults_so_far();
    }
    set_mode(0, 0);
}

// A page changes between Tagged and not.
static void attributes(u64 va) {
    say("attributes\n");
    set_mode(1, 0);
    tag_range(va, 16, 5);
    const u64 before = *entry(va, 3);
    for (unsigned i = 0; i < 3; ++i) {
        TRY("ldr x2, [x3]", tagged(va, 4), 1);
        *entry(va, 3) = before & ~(7ul << 2);
        tlbi(vmalle1);
        TRY("ldr x2, [x3]", tagged(va, 4), 1);
        TRY("stg x2, [x3]", tagged(va, 4), tagged(0, 4));
        say("  %x\n", tag_at(va));
        *entry(va, 3) = before;
        tlbi(vmalle1);
        say("  %x\n", tag_at(va));
    }
    set_mode(0, 0);
}

void test_main(void) {
    say("PFR1.MTE %x\n", read_sysreg(id_aa64pfr1_el1) >> 8 & 15);
    say("GMID %x\n", read_sysreg(gmid_el1));
    write_sysreg(mair_el1, 0xf04400fful);
    set_tcr(TCR_DEFAULT | TBI);
    set_sctlr(ATA | ATA0, TCF(3) | TCF0(3));
    set_tco(0);
    write_sysreg(tfsr_el1, 0);
    write_sysreg(tfsre0_el1, 0);
    pages();
    pointers();
    instructions(LOW);
    instructions(HIGH);
    checks(LOW);
    checks(HIGH);
    user();
    loops(LOW);
    loops(HIGH);
    objects(LOW);
    objects(HIGH);
    attributes(LOW);
    say("done\n");
}
