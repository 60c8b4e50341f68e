// Entry, exception vectors, and the ways to EL0 and back. See bm.h for what C sees of it.
#include "layout.h"

    .arch armv8.2-a

    .section .text.start, "ax"
    .global _start
_start:
    adr x0, bm_cpu_blocks
    ldr x1, =bm_boot_stack_top
    b 1f

// Entry of further CPUs by CPU_ON: x0 is the number of the CPU.
    .global bm_secondary_entry
bm_secondary_entry:
    mov x20, x0
    adr x0, bm_cpu_blocks
    mov x2, #CPU_BLOCK_SIZE
    madd x0, x20, x2, x0
    ldr x1, =bm_boot_stack_top
    mov x2, #CPU_STACK_SIZE
    msub x1, x20, x2, x1
    msr tpidrro_el0, x0
    mov sp, x1
    ldr x2, =bm_vectors
    msr vbar_el1, x2
    mov x2, #(3 << 20)
    msr cpacr_el1, x2
    isb
    mov x0, x20
    bl bm_secondary
    b bm_off

1:  msr tpidrro_el0, x0
    mov sp, x1
    ldr x2, =bm_vectors
    msr vbar_el1, x2
    mov x2, #(3 << 20)
    msr cpacr_el1, x2
    isb
    ldr x2, =__bss_start
    ldr x3, =__bss_end
2:  cmp x2, x3
    b.hs 3f
    str xzr, [x2], #8
    b 2b
3:  bl bm_init
    bl test_main
    .global bm_off
bm_off:
    ldr w0, =0x84000008 // PSCI SYSTEM_OFF
    hvc #0
    b .
    .ltorg

    .text
// A vector must not use the stack it finds: the tests point SP anywhere. Each CPU has a block with its own.
.macro vector number
    .balign 128
    msr tpidr_el1, x0
    mrs x0, tpidrro_el0
    str x1, [x0, #CPU_SCRATCH]
    mov x1, #\number
    b common_entry
.endm

    .balign 2048
    .global bm_vectors
bm_vectors:
    .irp n, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780
    vector \n
    .endr

common_entry:
    str x1, [x0, #CPU_VECTOR]
    mov x1, sp
    str x1, [x0, #CPU_SP]
    // Each level of nesting has its part of the exception stack: the frame on top, the handler's calls below it.
    ldr x1, [x0, #CPU_EXCEPTION_SP]
    sub sp, x1, #FRAME_SIZE
    sub x1, x1, #LEVEL_SIZE
    str x1, [x0, #CPU_EXCEPTION_SP]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x2, tpidr_el1
    ldr x3, [x0, #CPU_SCRATCH]
    stp x2, x3, [sp]
    ldr x2, [x0, #CPU_SP]
    stp x30, x2, [sp, #240]
    mrs x2, elr_el1
    mrs x3, spsr_el1
    stp x2, x3, [sp, #256]
    mrs x2, esr_el1
    mrs x3, far_el1
    stp x2, x3, [sp, #272]
    ldr x2, [x0, #CPU_VECTOR]
    mrs x3, sp_el0
    stp x2, x3, [sp, #288]
    mov x0, sp
    bl bm_exception
    ldp x2, x3, [sp, #256]
    msr elr_el1, x2
    msr spsr_el1, x3
    ldr x2, [sp, #296]
    msr sp_el0, x2
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #240]
    mrs x0, tpidrro_el0
    ldr x1, [x0, #CPU_EXCEPTION_SP]
    add x1, x1, #LEVEL_SIZE
    str x1, [x0, #CPU_EXCEPTION_SP]
    mov x1, sp
    ldr x0, [x1, #248]
    mov sp, x0
    ldp x0, x1, [x1]
    eret

// u64 bm_lower(u64 function, u64 a, u64 b, u64 spsr, u64 stack): ERET to `function` with SP_EL0 = stack. It comes back
// by SVC #0x7ff (see bm_exception), which resumes at bm_lower_return with EL1h and this SP.
    .global bm_lower
bm_lower:
    stp x29, x30, [sp, #-96]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    mrs x9, tpidrro_el0
    mov x10, sp
    str x10, [x9, #CPU_LOWER_SP]
    msr elr_el1, x0
    msr spsr_el1, x3
    msr sp_el0, x4
    mov x0, x1
    mov x1, x2
    ldr x30, =bm_lower_exit
    and x11, x3, #0xf
    cbnz x11, 1f
    ldr x12, =USER_ALIAS
    add x30, x30, x12
1:  eret
    .global bm_lower_return
bm_lower_return:
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp x29, x30, [sp], #96
    ret
    .ltorg

    .balign 8
bm_lower_exit:
    svc #0x7ff
    b .

// u64 bm_jump(u64 target, u64 x0): calls an address that may fault; then bm_exception resumes at the return address.
    .global bm_jump
bm_jump:
    stp x29, x30, [sp, #-16]!
    mrs x9, tpidrro_el0
    adr x10, 1f
    str x10, [x9, #CPU_FIXUP]
    mov x10, sp
    str x10, [x9, #CPU_FIXUP_SP]
    mov x10, x0
    mov x0, x1
    blr x10
1:  ldp x29, x30, [sp], #16
    ret

    .bss
    .balign 16
    .global bm_stacks
bm_stacks:
    .skip CPU_STACK_SIZE * MAX_CPUS
    .global bm_boot_stack_top
bm_boot_stack_top:

    .data
    .balign 64
    .global bm_cpu_blocks
bm_cpu_blocks:
    .set n, 0
    .rept MAX_CPUS
    .quad bm_exception_stacks + EXCEPTION_STACK_SIZE * (n + 1)
    .skip CPU_BLOCK_SIZE - 8
    .set n, n + 1
    .endr

    .section .noinit, "aw", @nobits
    .balign 16
bm_exception_stacks:
    .skip EXCEPTION_STACK_SIZE * MAX_CPUS
