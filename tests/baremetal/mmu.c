// Translation: every kind of fault with its syndrome, permissions, sizes of the address space, tags, ASIDs,
// and accesses that fault half-way.
#include "runtime/bm.h"

#define TEST_VA 0x3000000000ul        // TTBR0: level 1 entry of its own
#define HIGH_VA 0xffff800000000000ul  // TTBR1

static u64 el0_read(u64 address, u64 value) {
    register u64 x2 __asm__("x2") = value;
    register u64 x3 __asm__("x3") = address;
    __asm__ volatile("ldr x2, [x3]" : "+r"(x2) : "r"(x3) : "memory");
    return x2;
}
static u64 el0_write(u64 address, u64 value) {
    register u64 x2 __asm__("x2") = value;
    register u64 x3 __asm__("x3") = address;
    __asm__ volatile("str x2, [x3]" ::"r"(x2), "r"(x3) : "memory");
    return value;
}

static const u32 add_one_ret[] = {0x91000400, 0xd65f03c0};  // add x0, x0, #1; ret

static void all_accesses(const char* name, u64 va) {
    say("%s\n", name);
    TRY("ldr x2, [x3]", va, 0x77);
    TRY("str x2, [x3]", va, 0x77);
    TRY("ldrb w2, [x3, #3]", va, 0x77);
    TRY("strh w2, [x3, #2]", va, 0x77);
    TRY("ldrsw x2, [x3, #4]", va, 0x77);
    TRY("ldp x2, x4, [x3, #16]", va, 0x77);
    TRY("stp x2, x4, [x3, #16]", va, 0x77);
    TRY("ldp x2, x3, [x3]", va, 0x77);
    say("   base %x\n", bm_address == va);
    TRY("ldr x2, [x3], #8", va, 0x77);
    say("   base %x\n", bm_address == va);
    TRY("ldr x2, [x3, #8]!", va, 0x77);
    TRY("stp x2, x2, [x3, #-16]!", va + 16, 0x77);
    say("   base %x\n", bm_address == va + 16);
    TRY("ldr q0, [x3]", va, 0x77);
    TRY("str q0, [x3, #16]", va, 0x77);
    TRY("ld1 {v0.16b, v1.16b}, [x3]", va, 0x77);
    TRY("st4 {v0.b, v1.b, v2.b, v3.b}[3], [x3]", va, 0x77);
    TRY("ldar x2, [x3]", va, 0x77);
    TRY("stlr x2, [x3]", va, 0x77);
    TRY("ldapr x2, [x3]", va, 0x77);
    TRY("ldxr x2, [x3]", va, 0x77);
    TRY("ldaxp x2, x4, [x3]", va, 0x77);
    TRY("ldtr x2, [x3]", va, 0x77);
    TRY("sttr x2, [x3]", va, 0x77);
    TRY("prfm pldl1keep, [x3]", va, 0x77);
    TRY("dc zva, x3", va + 24, 0x77);
    TRY("dc cvac, x3", va + 24, 0x77);
    TRY("dc civac, x3", va + 24, 0x77);
    TRY("dc ivac, x3", va + 24, 0x77);
    TRY("ic ivau, x3", va + 24, 0x77);
    // Atomics: see normalise.sed on WnR.
    TRY("/* rmw */ cas x2, x4, [x3]", va, 0x77);
    TRY("/* rmw */ casp x4, x5, x6, x7, [x3]", va, 0x77);
    TRY("/* rmw */ ldadd x4, x2, [x3]", va, 0x77);
    TRY("/* rmw */ swpal w4, w2, [x3, #0]", va, 0x77);
}

static void fault_kinds(void) {
    const u64 page = new_page();
    all_accesses("translation, level 0", 0x7f8000000000);
    all_accesses("translation, level 1", 0x3f80000000);
    *entry(TEST_VA + 0x40000000, 2) = 0;
    all_accesses("translation, level 2", TEST_VA + 0x40200000);
    map(TEST_VA, page, 3, KERNEL_DATA);
    all_accesses("translation, level 3", TEST_VA + 0x1000);
    all_accesses("canonical hole", 0x0010000000000000);
    all_accesses("translation, TTBR1 level 0", HIGH_VA);
    map(TEST_VA + 0x2000, page, 3, KERNEL_DATA & ~AF);
    all_accesses("access flag, level 3", TEST_VA + 0x2000);
    map(TEST_VA + 0x80000000, 0x41000000, 2, KERNEL_DATA & ~AF);
    all_accesses("access flag, level 2", TEST_VA + 0x80012340);
    map(TEST_VA + 0x3000, page, 3, KERNEL_DATA | READ_ONLY);
    all_accesses("read-only, level 3", TEST_VA + 0x3000);
    map(TEST_VA + 0x80200000, 0x41000000, 2, KERNEL_DATA | READ_ONLY);
    all_accesses("read-only, level 2", TEST_VA + 0x80200000 + (page & 0x1fffff));
    map(TEST_VA + 0xc0000000, 0x40000000, 1, KERNEL_DATA | READ_ONLY);
    all_accesses("read-only, level 1", TEST_VA + 0xc0000000 + (page & 0x3fffffff));
    map(TEST_VA + 0x4000, 0xff0000000000, 3, KERNEL_DATA);
    all_accesses("address size, level 3", TEST_VA + 0x4000);
    map(TEST_VA + 0x80400000, 0x10000000000, 2, KERNEL_DATA);
    all_accesses("address size, level 2", TEST_VA + 0x80400000);
    *entry(TEST_VA + 0x100000000, 2) = 0x20000000000 | VALID | TABLE;
    all_accesses("address size of a table", TEST_VA + 0x100000000);
    // A reserved descriptor. (The other, a block at level 0, QEMU 7.2 accepts.)
    *entry(TEST_VA + 0x5000, 3) = page | KERNEL_DATA;
    all_accesses("block at level 3", TEST_VA + 0x5000);
    // Good ones, in the three sizes.
    all_accesses("page", TEST_VA);
    map(TEST_VA + 0x80600000, 0x41000000, 2, KERNEL_DATA);
    all_accesses("2 MiB block", TEST_VA + 0x80600000 + (page & 0x1fffff));
    map(TEST_VA + 0x140000000, 0x40000000, 1, KERNEL_DATA);
    all_accesses("1 GiB block", TEST_VA + 0x140000000 + (page & 0x3fffffff));
}

// Memory that is not there. The kind of external abort is QEMU's and ours alike.
static void external(void) {
    say("external aborts\n");
    map(TEST_VA + 0x6000, 0x0b000000, 3, VALID | DEVICE | AF | UXN | PXN);
    TRY("ldr w2, [x3]", TEST_VA + 0x6000, 0x77);
    TRY("str w2, [x3]", TEST_VA + 0x6000, 0x77);
    *entry(TEST_VA + 0x180000000, 2) = 0x0b000000 | VALID | TABLE;
    TRY("ldr w2, [x3]", TEST_VA + 0x180000000, 0x77);
    expect();
    report("fetch, table", bm_jump(TEST_VA + 0x180000000, 5), 0);
}

static void fetch_faults(void) {
    say("fetch faults\n");
    const u64 page = new_page();
    write_code(page, add_one_ret, 2);
    static const struct {
        const char* name;
        u64 attributes;
    } kinds[] = {
        {"executable", KERNEL_CODE},
        {"PXN", KERNEL_DATA},
        {"EL0 may write", USER_DATA & ~(UXN | PXN)},
        {"EL0 may read", (USER_DATA | READ_ONLY) & ~(UXN | PXN)},
        {"no AF", KERNEL_CODE & ~(u64)AF},
        {"address size", KERNEL_CODE | 0xff0000000000},
        {"invalid", KERNEL_CODE & ~1ul},
    };
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        map(TEST_VA + 0x10000, page, 3, kinds[i].attributes);
        tlbi(vmalle1);
        expect();
        u64 r = bm_jump(TEST_VA + 0x10000, 5);
        report(kinds[i].name, r, 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        expect();
        r = at_el0(el0_fetch, TEST_VA + 0x10000, 5);
        report(" at EL0", r, 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
    }
    // Straight-line execution from a good page into a bad one, and the fault is not early.
    map(TEST_VA + 0x10000, page, 3, KERNEL_CODE);
    *entry(TEST_VA + 0x11000, 3) = 0;
    tlbi(vmalle1);
    static const u32 adds[] = {0x91000400, 0x91000400, 0x91000400, 0x91000400};
    write_code(page + 0xff0, adds, 4);
    this_cpu()->x_after = 0;
    expect();
    bm_jump(TEST_VA + 0x10ff0, 5);
    report("run off the page", this_cpu()->x_after, 0);
    say("   elr %x\n", this_cpu()->elr);
    expect();
    bm_jump(0x7f0000000002, 5);
    verdict("unaligned and unmapped", 0x8a000000, 0x7f0000000002);
    expect();
    bm_jump(TEST_VA + 0x10001, 5);
    report("unaligned", 0, 0);
    say("   elr %x\n", this_cpu()->elr);
}

static void permissions(void) {
    say("permissions: AP PXN UXN PAN: EL1 rwx ldtr sttr, EL0 rwx\n");
    const u64 page = new_page();
    const u64 va = TEST_VA + 0x20000;
    write_code(page, add_one_ret, 2);
    for (unsigned config = 0; config < 32; ++config) {
        const unsigned ap = config & 3, pxn = config >> 2 & 1, uxn = config >> 3 & 1, pan = config >> 4;
        map(va, page, 3, VALID | NORMAL | INNER | AF | (u64)ap << 6 | (pxn ? PXN : 0) | (uxn ? UXN : 0));
        tlbi(vmalle1);
        char out[9];
        unsigned n = 0;
        if (pan) __asm__ volatile("msr pan, #1");
#define ALLOWED(expression) (expect(), (void)(expression), out[n++] = this_cpu()->count == 0 ? '1' : '0')
        PROBE("ldr x2, [x3]", va + 64, 0);
        out[n++] = this_cpu()->count == 0 ? '1' : '0';
        PROBE("str x2, [x3]", va + 64, 0);
        out[n++] = this_cpu()->count == 0 ? '1' : '0';
        ALLOWED(bm_jump(va, 0));
        PROBE("ldtr x2, [x3]", va + 64, 0);
        out[n++] = this_cpu()->count == 0 ? '1' : '0';
        PROBE("sttr x2, [x3]", va + 64, 0);
        out[n++] = this_cpu()->count == 0 ? '1' : '0';
        if (pan) __asm__ volatile("msr pan, #0");
        ALLOWED(at_el0(el0_read, va + 64, 0));
        ALLOWED(at_el0(el0_write, va + 64, 0));
        ALLOWED(at_el0(el0_fetch, va, 0));
        out[n] = 0;
        say("  %d %d %d %d: %s\n", (u64)ap, (u64)pxn, (u64)uxn, (u64)pan, out);
    }
}

// WXN: the runtime's code becomes read-only for the time.
static void wxn(void) {
    say("WXN: AP PXN UXN: EL1 x, EL0 x\n");
    const u64 image = 0x40200000;
    // The 2 MiB of the image in pages: code read-only, data not executable.
    extern u8 bm_data_start[];
    u64* table = new_table();
    for (unsigned i = 0; i < 512; ++i) {
        const u64 a = image + i * 0x1000ul;
        table[i] = a | PAGE | (a < (u64)bm_data_start ? KERNEL_CODE | READ_ONLY : KERNEL_DATA);
    }
    const u64 old = *entry(image, 2);
    // Without break-before-make, since this very code runs there: the output addresses stay the same.
    *entry(image, 2) = (u64)table | VALID | TABLE;
    tlbi(vmalle1);
    set_sctlr(1 << 19, 0);
    const u64 page = new_page(), va = TEST_VA + 0x21000;
    write_code(page, add_one_ret, 2);
    for (unsigned config = 0; config < 16; ++config) {
        const unsigned ap = config & 3, pxn = config >> 2 & 1, uxn = config >> 3 & 1;
        map(va, page, 3, VALID | NORMAL | INNER | AF | (u64)ap << 6 | (pxn ? PXN : 0) | (uxn ? UXN : 0));
        tlbi(vmalle1);
        expect();
        bm_jump(va, 0);
        const u64 el1 = this_cpu()->count;
        expect();
        at_el0(el0_fetch, va, 0);
        say("  %d %d %d: %d %d\n", (u64)ap, (u64)pxn, (u64)uxn, (u64)!el1, (u64)!this_cpu()->count);
    }
    set_sctlr(0, 1 << 19);
    *entry(image, 2) = old;
    tlbi(vmalle1);
}

// Bits of table descriptors that limit what is below.
static void hierarchical(void) {
    say("table attributes: APTable UXNTable PXNTable, HPD: EL1 rwx, EL0 rwx\n");
    const u64 page = new_page(), va = TEST_VA + 0x200000;
    write_code(page, add_one_ret, 2);
    map(va, page, 3, (VALID | NORMAL | INNER | AF | EL0));
    map(va + 0x1000, page, 3, (VALID | NORMAL | INNER | AF | EL0 | READ_ONLY));
    u64* table = entry(va, 2);
    const u64 plain = *table;
    for (unsigned config = 0; config < 32; ++config) {
        *table = plain | (u64)(config & 3) << 61 | (u64)(config >> 2 & 3) << 59;
        set_tcr(TCR_DEFAULT | (config >> 4 ? 1ul << 41 : 0));
        for (u64 a = va; a < va + 0x2000; a += 0x1000) {
            u64 result = 0;
            PROBE("ldr x2, [x3]", a + 64, 0);
            result = result << 1 | (this_cpu()->count == 0);
            PROBE("str x2, [x3]", a + 64, 0);
            result = result << 1 | (this_cpu()->count == 0);
            expect();
            bm_jump(a, 0);
            result = result << 1 | (this_cpu()->count == 0);
            expect();
            at_el0(el0_read, a + 64, 0);
            result = result << 1 | (this_cpu()->count == 0);
            expect();
            at_el0(el0_write, a + 64, 0);
            result = result << 1 | (this_cpu()->count == 0);
            expect();
            at_el0(el0_fetch, a, 0);
            result = result << 1 | (this_cpu()->count == 0);
            say("  %x %x: %x\n", (u64)config, (a - va) >> 12, result);
        }
    }
    *table = plain;
    set_tcr(TCR_DEFAULT);
}

static u64 el0_zero(u64 address, u64 value) {
    register u64 x3 __asm__("x3") = address;
    __asm__ volatile("dc zva, x3" ::"r"(x3) : "memory");
    return value;
}

static void zero_blocks(void) {
    say("DC ZVA at EL0\n");
    const u64 page = new_page(), va = TEST_VA + 0x23000;
    map(va, page, 3, USER_DATA);
    tlbi(vmalle1);
    for (unsigned dze = 0; dze < 2; ++dze) {
        set_sctlr(dze << 14, (dze ^ 1) << 14);
        *(volatile u64*)(page + 72) = 0x123;
        expect();
        report("dc zva", at_el0(el0_zero, va + 100, 9), 0);
        say("  %x\n", *(volatile u64*)(page + 72));
    }
    set_sctlr(0, 1 << 14);
}

static void el0_faults(void) {
    say("faults at EL0\n");
    expect();
    report("read kernel", at_el0(el0_read, 0x41000000, 9), 0);
    expect();
    report("write kernel", at_el0(el0_write, 0x41000000, 9), 0);
    expect();
    report("read unmapped", at_el0(el0_read, TEST_VA + 0x40200000, 9), 0);
    expect();
    report("read TTBR1", at_el0(el0_read, HIGH_VA, 9), 0);
    expect();
    report("fetch kernel", at_el0(el0_fetch, 0x41000000, 9), 0);
    expect();
    at_el0(el0_fetch, (u64)el0_fetch + USER_ALIAS + 2, 9);
    say("  fetch unaligned: esr %x spsr %x elr+%x far+%x\n", this_cpu()->esr, this_cpu()->spsr,
        this_cpu()->elr - (u64)el0_fetch - USER_ALIAS, this_cpu()->far - (u64)el0_fetch - USER_ALIAS);
}

static void pan(void) {
    say("PAN\n");
    const u64 page = new_page(), va = TEST_VA + 0x22000;
    map(va, page, 3, USER_DATA);
    map(va + 0x1000, page, 3, KERNEL_DATA);
    tlbi(vmalle1);
    TRY("ldr x2, [x3]", va, 1);
    __asm__ volatile("msr pan, #1");
    TRY("ldr x2, [x3]", va, 1);
    TRY("str x2, [x3]", va, 1);
    TRY("ldtr x2, [x3]", va, 1);
    TRY("sttr x2, [x3]", va, 1);
    TRY("ldtr x2, [x3]", va + 0x1000, 1);
    TRY("sttrb w2, [x3]", va + 0x1000, 1);
    TRY("ldr x2, [x3]", va + 0x1000, 1);
    TRY("dc cvac, x3", va, 1);
    TRY("dc zva, x3", va, 1);
    TRY("ic ivau, x3", va, 1);
    TRY("at s1e1r, x3", va, 1);
    say("  par %x\n", read_sysreg(par_el1) & 1);
    say("  pan %x\n", read_sysreg(S3_0_C4_C2_3));
    TRY("msr pan, #0", 0, 0);
    TRY("ldr x2, [x3]", va, 1);
    // SPAN = 0: exceptions to EL1 set PAN.
    set_sctlr(0, 1 << 23);
    expect();
    __asm__ volatile("svc #5");
    say("  after SVC with SPAN 0: spsr %x, now %x\n", this_cpu()->spsr, read_sysreg(S3_0_C4_C2_3));
    set_sctlr(1 << 23, 0);
}

static void access_flag_and_dirty(void) {
    say("hardware AF and dirty state\n");
    const u64 page = new_page(), va = TEST_VA + 0x30000;
    set_tcr(TCR_DEFAULT | 1ul << 39);
    map(va, page, 3, KERNEL_DATA & ~(u64)AF);
    TRY("ldr x2, [x3]", va, 1);
    say("  af %x\n", *entry(va, 3) & AF);
    map(va, page, 3, (KERNEL_DATA & ~(u64)AF) | DBM | READ_ONLY);
    tlbi(vmalle1);
    TRY("str x2, [x3]", va, 1);
    say("  with HA only: AF %x AP2 %x\n", *entry(va, 3) & AF, *entry(va, 3) & READ_ONLY);
    set_tcr(TCR_DEFAULT | 3ul << 39);
    static const u64 kinds[] = {0, EL0};
    for (unsigned k = 0; k < 2; ++k) {
        map(va, page, 3, ((KERNEL_DATA & ~(u64)AF) | DBM | READ_ONLY | kinds[k]));
        tlbi(vmalle1);
        TRY("ldr x2, [x3]", va, 1);
        say("  after a read: AF %x AP2 %x\n", *entry(va, 3) & AF, *entry(va, 3) & READ_ONLY);
        expect();
        report("EL0 write", at_el0(el0_write, va, 1), 0);
        say("  after it: AF %x AP2 %x\n", *entry(va, 3) & AF, *entry(va, 3) & READ_ONLY);
        TRY("str x2, [x3]", va, 5);
        say("  after a write: AF %x AP2 %x\n", *entry(va, 3) & AF, *entry(va, 3) & READ_ONLY);
        TRY("ldr x2, [x3]", va, 1);
    }
    map(va, page, 3, (KERNEL_DATA | DBM | READ_ONLY));
    tlbi(vmalle1);
    TRY("ldr x2, [x3]", va, 1);
    TRY("/* rmw */ ldadd x2, x2, [x3]", va, 1);
    say("  after an atomic: AP2 %x\n", *entry(va, 3) & READ_ONLY);
    map(va, page, 3, (KERNEL_DATA | DBM | READ_ONLY));
    tlbi(vmalle1);
    TRY("ldxr x2, [x3]\n stxr w4, x2, [x3]\n mov w2, w4", va, 1);
    say("  after an exclusive: AP2 %x\n", *entry(va, 3) & READ_ONLY);
    map(va, page, 3, (KERNEL_DATA | DBM | READ_ONLY));
    tlbi(vmalle1);
    TRY("at s1e1r, x3", va, 1);
    say("  after AT: AP2 %x PAR.F %x\n", *entry(va, 3) & READ_ONLY, read_sysreg(par_el1) & 1);
    map(TEST_VA + 0x80800000, 0x41000000, 2, (KERNEL_DATA & ~(u64)AF) | DBM | READ_ONLY);
    tlbi(vmalle1);
    TRY("str x2, [x3]", TEST_VA + 0x80800000 + (page & 0x1fffff), 1);
    say("  block: AF %x AP2 %x\n", *entry(TEST_VA + 0x80800000, 2) & AF,
        *entry(TEST_VA + 0x80800000, 2) & READ_ONLY);
    // A fetch sets AF too.
    write_code(page, add_one_ret, 2);
    map(va, page, 3, KERNEL_CODE & ~(u64)AF);
    tlbi(vmalle1);
    expect();
    report("fetch", bm_jump(va, 4), 0);
    say("  AF %x\n", *entry(va, 3) & AF);
    set_tcr(TCR_DEFAULT);
}

static void page_crossing(void) {
    say("page crossing\n");
    const u64 first = new_page(), second = new_page(), va = TEST_VA + 0x40000;
    for (unsigned kind = 0; kind < 5; ++kind) {
        static const char* const names[] = {"second unmapped", "second read-only", "first unmapped",
                                            "both good", "first read-only"};
        say(" %s\n", names[kind]);
        map(va, first, 3, kind == 2 ? 0 : kind == 4 ? KERNEL_DATA | READ_ONLY : KERNEL_DATA);
        map(va + 0x1000, second, 3, kind == 0 ? 0 : kind == 1 ? KERNEL_DATA | READ_ONLY : KERNEL_DATA);
        tlbi(vmalle1);
        for (unsigned i = 0; i < 8; ++i) {
            *(volatile u64*)(first + 0xfc0 + 8 * i) = 0x1111111111111111 * i;
            *(volatile u64*)(second + 8 * i) = 0x1111111111111111 * (8 + i);
        }
        TRY("ldr x2, [x3]", va + 0xffd, 0x77);
        TRY("ldr w2, [x3]", va + 0xffe, 0x77);
        TRY("ldrh w2, [x3]", va + 0xfff, 0x77);
        TRY("ldrsh x2, [x3]", va + 0xfff, 0x77);
        TRY("ldp x2, x4, [x3]", va + 0xff8, 0x77);
        TRY("ldp x2, x4, [x3]", va + 0xff4, 0x77);
        TRY("ldp x4, x2, [x3]", va + 0xff8, 0x77);
        TRY("ldp x3, x2, [x3]", va + 0xff8, 0x77);
        say("   base %x\n", bm_address == va + 0xff8);
        TRY("ldp x2, x4, [x3], #16", va + 0xff8, 0x77);
        say("   base %x\n", bm_address - va);
        TRY("ldr q0, [x3]\n mov x2, v0.d[1]", va + 0xff8, 0x77);
        TRY("ldp q0, q1, [x3]", va + 0xff0, 0x77);
        TRY("ldp s0, s1, [x3]\n umov w2, v1.s[0]", va + 0xffc, 0x77);
        TRY("ldur x2, [x3, #-3]", va + 0x1000, 0x77);
        TRY("ldtr x2, [x3, #-3]", va + 0x1000, 0x77);
        TRY("str x2, [x3]", va + 0xffd, 0xa1a2a3a4a5a6a7a8);
        // A store that faulted may have been done in part; doing it again with both pages there completes it.
        TRY("stur w2, [x3, #-2]", va + 0x1000, 0xb1b2b3b4);
        TRY("strh w2, [x3]", va + 0xfff, 0xc1c2);
        TRY("stp x2, x2, [x3]", va + 0xff8, 0xd1d2d3d4d5d6d7d8);
        TRY("stp x2, x2, [x3, #-8]!", va + 0x1000, 0xe1e2e3e4e5e6e7e8);
        say("   base %x\n", bm_address - va);
        TRY("ins v0.d[0], x2\n ins v0.d[1], x2\n str q0, [x3]", va + 0xff5, 0xf1f2f3f4f5f6f7f8);
        TRY("stp q0, q0, [x3]", va + 0xfef, 0xf1f2f3f4f5f6f7f8);
        // What must not change: all beyond the bytes written.
        say("   %x %x\n", *(volatile u64*)(first + 0xfe0), *(volatile u64*)(second + 16));
        if (kind == 3) {
            for (unsigned i = 4; i < 8; ++i) say("   %x\n", *(volatile u64*)(first + 0xfc0 + 8 * i));
            for (unsigned i = 0; i < 4; ++i) say("   %x\n", *(volatile u64*)(second + 8 * i));
        }
    }
    // Pages that are not next to each other in memory, and a block boundary.
    map(va, second, 3, KERNEL_DATA);
    map(va + 0x1000, first, 3, KERNEL_DATA);
    tlbi(vmalle1);
    TRY("str x2, [x3]", va + 0xffb, 0x0102030405060708);
    TRY("ldr x2, [x3]", va + 0xffb, 0);
    say("  %x %x\n", *(volatile u64*)(second + 0xff8), *(volatile u64*)first);
    // The end of an address range.
    TRY("ldr x2, [x3]", 0x0000fffffffffffc, 1);
    TRY("ldr x2, [x3]", 0xfffffffffffffffc, 1);
}

static void alignment(void) {
    say("alignment\n");
    const u64 page = new_page(), va = TEST_VA + 0x50000, device = va + 0x1000;
    map(va, page, 3, KERNEL_DATA);
    map(va + 0x1000, page, 3, VALID | DEVICE | AF | UXN | PXN);
    map(va + 0x2000, page, 3, VALID | NONCACHEABLE | AF | UXN | PXN);
    for (unsigned i = 0; i < 512; ++i) ((volatile u64*)page)[i] = i * 0x0101010101010101ul;
    for (unsigned pass = 0; pass < 3; ++pass) {
        static const char* const names[] = {"Normal", "Non-cacheable", "Normal with SCTLR.A"};
        const u64 a = va + (pass == 1 ? 0x2000 : 0);
        say(" %s\n", names[pass]);
        if (pass == 2) set_sctlr(2, 0);
        TRY("ldr x2, [x3]", a + 8, 1);
        TRY("ldr x2, [x3]", a + 12, 1);
        TRY("ldr w2, [x3]", a + 2, 1);
        TRY("ldrh w2, [x3]", a + 1, 1);
        TRY("ldrb w2, [x3]", a + 1, 1);
        TRY("str x2, [x3]", a + 4, 1);
        TRY("ldp x2, x4, [x3]", a + 8, 1);
        TRY("ldp x2, x4, [x3]", a + 4, 1);
        TRY("stp w2, w2, [x3]", a + 4, 1);
        TRY("stp w2, w2, [x3]", a + 2, 1);
        TRY("ldr d0, [x3]", a + 4, 1);
        TRY("ldr q0, [x3]", a + 8, 1);
        TRY("ld1 {v0.4s}, [x3]", a + 4, 1);
        TRY("ld1 {v0.4s}, [x3]", a + 2, 1);
        TRY("ld1 {v0.16b}, [x3]", a + 1, 1);
        TRY("ldar x2, [x3]", a + 8, 1);
        TRY("ldtr x2, [x3]", a + 4, 1);
        // Across 16 bytes: within them it is FEAT_LSE2's business, which QEMU 7.2 has not.
        TRY("ldar x2, [x3]", a + 12, 1);
        TRY("stlr x2, [x3]", a + 12, 1);
        TRY("ldaxr x2, [x3]", a + 12, 1);
        TRY("ldxp x2, x4, [x3]", a + 8, 1);
        TRY("ldxr w2, [x3]", a + 14, 1);
        TRY("/* rmw */ ldadd x2, x2, [x3]", a + 12, 1);
        TRY("/* rmw */ cas x2, x4, [x3]", a + 12, 1);
        TRY("/* rmw */ casp x4, x5, x6, x7, [x3]", a + 8, 1);
        const u64 read = pass == 2 ? 0x96000021 : 0, written = pass == 2 ? 0x96000061 : 0;
        CHECK("ldar x2, [x3]", a + 0x100 + 4, 1, read, 0);
        CHECK("stlr x2, [x3]", a + 0x100 + 5, 1, written, 0);
        CHECK("ldapr x2, [x3]", a + 0x100 + 8 - 1, 1, read, 0);
        if (pass != 2) CHECK("ldaxr x2, [x3]\n stlxr w4, x2, [x3]", a + 0x100 + 3, 1, read, 0);
        CHECK("ldxr w2, [x3]", a + 0x100 + 2, 1, read, 0);
        CHECK("ldadd x2, x2, [x3]", a + 0x100 + 4, 1, read, 0);
        CHECK("swp w2, w2, [x3]", a + 0x100 + 11, 1, read, 0);
        CHECK("cas x2, x4, [x3]", a + 0x100 + 1, 1, read, 0);
        CHECK("casp w4, w5, w6, w7, [x3]", a + 0x100 + 4, 1, read, 0);
        if (pass == 2) set_sctlr(0, 2);
    }
    // SCTLR.nAA lets ordered accesses be anywhere, and no others.
    set_sctlr(1 << 6, 0);
    CHECK("ldar x2, [x3]", va + 0x100 + 12, 1, 0, 0);
    CHECK("stlr x2, [x3]", va + 0x100 + 13, 1, 0, 0);
    CHECK("ldaxr x2, [x3]", va + 0x100 + 12, 1, 0x96000021, va + 0x100 + 12);
    CHECK("ldadd x2, x2, [x3]", va + 0x100 + 12, 1, 0x96000021, va + 0x100 + 12);
    set_sctlr(0, 1 << 6);
    say(" Device\n");
    CHECK("ldar x2, [x3]", device + 4, 1, 0x96000021, device + 4);
    CHECK("casp w4, w5, w6, w7, [x3]", device + 4, 1, 0x96000021, device + 4);
    CHECK("ldr x2, [x3]", device + 8, 1, 0, 0);
    CHECK("ldr x2, [x3]", device + 12, 1, 0x96000021, device + 12);
    CHECK("ldr w2, [x3]", device + 2, 1, 0x96000021, device + 2);
    CHECK("ldrh w2, [x3]", device + 1, 1, 0x96000021, device + 1);
    CHECK("ldrb w2, [x3]", device + 1, 1, 0, 0);
    CHECK("str x2, [x3]", device + 4, 1, 0x96000061, device + 4);
    CHECK("ldp x2, x4, [x3]", device + 8, 1, 0, 0);
    CHECK("ldp x2, x4, [x3]", device + 4, 1, 0x96000021, device + 4);
    CHECK("stp w2, w2, [x3]", device + 2, 1, 0x96000061, device + 2);
    CHECK("ldr q0, [x3]", device + 8, 1, 0x96000021, device + 8);
    CHECK("dc zva, x3", device + 8, 1, 0x96000061, device + 8);
    // Alignment comes before translation.
    TRY("ldar x2, [x3]", TEST_VA + 0x4020000c, 1);
    TRY("ldxr x2, [x3]", TEST_VA + 0x4020000c, 1);
    // Maintenance by address translates.
    CHECK("dc cvac, x3", TEST_VA + 0x40200004, 1, 0x96000146, TEST_VA + 0x40200004);
    CHECK("dc civac, x3", TEST_VA + 0x40200004, 1, 0x96000146, TEST_VA + 0x40200004);
    CHECK("ic ivau, x3", TEST_VA + 0x40200004, 1, 0x96000146, TEST_VA + 0x40200004);
}

static void mmu_off(void) {
    say("MMU off and on\n");
    const u64 page = new_page(), va = TEST_VA + 0x60000;
    map(va, page, 3, KERNEL_DATA);
    for (unsigned i = 0; i < 3; ++i) {
        *(volatile u64*)page = 0x1122334455667788;
        *(volatile u64*)(page + 8) = 0x99aabbccddeeff00;
        TRY("ldr x2, [x3]", va, 1);
        TRY("ldr x2, [x3]", page + 4, 1);
        bm_mmu_off();
        TRY("ldr x2, [x3]", page, 1);
        TRY("ldp w2, w4, [x3]", page + 4, 1);
        TRY("ldr x2, [x3]", 0x0100000000000000, 1);
        TRY("ldr x2, [x3]", 0x0000010000000000, 1);
        TRY("ldtr x2, [x3]", page + 8, 1);
        expect();
        bm_jump(0x0000020000000000, 1);
        report("fetch beyond the physical address size", 0, 0);
        __asm__ volatile("at s1e1r, %0\n isb" ::"r"(page));
        say("  par %x\n", read_sysreg(par_el1) & ~0x180ul);  // QEMU 7.2 says non-shareable
        CHECK("ldr x2, [x3]", page + 4, 1, 0x96000021, page + 4);
        CHECK("str w2, [x3]", page + 6, 1, 0x96000061, page + 6);
        CHECK("dc zva, x3", page + 72, 1, 0x96000061, page + 72);
        bm_mmu_on();
    }
}

// Both at once, with the code that does it running in that half: so without translation in between.
static void set_lower_half(u64* table, u64 tcr) {
    set_sctlr(0, 1);
    write_sysreg(ttbr0_el1, table);
    write_sysreg(tcr_el1, tcr);
    isb();
    tlbi(vmalle1);
    set_sctlr(1, 0);
}

// Sizes of both halves. TTBR0 must keep the runtime reachable, so its small sizes start at its level 1 table.
static void sizes(void) {
    say("T1SZ\n");
    const u64 page = new_page();
    *(volatile u64*)page = 0xfeed;
    for (unsigned size = 16; size <= 39; ++size) {
        const unsigned bits = 64 - size, start = 3 - (bits - 13) / 9;
        u64* root = new_table();
        const u64 top = ~0ul << bits;
        const u64 low = top, high = 0xfffffffffffff000;
        *entry_in(root, start, low & ((1ul << bits) - 1), 3) = page | KERNEL_DATA | PAGE;
        *entry_in(root, start, high & ((1ul << bits) - 1), 3) = page | KERNEL_DATA | PAGE;
        write_sysreg(ttbr1_el1, root);
        set_tcr((TCR_DEFAULT & ~(63ul << 16)) | (u64)size << 16);
        TRY("ldr x2, [x3]", low, 1);
        TRY("ldr x2, [x3]", high, 1);
        TRY("ldr x2, [x3]", high - 0x1000, 1);
        TRY("ldr x2, [x3]", low - 0x1000, 1);
        if (size > 16) TRY("ldr x2, [x3]", low & ~(1ul << bits), 1);
    }
    say("T0SZ\n");
    u64* const level1 = (u64*)(bm_root[0][0] & 0xfffffffff000);
    for (unsigned size = 25; size <= 32; ++size) {
        const unsigned bits = 64 - size;
        set_lower_half(level1, (TCR_DEFAULT & ~63ul) | size);
        TRY("ldr x2, [x3]", page, 1);
        TRY("ldr x2, [x3]", 1ul << bits | page, 1);
        TRY("ldr x2, [x3]", (1ul << bits) - 0x1000, 1);
        set_lower_half(bm_root[0], TCR_DEFAULT);
    }
    say("EPD1\n");
    write_sysreg(ttbr1_el1, bm_root[1]);
    map(HIGH_VA, page, 3, KERNEL_DATA);
    set_tcr(TCR_DEFAULT);
    TRY("ldr x2, [x3]", HIGH_VA, 1);
    set_tcr(TCR_DEFAULT | 1 << 23);
    TRY("ldr x2, [x3]", HIGH_VA, 1);
    set_tcr(TCR_DEFAULT);
    say("TTBR1 beyond the output size\n");
    write_sysreg(ttbr1_el1, 0x100000000000);
    isb();
    tlbi(vmalle1);
    TRY("ldr x2, [x3]", HIGH_VA, 1);
    say("IPS 32 bits\n");
    write_sysreg(ttbr1_el1, bm_root[1]);
    map(HIGH_VA + 0x1000, 0x100000000, 3, KERNEL_DATA);
    set_tcr(TCR_DEFAULT & ~(7ul << 32));
    TRY("ldr x2, [x3]", HIGH_VA, 1);
    TRY("ldr x2, [x3]", HIGH_VA + 0x1000, 1);
    set_tcr(TCR_DEFAULT);
}

static void tags(void) {
    say("tags\n");
    const u64 page = new_page(), va = TEST_VA + 0x70000, tag = 0xa5ul << 56;
    map(va, page, 3, KERNEL_CODE);
    map(HIGH_VA + 0x5000, page, 3, KERNEL_CODE);
    *(volatile u64*)(page + 64) = 0x123;
    static const u32 adr_ret[] = {0x10000000, 0xd65f03c0};  // adr x0, .
    write_code(page, adr_ret, 2);
    *entry(va + 0x1000, 3) = 0;
    for (unsigned tbi = 0; tbi < 2; ++tbi) {
        set_tcr(TCR_DEFAULT | (tbi ? 3ul << 37 : 0));
        say(" TBI %d\n", (u64)tbi);
        TRY("ldr x2, [x3]", tag | (va + 64), 1);
        TRY("str x2, [x3]", tag | (va + 64), 0x123);
        TRY("ldr x2, [x3]", tag | (va + 0x1040), 1);
        TRY("ldr x2, [x3]", (HIGH_VA + 0x5040) & ~(0x42ul << 56), 1);
        TRY("ldr x2, [x3]", (HIGH_VA + 0x6040) & ~(0x42ul << 56), 1);
        TRY("ldxr x2, [x3]", tag | (va + 64), 1);
        TRY("/* rmw */ ldadd xzr, x2, [x3]", tag | (va + 64), 1);
        TRY("dc zva, x3", tag | (va + 128), 1);
        TRY("ic ivau, x3", tag | va, 1);
        // The monitor and the soft TLB see one address.
        TRY("ldxr x2, [x3]\n and x3, x3, #0xffffffffffffff\n stxr w4, x2, [x3]\n mov w2, w4", tag | (va + 64),
            1);
        expect();
        report("jump", bm_jump(tag | va, 1), 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        expect();
        report("jump high", bm_jump((HIGH_VA + 0x5000) & ~(0x42ul << 56), 1), 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        expect();
        report("jump to unmapped", bm_jump(tag | (va + 0x1000), 1), 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        map(va, page, 3, USER_CODE);
        tlbi(vmalle1);
        el0_spsr = 0x3c0;
        expect();
        report("EL0", at_el0(el0_fetch, tag | va, 1), 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        expect();
        report("ERET", bm_lower(tag | va, 1, 2, 0x3c0, 0), 0);
        if (this_cpu()->count) say("   elr %x\n", this_cpu()->elr);
        map(va, page, 3, KERNEL_CODE);
        tlbi(vmalle1);
    }
    set_tcr(TCR_DEFAULT);
}

static void asids(void) {
    say("ASIDs\n");
    const u64 va = TEST_VA + 0x400000;
    u64* roots[3];
    u64 pages[3];
    for (unsigned i = 0; i < 3; ++i) {
        pages[i] = new_page();
        *(volatile u64*)(pages[i] + 64) = 0xa0 + i;
        const u32 code[] = {0xd2800000 | (0xb0 + i) << 5, 0xd65f03c0};  // mov x0, #; ret
        write_code(pages[i], code, 2);
        // The runtime's mappings are shared, TEST_VA's gigabyte is each one's own.
        roots[i] = new_table();
        u64* level1 = new_table();
        u64* const shared = (u64*)(bm_root[0][0] & 0xfffffffff000);
        for (unsigned n = 0; n < 512; ++n) level1[n] = shared[n];
        level1[TEST_VA >> 30 & 511] = 0;
        roots[i][0] = (u64)level1 | VALID | TABLE;
        *entry_in(roots[i], 0, va, 3) = pages[i] | PAGE | NG | USER_CODE;
        *entry_in(roots[i], 0, va + 0x1000, 3) = pages[i] | PAGE | NG | KERNEL_CODE;
        *entry_in(roots[i], 0, va + 0x2000, 3) =
            pages[0] | PAGE | KERNEL_DATA;  // global, the same everywhere
    }
    for (unsigned round = 0; round < 9; ++round) {
        const unsigned i = round % 3;
        write_sysreg(ttbr0_el1, (u64)roots[i] | (u64)(i + 1) << 48);
        isb();
        TRY("ldr x2, [x3]", va + 64, 1);
        TRY("ldr x2, [x3]", va + 0x1040, 1);
        TRY("ldr x2, [x3]", va + 0x2040, 1);
        expect();
        report("code", bm_jump(va + 0x1000, 1), 0);
        expect();
        report("EL0 data", at_el0(el0_read, va + 64, 1), 0);
        expect();
        report("EL0 code", at_el0(el0_fetch, va, 1), 0);
    }
    // More of them than any cache of contexts holds.
    for (unsigned round = 0; round < 3; ++round) {
        u64 sum = 0;
        for (unsigned n = 0; n < 60; ++n) {
            write_sysreg(ttbr0_el1, (u64)roots[n % 3] | (u64)(n + 100 + 256 * n) << 48);
            isb();
            sum =
                sum * 31 + at_el0(el0_read, va + 64, 1) + at_el0(el0_fetch, va, 1) + bm_jump(va + 0x1000, 1);
        }
        say("  sum %x\n", sum);
    }
    write_sysreg(ttbr0_el1, bm_root[0]);
    isb();
    tlbi(vmalle1);
}

static void contiguous(void) {
    say("contiguous\n");
    const u64 block = new_block(), va = TEST_VA + 0x600000;
    for (unsigned i = 0; i < 16; ++i) {
        map(va + i * 0x1000, block + i * 0x1000, 3, KERNEL_DATA | CONTIGUOUS);
        *(volatile u64*)(block + i * 0x1000) = 0xc0 + i;
    }
    u64 sum = 0;
    for (unsigned i = 0; i < 16; ++i) sum = sum * 17 + PROBE("ldr x2, [x3]", va + i * 0x1000, 1);
    say("  sum %x\n", sum);
    // To other pages: break all, invalidate one address of the run or all of them.
    for (unsigned i = 0; i < 16; ++i) *entry(va + i * 0x1000, 3) = 0;
    __asm__ volatile("dsb ish");
    for (unsigned i = 0; i < 16; ++i) __asm__ volatile("tlbi vaae1is, %0" ::"r"((va + i * 0x1000) >> 12));
    __asm__ volatile("dsb ish\n isb");
    for (unsigned i = 0; i < 16; i += 5) TRY("ldr x2, [x3]", va + i * 0x1000, 1);
    const u64 blocks = 0x44000000;
    for (unsigned i = 0; i < 16; ++i) {
        map(TEST_VA + 0x82000000 + i * 0x200000, blocks + i * 0x200000, 2, KERNEL_DATA | CONTIGUOUS);
        *(volatile u64*)(blocks + i * 0x200000 + 8) = 0xd0 + i;
    }
    for (unsigned i = 0; i < 16; ++i)
        sum = sum * 17 + PROBE("ldr x2, [x3]", TEST_VA + 0x82000008 + i * 0x200000, 1);
    say("  sum %x\n", sum);
}

static void address_translation(void) {
    say("AT\n");
    const u64 page = 0x41230000, va = TEST_VA + 0x90000;
    static const u64 kinds[] = {KERNEL_DATA,
                                USER_DATA,
                                USER_CODE,
                                KERNEL_DATA | READ_ONLY,
                                VALID | DEVICE | AF,
                                VALID | NONCACHEABLE | AF | 2 << 8,
                                KERNEL_DATA & ~(u64)AF,
                                0};
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        map(va, page, 3, kinds[i]);
        tlbi(vmalle1);
        __asm__ volatile("at s1e1r, %0\n isb" ::"r"(va + 0x123));
        const u64 a = read_sysreg(par_el1);
        __asm__ volatile("at s1e1w, %0\n isb" ::"r"(va + 0x123));
        const u64 b = read_sysreg(par_el1);
        __asm__ volatile("at s1e0r, %0\n isb" ::"r"(va + 0x123));
        const u64 c = read_sysreg(par_el1);
        __asm__ volatile("at s1e0w, %0\n isb" ::"r"(va + 0x123));
        const u64 device = kinds[i] & DEVICE ? 0x180 : 0;  // QEMU 7.2 takes SH from the descriptor here too
        say("  %d: %x %x %x %x\n", (u64)i, a & ~device, b & ~device, c, read_sysreg(par_el1));
    }
    map(TEST_VA + 0x80a00000, 0x41000000, 2, KERNEL_DATA);
    __asm__ volatile("at s1e1r, %0\n isb" ::"r"(TEST_VA + 0x80a12345));
    say("  block: %x\n", read_sysreg(par_el1));
}

// Run off the end of a page: x0 as it was at the fault.
static int keep_x0(struct frame* f) {
    this_cpu()->x_after = f->x[0];
    return 0;
}

void test_main(void) {
    fault_kinds();
    external();
    this_cpu()->hook = keep_x0;
    fetch_faults();
    this_cpu()->hook = 0;
    permissions();
    wxn();
    hierarchical();
    zero_blocks();
    el0_faults();
    pan();
    access_flag_and_dirty();
    page_crossing();
    alignment();
    mmu_off();
    sizes();
    tags();
    asids();
    contiguous();
    address_translation();
    say("done\n");
}
