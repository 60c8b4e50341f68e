#include "runtime/bm.h"

#include <stdarg.h>

u64* bm_root[2];
u64 bm_pc, bm_address;
u64 el0_spsr = 0x3c0;
static u64 next_page = 0x41000000, next_block = 0x42000000;
static u64 el0_stack;

// ---- Output

static void put(char c) {
    while (read32(0x09000018) & 1 << 5) {
    }
    write32(0x09000000, (u32)c);
}

static void put_number(u64 value, u64 base) {
    char digits[20];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (n > 0) put(digits[--n]);
}

void say(const char* format, ...) {
    va_list args;
    va_start(args, format);
    for (; *format; ++format) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
            case 's':
                for (const char* s = va_arg(args, const char*); *s; ++s) put(*s == '\n' ? ';' : *s);
                break;
            case 'c': put((char)va_arg(args, int)); break;
            case 'd': put_number(va_arg(args, u64), 10); break;
            case 'x': put_number(va_arg(args, u64), 16); break;
            default: put(*format);
        }
    }
    va_end(args);
}

// ---- Exceptions

void expect(void) { this_cpu()->count = 0; }

void bm_exception(struct frame* f) {
    struct cpu* cpu = this_cpu();
    const u64 kind = f->vector & 0x180;
    if (kind == 0x080 || kind == 0x100) {
        if (cpu->irq == 0) {
            say("unexpected interrupt, vector %x, ELR %x\n", f->vector, f->elr);
            bm_off();
        }
        cpu->irq(f);
        return;
    }
    const u64 ec = f->esr >> 26;
    if (ec == 0x15 && (f->esr & 0xffff) == 0x7ff) {  // the end of bm_lower()
        f->elr = (u64)bm_lower_return;
        f->spsr = (f->spsr & ~0x1ful) | 5 | 0x3c0;
        f->sp = cpu->lower_sp;
        return;
    }
    if (cpu->hook != 0 && cpu->hook(f)) return;
    ++cpu->count;
    cpu->last_vector = f->vector;
    cpu->esr = f->esr;
    cpu->far = f->far;
    cpu->elr = f->elr;
    cpu->spsr = f->spsr;
    if (cpu->count > 1000) {
        say("too many exceptions, ESR %x FAR %x ELR %x\n", f->esr, f->far, f->elr);
        bm_off();
    }
    switch (ec) {
        case 0x15: break;  // SVC
        case 0x20:
        case 0x21:
        case 0x22:
        case 0x0e:
            if (f->vector >= 0x400) {  // at EL0: go back to where it was called from
                f->elr = (u64)bm_lower_return;
                f->sp = cpu->lower_sp;
            } else {
                f->elr = cpu->fixup;
                f->sp = cpu->fixup_sp;
            }
            f->spsr = 0x3c5;
            break;
        default: f->elr += 4;
    }
}

void report(const char* name, u64 value, u64 pc) {
    struct cpu* cpu = this_cpu();
    say("  %s = %x", name, value);
    if (cpu->count != 0) {
        const u64 ec = cpu->esr >> 26;
        say(" [%x esr %x", cpu->last_vector, cpu->esr);
        if (ec == 0x20 || ec == 0x21 || ec == 0x22 || ec == 0x24 || ec == 0x25 || ec == 0x34 || ec == 0x35)
            say(" far %x", cpu->far);
        if (pc != 0) say(" pc+%x", cpu->elr - pc);
        if (cpu->count != 1) say(" times %d", cpu->count);
        say("]");
    }
    say("\n");
}

void verdict(const char* name, u64 esr, u64 far) {
    struct cpu* cpu = this_cpu();
    if (cpu->count == 0 && esr == 0)
        say("~ %s: ok\n", name);
    else if (cpu->count == 1 && cpu->esr == esr && (far == 0 || cpu->far == far))
        say("~ %s: ok\n", name);
    else
        say("~ %s: WRONG: %d times, esr %x far %x\n", name, cpu->count, cpu->esr, cpu->far);
}

void judge(const char* name, u64 value, u64 right) {
    if (value == right)
        say("~ %s: ok\n", name);
    else
        say("~ %s: WRONG: %x, not %x\n", name, value, right);
}

u64 at_el0(u64 (*function)(u64, u64), u64 a, u64 b) {
    return bm_lower((u64)function + USER_ALIAS, a, b, el0_spsr, el0_stack);
}

u64 hvc(u64 function, u64 a, u64 b, u64 c) {
    register u64 x0 __asm__("x0") = function;
    register u64 x1 __asm__("x1") = a;
    register u64 x2 __asm__("x2") = b;
    register u64 x3 __asm__("x3") = c;
    __asm__ volatile("hvc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory", "x4", "x5", "x6", "x7", "x8", "x9",
                       "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17");
    return x0;
}

__attribute__((weak)) void bm_secondary(u64 number) {
    (void)number;
    hvc(0x84000002, 0, 0, 0);
}

// ---- Memory

u64 new_page(void) {
    const u64 page = next_page;
    next_page += 0x1000;
    for (unsigned i = 0; i < 512; ++i) ((volatile u64*)page)[i] = 0;
    return page;
}

u64 new_block(void) {
    const u64 block = next_block;
    next_block += 0x200000;
    return block;
}

u64* new_table(void) { return (u64*)new_page(); }

u64* entry_in(u64* root, unsigned start, u64 va, unsigned level) {
    u64* table = root;
    for (unsigned l = start;; ++l) {
        u64* slot = &table[(va & 0xffffffffffff) >> (39 - 9 * l) & 511];
        if (l == level) return slot;
        if ((*slot & 3) != 3) *slot = (u64)new_table() | VALID | TABLE;
        table = (u64*)(*slot & 0xfffffffff000);
    }
}

u64* entry(u64 va, unsigned level) { return entry_in(bm_root[va >> 55 & 1], 0, va, level); }

void map(u64 va, u64 pa, unsigned level, u64 attributes) {
    *(volatile u64*)entry(va, level) = pa | attributes | (level == 3 ? PAGE : BLOCK);
}

void bm_mmu_on(void) {
    write_sysreg(mair_el1, 0x4400ff);  // 0 Normal, 1 Device-nGnRnE, 2 non-cacheable
    write_sysreg(ttbr0_el1, bm_root[0]);
    write_sysreg(ttbr1_el1, bm_root[1]);
    write_sysreg(tcr_el1, TCR_DEFAULT);
    isb();
    tlbi(vmalle1);
    write_sysreg(sctlr_el1, SCTLR_DEFAULT);
    isb();
}

void bm_mmu_off(void) {
    write_sysreg(sctlr_el1, SCTLR_DEFAULT & ~1ul);
    isb();
}

void set_tcr(u64 tcr) {
    write_sysreg(tcr_el1, tcr);
    isb();
    tlbi(vmalle1);
}

void set_sctlr(u64 set, u64 clear) {
    write_sysreg(sctlr_el1, (read_sysreg(sctlr_el1) | set) & ~clear);
    isb();
    tlbi(vmalle1);
}

void write_code(u64 address, const u32* words, unsigned n) {
    for (unsigned i = 0; i < n; ++i) {
        write32(address + 4 * i, words[i]);
        __asm__ volatile("dc cvau, %0" ::"r"(address + 4 * i) : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
    for (unsigned i = 0; i < n; ++i) __asm__ volatile("ic ivau, %0" ::"r"(address + 4 * i) : "memory");
    __asm__ volatile("dsb ish\n isb" ::: "memory");
}

void bm_init(void) {
    bm_root[0] = new_table();
    bm_root[1] = new_table();
    map(0, 0, 1, VALID | DEVICE | AF | UXN | PXN);
    for (u64 a = 0x40000000; a < 0x48000000; a += 0x200000) map(a, a, 2, KERNEL_CODE);
    map(USER_ALIAS + 0x40200000, 0x40200000, 2, USER_CODE);
    const u64 stack = new_page();
    el0_stack = 0x2100001000;
    map(0x2100000000, stack, 3, USER_DATA);
    bm_mmu_on();
}
