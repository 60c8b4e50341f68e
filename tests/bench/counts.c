// Small programs whose exact instruction counts are compared (PROGRAM is 0, 1 or 2), and one with marks for the profile (3).
#include "runtime/bm.h"

#if PROGRAM < 2
static u64 state = 88172645463325252ul;
static u64 rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
#endif

#if PROGRAM == 0
static u64 compute(void) {  // CRC-32, bit by bit
    u32 crc = ~0u;
    for (unsigned i = 0; i < 100000; i++) {
        crc ^= (u8)rnd();
        for (unsigned bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320u ^ crc >> 1 : crc >> 1;
    }
    return crc;
}
#elif PROGRAM == 3
static u64 compute(void) {  // PASSES times three instructions, and as many with a load
    static u64 cell = 5;
    u64 sum = 0, left = PASSES;
    say("@@START adds\n");
    __asm__ volatile("1: add %0, %0, #1; subs %1, %1, #1; b.ne 1b" : "+r"(sum), "+r"(left) : : "cc");
    say("@@END adds\n@@START never ends\n@@START loads\n");
    left = PASSES;
    __asm__ volatile("1: ldr %0, [%2]; subs %1, %1, #1; b.ne 1b"
                     : "+r"(sum), "+r"(left)
                     : "r"(&cell)
                     : "cc", "memory");
    say("@@END loads\n");
    return sum;
}
#elif PROGRAM == 1
static u64 compute(void) {  // sorting by insertion
    static u64 a[1500];
    for (unsigned i = 0; i < 1500; i++) {
        const u64 v = rnd();
        unsigned j = i;
        for (; j > 0 && a[j - 1] > v; j--) a[j] = a[j - 1];
        a[j] = v;
    }
    return a[700];
}
#else
static u64 calls(u64 n) { return n < 2 ? n : calls(n - 1) + calls(n - 2); }
static u64 taken;
static int on_svc(struct frame* f) {
    (void)f;
    ++taken;
    return 1;
}
static u64 compute(void) {  // calls, system calls and a TLB flush now and then
    this_cpu()->hook = on_svc;
    u64 sum = 0;
    for (unsigned i = 0; i < 2000; i++) {
        sum += calls(8 + i % 4);
        __asm__ volatile("svc #1" ::: "memory");
        if (i % 100 == 0) tlbi(vmalle1);
    }
    return sum + taken;
}
#endif

void test_main(void) { say("%x\n", compute()); }
