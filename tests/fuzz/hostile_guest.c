// A guest that does everything wrong, from a seed: it executes random words at EL1 and EL0 with the MMU on
// and off, maps garbage tables, accesses random addresses, writes random system registers, pokes device
// registers and jumps into nowhere. Every exception and a timer bring it back to the next round, unless it
// has destroyed itself; then it runs on until it is stopped from outside. Whatever happens, the host program
// must not mind.
#include "runtime/bm.h"

#define SCRATCH 0x44000000ul  // 16 MiB that anything may write
#define SCRATCH_SIZE 0x1000000ul
#define USER_CODE_VA 0x3000000000ul
#define ECAM_VA 0x2a00000000ul  // 2 MiB: the first two buses
#define BARS_VA 0x2a40000000ul  // of 64-bit PCI memory
#define TIMER_INTID 27

// hostile_guest.sh finds the first word in the ELF file and puts the seed and the number of rounds behind the second.
__attribute__((used, section(".data"))) volatile u64 fuzz_seed[4] = {0x6465657366757a7a, 0x41726c4172634c41,
                                                                     1, 5000};

void fuzz_start(void);
void fuzz_next(void);
void fuzz_vectors(void);
void fuzz_secondary(void);
void bm_secondary_entry(void);

struct fuzz_cpu {
    u64 random, round, kinds[16];
} fuzz_cpus[MAX_CPUS];
u64 fuzz_good[6];  // SCTLR, TCR, TTBR0, MAIR, TTBR1, CPACR: what recovery sets

static u64 cpu_number(void) { return read_sysreg(mpidr_el1) & 3; }
static struct fuzz_cpu* self(void) { return &fuzz_cpus[cpu_number()]; }

static u64 random(void) {
    u64* s = &self()->random;
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s * 0x2545f4914f6cdd1d;
}
static u64 below(u64 n) { return random() % n; }

// Addresses near anything that matters.
static u64 address(void) {
    switch (below(12)) {
        case 0: return random();
        case 1: return SCRATCH + below(SCRATCH_SIZE);
        case 2: return SCRATCH + (below(SCRATCH_SIZE) & ~7ul);
        case 3: return 0x08000000 + below(0x2010000);
        case 4: return 0x09000000 + below(0x2000);
        case 5: return 0x0a000000 + below(0x4100);
        case 6: return 0x08080000 + below(0xa0000);
        case 7: return 0xffff000000000000 + below(1ul << 48);
        case 8: return ~below(0x3000);
        case 9:
            return below(2)   ? below(0x10000000000)
                   : below(2) ? ECAM_VA + below(0x200000)
                              : BARS_VA + below(0x10000);
        case 10: return 0x48000000 - 0x1000 + below(0x2000);  // the end of RAM
        default: return USER_CODE_VA + below(0x3000);
    }
}

static int forbidden(u32 word) {
    // HVC and SMC would end the run by chance.
    return (word & 0xffe0001f) == 0xd4000002 || (word & 0xffe0001f) == 0xd4000003;
}

// Pure chance mostly makes undefined instructions, so most words are of a class.
static u32 word(void) {
    static const u32 classes[][2] = {
        {0xffffffff, 0},  // anything
        {0x03ffffff, 0x08000000}, {0x03ffffff, 0x38000000},
        {0xc3ffffff, 0x38000000},  // loads and stores
        {0xc3ffffff, 0x39000000}, {0xc3ffffff, 0x3c000000},
        {0xc1ffffff, 0x28000000},  // pairs, vector
        {0xc0ffffff, 0x08000000}, {0xc03fffff, 0x38200000},
        {0x40ffffff, 0x0c000000},                            // exclusive, atomic, LD1
        {0x001fffff, 0xd5000000}, {0x003fffff, 0xd5000000},  // system
        {0xe3ffffff, 0x11000000}, {0xe3ffffff, 0x0a000000},
        {0xf1ffffff, 0x0a000000},  // integer
        {0xf0ffffff, 0x0e000000}, {0xf0ffffff, 0x1e000000},
        {0xf0ffffff, 0x4e000000},  // FP and SIMD
        {0x000007e0, 0x54000000}, {0x810007ff, 0x34000000},
        {0x8000003f, 0x14000000},  // short branches
        {0x006003e0, 0xd61f0000}, {0x00ffffff, 0x54000000},
        {0x80ffffff, 0x34000000},
    };
    for (;;) {
        const u32 r = (u32)random();
        const u64 c = below(sizeof(classes) / sizeof(classes[0]));
        const u32 w = (r & classes[c][0]) | classes[c][1];
        if (!forbidden(w)) return w;
    }
}

static void write_words(u64 at, unsigned n) {
    for (unsigned i = 0; i < n; ++i) write32(at + 4 * i, word());
    for (unsigned i = 0; i < n; i += 16) __asm__ volatile("ic ivau, %0" ::"r"(at + 4 * i) : "memory");
    __asm__ volatile("dsb ish\n isb" ::: "memory");
}

// Loads x0..x30 from `registers` and goes to ELR; never comes back but by an exception.
__attribute__((noreturn)) void fuzz_enter(const u64* registers, u64 elr, u64 spsr);
__asm__(
    ".text\n"
    "fuzz_enter:\n"
    "  msr elr_el1, x1\n"
    "  msr spsr_el1, x2\n"
    "  mov x30, x0\n"
    "  ldr x1, [x30, #248]\n"
    "  msr sp_el0, x1\n"
    "  ldp x0, x1, [x30]\n  ldp x2, x3, [x30, #16]\n  ldp x4, x5, [x30, #32]\n  ldp x6, x7, [x30, #48]\n"
    "  ldp x8, x9, [x30, #64]\n  ldp x10, x11, [x30, #80]\n  ldp x12, x13, [x30, #96]\n  ldp x14, x15, [x30, "
    "#112]\n"
    "  ldp x16, x17, [x30, #128]\n  ldp x18, x19, [x30, #144]\n  ldp x20, x21, [x30, #160]\n  ldp x22, x23, "
    "[x30, #176]\n"
    "  ldp x24, x25, [x30, #192]\n  ldp x26, x27, [x30, #208]\n  ldp x28, x29, [x30, #224]\n  ldr x30, [x30, "
    "#240]\n"
    "  eret\n"
    // Recovery. Nothing may be relied on but the code itself and fuzz_good.
    "  .balign 2048\n"
    "fuzz_vectors:\n"
    "  .rept 16\n  .balign 128\n  b fuzz_recover\n  .endr\n"
    "  .balign 128\n"
    "fuzz_recover:\n"
    "  msr daifset, #15\n"
    "  msr spsel, #1\n"
    "  adr x0, fuzz_good_copy\n"
    "  ldp x1, x2, [x0]\n  ldp x3, x4, [x0, #16]\n  ldp x5, x6, [x0, #32]\n"
    "  msr ttbr0_el1, x3\n  msr tcr_el1, x2\n  msr mair_el1, x4\n  msr ttbr1_el1, x5\n  msr cpacr_el1, x6\n  "
    "msr sctlr_el1, x1\n"
    "  isb\n  tlbi vmalle1\n  dsb ish\n  isb\n"
    "  msr cntv_ctl_el0, xzr\n  msr mdscr_el1, xzr\n"
    "  adr x1, fuzz_vectors\n  msr vbar_el1, x1\n  msr pan, #0\n"
    "  mrs x1, mpidr_el1\n  and x1, x1, #3\n"
    "  ldr x2, =bm_boot_stack_top\n  mov x3, #0x4000\n  msub x2, x1, x3, x2\n  mov sp, x2\n"
    "  b fuzz_next\n"
    "  .ltorg\n"
    "  .balign 16\n"
    "fuzz_good_copy: .skip 48\n");
extern u64 fuzz_good_copy[];

static void random_code(u64 spsr_mode, int mmu_off) {
    const u64 base = SCRATCH + cpu_number() * 0x10000 + 0x200000;
    write_words(base, 64 + below(900));
    u64 registers[32];
    for (unsigned i = 0; i < 32; ++i) registers[i] = below(3) ? address() : random() >> below(64);
    u64 pc = base + (below(200) & ~3ul);
    if (spsr_mode == 0 && !mmu_off) pc += USER_CODE_VA + 0x10000000 - SCRATCH;
    if (mmu_off) write_sysreg(sctlr_el1, SCTLR_DEFAULT & ~1ul);
    fuzz_enter(registers, pc, spsr_mode | (random() & 0xf0000000) | (below(100) ? 0 : 0x80));
}

static void random_access(void) {
    for (unsigned i = 0; i < 20; ++i) {
        const u64 a = address();
        register u64 x2 __asm__("x2") = random();
        register u64 x3 __asm__("x3") = a;
        // Own code is read-only and the stack is spared; everything else may go.
        if (a >= 0x40000000 && a < 0x44000000) continue;
        switch (below(14)) {
            case 0: __asm__ volatile("ldr x2, [x3]" : "+r"(x2) : "r"(x3) : "memory"); break;
            case 1: __asm__ volatile("str x2, [x3]" ::"r"(x2), "r"(x3) : "memory"); break;
            case 2: __asm__ volatile("ldrb w2, [x3]" : "+r"(x2) : "r"(x3) : "memory"); break;
            case 3: __asm__ volatile("strb w2, [x3]" ::"r"(x2), "r"(x3) : "memory"); break;
            case 4: __asm__ volatile("ldp x2, x4, [x3]" : "+r"(x2) : "r"(x3) : "memory", "x4"); break;
            case 5: __asm__ volatile("stp x2, x2, [x3]" ::"r"(x2), "r"(x3) : "memory"); break;
            case 6:
                __asm__ volatile("ldxr x2, [x3]\n stxr w4, x2, [x3]" : "+r"(x2) : "r"(x3) : "memory", "x4");
                break;
            case 7: __asm__ volatile("ldadd x2, x4, [x3]" ::"r"(x2), "r"(x3) : "memory", "x4"); break;
            case 8: __asm__ volatile("dc zva, x3" ::"r"(x3) : "memory"); break;
            case 9: __asm__ volatile("ldr q0, [x3]" ::"r"(x3) : "memory"); break;
            case 10: __asm__ volatile("stp q0, q1, [x3]" ::"r"(x3) : "memory"); break;
            case 11: __asm__ volatile("casp x4, x5, x6, x7, [x3]" ::"r"(x3) : "memory", "x4", "x5"); break;
            case 12: __asm__ volatile("ld4 {v0.2d-v3.2d}, [x3]" ::"r"(x3) : "memory"); break;
            default:
                __asm__ volatile("ldtr w2, [x3]\n sttrh w2, [x3]" : "+r"(x2) : "r"(x3) : "memory");
                break;
        }
    }
}

static void garbage_tables(void) {
    u64* const root = (u64*)(SCRATCH + 0x400000 + cpu_number() * 0x10000);
    for (unsigned i = 0; i < 512 * 8; ++i) {
        const u64 next = (u64)root + 0x1000 * below(8);
        switch (below(6)) {
            case 0: root[i] = random(); break;
            case 1: root[i] = next | (random() & 0xfff0000000000ffc) | 3; break;
            case 2:
                root[i] =
                    (address() & 0xfffffffff000) | (random() & 0xfff0000000000ffc) | 0x400 | (random() & 3);
                break;
            default: root[i] = next | 3; break;
        }
    }
    write_sysreg(ttbr1_el1, below(4) ? (u64)root | random() << 48 : random());
    // T0SZ and the granule of TTBR0 stay, so that there is a next instruction.
    const u64 keep = 63ul | 1 << 7 | 3ul << 14;
    write_sysreg(tcr_el1, (TCR_DEFAULT & keep) | (random() & ~keep));
    __asm__ volatile("isb\n tlbi vmalle1\n dsb ish\n isb");
    for (unsigned i = 0; i < 8; ++i) {
        const u64 a = ~0ul << 48 | random();
        u64 value;
        __asm__ volatile("at s1e1r, %1\n at s1e0w, %1\n mrs %0, par_el1" : "=r"(value) : "r"(a));
    }
    const u64 a = ~0ul << 48 | random();
    if (below(3) == 0) ((void (*)(void))(a & ~3ul))();
    if (below(2))
        *(volatile u64*)a = 1;
    else
        (void)*(volatile u8*)a;
}

static void system_registers(void) {
    const u64 at = SCRATCH + 0x800000 + cpu_number() * 0x1000;
    for (unsigned i = 0; i < 16; ++i) {
        const u32 encoding =
            (u32)(below(2)
                      ? below(1 << 15)
                      : (1 << 14 | (below(2) ? 3 << 11 : 0) | below(16) << 7 | below(16) << 3 | below(8)));
        // TTBR0, TCR, SCTLR and VBAR only rarely: without them there is no way back.
        const u32 crn = encoding >> 7 & 15;
        if ((crn == 1 || crn == 2 || crn == 12) && below(64)) continue;
        write32(at, 0xd5100000 | encoding << 5 | 2 | (below(2) ? 1 << 21 : 0));
        write32(at + 4, 0xd65f03c0);
        __asm__ volatile("ic ivau, %0\n dsb ish\n isb" ::"r"(at) : "memory");
        register u64 x2 __asm__("x2") = below(2) ? random() : random() >> below(64);
        __asm__ volatile("mov x10, x30\n blr %1\n mov x30, x10" : "+r"(x2) : "r"(at) : "x10", "memory");
    }
}

// Functions on PCI, placed in earnest and then treated as they come; an ITS with its queue and tables in scratch memory.
static void pci(void) {
    const u64 function = ECAM_VA + (below(4) << 15) + (below(4) ? 0 : 1ul << 20);
    write32(function + 0x18, (u32)(below(8) ? 0x00020100 : random()));  // of a root port: the buses behind it
    write32(function + 0x10, (u32)(0x1000 + 0x80 * below(4)));
    write32(function + 0x14, (u32)(0x10000000 + 0x1000 * below(4)));
    write32(function + 0x20, (u32)(0x4000 * below(4)));
    write32(function + 0x24, (u32)(below(8) ? 0x80 : random()));
    write32(function + 0x04, (u32)(below(8) ? 7 : random()));
    write32(function + 0x40, (u32)(below(2) ? 0x80000000 : random()));
    for (unsigned i = 0; i < 20; ++i)
        write32(function + 4 * below(below(2) ? 64 : 1024), (u32)(random() >> below(32)));
    const u64 table = 0x10000000 + 0x1000 * below(4);
    for (unsigned i = 0; i < 8; ++i) {
        write32(table + 16 * i, (u32)(below(8) ? 0x08090040 : random()));
        write32(table + 16 * i + 4, below(8) ? 0 : (u32)random());
        write32(table + 16 * i + 8, (u32)below(64));
        write32(table + 16 * i + 12, (u32)below(2));
    }
    const u64 queue = SCRATCH + 0xb00000;
    for (unsigned i = 0; i < 128; ++i) {
        volatile u64* const command = (volatile u64*)(queue + 32 * i);
        command[0] = below(16) ? below(16) | below(4) << 35 : random();
        command[1] = below(64) | (8192 + below(64)) << 32;
        command[2] = (below(2) ? below(4) << 16 : (queue + 0x8000 + below(0x4000)) & ~0xfful) | below(4) |
                     below(4) << 62;
        command[3] = below(4) << 16;
    }
    write32(0x08080000, (u32)below(2));
    *(volatile u64*)0x08080080 = queue | (below(8) ? 1ul << 63 : random());
    *(volatile u64*)0x08080100 = (queue + 0x4000) | (below(8) ? 1ul << 63 | below(2) << 62 : random());
    *(volatile u64*)0x08080108 = (queue + 0x5000) | (below(8) ? 1ul << 63 : random());
    *(volatile u64*)0x080a0070 = (queue + 0x10000) | 15;
    *(volatile u64*)0x080a0078 = queue + 0x20000;
    write32(0x080a0000, (u32)below(2));
    write32(0x08080000, (u32)(below(8) ? 1 : random()));
    write32(0x08080088, (u32)(32 * below(128) | below(2)));
}

static void devices(void) {
    static const u64 bases[] = {0x08000000, 0x08010000, 0x080a0000, 0x080b0000, 0x09000000,
                                0x09010000, 0x0a000000, 0x0a003e00, 0x08080000, 0x08090000,
                                0x10000000, 0x3eff1000, BARS_VA,    ECAM_VA};
    if (below(2)) pci();
    for (unsigned i = 0; i < 60; ++i) {
        const u64 a = (bases[below(sizeof(bases) / sizeof(*bases))] + below(below(2) ? 0x200 : 0x10000)) &
                      (below(16) ? ~3ul : ~0ul);
        const u64 v = below(3) ? random() >> below(64) : SCRATCH + below(SCRATCH_SIZE);
        switch (below(6)) {
            case 0: (void)*(volatile u32*)a; break;
            case 1: *(volatile u8*)a = (u8)v; break;
            case 2: *(volatile u64*)(a & ~7ul) = v; break;
            default: *(volatile u32*)a = (u32)v; break;
        }
    }
    // A virtio device set up in earnest, with rings of garbage.
    const u64 slot = 0x0a000000 + 0x200 * (below(4) ? 31 : below(32));
    write32(slot + 0x70, 0);
    for (unsigned s = 1; s < 16; s = s * 2 + 1) write32(slot + 0x70, s & 11);
    write32(slot + 0x30, 0);
    write32(slot + 0x38, (u32)(1 << below(9)));
    for (unsigned r = 0x80; r <= 0xa0; r += 0x10) {
        write32(slot + r, (u32)(below(8) ? SCRATCH + 0xa00000 + (below(0x10000) & ~15ul) : random()));
        write32(slot + r + 4, below(8) ? 0 : (u32)random());
    }
    // The same for a legacy slot.
    write32(slot + 0x28, below(8) ? 4096 : (u32)random());
    write32(slot + 0x3c, (u32)(below(8) ? 1ul << below(14) : random()));
    write32(slot + 0x40, (u32)(below(8) ? (SCRATCH + 0xa00000) >> 12 : random()));
    for (unsigned i = 0; i < 512; ++i)
        *(volatile u64*)(SCRATCH + 0xa00000 + 8 * below(0x2000)) = below(2) ? address() : below(0x100000000);
    write32(slot + 0x44, 1);
    write32(slot + 0x70, 15);
    for (unsigned i = 0; i < 8; ++i) write32(slot + 0x50, (u32)below(3));
}

static void firmware(void) {
    const u64 f = 0x84000000 | (below(2) << 30) | below(0x20);
    const u64 number = f & 0xffff;
    if (number == 8 || number == 9 || number == 0x12 || (number == 2 && cpu_number() == 0)) return;
    hvc(f, below(8) ? below(4) : random(), below(8) ? (u64)bm_secondary_entry : address(), below(4));
}

__attribute__((noreturn)) void fuzz_next(void) {
    struct fuzz_cpu* const me = self();
    if (me->round++ >= fuzz_seed[3] && cpu_number() == 0) {
        for (unsigned i = 0; i < 9; ++i) say("%d ", me->kinds[i]);
        say("\nall %d rounds\n", fuzz_seed[3]);
        bm_off();
    }
    // The timer ends a round that does not end itself. Rounds before may have done anything to the
    // controller.
    const u64 frame = 0x080b0000 + 0x20000 * cpu_number();
    write32(0x08000000, 0x12);
    write32(frame + 0x180, ~0u);
    write32(frame + 0x380, ~0u);
    write32(frame + 0x80, ~0u);
    write32(frame + 0x400 + (TIMER_INTID & ~3), 0xa0a0a0a0);
    write32(frame + 0x100, 1u << TIMER_INTID);
    write_sysreg(S3_0_C12_C9_0, 0);  // AP1R0: nothing is active
    write_sysreg(S3_0_C12_C8_4, 0);
    write_sysreg(S3_0_C4_C6_0, 0xff);
    write_sysreg(S3_0_C12_C12_7, 1);
    write_sysreg(cntv_tval_el0, read_sysreg(cntfrq_el0) / 500);
    write_sysreg(cntv_ctl_el0, 1);
    isb();
    const u64 kind = below(9);
    ++me->kinds[kind];
    if (below(100)) __asm__ volatile("msr daifclr, #2");
    switch (kind) {
        case 0: random_code(5, 0); break;
        case 1: random_code(0, 0); break;
        case 2: random_code(below(3) ? 5 : 0, 1); break;
        case 3: garbage_tables(); break;
        case 4: random_access(); break;
        case 5: system_registers(); break;
        case 6: devices(); break;
        case 7:
            fuzz_enter((const u64*)SCRATCH, address(), below(2) ? 5 : random() & (below(50) ? 0x37f : 0x3ff));
            break;
        default: firmware(); break;
    }
    __asm__ volatile("msr daifset, #15");
    __asm__ volatile("svc #0");  // recovers as after a fault
    __builtin_unreachable();
}

static void begin(void) {
    write32(0x080a0014 + 0x20000 * (u32)cpu_number(), 0);
    write32(0x080b0080 + 0x20000 * (u32)cpu_number(), ~0u);
    write_sysreg(S3_0_C12_C12_5, 7);
    isb();
    write_sysreg(S3_0_C4_C6_0, 0xff);
    write_sysreg(S3_0_C12_C12_7, 1);
    self()->random = fuzz_seed[2] * 0x9e3779b97f4a7c15 + cpu_number() * 77 + 1;
    self()->round = 0;
    write_sysreg(vbar_el1, fuzz_vectors);
    isb();
    __asm__ volatile("svc #0");
}

void bm_secondary(u64 number) {
    (void)number;
    bm_mmu_on();
    begin();
}

void test_main(void) {
    // Code and constants are read-only once this is done; SCRATCH is at EL0 too.
    extern u8 bm_data_start[];
    u64* const table = new_table();
    for (unsigned i = 0; i < 512; ++i) {
        const u64 a = 0x40200000 + i * 0x1000ul;
        table[i] = a | PAGE | (a < (u64)bm_data_start ? KERNEL_CODE | READ_ONLY : KERNEL_DATA);
    }
    for (u64 o = 0; o < SCRATCH_SIZE; o += 0x200000)
        map(USER_CODE_VA + 0x10000000 + o, SCRATCH + o, 2, USER_DATA & ~UXN);
    const u64 good[] = {
        SCTLR_DEFAULT | 1 << 14 | 1 << 26, TCR_DEFAULT, (u64)bm_root[0], 0x4400ff, (u64)bm_root[1], 3 << 20};
    for (unsigned i = 0; i < 6; ++i) fuzz_good_copy[i] = good[i];
    map(ECAM_VA, 0x4010000000, 2, VALID | DEVICE | AF | UXN | PXN);
    map(BARS_VA, 0x8000000000, 2, VALID | DEVICE | AF | UXN | PXN);
    write32(0x08000000, 0x12);
    *entry(0x40200000, 2) = (u64)table | VALID | TABLE;
    tlbi(vmalle1is);
    for (u64 cpu = 1; cpu < 4; ++cpu) hvc(0xc4000003, cpu, (u64)bm_secondary_entry, cpu);
    begin();
}
