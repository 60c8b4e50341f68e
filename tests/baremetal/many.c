// CPUS processors, more than a GICv2 can have: affinities, redistributors, SGIs to one, to a list and to all others, routes
// of shared interrupts; and rounds in which each waits in a loop until all others have answered, as kernels do that have
// translations dropped everywhere.
#include "runtime/gic.h"

#define SGI 3
#define SPI 50
#define ROUNDS 3

void bm_secondary_entry(void);

static volatile u64 phase, ready, received[CPUS], routed[CPUS], wrong[CPUS];
static volatile u64 lock, answers, finished;

static void add(volatile u64* to) {
    __asm__ volatile("ldaddal %0, xzr, [%1]" ::"r"(1ul), "r"(to) : "memory");
}
static void wait_for(volatile u64* what, u64 least) {
    while (*what < least) {
    }
    dsb();
}
static void go_on(u64 to) {
    dsb();
    phase = to;
}

static void on_irq(struct frame* f) {
    (void)f;
    const u64 iar = gic_acknowledge();
    if (iar == SGI) {
        add(&received[cpu_number()]);
        add(&answers);
    } else if (iar == SPI) {
        add(&routed[cpu_number()]);
    }
    gic_end(iar);
}

static void send(u64 value) {
    dsb();
    write_sysreg(S3_0_C12_C11_5, (u64)SGI << 24 | value);
    isb();
}

// MPIDR_EL1 and GICR_TYPER, which has the number, whether it is the last one, and the affinity.
static void begin(u64 me) {
    this_cpu()->irq = on_irq;
    gic_cpu_init();
    gic_enable(SGI, 1);
    const u64 typer = *(volatile u64*)(0x080a0008ul + 0x20000ul * me);
    if (cpu_number() != me || (read_sysreg(mpidr_el1) & 0xff00ffffff) != affinity_of(me)) ++wrong[me];
    if (typer >> 32 != affinity_of(me) || (typer >> 8 & 0xffff) != me || (typer >> 4 & 1) != (me == CPUS - 1))
        ++wrong[me];
    __asm__ volatile("msr daifclr, #2");
    add(&ready);
}

// One at a time has the others answer.
static void rounds(u64 me) {
    for (unsigned i = 0; i < ROUNDS; ++i) {
        u64 old;
        do {
            __asm__ volatile("swpa %1, %0, [%2]" : "=&r"(old) : "r"(1ul), "r"(&lock) : "memory");
        } while (old != 0);
        answers = 0;
        send(1ul << 40);
        wait_for(&answers, CPUS - 1);
        if (answers != CPUS - 1) ++wrong[me];
        __asm__ volatile("stlr xzr, [%0]" ::"r"(&lock) : "memory");
    }
    add(&finished);
}

void bm_secondary(u64 me) {
    bm_mmu_on();
    begin(me);
    wait_for(&phase, 1);
    if (me % 2 != 0) {  // half of them halt, the others look
        __asm__ volatile("msr daifset, #2");
        while (phase < 2) __asm__ volatile("wfi\n msr daifclr, #2\n isb\n msr daifset, #2" ::: "memory");
        __asm__ volatile("msr daifclr, #2");
    }
    wait_for(&phase, 3);
    rounds(me);
    wait_for(&phase, 4);
    __asm__ volatile("msr daifset, #2");
    hvc(0x84000002, 0, 0, 0);
}

static u64 sum(const volatile u64* of) {
    u64 all = 0;
    for (u64 cpu = 0; cpu < CPUS; ++cpu) all += of[cpu];
    return all;
}

void test_main(void) {
    gic_init();
    say("none at 10: %x, at 400: %x, at 10000: %x\n", hvc(0xc4000003, 0x10, 0, 0),
        hvc(0xc4000003, 0x400, 0, 0), hvc(0xc4000003, 0x10000, 0, 0));
    for (u64 cpu = 1; cpu < CPUS; ++cpu) {
        const u64 result = hvc(0xc4000003, affinity_of(cpu), (u64)bm_secondary_entry, cpu);
        if (result != 0) say("cpu %d: %x\n", cpu, result);
    }
    begin(0);
    wait_for(&ready, CPUS);
    say("%d CPUs, %d wrong\n", ready, sum(wrong));
    go_on(1);

    for (u64 cpu = 1; cpu < CPUS; ++cpu) {
        gic_sgi(SGI, cpu);
        wait_for(&received[cpu], 1);
    }
    say("one at a time: %d\n", sum(received));
    send(1ul << 40);
    wait_for(&answers, 2 * (CPUS - 1));
    say("all others: %d, itself %d\n", sum(received), received[0]);
    send(0xffff);
    wait_for(&answers, 2 * (CPUS - 1) + 16);
    say("a list: %d, itself %d\n", sum(received), received[0]);
    send(5ul << 16 | 0xffff);  // Aff1 5
    send(1ul << 48 | 1);       // Aff3 1
    send(1);
    wait_for(&answers, 2 * (CPUS - 1) + 17);
    say("nobody: %d, itself %d\n", sum(received), received[0]);
    gic_priority(SPI, 0xa0);
    gic_level(SPI, 1);
    for (u64 cpu = 0; cpu < CPUS; ++cpu) {
        gic_target(SPI, cpu);
        gic_enable(SPI, 1);
        gic_pending(SPI, 1);
        wait_for(&routed[cpu], 1);
    }
    say("routes: %d\n", sum(routed));
    go_on(2);
    send(1ul << 40);  // for those that halt
    wait_for(&answers, 3 * (CPUS - 1) + 17);
    go_on(3);
    rounds(0);
    wait_for(&finished, CPUS);
    say("rounds of %d CPUs, %d wrong\n", finished, sum(wrong));
    go_on(4);
    for (u64 cpu = 1; cpu < CPUS; ++cpu)
        while (hvc(0xc4000004, affinity_of(cpu), 0, 0) != 1) {
        }
    say("done\n");
}
