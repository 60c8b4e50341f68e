// Accesses to pages that a policy intercepts (lightv.py); each prints the value read or the exception taken.
// Then, if the policy says so, one page is read and written until it holds END, while lightv.py changes its backing.
#include "runtime/bm.h"

#define TARGET(n) (0x47000000ul + (n)*0x11000ul)  // lightv.py has the numbers
#define MORE 0x4000000000ul                       // further addresses of the targets
#define END 0xe0e0e0e0ul

enum {
    ORDINARY,
    OBSERVED,
    DENIED,
    READ_ONLY_PAGE,
    NO_EXECUTE,
    FAULTY,
    FAULTY_WRITES,
    A_FILE,
    MOVED,
    SHARED,
    ALIAS,
    ALIASED,
    CHANGED
};

static u64 read_often(u64 address, u64 times) {
    u64 sum = 0;
    for (u64 i = 0; i < times; ++i) sum += *(volatile u64*)(address + i % 512 * 8);
    return sum;
}
static u64 write_often(u64 address, u64 times) {
    for (u64 i = 0; i < times; ++i) *(volatile u64*)(address + i % 512 * 8) = i;
    return times;
}
static u64 faults_of(u64 (*function)(u64, u64), u64 address, u64 times) {
    expect();
    function(address, times);
    return this_cpu()->count;
}

static void accesses(u64 n, const char* name) {
    say("%s\n", name);
    TRY("ldr x2, [x3]", TARGET(n) + 8, 0);
    TRY("str x2, [x3]", TARGET(n) + 8, n + 1);
    TRY("ldr x2, [x3]", TARGET(n) + 8, 0);
    // From an ordinary page into this one, and out of it again.
    TRY("str x2, [x3]", TARGET(n) - 4, 0x1111111122222222);
    TRY("ldr x2, [x3]", TARGET(n) - 4, 0);
    TRY("ldr x2, [x3]", TARGET(n) + 0xffc, 0);
    TRY("ldp x4, x5, [x3]", TARGET(n) + 0xff8, 0);
    TRY("ldxr x2, [x3]", TARGET(n) + 16, 0);
    TRY("ldadd x2, x4, [x3]", TARGET(n) + 24, 1);
    // By another address, from EL0.
    map(MORE + n * 0x1000, TARGET(n), 3, USER_DATA);
    dsb();
    isb();
    expect();
    const u64 sum = at_el0(read_often, MORE + n * 0x1000, 3);
    report("EL0", this_cpu()->count != 0 ? 0 : sum, 0);
}

static void code(u64 n, const char* name) {
    static const u32 five[] = {0xd28000a0, 0xd65f03c0};  // mov x0, 5; ret
    expect();
    write_code(TARGET(n), five, 2);
    say("%s, written with %d faults\n", name, this_cpu()->count);
    expect();
    const u64 value = bm_jump(TARGET(n), 0);
    report("call", value, 0);
}

static void changed(void) {
    volatile u64* const cell = (volatile u64*)TARGET(CHANGED);
    u64 last = 0, taken = 0;
    say("looking\n");
    for (;;) {
        expect();
        const u64 value = *cell;
        cell[1] = value;
        if (this_cpu()->count != 0) {
            if (!taken) say("taken esr %x\n", this_cpu()->esr);
            taken = 1;
            continue;
        }
        if (value == last && !taken) continue;
        taken = 0;
        last = value;
        say("saw %x\n", value);
        // An answer, for whoever has the same page.
        if (value >> 8 == 0x55) *cell = 0x5600 | (value & 0xff);
        if (value == END) return;
    }
}

void test_main(void) {
    accesses(ORDINARY, "ordinary");
    accesses(OBSERVED, "observed");
    accesses(DENIED, "denied");
    accesses(READ_ONLY_PAGE, "writes denied, permission");
    accesses(A_FILE, "a file");
    accesses(MOVED, "moved");
    accesses(SHARED, "shared");
    code(ORDINARY, "ordinary code");
    code(OBSERVED, "observed code");
    code(NO_EXECUTE, "code denied");
    code(DENIED, "all denied");
    code(MOVED, "moved code");
    *(volatile u64*)TARGET(ALIAS) = 0x77;
    say("alias %x %x\n", *(volatile u64*)TARGET(ALIAS), *(volatile u64*)TARGET(ALIASED));
    *(volatile u64*)TARGET(ALIASED) = 0x78;
    say("alias %x %x\n", *(volatile u64*)TARGET(ALIAS), *(volatile u64*)TARGET(ALIASED));
    say("often: observed %d", faults_of(read_often, TARGET(OBSERVED), 1000));
    say(" %d\n", faults_of(write_often, TARGET(OBSERVED), 500));
    say("often: faulty %d", faults_of(read_often, TARGET(FAULTY), 700));
    say(" %d\n", faults_of(write_often, TARGET(FAULTY), 300));
    say("often: faulty writes %d", faults_of(read_often, TARGET(FAULTY_WRITES), 700));
    say(" %d\n", faults_of(write_often, TARGET(FAULTY_WRITES), 300));
    if (*(volatile u64*)TARGET(CHANGED) != END) changed();
    say("done\n");
}
