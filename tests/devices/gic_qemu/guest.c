// Bare-metal side: runs the script on the machine it finds itself on and prints one line a result.
#include "script.h"

static void put(char c) { *(volatile uint32_t*)0x09000000 = (uint32_t)c; }

static void put_hex(uint64_t value) {
    int shift = 60;
    while (shift > 0 && (value >> shift & 15) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

static void emit(uint64_t operation, uint64_t value) {
    put_hex(operation);
    put(' ');
    put_hex(value);
    put('\n');
}

static uint32_t mmio_read(uint32_t address) { return *(volatile uint32_t*)(uint64_t)address; }
static void mmio_write(uint32_t address, uint32_t value) { *(volatile uint32_t*)(uint64_t)address = value; }

static uint32_t interrupt_lines(void) {
    uint64_t value;
    __asm__ volatile("isb\n mrs %0, isr_el1" : "=r"(value));
    return (uint32_t)value & 0xc0;
}

static uint64_t icc_read(unsigned index) {
    uint64_t value = 0;
    switch (index) {
#define READ_0(crn, crm, op2)
#define READ_1(crn, crm, op2) __asm__ volatile("isb\n mrs %0, S3_0_C" #crn "_C" #crm "_" #op2 : "=r"(value));
#define X(name, crn, crm, op2, r, w) \
    case icc_##name: READ_##r(crn, crm, op2) break;
        ICC_REGISTERS(X)
#undef X
    }
    return value;
}

static void icc_write(unsigned index, uint64_t value) {
    switch (index) {
#define WRITE_0(crn, crm, op2)
#define WRITE_1(crn, crm, op2) \
    __asm__ volatile("msr S3_0_C" #crn "_C" #crm "_" #op2 ", %0\n isb" ::"r"(value));
#define X(name, crn, crm, op2, r, w) \
    case icc_##name: WRITE_##w(crn, crm, op2) break;
        ICC_REGISTERS(X)
#undef X
    }
}

__attribute__((used)) void guest_main(void) {
    run_script(GIC_VERSION, SCRIPT_SEED, SCRIPT_STEPS);
    put('.');
    put('\n');
    // PSCI SYSTEM_OFF
    register uint64_t x0 __asm__("x0") = 0x84000008;
    __asm__ volatile("hvc #0" : "+r"(x0));
    for (;;) __asm__ volatile("wfi");
}

__asm__(
    ".pushsection .text.start,\"ax\"\n"
    ".global _start\n"
    "_start: ldr x0, =0x40400000\n"
    "mov sp, x0\n"
    "b guest_main\n"
    ".popsection\n");
