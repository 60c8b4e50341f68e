// PSCI: what is there, and switching three more CPUs on and off.
#include "runtime/bm.h"

#define VERSION 0x84000000
#define CPU_OFF 0x84000002
#define CPU_ON 0xc4000003
#define CPU_ON32 0x84000003
#define AFFINITY 0xc4000004
#define AFFINITY32 0x84000004
#define MIGRATE_TYPE 0x84000006
#define FEATURES 0x8400000a

void bm_secondary_entry(void);
static volatile u64 arrived[MAX_CPUS], state[MAX_CPUS][6], keep[MAX_CPUS];

static u64 own(void) { return read_sysreg(mpidr_el1) & 0xff; }

// The MMU is off here: every store is to Device memory, and aligned.
void bm_secondary(u64 number) {
    state[number][0] = own();
    state[number][1] = read_sysreg(currentel);
    state[number][2] = read_sysreg(daif);
    state[number][3] = read_sysreg(sctlr_el1) & 1;
    state[number][4] = read_sysreg(spsel);
    state[number][5] = number;
    dsb();
    ++arrived[number];
    dsb();
    while (keep[number]) {
    }
    hvc(CPU_OFF, 0, 0, 0);
    say("CPU_OFF came back\n");
}

static void wait_off(u64 cpu) {
    while (hvc(AFFINITY, cpu, 0, 0) != 1) {
    }
}

void test_main(void) {
    say("version at least 0.2: %d\n", (u64)(hvc(VERSION, 0, 0, 0) >= 2));
    say("migration %x\n", hvc(MIGRATE_TYPE, 0, 0, 0));
    static const u64 known[] = {VERSION,    CPU_OFF,      CPU_ON,     CPU_ON32,  AFFINITY,
                                AFFINITY32, MIGRATE_TYPE, 0x84000008, 0x84000009};
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); ++i)
        say("feature %x: %x\n", known[i], hvc(FEATURES, known[i], 0, 0));
    static const u64 unknown[] = {0x84000005, 0xc4000000, 0x84001234, 0x12345678, 0xc4000002};
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); ++i)
        say("not there %x: %x\n", unknown[i], hvc(FEATURES, unknown[i], 0, 0));
    say("unknown call %x\n", hvc(0x84001234, 0, 0, 0));
    for (u64 cpu = 0; cpu < 4; ++cpu) say("cpu %d is %x\n", cpu, hvc(AFFINITY, cpu, 0, 0));
    say("no such cpu %x\n", hvc(AFFINITY, 77, 0, 0));
    say("on: itself %x\n", hvc(CPU_ON, 0, (u64)bm_secondary_entry, 0));
    say("on: no such cpu %x\n", hvc(CPU_ON, 77, (u64)bm_secondary_entry, 0));
    for (unsigned round = 0; round < 4; ++round) {
        for (u64 cpu = 1; cpu < 4; ++cpu) keep[cpu] = 1;
        dsb();
        for (u64 cpu = 1; cpu < 4; ++cpu)
            say("on %d: %x\n", cpu, hvc(round & 1 ? CPU_ON32 : CPU_ON, cpu, (u64)bm_secondary_entry, cpu));
        for (u64 cpu = 1; cpu < 4; ++cpu)
            while (arrived[cpu] != round + 1) {
            }
        for (u64 cpu = 1; cpu < 4; ++cpu)
            say("cpu %d: %x, mpidr %x el %x daif %x mmu %x spsel %x arg %x, again %x\n", cpu,
                hvc(AFFINITY, cpu, 0, 0), state[cpu][0], state[cpu][1], state[cpu][2], state[cpu][3],
                state[cpu][4], state[cpu][5], hvc(CPU_ON, cpu, (u64)bm_secondary_entry, cpu));
        for (u64 cpu = 1; cpu < 4; ++cpu) keep[cpu] = 0;
        dsb();
        for (u64 cpu = 1; cpu < 4; ++cpu) wait_off(cpu);
        for (u64 cpu = 0; cpu < 4; ++cpu) say("cpu %d is %x\n", cpu, hvc(AFFINITY, cpu, 0, 0));
    }
    say("done\n");
}
