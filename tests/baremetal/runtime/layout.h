// Numbers that assembly and C share.
#pragma once

#ifndef MAX_CPUS
#define MAX_CPUS 4
#endif
#define CPU_STACK_SIZE 0x4000
#define EXCEPTION_STACK_SIZE 0x8000
#define LEVEL_SIZE 0x1000

// struct frame
#define FRAME_SIZE 304

// struct cpu
#define CPU_EXCEPTION_SP 0
#define CPU_SCRATCH 8
#define CPU_VECTOR 16
#define CPU_SP 24
#define CPU_LOWER_SP 32
#define CPU_FIXUP 40
#define CPU_FIXUP_SP 48
#define CPU_BLOCK_SIZE 256

// The image again, readable and executable at EL0 and not executable at EL1.
#define USER_ALIAS 0x2000000000
