// Four CPUs: locks of both kinds, atomics, message passing, invalidations across CPUs, events and SGIs.
#include "runtime/gic.h"

#define CPUS 4
#define VA 0x3000000000ul

void bm_secondary_entry(void);

static volatile u64 phase, done[CPUS];
static u64 results[CPUS];
static volatile u32 lock_word;
static volatile u64 shared_a, shared_b, counter, plain;
static volatile u64 go;

static u64 self(void) { return read_sysreg(mpidr_el1) & 0xff; }

// ---- Locks

static void lock_exclusive(void) {
    u32 a, b;
    __asm__ volatile(
        "   sevl\n"
        "1: wfe\n"
        "2: ldaxr %w0, [%2]\n"
        "   cbnz %w0, 1b\n"
        "   stxr %w1, %w3, [%2]\n"
        "   cbnz %w1, 2b\n"
        : "=&r"(a), "=&r"(b)
        : "r"(&lock_word), "r"(1)
        : "memory");
}
static void lock_lse(void) {
    u32 old;
    do {
        __asm__ volatile("swpa %w1, %w0, [%2]" : "=&r"(old) : "r"(1), "r"(&lock_word) : "memory");
        if (old != 0) __asm__ volatile("yield");
    } while (old != 0);
}
static void lock_cas(void) {
    u32 old;
    do {
        old = 0;
        __asm__ volatile("casa %w0, %w1, [%2]" : "+r"(old) : "r"(1), "r"(&lock_word) : "memory");
    } while (old != 0);
}
static void unlock(void) { __asm__ volatile("stlr wzr, [%0]\n sev" ::"r"(&lock_word) : "memory"); }

static void locks(void (*lock)(void), unsigned n) {
    for (unsigned i = 0; i < n; ++i) {
        lock();
        const u64 a = shared_a, b = shared_b;
        if (a != b) results[self()] += 1;  // torn
        shared_a = a + 1;
        for (volatile int k = 0; k < 3; ++k) {
        }
        shared_b = b + 1;
        unlock();
    }
}

static void add_exclusive(unsigned n) {
    for (unsigned i = 0; i < n; ++i) {
        u64 v;
        u32 failed;
        do {
            __asm__ volatile("ldxr %0, [%2]\n add %0, %0, #1\n stxr %w1, %0, [%2]"
                             : "=&r"(v), "=&r"(failed)
                             : "r"(&counter)
                             : "memory");
        } while (failed);
    }
}
static void add_lse(unsigned n) {
    for (unsigned i = 0; i < n; ++i) __asm__ volatile("stadd %0, [%1]" ::"r"(1ul), "r"(&counter) : "memory");
}
static u64 pair[2] __attribute__((aligned(16)));
static void add_pair(unsigned n) {
    for (unsigned i = 0; i < n; ++i) {
        u64 lo, hi;
        u32 failed;
        do {
            __asm__ volatile("ldaxp %0, %1, [%3]\n add %0, %0, #1\n sub %1, %1, #1\n stlxp %w2, %0, %1, [%3]"
                             : "=&r"(lo), "=&r"(hi), "=&r"(failed)
                             : "r"(pair)
                             : "memory");
        } while (failed);
        if (lo + hi != 0) ++results[self()];
        register u64 x0 __asm__("x0"), x1 __asm__("x1"), x2 __asm__("x2"), x3 __asm__("x3");
        u64 e0, e1;
        do {
            e0 = x0 = *(volatile u64*)&pair[0];
            e1 = x1 = -x0;
            x2 = x0 + 1;
            x3 = x1 - 1;
            __asm__ volatile("caspal x0, x1, x2, x3, [%4]"
                             : "+r"(x0), "+r"(x1)
                             : "r"(x2), "r"(x3), "r"(pair)
                             : "memory");
        } while (x0 != e0 || x1 != e1);
    }
}

// Sense-reversing meeting point of all CPUs.
static volatile u64 meeting;
static void meet(void) {
    const u64 round = meeting / CPUS;
    __asm__ volatile("ldaddal %0, xzr, [%1]" ::"r"(1ul), "r"(&meeting) : "memory");
    while (*(volatile u64*)&meeting / CPUS == round) __asm__ volatile("yield");
    dsb();
}

// CPU 0 changes a page and invalidates it for all; the others use it all the time.
static u64 pages[2];
static volatile u64 generation, seen_old[CPUS];
static void invalidations(unsigned kind) {
    const u64 va = VA;
    if (self() == 0) {
        for (u64 i = 1; i <= 60; ++i) {
            map(va, pages[i & 1], 3, KERNEL_CODE);
            switch (kind) {
                case 0: tlbi_arg(vaae1is, va >> 12); break;
                case 1: tlbi(vmalle1is); break;
                default: tlbi_arg(vae1is, va >> 12); break;
            }
            __asm__ volatile("stlr %0, [%1]" ::"r"(i), "r"(&generation) : "memory");
            for (volatile int k = 0; k < 2000; ++k) {
            }
        }
        __asm__ volatile("stlr %0, [%1]" ::"r"(1000ul), "r"(&generation) : "memory");
        return;
    }
    for (;;) {
        u64 before, after;
        __asm__ volatile("ldar %0, [%1]" : "=r"(before) : "r"(&generation) : "memory");
        if (before == 1000) break;
        const u64 value = *(volatile u64*)(va + 64);
        const u64 code = bm_jump(va, 0);
        __asm__ volatile("dmb ish\n ldar %0, [%1]" : "=r"(after) : "r"(&generation) : "memory");
        // The next remap may have begun already, so only what is too old is wrong: seen from the generation
        // before, both values of a page are possible if the next one has come. Same parity and no change:
        // exact.
        if (before == after && before != 0) {
            const u64 want = before & 1, other = (before + 1) & 1;
            if (value != 10 + want && value != 10 + other) ++results[self()];
            if (code != 20 + want && code != 20 + other) ++results[self()];
        }
    }
}

// The strict form: CPU 0 changes and waits for an acknowledgement from all, one generation at a time.
static volatile u64 asked, answered[CPUS];
static void strict(unsigned kind) {
    static u32 mov[2];
    for (u64 i = 1; i <= 200; ++i) {
        if (self() == 0) {
            if (kind == 0) {
                map(VA, pages[i & 1], 3, KERNEL_CODE);
                tlbi_arg(vaale1is, VA >> 12);
            } else {
                mov[0] = 0xd2800000 | (u32)(i + 100) << 5;
                mov[1] = 0xd65f03c0;
                write_code(pages[0] + 0x200, mov, 2);
            }
            __asm__ volatile("stlr %0, [%1]" ::"r"(i), "r"(&asked) : "memory");
            for (unsigned c = 1; c < CPUS; ++c)
                while (answered[c] != i) __asm__ volatile("yield");
        } else {
            while (asked != i) __asm__ volatile("yield");
            __asm__ volatile("dmb ish\n isb" ::: "memory");
            if (kind == 0) {
                if (*(volatile u64*)(VA + 64) != 10 + (i & 1)) ++results[self()];
                if (bm_jump(VA, 0) != 20 + (i & 1)) ++results[self()];
            } else {
                if (bm_jump(VA + 0x10200, 0) != i + 100) ++results[self()];
            }
            __asm__ volatile("stlr %0, [%1]" ::"r"(i), "r"(&answered[self()]) : "memory");
        }
    }
}

// After the DSB a page that CPU 0 has taken away is its own again: no other CPU reads what is written there then. The others
// read in long runs of loads, so that they are in the middle of one, wherever their threads are stopped.
static volatile u64 reuse_over;
static void reuse(void) {
    if (self() == 0) {
        for (u64 i = 1; i <= 600; ++i) {
            volatile u64* const old = (volatile u64*)(pages[(i + 1) & 1] + 0x800);
            map(VA, pages[i & 1], 3, KERNEL_CODE);
            tlbi_arg(vaae1is, VA >> 12);
            *old = 1;
            for (volatile int k = 0; k < 200; ++k) {
            }
            *old = 0;
        }
        reuse_over = 1;
        return;
    }
    while (!reuse_over) {
        u64 seen = 0;
        __asm__ volatile(".rept 256\n ldr x2, [%1]\n orr %0, %0, x2\n .endr"
                         : "+r"(seen)
                         : "r"(VA + 0x800)
                         : "x2", "memory");
        if (seen != 0) ++results[self()];
    }
}

// Message passing and store buffering with the barriers that forbid the odd outcomes.
static volatile u64 message __attribute__((aligned(64))), flag __attribute__((aligned(64)));
static void messages(void) {
    for (u64 i = 1; i <= 3000; ++i) {
        if (self() == 0) {
            while (flag != 0) __asm__ volatile("yield");
            __asm__ volatile("dmb ish" ::: "memory");
            message = i;
            __asm__ volatile("dmb ishst" ::: "memory");
            flag = i;
        } else if (self() == 1) {
            while (flag != i) __asm__ volatile("yield");
            __asm__ volatile("dmb ishld" ::: "memory");
            if (message != i) ++results[1];
            __asm__ volatile("stlr xzr, [%0]" ::"r"(&flag) : "memory");
        }
    }
}

static volatile u64 sgis[CPUS];
static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    if ((iar & 0x3ff) == 3) ++sgis[self()];
    gic_end(iar);
}

// Each CPU sends to the next, waits for its own by WFI, and so round.
static void ring(void) {
    const u64 me = self();
    this_cpu()->irq = on_irq;
    gic_cpu_init();
    gic_enable(3, 1);
    meet();
    for (u64 i = 1; i <= 50; ++i) {
        if (me == 0) gic_sgi(3, 1);
        __asm__ volatile("msr daifset, #2");
        while (sgis[me] < i) __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");
        if (me != 0) gic_sgi(3, (me + 1) % CPUS);
    }
}

static void check(const char* name) {
    meet();
    if (self() == 0) {
        u64 bad = 0;
        for (unsigned i = 0; i < CPUS; ++i) {
            bad += results[i];
            results[i] = 0;
        }
        say("%s: %d wrong, counter %d, shared %d %d, pair %x %x, lock %d\n", name, bad, counter, shared_a,
            shared_b, pair[0], pair[1], (u64)lock_word);
        counter = shared_a = shared_b = 0;
        generation = asked = 0;
        for (unsigned i = 0; i < CPUS; ++i) answered[i] = 0;
    }
    meet();
}

static void body(void) {
    meet();
    locks(lock_exclusive, 2000);
    check("LDAXR/STXR lock");
    locks(lock_lse, 2000);
    check("SWP lock");
    locks(lock_cas, 2000);
    check("CAS lock");
    add_exclusive(20000);
    check("LDXR/STXR add");
    add_lse(20000);
    check("LDADD");
    // Both kinds at once on one word.
    if (self() & 1)
        add_exclusive(10000);
    else
        add_lse(10000);
    check("mixed add");
    add_pair(3000);
    check("LDXP/STXP and CASP");
    messages();
    check("messages");
    for (unsigned kind = 0; kind < 3; ++kind) {
        invalidations(kind);
        check("TLBI under way");
    }
    strict(0);
    check("TLBI broadcast");
    strict(1);
    check("IC IVAU broadcast");
    reuse();
    check("TLBI before reuse");
    ring();
    check("SGI ring");
}

void bm_secondary(u64 number) {
    (void)number;
    bm_mmu_on();
    body();
    hvc(0x84000002, 0, 0, 0);
}

void test_main(void) {
    for (unsigned i = 0; i < 2; ++i) {
        pages[i] = new_page();
        *(volatile u64*)(pages[i] + 64) = 10 + i;
        const u32 code[] = {0xd2800000 | (20 + i) << 5, 0xd65f03c0};
        write_code(pages[i], code, 2);
    }
    map(VA, pages[0], 3, KERNEL_CODE);
    map(VA + 0x10000, pages[0], 3, KERNEL_CODE);
    gic_init();
    dsb();
    for (u64 cpu = 1; cpu < CPUS; ++cpu) say("on %d\n", hvc(0xc4000003, cpu, (u64)bm_secondary_entry, cpu));
    body();
    for (u64 cpu = 1; cpu < CPUS; ++cpu)
        while (hvc(0xc4000004, cpu, 0, 0) != 1) {
        }
    say("done\n");
}
