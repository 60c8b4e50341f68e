/* Runs test cases on an AArch64 CPU or on qemu-aarch64: reads batches from standard input, writes results to standard
 * output (protocol.h). Freestanding, because test code may write TPIDR_EL0 and every register.
 *
 * Everything happens in one signal handler: a case starts by returning from it with the case's registers in the signal
 * frame, and ends with the next signal, whose frame holds the final state. Sequences are surrounded by BRK. */
#include "protocol.h"

#define SYS_READ 63
#define SYS_WRITE 64
#define SYS_EXIT 93
#define SYS_SIGALTSTACK 132
#define SYS_RT_SIGACTION 134
#define SYS_MMAP 222
#define SYS_MPROTECT 226

#define MAX_INPUT (48u << 20)
#define MAX_OUTPUT (96u << 20)

static long call6(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

/* The kernel's signal frame, arch/arm64/include/uapi/asm/{sigcontext,ucontext}.h. */
typedef struct SigContext {
    uint64_t fault_address;
    uint64_t regs[31];
    uint64_t sp;
    uint64_t pc;
    uint64_t pstate;
    uint8_t extra[4096] __attribute__((aligned(16)));
} SigContext;

typedef struct UContext {
    unsigned long flags;
    struct UContext* link;
    struct {
        void* sp;
        int flags;
        unsigned long size;
    } stack;
    uint64_t sigmask;
    uint8_t unused[1024 / 8 - sizeof(uint64_t)];
    SigContext mcontext;
} UContext;

typedef struct FpContext {
    uint32_t magic;
    uint32_t size;
    uint32_t fpsr;
    uint32_t fpcr;
    uint64_t v[32][2];
} FpContext;
#define FPSIMD_MAGIC 0x46508001u

typedef struct KernelSigaction {
    void (*handler)(int, void*, void*);
    unsigned long flags;
    void* restorer;
    uint64_t mask;
} KernelSigaction;
#define SA_SIGINFO 4ul
#define SA_ONSTACK 0x08000000ul
#define SA_NODEFER 0x40000000ul

static uint8_t* input;
static uint8_t* output;
/* Volatile where run_batch() and the handler share it: a BRK is no call that the compiler sees. */
static volatile uint64_t output_used;
static uint8_t signal_stack[65536] __attribute__((aligned(16)));
static uint64_t initial_arena[DIFF_ARENA_BYTES / 8];

static const uint8_t* volatile cursor; /* the next case in the input */
static volatile uint32_t cases_left;
static volatile int running; /* a case is running */
static SigContext home;      /* the runner's own registers, while cases run */

static void copy_words(uint64_t* to, const uint64_t* from, unsigned n) {
    for (unsigned i = 0; i < n; ++i) to[i] = from[i];
}

static void fail(const char* text) {
    unsigned n = 0;
    while (text[n]) ++n;
    call6(SYS_WRITE, 2, (long)text, n, 0, 0, 0);
    call6(SYS_EXIT, 3, 0, 0, 0, 0, 0);
}

static FpContext* fp_of(SigContext* sc) {
    uint8_t* p = sc->extra;
    while (((FpContext*)p)->magic != FPSIMD_MAGIC) {
        if (((FpContext*)p)->magic == 0) fail("runner: no FP context in the signal frame\n");
        p += ((FpContext*)p)->size;
    }
    return (FpContext*)p;
}

static void save_result(SigContext* sc, int signal) {
    FpContext* fp = fp_of(sc);
    DiffResult* r = (DiffResult*)(output + output_used);
    output_used += sizeof *r;
    copy_words(r->state.x, sc->regs, 31);
    r->state.sp = sc->sp;
    r->state.pc = sc->pc;
    r->state.nzcv = (uint32_t)sc->pstate & 0xf0000000u;
    r->state.fpcr = fp->fpcr;
    r->state.fpsr = fp->fpsr;
    r->state.reserved = 0;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(r->state.tpidr));
    copy_words(r->state.v[0], fp->v[0], 64);
    r->signal = (uint32_t)signal;
    r->granules = 0;
    r->fault_address = sc->fault_address;
    volatile uint64_t* arena = (volatile uint64_t*)DIFF_ARENA_VA;
    for (unsigned i = 0; i < DIFF_ARENA_BYTES / 8; i += 2) {
        const uint64_t a = arena[i], b = arena[i + 1];
        if (a == initial_arena[i] && b == initial_arena[i + 1]) continue;
        DiffGranule* g = (DiffGranule*)(output + output_used);
        output_used += sizeof *g;
        g->index = i / 2;
        g->reserved = 0;
        g->data[0] = a;
        g->data[1] = b;
        arena[i] = initial_arena[i];
        arena[i + 1] = initial_arena[i + 1];
        ++r->granules;
    }
}

static void load_case(SigContext* sc) {
    const DiffCase* c = (const DiffCase*)cursor;
    cursor += sizeof *c + (c->words + 1) / 2 * 8;
    FpContext* fp = fp_of(sc);
    copy_words(sc->regs, c->state.x, 31);
    sc->sp = c->state.sp;
    sc->pc = c->state.pc;
    sc->pstate = c->state.nzcv;
    fp->fpcr = c->state.fpcr;
    fp->fpsr = c->state.fpsr;
    copy_words(fp->v[0], c->state.v[0], 64);
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(c->state.tpidr));
    // QEMU 10 takes AH and NEP for its translation from the last MSR, and not from what the signal's return restores.
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)c->state.fpcr));
}

static void on_signal(int signal, void* info, void* context) {
    (void)info;
    SigContext* sc = &((UContext*)context)->mcontext;
    if (running) {
        save_result(sc, signal);
    } else {
        if (signal != DIFF_SIGNAL_TRAP) fail("runner: crashed\n");
        copy_words((uint64_t*)&home, (uint64_t*)sc, sizeof home / 8);
        running = 1;
    }
    if (cases_left > 0) {
        --cases_left;
        load_case(sc);
        return;
    }
    running = 0;
    copy_words((uint64_t*)sc, (uint64_t*)&home, sizeof home / 8);
    sc->pc += 4; /* past the BRK in run_batch */
}

static int read_all(void* to, uint64_t n) {
    uint8_t* p = to;
    while (n > 0) {
        const long got = call6(SYS_READ, 0, (long)p, (long)n, 0, 0, 0);
        if (got <= 0) return 0;
        p += got;
        n -= (uint64_t)got;
    }
    return 1;
}

static void write_all(const uint8_t* p, uint64_t n) {
    while (n > 0) {
        const long put = call6(SYS_WRITE, 1, (long)p, (long)n, 0, 0, 0);
        if (put <= 0) call6(SYS_EXIT, 4, 0, 0, 0, 0, 0);
        p += put;
        n -= (uint64_t)put;
    }
}

static void protect_code(int protection) {
    if (call6(SYS_MPROTECT, (long)DIFF_CODE_VA, DIFF_CODE_BYTES, protection, 0, 0, 0) != 0)
        fail("runner: mprotect\n");
}

/* Copies the words of all cases to their places, or puts the filler back there. */
static void place_code(uint32_t cases, int filler) {
    protect_code(3);
    const uint8_t* p = input + DIFF_ARENA_BYTES;
    for (uint32_t k = 0; k < cases; ++k) {
        const DiffCase* c = (const DiffCase*)p;
        const uint32_t* words = (const uint32_t*)(p + sizeof *c);
        if (c->code_offset + c->words * 4 > DIFF_CODE_BYTES) fail("runner: code outside its region\n");
        uint32_t* code = (uint32_t*)(DIFF_CODE_VA + c->code_offset);
        for (unsigned i = 0; i < c->words; ++i) {
            code[i] = filler ? DIFF_FILLER : words[i];
            __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0" : : "r"(code + i) : "memory");
        }
        p += sizeof *c + (c->words + 1) / 2 * 8;
    }
    __asm__ volatile("dsb ish\n isb" : : : "memory");
    protect_code(5);
}

__attribute__((noinline)) static void run_batch(void) { __asm__ volatile("brk #1" : : : "memory"); }

static void* map(uint64_t at, uint64_t bytes) {
    const long fixed = at ? 0x10 : 0;
    const long p = call6(SYS_MMAP, (long)at, (long)bytes, 3, 0x22 | fixed, -1, 0);
    if (p < 0 && p > -4096) fail("runner: mmap\n");
    return (void*)p;
}

void runner_main(void);
void runner_main(void) {
    input = map(0, MAX_INPUT);
    output = map(0, MAX_OUTPUT);
    uint32_t* code = map(DIFF_CODE_VA, DIFF_CODE_BYTES);
    for (unsigned i = 0; i < DIFF_CODE_BYTES / 4; ++i) code[i] = DIFF_FILLER;
    map(DIFF_ARENA_VA, DIFF_ARENA_BYTES);
    struct {
        void* sp;
        int flags;
        unsigned long size;
    } stack = {signal_stack, 0, sizeof signal_stack};
    call6(SYS_SIGALTSTACK, (long)&stack, 0, 0, 0, 0, 0);
    const int signals[] = {DIFF_SIGNAL_ILL, DIFF_SIGNAL_TRAP, DIFF_SIGNAL_BUS, DIFF_SIGNAL_SEGV};
    for (unsigned i = 0; i < 4; ++i) {
        KernelSigaction action = {on_signal, SA_SIGINFO | SA_ONSTACK | SA_NODEFER, 0, 0};
        call6(SYS_RT_SIGACTION, signals[i], (long)&action, 0, 8, 0, 0);
    }

    DiffHeader header;
    while (read_all(&header, sizeof header)) {
        if (header.magic != DIFF_BATCH_MAGIC || header.bytes > MAX_INPUT) fail("runner: bad header\n");
        if (!read_all(input, header.bytes)) fail("runner: short input\n");
        copy_words(initial_arena, (const uint64_t*)input, DIFF_ARENA_BYTES / 8);
        copy_words((uint64_t*)DIFF_ARENA_VA, initial_arena, DIFF_ARENA_BYTES / 8);
        cursor = input + DIFF_ARENA_BYTES;
        place_code(header.cases, 0);
        output_used = 0;
        cases_left = header.cases;
        run_batch();
        place_code(header.cases, 1);
        write_all(output, output_used);
    }
    call6(SYS_EXIT, 0, 0, 0, 0, 0, 0);
}

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  adrp x0, runner_stack_top\n"
    "  add x0, x0, :lo12:runner_stack_top\n"
    "  mov sp, x0\n"
    "  b runner_main\n"
    ".bss\n"
    ".balign 16\n"
    "  .space 65536\n"
    "runner_stack_top:\n"
    ".text\n");
