// What a program needs that is alone in RAM: made for QEMU's defaults, without the tests' runtime, at 0x40080000, where a flat
// binary of it goes too.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

__asm__(
    ".section .text.start, \"ax\"\n"
    ".global _start\n"
    "_start: adr x9, stack_top\n"
    "  mov sp, x9\n"
    "  bl test_main\n"
    "  ldr w0, =0x84000008\n"  // PSCI SYSTEM_OFF
    "  hvc #0\n"
    "  b .\n"
    "  .ltorg\n"
    "  .data\n"
    "  .balign 16\n"
    "  .space 16384\n"
    "stack_top: .quad 0\n"
    "  .text\n");

void test_main(void);

static inline u32 read32(u64 address) { return *(volatile u32*)address; }
static inline void write32(u64 address, u32 value) { *(volatile u32*)address = value; }

static void put(char c) { write32(0x09000000, (u8)c); }
static void text(const char* s) {
    for (; *s; ++s) put(*s);
}
static void number(const char* name, u64 value) {
    text(name);
    text(": ");
    for (int i = 60; i >= 0; i -= 4)
        if (i == 0 || value >> i) put("0123456789abcdef"[value >> i & 15]);
    put('\n');
}
