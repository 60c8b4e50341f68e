// Devices by way of the MMU: the same instruction at the same address must follow every change of what is
// mapped there, and of who may use it, however often it has met a device before.
#include "runtime/bm.h"

#define VA 0x13000000000ul  // in a 512 GiB of its own
#define UART 0x09000000ul   // PL011: peripheral ID 0x11 at 0xfe0
#define RTC 0x09010000ul    // PL031: 0x31 there
#define ID 0xfe0
#define KERNEL_DEVICE (VALID | DEVICE | AF | UXN | PXN)
#define USER_DEVICE (KERNEL_DEVICE | EL0)

static u64 ram;

// One site for all: what it did before must not matter.
__attribute__((noinline)) static u64 load(u64 address) { return PROBE("ldr w2, [x3]", address, 0); }
__attribute__((noinline)) static void store(u64 address, u64 value) { PROBE("str w2, [x3]", address, value); }

static void read_often(const char* name, u64 address) {
    u64 value = load(address);
    for (unsigned i = 0; i < 5; ++i)
        if (load(address) != value) say("%s: not twice the same\n", name);
    report(name, value, bm_pc);
}

static u64 el0_read(u64 address, u64 times) {
    u64 value = 0;
    for (u64 i = 0; i < times; ++i) value = *(volatile u32*)address;
    return value;
}

static void remap(u64 pa, u64 attributes) {
    map(VA, pa, 3, attributes);
    tlbi_arg(vaae1, VA >> 12);
}

static void what_is_there(void) {
    remap(UART, KERNEL_DEVICE);
    read_often("uart", VA + ID);
    remap(RTC, KERNEL_DEVICE);
    read_often("rtc", VA + ID);
    write32(ram + ID, 0xabcdef);
    remap(ram, KERNEL_DATA);
    read_often("ram", VA + ID);
    remap(UART, KERNEL_DEVICE);
    read_often("uart again", VA + ID);
    remap(0, 0);
    read_often("nothing", VA + ID);
    remap(RTC, KERNEL_DEVICE);
    read_often("rtc again", VA + ID);
    map(VA, UART, 3, KERNEL_DEVICE);
    tlbi(vmalle1);
    read_often("uart, all invalidated", VA + ID);
}

static void who_may(void) {
    remap(UART, KERNEL_DEVICE | READ_ONLY);
    read_often("read-only", VA + ID);
    store(VA + 0x24, 7);
    report("store to it", 0, bm_pc);
    remap(UART, KERNEL_DEVICE);
    for (unsigned i = 0; i < 4; ++i) store(VA + 0x24, 100 + i);  // the integer baud rate
    read_often("writable", VA + 0x24);
    expect();
    at_el0(el0_read, VA + ID, 3);
    report("EL0", 0, this_cpu()->elr);
    remap(UART, USER_DEVICE);
    expect();
    report("EL0 may", at_el0(el0_read, VA + ID, 3), 0);
    write_sysreg(S3_0_C4_C2_3, 1ul << 22);  // PAN
    read_often("PAN", VA + ID);
    write_sysreg(S3_0_C4_C2_3, 0);
    read_often("no PAN", VA + ID);
    remap(UART, KERNEL_DEVICE);
    expect();
    at_el0(el0_read, VA + ID, 3);
    report("EL0 again", 0, this_cpu()->elr);
}

// Two address spaces that differ in this page, without any invalidation between.
static void address_spaces(void) {
    u64* const other = new_table();
    for (unsigned i = 0; i < 512; ++i) other[i] = bm_root[0][i];
    other[VA >> 39] = 0;
    *entry_in(other, 0, VA, 3) = RTC | KERNEL_DEVICE | NG | PAGE;
    remap(UART, KERNEL_DEVICE | NG);
    for (unsigned i = 0; i < 6; ++i) {
        write_sysreg(ttbr0_el1, i & 1 ? (u64)other | 6ul << 48 : (u64)bm_root[0] | 5ul << 48);
        isb();
        read_often(i & 1 ? "space 6" : "space 5", VA + ID);
    }
    write_sysreg(ttbr0_el1, bm_root[0]);
    isb();
}

static void sizes(void) {
    remap(UART, KERNEL_DEVICE);
    for (unsigned i = 0; i < 3; ++i) {
        TRY("ldrb w2, [x3]", VA + ID, 0);
        TRY("ldrsb x2, [x3]", VA + ID + 28, 0);  // 0xb1
        TRY("ldrsb w2, [x3]", VA + ID + 28, 0);
        TRY("ldrh w2, [x3]", VA + ID, 0);
        TRY("ldr w2, [x3]", VA + ID, 0);
        CHECK("ldr w2, [x3]", VA + ID + 2, 0, 0x96000021, VA + ID + 2);
        CHECK("ldrh w2, [x3]", VA + ID + 1, 0, 0x96000021, VA + ID + 1);
    }
}

static void mmu_off(void) {
    for (unsigned i = 0; i < 3; ++i) {
        read_often("flat, on", UART + ID);
        bm_mmu_off();
        read_often("flat, off", UART + ID);
        bm_mmu_on();
    }
}

void test_main(void) {
    ram = new_page();
    what_is_there();
    who_may();
    address_spaces();
    sizes();
    mmu_off();
    say("done\n");
}
