// TLB and instruction cache invalidation: what was changed is gone after the instruction, what was not
// touched stays usable. (That something stale is still seen before it is allowed, and not looked at.)
#include "runtime/bm.h"

#define VA 0x3000000000ul
#define HIGH 0xffff800000000000ul

static u64 pages[4];
static const u32 ret = 0xd65f03c0;
static u32 mov_x0(unsigned value) { return 0xd2800000 | value << 5; }
static u32 branch(s64 words) { return 0x14000000 | ((u32)words & 0x3ffffff); }

static u64 el0_read(u64 address, u64 unused) {
    (void)unused;
    return *(volatile u64*)address;
}
static u64 el0_call(u64 address, u64 value) {
    register u64 x0 __asm__("x0") = value;
    register u64 x9 __asm__("x9") = address;
    __asm__ volatile("mov x10, x30\n blr x9\n mov x30, x10" : "+r"(x0) : "r"(x9) : "x10", "memory");
    return x0;
}

// Each form, for data and code at an address, with a neighbour that must stay usable.
enum form {
    VMALLE1,
    VMALLE1IS,
    VAE1,
    VAE1IS,
    VAAE1,
    VAAE1IS,
    VALE1,
    VALE1IS,
    VAALE1,
    VAALE1IS,
    ASIDE1,
    ASIDE1IS,
    FORMS
};
static const char* const form_names[] = {"vmalle1", "vmalle1is", "vae1",   "vae1is",   "vaae1",  "vaae1is",
                                         "vale1",   "vale1is",   "vaale1", "vaale1is", "aside1", "aside1is"};

static void invalidate(enum form form, u64 va, u64 asid) {
    const u64 arg = (va >> 12 & 0xfffffffffff) | asid << 48;
    switch (form) {
        case VMALLE1: tlbi(vmalle1); break;
        case VMALLE1IS: tlbi(vmalle1is); break;
        case VAE1: tlbi_arg(vae1, arg); break;
        case VAE1IS: tlbi_arg(vae1is, arg); break;
        case VAAE1: tlbi_arg(vaae1, arg); break;
        case VAAE1IS: tlbi_arg(vaae1is, arg); break;
        case VALE1: tlbi_arg(vale1, arg); break;
        case VALE1IS: tlbi_arg(vale1is, arg); break;
        case VAALE1: tlbi_arg(vaale1, arg); break;
        case VAALE1IS: tlbi_arg(vaale1is, arg); break;
        case ASIDE1: tlbi_arg(aside1, asid << 48); break;
        case ASIDE1IS: tlbi_arg(aside1is, asid << 48); break;
        default: break;
    }
}

static void forms(void) {
    static const u64 addresses[] = {VA, HIGH};
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = addresses[half];
        for (unsigned form = 0; form < FORMS; ++form) {
            for (unsigned global = 0; global < 2; ++global) {
                if (global && form >= ASIDE1) continue;  // does not reach global entries
                const u64 ng = global ? 0 : NG;
                write_sysreg(ttbr0_el1, (u64)bm_root[0] | 5ul << 48);
                isb();
                map(va, pages[0], 3, (KERNEL_DATA & ~PXN) | ng);
                map(va + 0x1000, pages[2], 3, (KERNEL_DATA & ~PXN) | ng);
                tlbi(vmalle1is);
                u64 before = PROBE("ldr x2, [x3]", va + 64, 0) * 1000 + bm_jump(va, 0);
                before = before * 100 + PROBE("ldr x2, [x3]", va + 0x1040, 0) + bm_jump(va + 0x1000, 0);
                map(va, 0, 3, 0);
                invalidate((enum form)form, va, 5);
                say("%s half %d global %d: %d", form_names[form], (u64)half, (u64)global, before);
                PROBE("ldr x2, [x3]", va + 64, 0);
                say(" gone %d", this_cpu()->count);
                PROBE("str xzr, [x3, #8]", va + 64, 0);
                say(" %d", this_cpu()->count);
                expect();
                bm_jump(va, 0);
                say(" %d", this_cpu()->count);
                map(va, pages[1], 3, (KERNEL_DATA & ~PXN) | ng);
                tlbi_arg(vaae1is, va >> 12 & 0xfffffffffff);
                say(" then %d %d", PROBE("ldr x2, [x3]", va + 64, 0), bm_jump(va, 0));
                say(" neighbour %d %d\n", PROBE("ldr x2, [x3]", va + 0x1040, 0), bm_jump(va + 0x1000, 0));
            }
        }
    }
    write_sysreg(ttbr0_el1, bm_root[0]);
    isb();
    tlbi(vmalle1is);
}

// EL0 and EL1 views of one page; permissions taken away and given.
static void permission_changes(void) {
    say("permissions\n");
    const u64 va = VA + 0x10000;
    map(va, pages[0], 3, USER_DATA & ~UXN);
    tlbi(vmalle1is);
    say("  %d %d %d\n", at_el0(el0_read, va + 64, 0), at_el0(el0_call, va, 0),
        PROBE("ldr x2, [x3]", va + 64, 0));
    map(va, pages[0], 3, KERNEL_DATA);
    tlbi_arg(vale1is, va >> 12);
    expect();
    report("EL0 read", at_el0(el0_read, va + 64, 0), 0);
    expect();
    report("EL0 fetch", at_el0(el0_call, va, 0), 0);
    TRY("ldr x2, [x3]", va + 64, 0);
    TRY("ldtr x2, [x3]", va + 64, 0);
    map(va, pages[0], 3, USER_DATA | READ_ONLY);
    tlbi_arg(vale1is, va >> 12);
    TRY("ldtr x2, [x3]", va + 64, 0);
    TRY("str x2, [x3]", va + 64, 0);
    map(va, pages[0], 3, USER_DATA);
    // More permissive: no stale permission fault may remain after the invalidation.
    tlbi_arg(vale1is, va >> 12);
    TRY("sttr x2, [x3]", va + 72, 0);
    TRY("str x2, [x3]", va + 72, 0);
    __asm__ volatile("msr pan, #1");
    TRY("ldr x2, [x3]", va + 64, 0);
    map(va, pages[0], 3, KERNEL_DATA);
    tlbi_arg(vale1is, va >> 12);
    TRY("ldr x2, [x3]", va + 64, 0);
    __asm__ volatile("msr pan, #0");
    TRY("ldr x2, [x3]", va + 64, 0);
}

// A fault is never cached: mapping something invalid before needs no TLBI.
static void faults_are_not_cached(void) {
    say("new mappings\n");
    for (unsigned i = 0; i < 3; ++i) {
        const u64 va = VA + 0x20000 + i * 0x1000;
        TRY("ldr x2, [x3]", va + 64, 0);
        expect();
        report("fetch", bm_jump(va, 0), 0);
        map(va, pages[i], 3, KERNEL_CODE);
        dsb();
        isb();
        TRY("ldr x2, [x3]", va + 64, 0);
        expect();
        report("fetch", bm_jump(va, 0), 0);
    }
    // Nor is an entry whose access flag is clear.
    map(VA + 0x24000, pages[0], 3, KERNEL_CODE & ~(u64)AF);
    dsb();
    TRY("ldr x2, [x3]", VA + 0x24040, 0);
    map(VA + 0x24000, pages[0], 3, KERNEL_CODE);
    dsb();
    isb();
    TRY("ldr x2, [x3]", VA + 0x24040, 0);
}

static void blocks(void) {
    say("blocks\n");
    const u64 a = new_block(), b = new_block(), va = VA + 0x40000000;
    for (u64 offset = 0; offset < 0x200000; offset += 0x10000) {
        *(volatile u64*)(a + offset + 64) = 100 + (offset >> 16);
        *(volatile u64*)(b + offset + 64) = 200 + (offset >> 16);
        const u32 code_a[] = {mov_x0(300 + (offset >> 16)), ret},
                  code_b[] = {mov_x0(400 + (offset >> 16)), ret};
        write_code(a + offset, code_a, 2);
        write_code(b + offset, code_b, 2);
    }
    for (unsigned round = 0; round < 6; ++round) {
        const u64 target = round & 1 ? b : a;
        map(va, 0, 2, 0);
        // One address invalidates the whole block, wherever in it.
        tlbi_arg(vaae1is, (va + round * 0x33000) >> 12);
        TRY("ldr x2, [x3]", va + 0x10040, 0);
        map(va, target, 2, KERNEL_CODE);
        dsb();
        isb();
        // QEMU 7.2 forgets the jump cache of the named page only, so that code it does not get right.
        u64 sum = 0;
        for (u64 offset = 0; offset < 0x200000; offset += 0x10000) {
            sum = sum * 3 + PROBE("ldr x2, [x3]", va + offset + 64, 0);
            judge("code in the block", bm_jump(va + offset, 0), (round & 1 ? 400 : 300) + (offset >> 16));
        }
        say("  %x\n", sum);
    }
    // A block becomes a table of pages, some elsewhere, and back.
    u64* table = new_table();
    for (unsigned i = 0; i < 512; ++i) table[i] = ((i & 16 ? a : b) + i * 0x1000ul) | KERNEL_CODE | PAGE;
    *entry(va, 2) = 0;
    tlbi_arg(vae1is, va >> 12);
    *entry(va, 2) = (u64)table | VALID | TABLE;
    dsb();
    isb();
    for (u64 offset = 0; offset < 0x60000; offset += 0x10000) {
        say("  %d\n", PROBE("ldr x2, [x3]", va + offset + 64, 0));
        judge("code in the table", bm_jump(va + offset, 0), (offset & 0x10000 ? 300 : 400) + (offset >> 16));
    }
    // One page of the table, by the last-level form; then the table itself, which needs the other.
    table[16] = (b + 0x10000) | KERNEL_CODE | PAGE;
    tlbi_arg(vale1is, (va + 0x10000) >> 12);
    say("  %d %d\n", PROBE("ldr x2, [x3]", va + 0x10040, 0), bm_jump(va + 0x10000, 0));
    *entry(va, 2) = 0;
    tlbi_arg(vae1is, (va + 0x10000) >> 12);
    TRY("ldr x2, [x3]", va + 0x10040, 0);
    // 1 GiB.
    map(VA + 0x80000000, 0x40000000, 1, KERNEL_CODE);
    dsb();
    isb();
    say("  %d %d\n", PROBE("ldr x2, [x3]", VA + 0x80000000 + (a & 0x3fffffff) + 64, 0),
        bm_jump(VA + 0x80000000 + (b & 0x3fffffff), 0));
    map(VA + 0x80000000, 0, 1, 0);
    tlbi_arg(vaale1is, (VA + 0x80000000 + 0x12345000) >> 12);
    TRY("ldr x2, [x3]", VA + 0x80000000 + (a & 0x3fffffff) + 64, 0);
    expect();
    report("fetch", bm_jump(VA + 0x80000000 + (b & 0x3fffffff), 0), 0);
}

// A loop in one page calls into the next, which changes under it: direct jumps between pages are chained.
static void chained_pages(void) {
    say("chained across pages\n");
    const u64 va = VA + 0x30000, code = new_page();
    // At va + 0xff8: mov x9, x30; bl next page; add x0, x0, #1; ret x9, reached by falling and jumping.
    const u32 caller[] = {0xaa1e03e9, 0x94000000 | (0x1000 - 4) / 4, 0x91000400, 0xd65f0120};
    write_code(code, caller, 4);
    map(va, code, 3, KERNEL_CODE);
    const u32 falls[] = {0xd503201f, 0xd503201f};
    write_code(code + 0xff8, falls, 2);
    for (unsigned i = 0; i < 12; ++i) {
        map(va + 0x1000, pages[i % 3], 3, KERNEL_CODE);
        switch (i % 4) {
            case 0: tlbi_arg(vae1is, (va + 0x1000) >> 12); break;
            case 1: tlbi_arg(vaale1, (va + 0x1000) >> 12); break;
            case 2: tlbi(vmalle1); break;
            default: tlbi_arg(vaae1is, (va + 0x1000) >> 12); break;
        }
        u64 sum = 0;
        for (unsigned n = 0; n < 50; ++n) sum += bm_jump(va, 0) + bm_jump(va + 0xff8, 0);
        say("  %d\n", sum);
    }
    *entry(va + 0x1000, 3) = 0;
    tlbi_arg(vae1is, (va + 0x1000) >> 12);
    expect();
    report("gone", bm_jump(va, 0), 0);
    expect();
    report("gone", bm_jump(va + 0xff8, 0), 0);
    // The page it runs in moves.
    const u64 other = new_page();
    write_code(other, caller, 4);
    static const u32 add5[] = {0x91001400};
    write_code(other + 8, add5, 1);
    map(va + 0x1000, pages[0], 3, KERNEL_CODE);
    for (unsigned i = 0; i < 4; ++i) {
        map(va, i & 1 ? other : code, 3, KERNEL_CODE);
        tlbi_arg(vae1is, va >> 12);
        say("  %d\n", bm_jump(va, 0));
    }
    // Through a register: the target is looked up by its address.
    for (unsigned i = 0; i < 6; ++i) {
        map(va, pages[i % 3], 3, KERNEL_CODE);
        tlbi_arg(vaale1is, va >> 12);
        say("  %d\n", bm_jump(va, 0) + bm_jump(va, 0));
    }
}

static void code_changes(void) {
    say("code changes\n");
    const u64 page = new_page();
    // The same word over and over.
    for (unsigned i = 0; i < 5; ++i) {
        const u32 code[] = {mov_x0(i + 1), ret};
        write_code(page, code, 2);
        map(VA + 0x50000, page, 3, KERNEL_CODE);
        dsb();
        isb();
        say("  %d\n", bm_jump(VA + 0x50000, 0));
    }
    // By an alias: the cache is by physical address.
    map(VA + 0x51000, page, 3, KERNEL_DATA);
    dsb();
    *(volatile u32*)(VA + 0x51000) = mov_x0(77);
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(VA + 0x51000) : "memory");
    say("  by an alias %d\n", bm_jump(VA + 0x50000, 0));
    // IC IALLU and IALLUIS.
    *(volatile u32*)page = mov_x0(78);
    __asm__ volatile("dsb ish\n ic iallu\n dsb ish\n isb" ::: "memory");
    say("  iallu %d\n", bm_jump(VA + 0x50000, 0));
    *(volatile u32*)page = mov_x0(79);
    __asm__ volatile("dsb ish\n ic ialluis\n dsb ish\n isb" ::: "memory");
    say("  ialluis %d\n", bm_jump(VA + 0x50000, 0));
    // Only the line that changed: code before and after in other lines, that runs into it.
    u32 line[64];
    for (unsigned i = 0; i < 64; ++i) line[i] = 0x91000400;  // add x0, x0, #1
    line[63] = ret;
    write_code(page + 0x100, line, 64);
    say("  %d\n", bm_jump(VA + 0x50100, 0));
    for (unsigned i = 0; i < 63; i += 7) {
        const u32 add100[] = {0x91019000};
        write_code(page + 0x100 + 4 * i, add100, 1);
        say("  %d\n", bm_jump(VA + 0x50100, 0));
    }
    // Own block: the code writes the instruction behind its own ISB.
    //   str w1, [x0]; dc cvau, x0; dsb ish; ic ivau, x0; dsb ish; isb; <patched>; ret
    static const u32 own[] = {0xb9000001, 0xd50b7b20, 0xd5033b9f, 0xd50b7520,
                              0xd5033b9f, 0xd5033fdf, 0xd2800000, ret};
    write_code(page + 0x400, own, 8);
    map(VA + 0x50000, page, 3, KERNEL_CODE);
    tlbi(vmalle1);
    for (unsigned i = 0; i < 6; ++i) {
        register u64 x0 __asm__("x0") = VA + 0x50400 + 24;
        register u64 x1 __asm__("x1") = mov_x0(500 + i);
        __asm__ volatile("mov x10, x30\n blr %2\n mov x30, x10"
                         : "+r"(x0), "+r"(x1)
                         : "r"(VA + 0x50400)
                         : "x10", "memory");
        say("  own block %d\n", x0);
    }
    // A branch that is retargeted, from a page to the next and back, as static keys and modules do.
    const u64 next = new_page();
    map(VA + 0x52000, page, 3, KERNEL_CODE);
    map(VA + 0x53000, next, 3, KERNEL_CODE);
    dsb();
    for (unsigned i = 0; i < 4; ++i) {
        const u32 t[] = {mov_x0(600 + i), ret};
        write_code(next + i * 0x80, t, 2);
    }
    for (unsigned i = 0; i < 8; ++i) {
        const u32 b = branch((0x53000 + (i & 3) * 0x80 - 0x52800) / 4);
        write_code(page + 0x800, &b, 1);
        say("  %d\n", bm_jump(VA + 0x52800, 0) + bm_jump(VA + 0x52800, 0));
    }
    // The target of such a branch changes.
    for (unsigned i = 0; i < 4; ++i) {
        const u32 t[] = {mov_x0(700 + i), ret};
        write_code(next + 3 * 0x80, t, 2);
        say("  %d\n", bm_jump(VA + 0x52800, 0));
    }
    // Data beside code, written while the code runs.
    static const u32 count[] = {0xf9402001, 0x91000421, 0xf9002001, 0xaa0103e0, ret};  // ++[x0, #64]
    write_code(page + 0xc00, count, 5);
    u64 sum = 0;
    map(VA + 0x54000, page, 3, KERNEL_CODE);
    *(volatile u64*)(page + 0xc40) = 0;
    dsb();
    isb();
    for (unsigned i = 0; i < 100; ++i) sum += bm_jump(VA + 0x54c00, VA + 0x54c00);
    say("  %d\n", sum);
    // Many versions.
    sum = 0;
    for (unsigned i = 0; i < 3000; ++i) {
        const u32 code[] = {mov_x0(i & 0xffff), ret};
        write_code(page + (i & 3) * 0x40, code, 2);
        sum = sum * 7 + bm_jump(VA + 0x50000 + (i & 3) * 0x40, 0);
    }
    say("  %x\n", sum);
}

// Without any invalidation by address: the ASID changes, and pages of both share an address.
static void asid_forms(void) {
    say("ASIDs\n");
    const u64 va = VA + 0x60000;
    u64* const slot = entry(va, 3);
    for (unsigned asid = 1; asid <= 3; ++asid) {
        write_sysreg(ttbr0_el1, (u64)bm_root[0] | (u64)asid << 48);
        isb();
        *slot = pages[asid - 1] | PAGE | NG | USER_DATA;
        dsb();
        isb();
        say("  %d\n", at_el0(el0_read, va + 64, 0));
    }
    // The table says page 2 now; ASID 1 and 2 may still see theirs, until they are invalidated.
    tlbi_arg(aside1is, 1ul << 48);
    tlbi_arg(vae1is, va >> 12 | 2ul << 48);
    for (unsigned asid = 1; asid <= 3; ++asid) {
        write_sysreg(ttbr0_el1, (u64)bm_root[0] | (u64)asid << 48);
        isb();
        say("  %d %d\n", at_el0(el0_read, va + 64, 0), PROBE("ldr x2, [x3]", va + 64, 0));
    }
    *slot = pages[0] | PAGE | NG | USER_DATA;
    tlbi_arg(vaae1is, va >> 12);
    for (unsigned asid = 1; asid <= 3; ++asid) {
        write_sysreg(ttbr0_el1, (u64)bm_root[0] | (u64)asid << 48);
        isb();
        say("  %d %d\n", at_el0(el0_read, va + 64, 0), PROBE("ldtr x2, [x3]", va + 64, 0));
    }
    write_sysreg(ttbr0_el1, bm_root[0]);
    isb();
    tlbi(vmalle1is);
}

void test_main(void) {
    for (unsigned i = 0; i < 4; ++i) {
        pages[i] = new_page();
        *(volatile u64*)(pages[i] + 64) = 10 + i;
        const u32 code[] = {mov_x0(20 + i), ret};
        write_code(pages[i], code, 2);
    }
    forms();
    permission_changes();
    faults_are_not_cached();
    blocks();
    chained_pages();
    code_changes();
    asid_forms();
    say("done\n");
}
