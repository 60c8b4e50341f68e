// Translation granules of 16 and 64 KiB: the program itself runs under each, with tables of its own in both halves.
// Faults, permissions, hardware updates, blocks, contiguous pages, code; invalidation by address and by range.
#include "runtime/bm.h"

#define LOW_VA 0x3000000000ul         // TTBR0
#define HIGH_VA 0xffff800000000000ul  // TTBR1
#define CONTIGUOUS_PAGES (g == 14 ? 128 : 32)

static unsigned g;  // log2 of the granule
static u64* root[2];
static u64 tcr;
static u64 next_granule = 0x44000000;

static const u32 ret = 0xd65f03c0;
static u32 mov_x0(unsigned value) { return 0xd2800000 | value << 5; }
static u32 add_x0(unsigned value) { return 0x91000000 | value << 10; }

static u64 size_of(unsigned level) { return 1ul << (g + (g - 3) * (3 - level)); }
static u64 page_size(void) { return 1ul << g; }
/// The block of level 2 that a page is in.
static u64 block_of(u64 address) { return address & ~(size_of(2) - 1); }

/// A page or a table, zero, at an address that is its own.
static u64 new_granule(void) {
    const u64 at = (next_granule + page_size() - 1) & ~(page_size() - 1);
    next_granule = at + page_size();
    for (u64 i = 0; i < page_size(); i += 8) *(volatile u64*)(at + i) = 0;
    return at;
}

static volatile u64* slot(u64 va, unsigned level) {
    volatile u64* table = root[va >> 55 & 1];
    for (unsigned l = g == 14 ? 0 : 1;; ++l) {
        const u64 entries = l == 0 ? 2 : l == 1 && g == 16 ? 64 : page_size() / 8;
        volatile u64* at = &table[va / size_of(l) % entries];
        if (l == level) return at;
        if ((*at & 3) != 3) *at = new_granule() | VALID | TABLE;
        table = (u64*)(*at & 0xffffffffc000 & ~(page_size() - 1));
    }
}
static void put(u64 va, u64 pa, unsigned level, u64 attributes) {
    *slot(va, level) = pa | attributes | (level == 3 ? PAGE : BLOCK);
}
static void forget(u64 va) { tlbi_arg(vaae1is, (va >> 12 & 0xfffffffffff)); }

static void use_granule(unsigned granule) {
    g = granule;
    root[0] = (u64*)new_granule();
    root[1] = (u64*)new_granule();
    const u64 block = size_of(2);
    for (u64 a = 0; a < 0x40000000; a += block) put(a, a, 2, VALID | DEVICE | AF | UXN | PXN);
    for (u64 a = 0x40000000; a < 0x48000000; a += block) put(a, a, 2, KERNEL_CODE);
    for (u64 a = 0x40200000; a < 0x40400000; a += page_size()) put(USER_ALIAS + a, a, 3, USER_CODE);
    put(0x2100000000, new_granule(), 3, USER_DATA);
    const u64 tg0 = g == 14 ? 2 : 1, tg1 = g == 14 ? 1 : 3;
    tcr = (TCR_DEFAULT & ~(3ul << 30)) | tg0 << 14 | tg1 << 30;
    bm_mmu_off();
    write_sysreg(ttbr0_el1, root[0]);
    write_sysreg(ttbr1_el1, root[1]);
    set_tcr(tcr);
    write_sysreg(sctlr_el1, SCTLR_DEFAULT);
    isb();
}

static u64 el0_read(u64 address, u64 unused) {
    (void)unused;
    return *(volatile u64*)address;
}
static u64 el0_write(u64 address, u64 value) {
    *(volatile u64*)address = value;
    return value;
}

/// What is executed is 256 bytes behind what is written to.
static void accesses(const char* name, u64 va) {
    say(" %s\n", name);
    TRY("ldr x2, [x3]", va, 0x77);
    TRY("str x2, [x3]", va, 0x77);
    TRY("ldp x2, x4, [x3, #16]", va, 0x77);
    TRY("ldtr x2, [x3]", va, 0x77);
    TRY("ldxr x2, [x3]", va, 0x77);
    TRY("str q0, [x3, #16]", va, 0x77);
    TRY("dc zva, x3", va + 24, 0x77);
    TRY("/* rmw */ ldadd x4, x2, [x3]", va, 0x77);
    expect();
    report("fetch", bm_jump(va + 0x100, 5), 0);
    expect();
    report("EL0 read", at_el0(el0_read, va, 5), 0);
}

static void faults(void) {
    say("faults\n");
    const u64 page = new_granule();
    const u32 code[] = {add_x0(1), ret};
    for (unsigned offset = 0x100; offset < 0x400; offset += 4) write_code(page + offset, &code[1], 1);
    write_code(page + 0x140, code, 2);
    write_code(page + page_size() - 0x100, code, 2);
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = half ? HIGH_VA : LOW_VA;
        say("half %d\n", (u64)half);
        accesses("translation, far away", va ^ 0x400000000000);
        *slot(va + size_of(2), 2) = 0;
        accesses("translation, level 2", va + size_of(2));
        put(va, page, 3, KERNEL_CODE);
        accesses("translation, level 3", va + page_size());
        put(va + 2 * page_size(), page, 3, KERNEL_CODE & ~(u64)AF);
        accesses("access flag, level 3", va + 2 * page_size());
        put(va + 2 * size_of(2), block_of(page), 2, KERNEL_CODE & ~(u64)AF);
        accesses("access flag, level 2", va + 2 * size_of(2) + 0x12340);
        put(va + 3 * page_size(), page, 3, KERNEL_DATA | READ_ONLY);
        accesses("read-only, level 3", va + 3 * page_size());
        put(va + 3 * size_of(2), block_of(page), 2, KERNEL_DATA | READ_ONLY);
        accesses("read-only, level 2", va + 3 * size_of(2) + page % size_of(2));
        put(va + 4 * page_size(), 0xff0000000000, 3, KERNEL_DATA);
        accesses("address size, level 3", va + 4 * page_size());
        put(va + 4 * size_of(2), 0x20000000000, 2, KERNEL_DATA);
        accesses("address size, level 2", va + 4 * size_of(2));
        *slot(va + 5 * size_of(2), 2) = 0x20000000000 | VALID | TABLE;
        accesses("address size of a table", va + 5 * size_of(2));
        *slot(va + 5 * page_size(), 3) = page | KERNEL_DATA;
        accesses("block at level 3", va + 5 * page_size());
        put(va + 6 * page_size(), page, 3, USER_DATA);
        accesses("EL0's", va + 6 * page_size());
        accesses("page", va + 0x40);
        accesses("its last 4 KiB", va + page_size() - 0x200);
        put(va + 6 * size_of(2), block_of(page), 2, KERNEL_CODE);
        accesses("block", va + 6 * size_of(2) + page % size_of(2));
    }
}

static void permissions(void) {
    say("permissions: AP PXN UXN: EL1 rwx ldtr sttr, EL0 rwx\n");
    const u64 page = new_granule(), va = LOW_VA + 0x400000, inside = va + page_size() - 0x100;
    const u32 code[] = {add_x0(1), ret};
    write_code(page + page_size() - 0x200, code, 2);
    for (unsigned config = 0; config < 32; ++config) {
        const unsigned ap = config & 3, pxn = config >> 2 & 1, uxn = config >> 3 & 1, pan = config >> 4;
        put(va, page, 3, VALID | NORMAL | INNER | AF | (u64)ap << 6 | (pxn ? PXN : 0) | (uxn ? UXN : 0));
        // All: by address, QEMU 7.2 still finds code that is not in the first 4 KiB of the page.
        tlbi(vmalle1);
        if (pan) __asm__ volatile("msr pan, #1");
        u64 result = 0;
#define ALLOWED(expression) (expect(), (void)(expression), result = result << 1 | (this_cpu()->count == 0))
#define ALLOWED_PROBE(text) (PROBE(text, inside, 0), result = result << 1 | (this_cpu()->count == 0))
        ALLOWED_PROBE("ldr x2, [x3]");
        ALLOWED_PROBE("str x2, [x3]");
        ALLOWED(bm_jump(va + page_size() - 0x200, 0));
        ALLOWED_PROBE("ldtr x2, [x3]");
        ALLOWED_PROBE("sttr x2, [x3]");
        if (pan) __asm__ volatile("msr pan, #0");
        ALLOWED(at_el0(el0_read, inside, 0));
        ALLOWED(at_el0(el0_write, inside, 0));
        ALLOWED(at_el0(el0_fetch, va + page_size() - 0x200, 0));
        say("  %x: %x\n", (u64)config, result);
    }
}

static void hardware_updates(void) {
    say("hardware AF and dirty state\n");
    const u64 page = new_granule();
    set_tcr(tcr | 3ul << 39);
    for (unsigned level = 2; level <= 3; ++level) {
        const u64 va = LOW_VA + 0x800000 + (level == 2 ? 7 * size_of(2) : 0);
        const u64 base = va & ~(size_of(level) - 1), pa = level == 2 ? block_of(page) : page;
        const u64 inside = base + page % size_of(level) + page_size() - 64;
        put(base, pa, level, (KERNEL_DATA & ~(u64)AF) | DBM | READ_ONLY | CONTIGUOUS);
        forget(base);
        TRY("ldr x2, [x3]", inside, 1);
        say("  after a read: AF %x AP2 %x\n", *slot(base, level) & AF, *slot(base, level) & READ_ONLY);
        TRY("str x2, [x3]", inside, 5);
        say("  after a write: AF %x AP2 %x\n", *slot(base, level) & AF, *slot(base, level) & READ_ONLY);
        TRY("ldr x2, [x3]", inside - 0x1000, 1);
        put(base, pa, level, KERNEL_DATA | DBM | READ_ONLY);
        forget(base);
        TRY("/* rmw */ ldadd x2, x2, [x3]", inside, 1);
        say("  after an atomic: AP2 %x\n", *slot(base, level) & READ_ONLY);
    }
    set_tcr(tcr);
}

/// Writes a number of its own into each 4 KiB, and some over their edges.
static void paint(u64 address, u64 value) {
    for (u64 i = 0; i < page_size(); i += 0x1000) {
        *(volatile u64*)(address + i) = value + (i >> 12);
        *(volatile u64*)(address + i + 0xff8) = ~value * (i + 3);
    }
}
static u64 sum(u64 address, u64 bytes) {
    u64 total = 0;
    for (u64 i = 0; i < bytes; i += 8) total = total * 3 + *(volatile u64*)(address + i);
    return total;
}

static void pages_of_4k_inside(void) {
    say("4 KiB inside of a page\n");
    const u64 first = new_granule(), second = new_granule(), va = LOW_VA + 0xc00000, end = va + page_size();
    paint(first, 0x1111);
    paint(second, 0x222222);
    put(va, second, 3, KERNEL_DATA);
    put(end, first, 3, KERNEL_DATA);
    for (u64 at = va + 0x1000; at < va + 2 * page_size(); at += 0x1000) {
        TRY("ldr x2, [x3]", at - 3, 0x77);
        TRY("ldp x2, x4, [x3]", at - 8, 0x77);
        TRY("ldr q0, [x3]\n mov x2, v0.d[1]", at - 5, 0x77);
        TRY("str x2, [x3]", at - 1, 0x123456789abcdef);
    }
    say("  %x %x\n", sum(first, page_size()), sum(second, page_size()));
    // Into the next page, which is not there or read-only.
    put(end, 0, 3, 0);
    forget(end);
    TRY("ldr x2, [x3]", end - 3, 0x77);
    TRY("str x2, [x3]", end - 3, 0x77);
    TRY("ldr x2, [x3]", end - 0x1003, 0x77);
    put(end, first, 3, KERNEL_DATA | READ_ONLY);
    TRY("ldr x2, [x3]", end - 3, 0x77);
    TRY("str x2, [x3]", end - 3, 0x77);
    say("  %x\n", sum(second, page_size()));
}

static void remap(void) {
    say("pages move\n");
    u64 pages[3];
    for (unsigned i = 0; i < 3; ++i) {
        pages[i] = new_granule();
        paint(pages[i], 0x1000 * (i + 1));
    }
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? HIGH_VA : LOW_VA) + 0x1000000;
        put(va + page_size(), pages[0], 3, KERNEL_DATA);
        for (unsigned i = 0; i < 12; ++i) {
            put(va, pages[i % 3], 3, KERNEL_DATA | (i & 1 ? NG : 0));
            if (i & 2)
                tlbi_arg(vae1is, va >> 12 & 0xfffffffffff);
            else
                tlbi_arg(vaale1, va >> 12 & 0xfffffffffff);
            say("  %x", sum(va, page_size()));
            *(volatile u64*)(va + page_size() - 0x800) += i;
            say(" %x\n", sum(va, 2 * page_size()));
        }
        // From a block to pages with other contents, and back.
        const u64 block = (half ? HIGH_VA : LOW_VA) + 20 * size_of(2), offset = pages[1] % size_of(2);
        put(block, block_of(pages[1]), 2, KERNEL_DATA);
        say("  %x\n", sum(block + offset, page_size()));
        *slot(block, 2) = 0;
        forget(block + size_of(2) - page_size());
        TRY("ldr x2, [x3]", block + offset, 1);
        put(block + offset, pages[2], 3, KERNEL_DATA);
        say("  %x\n", sum(block + offset, page_size()));
        *slot(block, 2) = 0;
        forget(block + offset);
        put(block, block_of(pages[1]), 2, KERNEL_DATA);
        say("  %x\n", sum(block + offset, page_size()));
    }
}

static void code(void) {
    say("code\n");
    const u64 first = new_granule(), second = new_granule();
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? HIGH_VA : LOW_VA) + 0x2000000;
        put(va, first, 3, KERNEL_CODE);
        put(va + page_size(), second, 3, KERNEL_CODE);
        for (u64 i = 0; i < page_size(); i += 0x1000) {
            // Runs over the edge of 4 KiB, or of the page.
            const u32 words[] = {add_x0(1),  add_x0(2), add_x0(4), add_x0((unsigned)(i >> 12) + 8),
                                 add_x0(16), ret};
            write_code(first + i + 0xff4, words, 3);
            write_code(i + 0x1000 == page_size() ? second : first + i + 0x1000, words + 3, 3);
            say("  %d\n", bm_jump(va + i + 0xff4, 0) + bm_jump(va + i + 0xff4, 0));
        }
        // The page behind moves.
        for (unsigned i = 0; i < 6; ++i) {
            put(va + page_size(), i & 1 ? second : first, 3, KERNEL_CODE);
            const u32 words[] = {mov_x0(i), ret};
            write_code((i & 1 ? second : first) + 0x40, words, 2);
            forget(va + page_size());
            say("  %d\n", bm_jump(va + page_size() + 0x40, 0));
        }
    }
}

static void contiguous(void) {
    say("contiguous pages\n");
    const u64 pages = CONTIGUOUS_PAGES;
    const u64 va = LOW_VA + 8 * size_of(2), pa = 0x46000000;  // aligned to all of them
    for (u64 i = 0; i < pages; ++i) {
        *(volatile u64*)(pa + i * page_size()) = i * i + 1;
        *(volatile u64*)(pa + (i + 1) * page_size() - 8) = i * 7;
        put(va + i * page_size(), pa + i * page_size(), 3, KERNEL_DATA | CONTIGUOUS);
    }
    dsb();
    u64 total = 0;
    for (u64 i = 0; i < pages; ++i)
        total = total * 3 + *(volatile u64*)(va + i * page_size()) +
                *(volatile u64*)(va + (i + 1) * page_size() - 8);
    say("  %x\n", total);
    for (u64 i = 0; i < pages; ++i) *slot(va + i * page_size(), 3) = 0;
    for (u64 i = 0; i < pages; ++i) forget(va + i * page_size());
    TRY("ldr x2, [x3]", va, 1);
    TRY("ldr x2, [x3]", va + (pages - 1) * page_size(), 1);
}

// ---- FEAT_TLBIRANGE, FEAT_TLBIOS, FEAT_TTST and level 2 of FEAT_BBM, which QEMU's CPU lacks

static u64 range_operand(u64 va, u64 pages, u64 asid) {
    u64 scale = 0;
    while (pages > 32ul << (5 * scale + 1)) ++scale;
    const u64 num = (pages >> (5 * scale + 1)) - 1, tg = g == 14 ? 2 : 3;
    return asid << 48 | tg << 46 | scale << 44 | num << 39 | (va >> g & 0x1fffffffff);
}

#define SYS(crm, op2, arg)                                                                                \
    __asm__ volatile("dsb ishst\n sys #0, c8, c" #crm ", #" #op2 ", %0\n dsb ish\n isb" ::"r"((u64)(arg)) \
                     : "memory")

static void invalidate_range(unsigned form, u64 operand) {
    switch (form) {
        case 0: SYS(6, 1, operand); break;   // RVAE1
        case 1: SYS(2, 1, operand); break;   // RVAE1IS
        case 2: SYS(5, 1, operand); break;   // RVAE1OS
        case 3: SYS(6, 3, operand); break;   // RVAAE1
        case 4: SYS(2, 3, operand); break;   // RVAAE1IS
        case 5: SYS(5, 7, operand); break;   // RVAALE1OS
        case 6: SYS(2, 5, operand); break;   // RVALE1IS
        default: SYS(6, 7, operand); break;  // RVAALE1
    }
}

static void ranges(void) {
    say("ranges\n");
    u64 pages[4];
    for (unsigned i = 0; i < 4; ++i) {
        pages[i] = new_granule();
        paint(pages[i], 0x3000 * (i + 1));
        const u32 words[] = {mov_x0(100 + i), ret};
        write_code(pages[i] + page_size() - 64, words, 2);
    }
    for (unsigned form = 0; form < 8; ++form)
        for (unsigned half = 0; half < 2; ++half) {
            const u64 va = (half ? HIGH_VA : LOW_VA) + 0x4000000;
            u64 right = 1;
            for (unsigned round = 0; round < 3; ++round) {
                for (unsigned i = 0; i < 4; ++i)
                    put(va + i * page_size(), pages[(i + round) & 3], 3, KERNEL_CODE);
                invalidate_range(form, range_operand(va, 4, 0));
                for (unsigned i = 0; i < 4; ++i) {
                    const u64 at = va + i * page_size();
                    right &= *(volatile u64*)at == 0x3000ul * (((i + round) & 3) + 1);
                    right &= *(volatile u64*)(at + page_size() - 0x1000) ==
                             0x3000ul * (((i + round) & 3) + 1) + (page_size() >> 12) - 1;
                    right &= bm_jump(at + page_size() - 64, 0) == 100 + ((i + round) & 3);
                }
            }
            judge("pages and code", right, 1);
        }
    // As large as an instruction can name: the time that it takes is not that of a loop over its pages.
    const u64 far = LOW_VA + 0x4000000, most = 32ul << 16;
    u64 right = 1;
    for (unsigned round = 0; round < 16; ++round) {
        put(far, pages[round & 3], 3, KERNEL_CODE);
        invalidate_range(round, range_operand(LOW_VA & ~(most * page_size() - 1), most, 0));
        right &= *(volatile u64*)far == 0x3000ul * ((round & 3) + 1);
    }
    judge("2097152 pages", right, 1);
    // Of another ASID: global pages all the same, and others not before their own turn.
    put(far, pages[1], 3, KERNEL_CODE);
    invalidate_range(1, range_operand(far, 2, 77));
    judge("global page, other ASID", *(volatile u64*)far, 0x6000);
    put(far, pages[2], 3, KERNEL_CODE | NG);
    invalidate_range(1, range_operand(far, 2, 77));
    invalidate_range(1, range_operand(far, 2, 0));
    judge("page of the ASID", *(volatile u64*)far, 0x9000);
    // Part of a block.
    const u64 block = LOW_VA + 20 * size_of(2), offset = pages[1] % size_of(2);
    put(block, block_of(pages[1]), 2, KERNEL_DATA);
    judge("block", *(volatile u64*)(block + offset), 0x6000);
    *slot(block, 2) = 0;
    invalidate_range(1, range_operand(block + size_of(2) - 4 * page_size(), 2, 0));
    PROBE("ldr x2, [x3]", block + offset, 1);
    verdict("no block", 0x96000006, block + offset);
    SYS(1, 0, 0);
    put(block + offset, pages[3], 3, KERNEL_DATA);
    SYS(1, 1, block >> 12);
    judge("a page instead", *(volatile u64*)(block + offset), 0xc000);
    // In place, without anything invalid between: FEAT_BBM.
    put(block, block_of(pages[1]), 2, KERNEL_DATA);
    invalidate_range(0, range_operand(block, size_of(2) / page_size(), 0));
    judge("the block in its place", *(volatile u64*)(block + offset), 0x6000);
}

static void small_spaces(void) {
    say("small address spaces\n");
    const u64 bits = g == 14 ? 16 : 17, page = new_granule(), table = new_granule();
    paint(page, 0x7000);
    const u64 va = 0ul - page_size();
    *(volatile u64*)(table + ((1ul << bits) / page_size() - 1) * 8) = page | KERNEL_DATA | PAGE;
    write_sysreg(ttbr1_el1, table | 1);  // CnP
    set_tcr((tcr & ~(63ul << 16)) | (64 - bits) << 16);
    PROBE("ldr x2, [x3]", va + 0x1000, 1);
    verdict("last page", 0, 0);
    judge("its content", PROBE("ldr x2, [x3]", va + 0x1000, 1), 0x7001);
    PROBE("ldr x2, [x3]", 0ul - (1ul << bits) - 8, 1);
    verdict("in front of the first", 0x96000004, 0ul - (1ul << bits) - 8);
    write_sysreg(ttbr1_el1, root[1]);
    set_tcr(tcr);
}

static void loops(void) {
    say("loops\n");
    const u64 a = LOW_VA + 0x6000000, b = HIGH_VA + 0x6000000, n = 4;
    u64 pages[4];
    for (u64 i = 0; i < n; ++i) {
        pages[i] = new_granule();
        put(a + i * page_size(), pages[i], 3, KERNEL_DATA);
        put(b + (n - 1 - i) * page_size(), pages[i], 3, KERNEL_DATA);
    }
    dsb();
    for (unsigned round = 0; round < 6; ++round) {
        for (u64 i = 0; i < n * page_size(); i += 8) *(volatile u64*)(a + i) = i * (round + 1) + 5;
        u64 total = 0;
        for (u64 i = 0; i < n * page_size(); i += 8) total = (total ^ *(volatile u64*)(b + i)) * 5;
        say("  %x\n", total);
        // Two of the pages change places.
        const u64 first = round & 3, second = (round + 1) & 3, page = pages[first];
        pages[first] = pages[second];
        pages[second] = page;
        put(a + first * page_size(), pages[first], 3, KERNEL_DATA);
        put(a + second * page_size(), pages[second], 3, KERNEL_DATA);
        forget(a + first * page_size());
        forget(a + second * page_size());
    }
}

void test_main(void) {
    for (unsigned granule = 14; granule <= 16; granule += 2) {
        use_granule(granule);
        say("granule of %d KiB\n", 1ul << (granule - 10));
        faults();
        permissions();
        hardware_updates();
        pages_of_4k_inside();
        remap();
        code();
        contiguous();
        ranges();
        small_spaces();
        loops();
    }
    say("done\n");
}
