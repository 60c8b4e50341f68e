// The little operating system under the bare-metal tests. A test program defines test_main(), prints with
// say(), makes accesses that fault, and reports what was taken. What it prints must not depend on time or on
// the number of TLB entries, so that it can be compared with another implementation's log line by line.
#pragma once

#include "runtime/layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

struct frame {
    u64 x[31], sp, elr, spsr, esr, far, vector, sp_el0;
};
_Static_assert(sizeof(struct frame) == FRAME_SIZE, "start.S");

struct cpu {
    u64 exception_sp, scratch, vector, sp, lower_sp, fixup, fixup_sp;
    // The last exception since expect(), and how many there were.
    u64 count, last_vector, esr, far, elr, spsr;
    int (*hook)(struct frame*);  // non-zero: dealt with
    void (*irq)(struct frame*);
    u64 x_after;  // free for hooks
};
_Static_assert(sizeof(struct cpu) <= CPU_BLOCK_SIZE, "layout.h");
extern u8 bm_cpu_blocks[];

#define read_sysreg(name)                                            \
    ({                                                               \
        u64 value_;                                                  \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory"); \
        value_;                                                      \
    })
#define write_sysreg(name, value) __asm__ volatile("msr " #name ", %0" ::"r"((u64)(value)) : "memory")
#define isb() __asm__ volatile("isb" ::: "memory")
#define dsb() __asm__ volatile("dsb sy" ::: "memory")
#define tlbi(op) __asm__ volatile("dsb ishst\n tlbi " #op "\n dsb ish\n isb" ::: "memory")
#define tlbi_arg(op, arg) \
    __asm__ volatile("dsb ishst\n tlbi " #op ", %0\n dsb ish\n isb" ::"r"((u64)(arg)) : "memory")

static inline struct cpu* this_cpu(void) { return (struct cpu*)read_sysreg(tpidrro_el0); }
static inline u32 read32(u64 address) { return *(volatile u32*)address; }
static inline void write32(u64 address, u32 value) { *(volatile u32*)address = value; }

// %s %c %d (u64), %x (u64), no widths.
void say(const char* format, ...);
void test_main(void);
void bm_secondary(u64 number);  // weak: powers off
void bm_off(void) __attribute__((noreturn));
u64 hvc(u64 function, u64 a, u64 b, u64 c);

// ---- Exceptions. By default one is recorded, and execution goes on behind the instruction (aborts of
// fetches, PC alignment and illegal state: at the return of bm_jump()).
void expect(void);
/// "name: value [vector, ESR, FAR where it is defined, ELR relative to pc]"
void report(const char* name, u64 value, u64 pc);
u64 bm_jump(u64 target, u64 x0);
u64 bm_lower(u64 function, u64 a, u64 b, u64 spsr, u64 stack);
void bm_lower_return(void);
/// Runs a function at EL0, by its alias there.
u64 at_el0(u64 (*function)(u64, u64), u64 a, u64 b);
extern u64 el0_spsr;  // for at_el0
// For at_el0: what the code at `address` makes of x0.
static inline u64 el0_fetch(u64 address, u64 value) {
    register u64 x0 __asm__("x0") = value;
    register u64 x9 __asm__("x9") = address;
    __asm__ volatile("mov x10, x30\n blr x9\n mov x30, x10" : "+r"(x0) : "r"(x9) : "x10", "memory");
    return x0;
}

// One instruction on a value x2 and an address x3; evaluates to x2 and sets bm_pc to where it is and
// bm_address to x3.
extern u64 bm_pc, bm_address;
#define PROBE(text, address, value)                                                                         \
    ({                                                                                                      \
        const u64 value_in_ = (value), address_in_ = (address);                                             \
        expect();                                                                                           \
        register u64 x2_ __asm__("x2") = value_in_;                                                         \
        register u64 x3_ __asm__("x3") = address_in_;                                                       \
        u64 pc_;                                                                                            \
        __asm__ volatile("adr %2, 1f\n1: " text                                                             \
                         : "+r"(x2_), "+r"(x3_), "=&r"(pc_)::"memory", "cc", "x4", "x5", "x6", "x7", "x8"); \
        bm_pc = pc_;                                                                                        \
        bm_address = x3_;                                                                                   \
        x2_;                                                                                                \
    })
#define TRY(text, address, value)                  \
    do {                                           \
        u64 result_ = PROBE(text, address, value); \
        report(text, result_, bm_pc);              \
    } while (0)
// What QEMU 7.2 does not do: the program itself knows the architecture's answer (ESR 0: no exception). Lines
// that begin with ~ are not compared with QEMU's; see normalise.sed.
void verdict(const char* name, u64 esr, u64 far);
void judge(const char* name, u64 value, u64 right);
#define CHECK(text, address, value, esr, far) \
    do {                                      \
        PROBE(text, address, value);          \
        verdict(text, esr, far);              \
    } while (0)

// ---- Memory: bm_init() turns the MMU on with the first GiB as Device blocks, and RAM as 2 MiB blocks, flat.
enum {
    VALID = 1,
    TABLE = 2,
    PAGE = 2,
    BLOCK = 0,
    NORMAL = 0 << 2,
    DEVICE = 1 << 2,
    NONCACHEABLE = 2 << 2,
    EL0 = 1 << 6,
    READ_ONLY = 1 << 7,
    INNER = 3 << 8,
    AF = 1 << 10,
    NG = 1 << 11
};
#define DBM (1ul << 51)
#define CONTIGUOUS (1ul << 52)
#define PXN (1ul << 53)
#define UXN (1ul << 54)
#define KERNEL_DATA (VALID | NORMAL | INNER | AF | UXN | PXN)
#define KERNEL_CODE (VALID | NORMAL | INNER | AF | UXN)
#define USER_DATA (VALID | NORMAL | INNER | AF | EL0 | UXN | PXN)
#define USER_CODE (VALID | NORMAL | INNER | AF | EL0 | READ_ONLY | PXN)

extern u64* bm_root[2];  // level 0, of TTBR0 and TTBR1
#define TCR_DEFAULT                                                                                         \
    (16ul | 16ul << 16 | 1ul << 8 | 1ul << 10 | 3ul << 12 | 1ul << 24 | 1ul << 26 | 3ul << 28 | 2ul << 30 | \
     2ul << 32 | 1ul << 36)
#define SCTLR_DEFAULT (0x30d00800ul | 1 << 0 | 1 << 2 | 1 << 12 | 1 << 23 | 1 << 28 | 1 << 29)
void bm_mmu_on(void);
void bm_mmu_off(void);
u64* new_table(void);
/// Where the entry for va at `level` is, making the tables above it. 48-bit, either half.
u64* entry(u64 va, unsigned level);
/// Where it is in tables that start at `root`, of level `start`.
u64* entry_in(u64* root, unsigned start, u64 va, unsigned level);
/// Maps without any invalidation.
void map(u64 va, u64 pa, unsigned level, u64 attributes);
/// A fresh page of RAM, zero, 4 KiB; its address is physical and accessible.
u64 new_page(void);
u64 new_block(void);  // 2 MiB
void set_tcr(u64 tcr);
void set_sctlr(u64 set, u64 clear);
/// Words of code into memory, visible to fetches.
void write_code(u64 address, const u32* words, unsigned n);
