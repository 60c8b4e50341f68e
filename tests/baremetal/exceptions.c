// Taking exceptions and returning from them: classes, vectors, SPSR, ELR, stack pointers, masks, software
// step.
#include "runtime/bm.h"

static u64 el0_stack_va = 0x2100001000;

static void show(const char* name) {
    struct cpu* cpu = this_cpu();
    say("  %s: %d", name, cpu->count);
    if (cpu->count) say(" vector %x esr %x spsr %x", cpu->last_vector, cpu->esr, cpu->spsr);
    say("\n");
}

#define RUN(text)                                                                          \
    do {                                                                                   \
        u64 pc_;                                                                           \
        expect();                                                                          \
        __asm__ volatile("adr %0, 1f\n1: " text : "=&r"(pc_)::"memory", "x2", "x3", "cc"); \
        show(text);                                                                        \
        if (this_cpu()->count) say("   pc+%x\n", this_cpu()->elr - pc_);                   \
    } while (0)

static void classes(void) {
    say("classes at EL1\n");
    RUN("svc #0");
    RUN("svc #0xffff");
    RUN("brk #0");
    RUN("brk #0x1234");
    RUN("udf #0");
    RUN(".inst 0xffffffff");
    RUN(".inst 0x00000001");
    RUN("mrs x2, vbar_el2");
    RUN("mrs x2, scr_el3");
    RUN("msr midr_el1, x2");
    RUN("mrs x2, S3_3_c15_c15_7");
    RUN("msr S3_0_c4_c2_7, x2");
    RUN("tlbi alle2");
    RUN("at s12e1r, x2");
    RUN("dc cisw, xzr");
    RUN("mrs x2, sp_el0");
    RUN("smc #0");
    RUN("yield");
    RUN("hint #127");
    RUN("csdb");
    RUN("sys #3, c7, c4, #7, x2");
    RUN("dcps1");
    RUN("drps");
    // Flags and masks in SPSR.
    __asm__ volatile("msr nzcv, %0" ::"r"(0xf0000000ul));
    RUN("svc #1");
    __asm__ volatile("msr daifclr, #15");
    RUN("svc #2");
    say("  daif in the handler was %x, now %x\n", this_cpu()->x_after, read_sysreg(daif));
    __asm__ volatile("msr daifset, #5");
    RUN("svc #2");
    __asm__ volatile("msr daifset, #15");
    __asm__ volatile("msr pan, #1");
    RUN("svc #3");
    __asm__ volatile("msr pan, #0");
}

static int remember_daif(struct frame* f) {
    (void)f;
    this_cpu()->x_after = read_sysreg(daif) | read_sysreg(spsel) << 16 | read_sysreg(S3_0_C4_C2_3);
    return 0;
}

// ---- EL0

#define EL0(name, text)                                                    \
    static u64 el0_##name(u64 a, u64 b) {                                  \
        register u64 x2 __asm__("x2") = a;                                 \
        register u64 x3 __asm__("x3") = b;                                 \
        __asm__ volatile(text : "+r"(x2), "+r"(x3)::"memory", "x4", "cc"); \
        return x2;                                                         \
    }
// clang-format off
#define EL0_LIST(X)                                   \
    X(svc, "svc #7")                                  \
    X(hvc, "hvc #0")                                  \
    X(smc, "smc #0")                                  \
    X(brk, "brk #9")                                  \
    X(udf, "udf #1")                                  \
    X(eret, "eret")                                   \
    X(wfi, "wfi")                                     \
    X(wfe, "sevl\n wfe")                              \
    X(read_daif, "mrs x2, daif")                      \
    X(write_daif, "msr daif, x3")                     \
    X(spsel, "msr spsel, #0")                         \
    X(pan, "msr pan, #1")                             \
    X(ctr, "mrs x2, ctr_el0\n mov x2, #1")            \
    X(dczid, "mrs x2, dczid_el0\n and x2, x2, #0x10") \
    X(cntvct, "mrs x2, cntvct_el0\n mov x2, #1")      \
    X(cntpct, "mrs x2, cntpct_el0\n mov x2, #1")      \
    X(cntfrq, "mrs x2, cntfrq_el0")                   \
    X(cntv_ctl, "mrs x2, cntv_ctl_el0")               \
    X(cntp_cval, "msr cntp_cval_el0, xzr")            \
    X(pmccntr, "mrs x2, pmccntr_el0\n mov x2, #1")    \
    X(pmuserenr, "mrs x2, pmuserenr_el0")             \
    X(pmuserenr_write, "msr pmuserenr_el0, x3")       \
    X(sctlr, "mrs x2, sctlr_el1")                     \
    X(vbar, "msr vbar_el1, x3")                       \
    X(ttbr, "msr ttbr0_el1, x3")                      \
    X(tpidr, "msr tpidr_el0, x3\n mrs x2, tpidr_el0") \
    X(tpidrro, "mrs x2, tpidrro_el0\n mov x2, #1")    \
    X(tpidrro_write, "msr tpidrro_el0, x3")           \
    X(mdscr, "mrs x2, mdscr_el1")                     \
    X(tlbi, "tlbi vmalle1")                           \
    X(iallu, "ic iallu")                              \
    X(cisw, "dc cisw, x3")                            \
    X(ats1, "at s1e1r, x3")                           \
    X(current_el, "mrs x2, currentel")                \
    X(nzcv, "msr nzcv, x3\n mrs x2, nzcv")            \
    X(fpcr, "mrs x2, fpcr")                           \
    X(fmov, "fmov d0, x3\n fmov x2, d0")              \
    X(fadd, "fadd d0, d0, d0")                        \
    X(simd, "add v0.4s, v0.4s, v0.4s")                \
    X(ldr_q, "ldr q0, [sp, #-32]")                    \
    X(icc, "mrs x2, S3_0_C12_C12_0")
// clang-format on
EL0_LIST(EL0)
static u64 el0_sp(u64 a, u64 b) {
    __asm__ volatile("mov x4, sp\n mov sp, %1\n ldr %0, [sp]\n mov sp, x4"
                     : "+r"(a)
                     : "r"(b)
                     : "x4", "memory");
    return a;
}
static u64 el0_brx(u64 a, u64 b) {
    register u64 x0 __asm__("x0") = a;
    __asm__ volatile("br %1" : "+r"(x0) : "r"(b));
    return x0;
}

static void el0_one(const char* name, u64 (*f)(u64, u64), u64 b) {
    expect();
    const u64 r = at_el0(f, 0x55, b);
    struct cpu* cpu = this_cpu();
    say("  %s = %x", name, r);
    if (cpu->count) say(" [%d vector %x esr %x spsr %x]", cpu->count, cpu->last_vector, cpu->esr, cpu->spsr);
    say("\n");
}

EL0(daifset, "msr daifset, #2")
EL0(daifclr, "msr daifclr, #2")

static void el0_all(void) {
#define EL0_RUN(name, text) el0_one(#name, el0_##name, 0x80000000);
    EL0_LIST(EL0_RUN)
}

static void lower(void) {
    say("EL0, everything trapped\n");
    write_sysreg(cntkctl_el1, 0);
    write_sysreg(pmuserenr_el0, 0);
    set_sctlr(0, 1 << 9 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26);
    write_sysreg(cpacr_el1, 0);
    isb();
    el0_all();
    // QEMU 7.2 has op1 and op2 the wrong way round.
    expect();
    at_el0(el0_daifset, 0, 0);
    judge("MSR DAIFSet at EL0", this_cpu()->esr, 0x620cd3e4);
    expect();
    at_el0(el0_daifclr, 0, 0);
    judge("MSR DAIFClr at EL0", this_cpu()->esr, 0x620ed3e4);
    write_sysreg(cpacr_el1, 1 << 20);
    isb();
    say("EL0, everything let through but FP at EL0\n");
    write_sysreg(cntkctl_el1, 0x303);
    write_sysreg(pmuserenr_el0, 0xf);
    // WFI would wait: nTWI stays 0.
    set_sctlr(1 << 9 | 1 << 14 | 1 << 15 | 1 << 18 | 1 << 26, 0);
    el0_all();
    write_sysreg(cpacr_el1, 2 << 20);
    isb();
    el0_one("fadd, FPEN 2", el0_fadd, 0);
    write_sysreg(cpacr_el1, 3 << 20);
    isb();
    el0_one("fadd, FPEN 3", el0_fadd, 0);
    el0_one("branch to unaligned", el0_brx, (u64)el0_brx + USER_ALIAS + 2);
}

static void fp_trap_at_el1(void) {
    say("FP at EL1\n");
    for (unsigned fpen = 0; fpen < 4; ++fpen) {
        write_sysreg(cpacr_el1, fpen << 20);
        isb();
        RUN("fadd d0, d0, d0");
        RUN("ldr q0, [sp]");
        RUN("mrs x2, fpcr");
        RUN("msr fpsr, xzr");
        RUN("ld1 {v0.16b}, [sp]");
        RUN(".inst 0x1e20f800");  // unallocated FP
    }
}

static void illegal_return(void) {
    say("illegal returns\n");
    static const u64 modes[] = {0x3c1, 0x3c2, 0x3c6, 0x3c8, 0x3c9, 0x3cc, 0x3cd, 0x3cf, 0x3d3, 0x3c3, 0x3c7};
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); ++i) {
        expect();
        struct cpu* cpu = this_cpu();
        // The exception is taken at the target: bm_exception resumes behind the ERET.
        u64 sp;
        __asm__ volatile("mov %0, sp" : "=r"(sp));
        __asm__ volatile(
            "adr x4, 1f\n"
            "str x4, [%0, %3]\n"
            "mov x4, sp\n"
            "str x4, [%0, %4]\n"
            "adr x4, 2f\n"
            "msr elr_el1, x4\n"
            "msr spsr_el1, %1\n"
            "eret\n"
            "2: nop\n"
            "1:\n" ::"r"(cpu),
            "r"(modes[i] | 0xf0000000), "r"(sp), "i"(CPU_FIXUP), "i"(CPU_FIXUP_SP)
            : "x4", "memory", "cc");
        say("  %x: %d vector %x esr %x spsr %x\n", modes[i], cpu->count, cpu->last_vector, cpu->esr,
            cpu->spsr);
    }
    // IL in SPSR with a legal mode.
    expect();
    bm_lower((u64)el0_nzcv + USER_ALIAS, 1, 2, 0x3c0 | 1 << 20, el0_stack_va);
    show("IL to EL0");
}

static u64 el1_get(u64 a, u64 b) {
    u64 sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return a + b + (read_sysreg(currentel) << 8) + (read_sysreg(spsel) << 16) +
           (sp == 0x41800000 ? 0x100000 : 0);
}

static void modes(void) {
    say("modes\n");
    expect();
    say("  EL1t %x\n", bm_lower((u64)el1_get, 1, 2, 0x3c4, 0x41800000));
    show("back by SVC");
    expect();
    RUN("msr spsel, #0");
    say("  spsel %x\n", read_sysreg(spsel));
    __asm__ volatile("msr spsel, #1");
    // At EL1t the exception comes by the first vectors, and leaves SP_EL0 alone.
    u64 sp0;
    expect();
    __asm__ volatile(
        "msr sp_el0, %1\n"
        "msr spsel, #0\n"
        "svc #4\n"
        "mov %0, sp\n"
        "mrs x4, sp_el0\n"  // UNDEFINED while it is selected
        "msr spsel, #1\n"
        : "=r"(sp0)
        : "r"(0x41800010ul)
        : "x4", "memory");
    say("  sp %x\n", sp0);
    show("SVC, then SP_EL0, at EL1t");
    expect();
    __asm__ volatile(
        "msr sp_el0, %0\n"
        "msr spsel, #0\n"
        "ldr x4, [sp]\n"
        "ldr x4, [sp, #8]\n"
        "svc #1\n"
        "msr spsel, #1\n" ::"r"(0x41800000ul)
        : "x4", "memory");
    show("loads by an aligned SP");
}

// A stack alignment fault and nothing else: no register has changed. QEMU 7.2 checks no SP at all.
#define STACK_FAULT(text, stack)                                                                        \
    do {                                                                                                \
        u64 sp_ = (stack), sum_;                                                                        \
        expect();                                                                                       \
        __asm__ volatile(                                                                               \
            "msr sp_el0, %0\n mov x4, #8\n mov x5, #5\n mov x6, #6\n mov x7, #7\n msr spsel, #0\n" text \
            "\n msr spsel, #1\n mrs %0, sp_el0\n add %1, x4, x5\n add %1, %1, x6\n add %1, %1, x7\n"    \
            : "+r"(sp_), "=r"(sum_)::"x4", "x5", "x6", "x7", "memory");                                 \
        judge(text, this_cpu()->count == 1 ? this_cpu()->esr : this_cpu()->count, 0x9a000000);          \
        judge("  registers", sum_ + sp_, 26 + (stack));                                                 \
    } while (0)

static void stack_faults(u64 stack) {
    STACK_FAULT("ldr x4, [sp]", stack);
    STACK_FAULT("ldrb w4, [sp]", stack);
    STACK_FAULT("ldr w4, [sp, #4]", stack);
    STACK_FAULT("ldr x4, [sp, #8]", stack);
    STACK_FAULT("ldrsh x4, [sp, #14]", stack);
    STACK_FAULT("ldur x4, [sp, #-8]", stack);
    STACK_FAULT("ldtr x4, [sp, #-16]", stack);
    STACK_FAULT("ldr x4, [sp], #16", stack);
    STACK_FAULT("str x4, [sp, #-16]!", stack);
    STACK_FAULT("ldr x5, [sp, x4]", stack);
    STACK_FAULT("strb w5, [sp, x4]", stack);
    STACK_FAULT("stp x4, x5, [sp, #-16]!", stack);
    STACK_FAULT("ldp x4, x5, [sp], #16", stack);
    STACK_FAULT("ldpsw x4, x5, [sp, #8]", stack);
    STACK_FAULT("stp q0, q1, [sp, #-32]!", stack);
    STACK_FAULT("ldr q0, [sp, #16]", stack);
    STACK_FAULT("ldr d0, [sp, x4]", stack);
    STACK_FAULT("ld1 {v0.16b-v3.16b}, [sp], #64", stack);
    STACK_FAULT("ld3 {v0.4h-v2.4h}, [sp]", stack);
    STACK_FAULT("st1 {v0.s}[1], [sp]", stack);
    STACK_FAULT("ld1r {v0.2d}, [sp]", stack);
    STACK_FAULT("ldaxr x4, [sp]", stack);
    STACK_FAULT("clrex\n stlxr w4, x5, [sp]", stack);
    STACK_FAULT("ldxp x4, x5, [sp]", stack);
    STACK_FAULT("ldar x4, [sp]", stack);
    STACK_FAULT("stlr x4, [sp]", stack);
    STACK_FAULT("ldaddal x4, x5, [sp]", stack);
    STACK_FAULT("cas x4, x5, [sp]", stack);
    STACK_FAULT("casp x4, x5, x6, x7, [sp]", stack);
}

// With SCTLR.SA: what uses an aligned SP, or a misaligned one not as a base, works.
static void sp_alignment(void) {
    say("SP alignment\n");
    set_sctlr(1 << 3 | 1 << 4, 0);
#define AT_EL1T(text, stack)                                                                       \
    do {                                                                                           \
        expect();                                                                                  \
        __asm__ volatile("msr sp_el0, %0\n msr spsel, #0\n" text "\n msr spsel, #1\n" ::"r"(stack) \
                         : "x4", "x5", "memory");                                                  \
        show(text);                                                                                \
    } while (0)
    const u64 stack = 0x41800000;
    AT_EL1T("ldr x4, [sp]", stack);
    AT_EL1T("str x4, [sp, #8]", stack);
    AT_EL1T("ldrb w4, [sp, #3]", stack);
    AT_EL1T("stp x4, x5, [sp, #-16]!", stack);
    AT_EL1T("ldp x4, x5, [sp], #16", stack);
    AT_EL1T("ldr q0, [sp, #16]", stack);
    AT_EL1T("ldp q0, q1, [sp, #-16]", stack);
    AT_EL1T("ldur x4, [sp, #-8]", stack);
    for (u64 sp = stack + 1; sp < stack + 16; sp += 7) {
        AT_EL1T("mov x4, sp\n ldr x5, [x4]", sp);
        AT_EL1T("add sp, sp, #16\n sub sp, sp, #16", sp);
        AT_EL1T("prfm pldl1keep, [sp]", stack);
        AT_EL1T("mov x4, sp\n and sp, x4, #-16\n ldr x4, [sp]", sp);
    }
    for (u64 sp = stack + 1; sp < stack + 16; sp += 7) AT_EL1T("prfm pldl1keep, [sp]", sp);
    stack_faults(stack + 8);
    stack_faults(stack + 3);
    stack_faults(stack - 4);       // the access crosses a page, the 16 bytes before it do not
    stack_faults(0x7f8000000008);  // comes before what translation finds
    set_sctlr(1 << 1, 0);          // and before the alignment that SCTLR_EL1.A asks for
    stack_faults(stack + 4);
    set_sctlr(0, 1 << 1);
    el0_one("at EL0", el0_sp, el0_stack_va - 64);
    expect();
    at_el0(el0_sp, 0, el0_stack_va - 60);
    judge("at EL0, misaligned", this_cpu()->esr + this_cpu()->last_vector, 0x9a000400);
    // Each bit is for its EL alone.
    set_sctlr(0, 1 << 3);
    AT_EL1T("ldr x4, [sp]", stack + 4);
    set_sctlr(1 << 3, 1 << 4);
    stack_faults(stack + 4);
    set_sctlr(0, 1 << 3 | 1 << 4);
    for (u64 sp = stack + 1; sp < stack + 16; sp += 7) AT_EL1T("ldr x4, [sp]", sp);
    el0_one("at EL0, SA0 off", el0_sp, el0_stack_va - 60);
}

// An exception in the handler, three deep.
static u64 depth;
static int nest(struct frame* f) {
    if (f->esr >> 26 != 0x15) return 0;
    const u64 level = f->esr & 0xffff;
    say("  level %d: vector %x spsr %x\n", level, f->vector, f->spsr);
    if (level == 1) __asm__ volatile("svc #2");
    if (level == 2) __asm__ volatile("svc #3");
    if (level == 3) PROBE("ldr x2, [x3]", 0x7f8000000000, 1);
    ++depth;
    return 1;
}
static u64 el0_nest(u64 a, u64 b) {
    (void)b;
    __asm__ volatile("svc #1" ::: "memory");
    return a + 1;
}

static void nested(void) {
    say("nested\n");
    struct cpu* cpu = this_cpu();
    cpu->hook = nest;
    expect();
    __asm__ volatile("svc #1" ::: "memory");
    show("in it");
    say("  depth %d\n", depth);
    say("  from EL0: %x\n", at_el0(el0_nest, 1, 0));
    cpu->hook = 0;
}

// Software step of a few instructions at EL0, and at EL1 with KDE.
static u64 steps, step_pcs[40], step_spsr, step_esr, step_base, step_limit;
static int on_step(struct frame* f) {
    const u64 ec = f->esr >> 26;
    if (ec != 0x32 && ec != 0x33) {
        say("   other: esr %x at %x spsr %x\n", f->esr, f->elr - step_base, f->spsr);
        if (ec == 0x15 || ec == 0x3c || ec == 0) {
            if (ec != 0x15) f->elr += 4;
            f->spsr |= 1 << 21;
            return 1;
        }
        return 0;
    }
    if (steps < 40) step_pcs[steps] = f->elr;
    ++steps;
    step_spsr = f->spsr;
    step_esr = f->esr;
    f->spsr |= 1 << 21;
    if (steps >= step_limit) {
        write_sysreg(mdscr_el1, 0);
        f->spsr &= ~(1ul << 21);
    }
    return 1;
}

__asm__(
    ".text\n"
    ".balign 64\n"
    "stepped:\n"
    "  mov x1, #3\n"
    "1: subs x1, x1, #1\n"
    "  b.ne 1b\n"
    "  bl 2f\n"
    "  svc #9\n"
    "  ldxr x2, [sp]\n"
    "  nop\n"
    "  brk #1\n"
    "  cbz xzr, 3f\n"
    "  nop\n"
    "3: mov x30, x3\n"
    "  ret\n"
    "2: mov x3, x30\n"
    "  mov x30, x3\n"
    "  ret\n");
extern u8 stepped[];
__asm__(
    ".balign 64\n"
    "stepped_wrapper: mov x7, x30\n"
    "  mov x1, #2\n"
    "1: subs x1, x1, #1\n"
    "  b.ne 1b\n"
    "  svc #9\n"
    "  nop\n"
    "  nop\n"
    "  udf #0\n"
    "  adr x2, 4f\n"
    "  br x2\n"
    "  nop\n"
    "4: tbz xzr, #3, 5f\n"
    "  nop\n"
    "5: mov x30, x7\n"
    "  ret\n");
extern u8 stepped_wrapper[];

static void software_step(void) {
    say("software step\n");
    struct cpu* cpu = this_cpu();
    write_sysreg(oslar_el1, 0);
    write_sysreg(osdlr_el1, 0);
    cpu->hook = on_step;
    // EL0: MDSCR.SS set, SPSR.SS set on the return.
    for (unsigned ss = 0; ss < 2; ++ss) {
        steps = 0;
        step_limit = 30;
        step_base = (u64)stepped_wrapper + USER_ALIAS;
        write_sysreg(mdscr_el1, 1);
        isb();
        expect();
        bm_lower(step_base, 0, 0, 0x3c0 | ss << 21, el0_stack_va);
        write_sysreg(mdscr_el1, 0);
        isb();
        say(" EL0, SS %d: %d steps, esr %x spsr %x, others %d\n", (u64)ss, steps, step_esr, step_spsr,
            cpu->count);
        for (unsigned i = 0; i < steps && i < 40; ++i)
            if (step_pcs[i] - step_base < 0x100) say("   %x\n", step_pcs[i] - step_base);
    }
    // EL1 with KDE and PSTATE.D clear; the step begins with the ERET of bm_lower.
    steps = 0;
    step_limit = 8;
    step_base = (u64)stepped_wrapper;
    write_sysreg(mdscr_el1, 1 | 1 << 13);
    isb();
    bm_lower(step_base, 0, 0, 0x1c5 | 1 << 21, el0_stack_va);
    write_sysreg(mdscr_el1, 0);
    isb();
    say(" EL1: %d steps, esr %x spsr %x\n", steps, step_esr, step_spsr);
    for (unsigned i = 0; i < steps && i < 40; ++i) say("   %x\n", step_pcs[i] - step_base);
    // Masked by D, and without KDE: none.
    for (unsigned k = 0; k < 2; ++k) {
        steps = 0;
        step_limit = 4;
        write_sysreg(mdscr_el1, k ? 1 : 1 | 1 << 13);
        isb();
        bm_lower(step_base, 0, 0, (k ? 0x1c5 : 0x3c5) | 1 << 21, el0_stack_va);
        write_sysreg(mdscr_el1, 0);
        isb();
        say(" EL1, not enabled: %d\n", steps);
    }
    cpu->hook = 0;
}

void test_main(void) {
    this_cpu()->hook = remember_daif;
    classes();
    this_cpu()->hook = 0;
    lower();
    fp_trap_at_el1();
    illegal_return();
    modes();
    sp_alignment();
    nested();
    software_step();
    say("done\n");
}
