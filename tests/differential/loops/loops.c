// Random loops over memory, one line of results each, for comparison with QEMU. Three windows of 16 pages follow each other in
// virtual memory and lie anywhere in physical memory: one in each half of the address space and one at its very top; some pages
// are RAM's last, some are missing, read-only or not yet accessed. What a loop assumes about the page that it began in ends
// in the middle of it.
#include "runtime/bm.h"

// compare.py finds the first two words in the file and puts the seed and the number of loops behind them.
__attribute__((used, section(".data"))) volatile u64 loops_seed[4] = {0x64656573706f6f6c, 0x4c6f6f7073536565,
                                                                      1, 50};

#define RAM_END 0x48000000ul
#define POOL 0x44000000ul  // physical pages of the windows
#define CODE 0x45000000ul
#define PAGES 16
#define WINDOWS 3
#define TAIL 2  // of the pages, how many lie at the end of RAM

static const u64 windows[WINDOWS] = {0x3000000000ul, 0xffff800000100000ul, 0xffffffffffff0000ul};

// ---- Chance

static u64 state;
static u64 any(void) {
    state += 0x9e3779b97f4a7c15ul;
    u64 z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ul;
    z = (z ^ z >> 27) * 0x94d049bb133111ebul;
    return z ^ z >> 31;
}
static u32 below(u32 n) { return (u32)((any() >> 32) % n); }
static int one_in(u32 n) { return below(n) == 0; }

// ---- Entering a loop, and what is left of it

static struct {
    u64 x[32];  // the last one is SP
    u64 v[16];
} before, after;
static u64 left_at, esr, far;
u64 loops_sp;  // of the C code

void loops_enter(u64 pc, const void* registers);
void loops_return(void);
__asm__(
    ".text\n"
    "loops_enter:\n"
    "  sub sp, sp, #96\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  ldr x2, =loops_sp\n  mov x3, sp\n  str x3, [x2]\n"
    "  add x2, x1, #256\n"
    "  ldp q0, q1, [x2]\n  ldp q2, q3, [x2, #32]\n  ldp q4, q5, [x2, #64]\n  ldp q6, q7, [x2, #96]\n"
    "  mov x17, x0\n  mov x16, x1\n"
    "  ldr x0, [x16, #248]\n  mov sp, x0\n"
    "  ldp x0, x1, [x16]\n  ldp x2, x3, [x16, #16]\n  ldp x4, x5, [x16, #32]\n  ldp x6, x7, [x16, #48]\n"
    "  ldp x8, x9, [x16, #64]\n  ldp x10, x11, [x16, #80]\n  ldp x12, x13, [x16, #96]\n  ldp x14, x15, [x16, "
    "#112]\n"
    "  br x17\n"
    "  .ltorg\n"
    "loops_return:\n"
    "  ldr x2, =loops_sp\n  ldr x3, [x2]\n  mov sp, x3\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  add sp, sp, #96\n"
    "  ret\n"
    "  .ltorg\n");

// Every exception ends the loop: BRK behind it, or a fault.
static int ended(struct frame* f) {
    for (unsigned i = 0; i < 16; ++i) after.x[i] = f->x[i];
    after.x[31] = f->sp;
    __asm__ volatile(
        "stp q0, q1, [%0]\n stp q2, q3, [%0, #32]\n stp q4, q5, [%0, #64]\n stp q6, q7, [%0, #96]" ::"r"(
            after.v)
        : "memory");
    left_at = f->elr, esr = f->esr, far = f->far;
    f->elr = (u64)loops_return;
    f->spsr = 0x3c5;
    return 1;
}

// ---- Code. x0 to x3 and SP are addresses, x4 to x6 offsets, x7 an end, x8 counts, x9 to x15 and v0 to v7 are data.

static u32 code[64], length;
// Whether an instruction makes several accesses: how much of it a fault leaves done is each implementation's choice.
static u8 several[64];

static void put(u32 word, int makes_several) {
    several[length] = (u8)makes_several;
    code[length++] = word;
}
static u32 base(void) { return one_in(8) ? 31 : below(4); }
static u32 offset(void) { return 4 + below(3); }
static u32 data(void) { return 9 + below(7); }
static u32 data_but(u32 other) {
    u32 r;
    do r = data();
    while (r == other);
    return r;
}
static u32 vector(void) { return below(8); }
static u32 small_or_any(u32 small, u32 all) { return one_in(2) ? below(small) : below(all); }

// The addressing modes of LDR and STR, with one register of any kind.
static void single(u32 word, u32 rt, int is_quad) {
    word |= base() << 5 | rt;
    switch (below(6)) {
        case 0: put(word | 1u << 24 | small_or_any(16, 512) << 10, is_quad); break;  // scaled
        case 1: put(word | small_or_any(32, 512) << 12, is_quad); break;             // unscaled
        case 2: put(word | small_or_any(32, 512) << 12 | 1u << 10, is_quad); break;  // post-indexed
        case 3: put(word | small_or_any(32, 512) << 12 | 3u << 10, is_quad); break;  // pre-indexed
        default: {
            static const u32 extensions[] = {2, 3, 6, 7};
            put(word | 1u << 21 | offset() << 16 | extensions[below(4)] << 13 | below(2) << 12 | 2u << 10,
                is_quad);
        }
    }
}

static void access(void) {
    const u32 rn = base() << 5, size = below(4) << 30;
    switch (below(12)) {
        case 0:
        case 1:
        case 2: {
            const u32 kinds = size >> 30 == 3 ? 2 : size >> 30 == 2 ? 3 : 4;
            single(size | 0x38000000 | below(kinds) << 22, data(), 0);
            break;
        }
        case 3: single(size | 0x3c000000 | below(2) << 22, vector(), 0); break;
        case 4: single(0x3c800000 | below(2) << 22, vector(), 1); break;
        case 5: {  // a pair
            const u32 load = below(2), rt = data(), mode = 1 + below(3);
            const u32 kind = load && one_in(4) ? 1 : below(2) * 2;
            put(kind << 30 | 0x28000000 | mode << 23 | load << 22 | small_or_any(8, 128) << 15 |
                    data_but(rt) << 10 | rn | rt,
                1);
            break;
        }
        case 6: {
            const u32 first = vector();
            put(below(3) << 30 | 0x2c000000 | (1 + below(3)) << 23 | below(2) << 22 |
                    small_or_any(8, 128) << 15 | ((first + 1) & 7) << 10 | rn | first,
                1);
            break;
        }
        case 7: {  // whole structures of one to four registers
            static const u32 kinds[] = {7, 10, 6, 2, 8, 4, 0};
            const u32 kind = below(7), q = below(2), lanes = kind > 3 && !q ? below(3) : below(4);
            u32 word =
                0x0c000000 | q << 30 | below(2) << 22 | kinds[kind] << 12 | lanes << 10 | rn | below(5);
            if (one_in(2)) word |= 0x00800000 | (one_in(2) ? 31 : offset()) << 16;
            put(word, 1);
            break;
        }
        case 8: put(size | (one_in(2) ? 0x08dffc00 : 0x089ffc00) | rn | data(), 0); break;  // LDAR, STLR
        case 9:
            put(size | 0x38200000 | (one_in(5) ? 8 : below(8)) << 12 | below(4) << 22 | data() << 16 | rn |
                    data(),
                0);
            break;
        case 10: {
            const u32 rt = data(), rs = data_but(rt);
            if (one_in(2)) {
                put(size | 0x08a07c00 | rs << 16 | rn | rt, 0);  // CAS
            } else {
                put(size | 0x085f7c00 | rn | rt, 0);
                put(size | 0x08007c00 | rs << 16 | rn | rt, 0);
            }
            break;
        }
        default:
            if (one_in(3))
                put(0xd50b7420 | below(4), 1);  // DC ZVA
            else if (one_in(2))
                put(0x0d40c000 | below(2) << 30 | below(4) << 10 | rn | vector(), 0);  // LD1R
            else
                put(0x0d008400 | below(2) << 30 | below(2) << 22 | rn | vector(), 0);  // one lane
    }
}

static void arithmetic(void) {
    const u32 b = base(), o = offset(), d = data();
    const u32 step = (one_in(2) ? 0x91000000u : 0xd1000000u) | (one_in(4) ? below(4096) : below(65)) << 10;
    switch (below(10)) {
        case 0:
        case 1:
        case 2: put(step | b << 5 | b, 0); break;
        case 3: put(0x91400400 | b << 5 | b, 0); break;  // a page on
        case 4: put((one_in(2) ? 0x91000000u : 0xd1000000u) | below(17) << 10 | o << 5 | o, 0); break;
        case 5: put(0x11000000 | below(17) << 10 | o << 5 | o, 0); break;
        case 6:
            if (b != 31) put(0x8b000000 | o << 16 | below(4) << 10 | b << 5 | b, 0);
            break;
        case 7: put(0x92400000 | (5 + below(8)) << 10 | o << 5 | o, 0); break;
        case 8: put(0xca000000 | data() << 16 | d << 5 | d, 0); break;
        default: put(0x8b000000 | data() << 16 | d << 5 | d, 0); break;
    }
}

static void make_loop(void) {
    length = 0;
    u32 accesses = 1 + below(6), others = below(5), skip = 0;
    while (accesses + others != 0) {
        if (below(accesses + others) < accesses) {
            access();
            --accesses;
        } else {
            arithmetic();
            --others;
        }
        if (skip == 0 && one_in(10)) {
            skip = length;
            put(0, 0);
        }
    }
    // TBZ or TBNZ on a low bit of an offset goes around what follows.
    if (skip != 0)
        code[skip] =
            (one_in(2) ? 0x36000000u : 0x37000000u) | below(4) << 19 | (length - skip) << 5 | offset();
    if (one_in(3)) {
        // To an address, and by the counter at the latest.
        static const u32 conditions[] = {1, 3, 2, 9, 8, 11, 12};
        const u32 b = below(4);
        before.x[7] = before.x[b] + below(0x8000) - 0x4000;
        put(0xd1000508, 0);
        put(0xb4000000 | 3u << 5 | 8, 0);
        put(0xeb07001f | b << 5, 0);
        put(0x54000000 | ((0u - length) & 0x7ffff) << 5 | conditions[below(7)], 0);
    } else {
        put(0xf1000508, 0);
        put(0x54000001 | ((0u - length) & 0x7ffff) << 5, 0);
    }
    put(0xd4200000, 0);
}

// ---- Memory

static u64 physical(u32 index) {
    return index < TAIL ? RAM_END - 0x1000 * (index + 1) : POOL + 0x1000ul * index;
}

static void map_windows(void) {
    u8 order[WINDOWS * PAGES];
    for (u32 i = 0; i < sizeof order; ++i) {
        const u32 k = below(i + 1);
        order[i] = order[k];
        order[k] = (u8)i;
    }
    for (u32 w = 0; w < WINDOWS; ++w)
        for (u32 i = 0; i < PAGES; ++i) {
            u64 e = physical(order[w * PAGES + i]) | KERNEL_DATA | PAGE;
            const int edge = i == 0 || i == PAGES - 1;
            switch (below(edge ? 3 : 24)) {
                case 0: e = 0; break;
                case 1: e = edge ? 0 : e | READ_ONLY; break;
                case 2: e = edge ? e : e & ~(u64)AF; break;
                default: break;
            }
            *(volatile u64*)entry(windows[w] + 0x1000ul * i, 3) = e;
        }
    tlbi(vmalle1);
}

static void fill(u64 salt) {
    for (u32 k = 0; k < WINDOWS * PAGES; ++k)
        for (u64 a = 0; a < 0x1000; a += 8)
            *(volatile u64*)(physical(k) + a) = ((k * 0x1000ul + a) * 0x9e3779b97f4a7c15ul) ^ salt;
}

static u64 mix(u64 h, u64 value) {
    h = (h ^ value) * 0x100000001b3ul;
    return h ^ h >> 29;
}
static u64 memory_hash(void) {
    u64 h = 0;
    for (u32 k = 0; k < WINDOWS * PAGES; ++k)
        for (u64 a = 0; a < 0x1000; a += 8) h = mix(h, *(volatile u64*)(physical(k) + a));
    return h;
}

static u64 inside(u32 window) { return windows[window] + 0x1000ul * (1 + below(PAGES - 2)); }

static void choose_registers(int tags) {
    for (unsigned i = 0; i < 16; ++i) {
        before.x[i] = one_in(2) ? any() : below(4096);
        before.v[i] = any();
    }
    const u64 alignment = one_in(3) ? 0 : one_in(2) ? 7 : 15;
    for (unsigned i = 0; i < 4; ++i) {
        const u32 w = below(WINDOWS);
        // Anywhere, or about a page's beginning.
        before.x[i] = (inside(w) + (one_in(4) ? (u64)below(128) - 64 : below(4096))) & ~alignment;
        if (w == 0 && tags && one_in(2)) before.x[i] |= any() << 56;
    }
    before.x[31] = (inside(below(WINDOWS)) + below(4096)) & ~15ul;
    for (unsigned i = 4; i < 7; ++i)
        before.x[i] = one_in(3) ? (u64)0 - below(2048) : below(one_in(2) ? 64 : 2048);
    before.x[8] = 1 + below(one_in(3) ? 3000 : 40);
}

void test_main(void) {
    state = loops_seed[2];
    // QEMU has flash at virtual address 0; here nothing is. Devices stay where they are.
    *(volatile u64*)entry(0, 1) = 0;
    for (u64 a = 0x08000000; a < 0x0a200000; a += 0x200000) map(a, a, 2, VALID | DEVICE | AF | UXN | PXN);
    tlbi(vmalle1);
    this_cpu()->hook = ended;
    for (u64 n = 0; n < loops_seed[3]; ++n) {
        if (n % 8 == 0) map_windows();
        const int tags = one_in(2);
        write_sysreg(tcr_el1, TCR_DEFAULT | (tags ? 1ul << 37 : 0));
        isb();
        tlbi(vmalle1);
        fill(n);
        choose_registers(tags);
        make_loop();
        const u64 at = CODE + n % 512 * 0x1000 + (one_in(4) ? 4 * below(1024 - length) : 0);
        write_code(at, code, length);
        loops_enter(at, &before);
        u64 x = 0, v = 0;
        for (unsigned i = 0; i < 16; ++i) x = mix(x, after.x[i]), v = mix(v, after.v[i]);
        x = mix(x, after.x[31]);
        const u64 index = (left_at - at) / 4;
        const int fault = esr >> 26 != 0x3c, partly = fault && index < length && several[index];
        say("%d: at %d esr %x far %x x %x v %x memory %x", n, index, esr, fault ? far : 0, x, partly ? 0 : v,
            partly ? 0 : memory_hash());
        if (fault && index < length) say(" word %x", code[index]);
        say("\n");
    }
    this_cpu()->hook = 0;
    say("done\n");
}
