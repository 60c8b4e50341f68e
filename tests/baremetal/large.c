// Addresses of 52 bits: FEAT_LPA2 with granules of 4 and 16 KiB (TCR_EL1.DS), FEAT_LVA and FEAT_LPA with one of 64 KiB. The program
// itself runs under each, with tables of its own in both halves; its data and code are above 2^48.
#include "runtime/bm.h"

#define LOW_VA 0x000b003000000000ul   // TTBR0
#define HIGH_VA 0xfff3800000000000ul  // TTBR1
#define TCR_DS (1ul << 59)

static unsigned g;  // log2 of the granule
static int first;   // level of the first table
static u64* root[2];
static u64 tcr;
static u64 next_granule = 0x44000000;

static const u32 ret = 0xd65f03c0;
static u32 mov_x0(unsigned value) { return 0xd2800000 | value << 5; }
static u32 add_x0(unsigned value) { return 0x91000000 | value << 10; }

static unsigned shift_of(int level) { return g + (g - 3) * (unsigned)(3 - level); }
static u64 size_of(int level) { return 1ul << shift_of(level); }
static u64 page_size(void) { return 1ul << g; }
static u64 block_of(u64 address) { return address & ~(size_of(2) - 1); }

/// A page or a table, zero, at an address that is its own.
static u64 new_granule(void) {
    const u64 at = (next_granule + page_size() - 1) & ~(page_size() - 1);
    next_granule = at + page_size();
    for (u64 i = 0; i < page_size(); i += 8) *(volatile u64*)(at + i) = 0;
    return at;
}
/// A physical address as a descriptor has it.
static u64 placed(u64 pa) {
    return g == 16 ? (pa & 0xffffffff0000) | (pa >> 48 & 15) << 12
                   : (pa & 0x3fffffffff000) | (pa >> 50 & 3) << 8;
}
/// Attributes without SH, which is TCR's with DS.
static u64 attributes_of(u64 attributes) { return g == 16 ? attributes : attributes & ~(u64)INNER; }

static volatile u64* slot(u64 va, int level) {
    volatile u64* table = root[va >> 55 & 1];
    for (int l = first;; ++l) {
        const u64 entries = l == first ? 1ul << (52 - shift_of(l)) : page_size() / 8;
        volatile u64* at = &table[(va & 0xfffffffffffff) / size_of(l) % entries];
        if (l == level) return at;
        if ((*at & 3) != 3) *at = new_granule() | VALID | TABLE;
        table = (u64*)(*at & 0xfffffffff000 & ~(page_size() - 1));
    }
}
static void put(u64 va, u64 pa, int level, u64 attributes) {
    *slot(va, level) = placed(pa) | attributes_of(attributes) | (level == 3 ? PAGE : BLOCK);
}
static void forget(u64 va) { tlbi_arg(vaae1is, (va >> 12 & 0xfffffffffff)); }

static void use_granule(unsigned granule) {
    g = granule;
    first = g == 12 ? -1 : g == 14 ? 0 : 1;
    root[0] = (u64*)new_granule();
    root[1] = (u64*)new_granule();
    const u64 block = size_of(2);
    for (u64 a = 0; a < 0x40000000; a += block) put(a, a, 2, VALID | DEVICE | AF | UXN | PXN);
    for (u64 a = 0x40000000; a < 0x48000000; a += block) put(a, a, 2, KERNEL_CODE);
    for (u64 a = 0x40200000; a < 0x40400000; a += page_size()) put(USER_ALIAS + a, a, 3, USER_CODE);
    put(0x2100000000, new_granule(), 3, USER_DATA);
    const u64 tg0 = g == 12 ? 0 : g == 14 ? 2 : 1, tg1 = g == 12 ? 2 : g == 14 ? 1 : 3;
    tcr = (TCR_DEFAULT & ~(3ul << 30 | 7ul << 32 | 63 | 63 << 16)) | tg0 << 14 | tg1 << 30 | 6ul << 32 | 12 |
          12 << 16 | (g == 16 ? 0 : TCR_DS);
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

/// What is executed is 256 bytes behind what is written to.
static void accesses(const char* name, u64 va) {
    say(" %s\n", name);
    TRY("ldr x2, [x3]", va, 0x77);
    TRY("str x2, [x3]", va, 0x77);
    TRY("ldp x2, x4, [x3, #16]", va, 0x77);
    TRY("str q0, [x3, #16]", va, 0x77);
    TRY("/* rmw */ ldadd x4, x2, [x3]", va, 0x77);
    expect();
    report("fetch", bm_jump(va + 0x100, 5), 0);
    expect();
    report("EL0 read", at_el0(el0_read, va, 5), 0);
}

static void translate(u64 va) {
    __asm__ volatile("at s1e1r, %0\n isb" ::"r"(va) : "memory");
    say("  PAR %x\n",
        read_sysreg(par_el1) & ~0x100ul);  // without what is implementation defined: SH of Device memory
}

static void faults(void) {
    say("faults\n");
    const u64 page = new_granule();
    const u32 code[] = {add_x0(1), ret};
    for (unsigned offset = 0x100; offset < 0x400; offset += 4) write_code(page + offset, &code[1], 1);
    write_code(page + 0x140, code, 2);
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = half ? HIGH_VA : LOW_VA;
        say("half %d\n", (u64)half);
        accesses("no address of the half", va ^ 0x0020000000000000);
        accesses("translation, first level", va ^ 0x0004000000000000);
        accesses("translation, level 2", va + size_of(2));
        put(va, page, 3, KERNEL_CODE);
        accesses("translation, level 3", va + page_size());
        put(va + 2 * page_size(), page, 3, KERNEL_CODE & ~(u64)AF);
        accesses("access flag, level 3", va + 2 * page_size());
        put(va + 3 * page_size(), page, 3, KERNEL_DATA | READ_ONLY);
        accesses("read-only, level 3", va + 3 * page_size());
        put(va + 3 * size_of(2), block_of(page), 2, KERNEL_DATA | READ_ONLY);
        accesses("read-only, level 2", va + 3 * size_of(2) + page % size_of(2));
        put(va + 6 * page_size(), page, 3, USER_DATA);
        accesses("EL0's", va + 6 * page_size());
        accesses("page", va + 0x40);
        translate(va + 0x40);
        translate(va + page_size());
        translate(va ^ 0x0004000000000000);
        // Above what there is of memory, with bits in all parts of the address.
        put(va + 7 * page_size(), 0x000d800000000000, 3, KERNEL_DATA);
        translate(va + 7 * page_size());
        put(va + 4 * size_of(2), block_of(page), 2, KERNEL_CODE);
        accesses("block", va + 4 * size_of(2) + page % size_of(2));
        // Addresses of 48 bits: those above are too large, and a granule of 64 KiB has no such bits.
        if (g == 16) continue;
        set_tcr((tcr & ~(7ul << 32)) | 5ul << 32);
        accesses("address size, level 3", va + 7 * page_size());
        set_tcr(tcr);
    }
}

/// Larger blocks than there are without these features.
static void blocks(void) {
    say("blocks\n");
    const int level = first == -1 ? 0 : 1;
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? HIGH_VA : LOW_VA) ^ 0x0002000000000000, base = va & ~(size_of(level) - 1);
        put(base, 0, level, KERNEL_DATA);
        dsb();
        for (u64 at = 0x44000000; at < 0x44100000; at += 0x37ff8) {
            TRY("ldr x2, [x3]", base + at, 1);
            translate(base + at);
        }
        *slot(base, level) = 0;
        forget(base + size_of(level) / 2);
        // QEMU 7.2 still has it.
        CHECK("ldr x2, [x3]", base + 0x44000000, 1, 0x96000004 + (u64)level, base + 0x44000000);
        // Not at the level above.
        if (level == first) continue;
        *slot(base, level - 1) = VALID | AF;
        forget(base);
        CHECK("ldr x2, [x3]", base + 0x44000000, 1, level == 0 ? 0x9600002b : 0x96000003 + (u64)level,
              base + 0x44000000);
        *slot(base, level - 1) = 0;
        forget(base);
    }
}

/// Two addresses that differ above bit 47 only are two.
static void neighbours(void) {
    say("neighbours\n");
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? 0xfff0000000000000ul : 0) + 0x3400000000;
        for (u64 i = 0; i < 16; ++i) {
            const u64 page = new_granule();
            *(volatile u64*)page = 0x1000 + i;
            const u32 code[] = {mov_x0((unsigned)i), ret};
            write_code(page + 64, code, 2);
            put(va | i << 48, page, 3, KERNEL_CODE);
        }
        dsb();
        for (u64 round = 0; round < 2; ++round)
            for (u64 i = 0; i < 16; ++i) {
                *(volatile u64*)(va | i << 48) += i;
                say("  %x %d\n", *(volatile u64*)(va | i << 48), bm_jump((va | i << 48) + 64, 0));
            }
        *slot(va | 5ul << 48, 3) = 0;
        forget(va | 5ul << 48);
        for (u64 i = 4; i < 7; ++i) TRY("ldr x2, [x3]", va | i << 48, 1);
    }
}

static void moving_code(void) {
    say("code\n");
    const u64 pages[2] = {new_granule(), new_granule()};
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? HIGH_VA : LOW_VA) + 0x2000000;
        for (unsigned i = 0; i < 8; ++i) {
            put(va, pages[i & 1], 3, KERNEL_CODE);
            // By its own address and by another one, with the same words there before.
            const u32 words[] = {mov_x0(i), ret};
            if (i & 2) write_code(pages[i & 1] + 0x40, words, 2);
            forget(va);
            if (!(i & 2)) write_code(va + 0x40, words, 2);
            say("  %d\n", bm_jump(va + 0x40, 0));
        }
    }
}

#define SYS(crm, op2, arg)                                                                                \
    __asm__ volatile("dsb ishst\n sys #0, c8, c" #crm ", #" #op2 ", %0\n dsb ish\n isb" ::"r"((u64)(arg)) \
                     : "memory")

/// Ranges count in pages of the granule from an address in units of 64 KiB. A TLB may have forgotten more, so the program judges.
static void ranges(void) {
    say("ranges\n");
    u64 pages[2] = {new_granule(), new_granule()};
    *(volatile u64*)pages[0] = 100;
    *(volatile u64*)pages[1] = 101;
    for (unsigned half = 0; half < 2; ++half) {
        const u64 va = (half ? HIGH_VA : LOW_VA) + 0x40000000,
                  n = 0x20000 / page_size() < 2 ? 2 : 0x20000 / page_size();
        for (unsigned round = 0; round < 4; ++round) {
            for (u64 i = 0; i < n; ++i) put(va + i * page_size(), pages[(i + round) & 1], 3, KERNEL_DATA);
            const u64 tg = g == 12 ? 1 : g == 14 ? 2 : 3;
            SYS(2, 3, tg << 46 | (n / 2 - 1) << 39 | (va >> 16 & 0x1fffffffff));  // RVAAE1IS
            u64 right = 1;
            for (u64 i = 0; i < n; ++i)
                right &= *(volatile u64*)(va + i * page_size()) == 100 + ((i + round) & 1);
            judge("pages", right, 1);
        }
    }
}

static void loops(void) {
    say("loops\n");
    const u64 a = LOW_VA + 0x6000000, b = HIGH_VA + 0x6000000, n = 4;
    for (u64 i = 0; i < n; ++i) {
        const u64 page = new_granule();
        put(a + i * page_size(), page, 3, KERNEL_DATA);
        put(b + (n - 1 - i) * page_size(), page, 3, KERNEL_DATA);
    }
    dsb();
    for (unsigned round = 0; round < 4; ++round) {
        for (u64 i = 0; i < n * page_size(); i += 8) *(volatile u64*)(a + i) = i * (round + 1) + 5;
        u64 total = 0;
        for (u64 i = 0; i < n * page_size(); i += 8) total = (total ^ *(volatile u64*)(b + i)) * 5;
        say("  %x\n", total);
    }
}

void test_main(void) {
    say("PARange %x, VARange %x\n", read_sysreg(id_aa64mmfr0_el1) & 15,
        read_sysreg(id_aa64mmfr2_el1) >> 16 & 15);
    say("TGran4 %x, TGran16 %x, TGran64 %x\n", read_sysreg(id_aa64mmfr0_el1) >> 28 & 15,
        read_sysreg(id_aa64mmfr0_el1) >> 20 & 15, read_sysreg(id_aa64mmfr0_el1) >> 24 & 15);
    for (unsigned granule = 12; granule <= 16; granule += 2) {
        use_granule(granule);
        say("granule of %d KiB\n", 1ul << (granule - 10));
        faults();
        blocks();
        neighbours();
        moving_code();
        ranges();
        loops();
    }
    say("done\n");
}
