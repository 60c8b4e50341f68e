// A kernel that hammers the mappings of its many address spaces, and compares every page with what it wrote:
// pages are mapped, shared, moved, protected, unmapped and copied on write, whole spaces are forked and
// thrown away, tables become data and data tables, address spaces change their ASIDs. A model says what each
// page must hold and what may be done with it; what may not be done must fault. Meanwhile the machine under
// it may do with physical pages what it likes.
#include "runtime/bm.h"

#ifndef STEPS
#define STEPS 6000ul
#endif
#define WORDS 512ul
#define SPACES 20u  // more than a cache of roots has
#define PAGES 64u   // of each space, in four tables
#define TABLES 4u
#define FRAMES 1000u
#define NONE 0xffffu
#define REGION 0x8000000000ul  // of a level 0 entry that no two spaces share

enum right { NO_ACCESS, READ, WRITE, COPY_ON_WRITE };  // the last is read-only in the tables

struct page {
    u16 frame;
    u8 right, user;
};
struct frame_state {
    u64 stamp;  // 0: zeros
    u32 users;
    u8 table;
};
static struct page pages[SPACES][PAGES];
static u16 table_frame[SPACES][TABLES];
static u64* roots[SPACES];
static u64* middle[SPACES];  // level 2
static u64 asids[SPACES];
static u64 frames[FRAMES];
static struct frame_state states[FRAMES];
static unsigned free_frames = FRAMES, current;
static u64 random_state = 0x9e3779b97f4a7c15, next_stamp, compared, stores, faults, forks, switches, reused,
           wrong;

static u64 next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}
static unsigned pick(unsigned limit) { return (unsigned)((next() >> 33) % limit); }

// No constant in memory, and no call: EL0 runs it too.
static inline __attribute__((always_inline)) u64 word(u64 stamp, u64 i) {
    return stamp == 0 ? 0 : (stamp * 0x9e3779b97f4a7c15 + i * 0xd1342543de82ef95) ^ stamp >> 7;
}
static u64 count_wrong(u64 address, u64 stamp) {
    u64 n = 0;
    for (u64 i = 0; i < WORDS; ++i) n += ((volatile u64*)address)[i] != word(stamp, i);
    return n;
}
static u64 fill(u64 address, u64 stamp) {
    for (u64 i = 0; i < WORDS; ++i) ((volatile u64*)address)[i] = word(stamp, i);
    return 0;
}
static u64 load_one(u64 address, u64 unused) {
    (void)unused;
    u64 value;
    __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
    return value;
}
static u64 store_one(u64 address, u64 value) {
    __asm__ volatile("str %1, [%0]" ::"r"(address), "r"(value) : "memory");
    return 0;
}

static void trouble(const char* what, unsigned space, unsigned n) {
    if (++wrong <= 10)
        say("WRONG: %s: space %d page %d, frame %d\n", what, (u64)space, (u64)n, (u64)pages[space][n].frame);
}

// ---- Frames

static unsigned take_frame(void) {
    if (free_frames == 0) return NONE;
    unsigned f = pick(FRAMES);
    while (states[f].users != 0) f = (f + 1) % FRAMES;
    --free_frames;
    reused += states[f].table != 0;
    states[f] = (struct frame_state){0, 1, 0};
    for (u64 i = 0; i < WORDS; ++i) ((volatile u64*)frames[f])[i] = 0;
    return f;
}
static void drop_frame(unsigned f) {
    if (--states[f].users == 0) ++free_frames;
}

// ---- Tables

static u64 address_of(unsigned n) {
    return REGION + (u64)(n / (PAGES / TABLES)) * 0x200000 + (u64)(n % (PAGES / TABLES)) * 31 * 0x1000;
}
static volatile u64* slot_of(unsigned space, unsigned n) {
    const u64 va = address_of(n);
    return (volatile u64*)frames[table_frame[space][n / (PAGES / TABLES)]] + (va >> 12 & 511);
}
static void invalidate(unsigned space, unsigned n) {
    tlbi_arg(vae1is, address_of(n) >> 12 | asids[space] << 48);
}

static int need_table(unsigned space, unsigned t) {
    if (table_frame[space][t] != NONE) return 1;
    const unsigned f = take_frame();
    if (f == NONE) return 0;
    states[f].table = 1;
    table_frame[space][t] = (u16)f;
    *(volatile u64*)&middle[space][t] = frames[f] | VALID | TABLE;
    dsb();
    isb();
    return 1;
}

/// Writes the entry as the model has it; what was valid goes first.
static void enter(unsigned space, unsigned n) {
    const struct page* p = &pages[space][n];
    if (table_frame[space][n / (PAGES / TABLES)] == NONE) return;
    volatile u64* slot = slot_of(space, n);
    if (*slot != 0) {
        *slot = 0;
        invalidate(space, n);
    }
    if (p->frame == NONE || p->right == NO_ACCESS) return;
    *slot = frames[p->frame] | VALID | NORMAL | INNER | AF | UXN | PXN | NG | PAGE | (p->user ? EL0 : 0) |
            (p->right == WRITE ? 0 : READ_ONLY);
    dsb();
    isb();
}
/// Protection may change without break before make.
static void enter_right(unsigned space, unsigned n) {
    if (pages[space][n].right == NO_ACCESS) return enter(space, n);
    volatile u64* slot = slot_of(space, n);
    if (*slot == 0) return enter(space, n);
    *slot = (*slot & ~(u64)READ_ONLY) | (pages[space][n].right == WRITE ? 0 : READ_ONLY);
    invalidate(space, n);
}
static void unmap(unsigned space, unsigned n) {
    const unsigned f = pages[space][n].frame;
    if (f == NONE) return;
    pages[space][n] = (struct page){NONE, NO_ACCESS, 0};
    enter(space, n);
    drop_frame(f);
}
static void drop_table(unsigned space, unsigned t) {
    if (table_frame[space][t] == NONE) return;
    *(volatile u64*)&middle[space][t] = 0;
    tlbi_arg(aside1is, asids[space] << 48);
    for (unsigned n = t * (PAGES / TABLES); n < (t + 1) * (PAGES / TABLES); ++n) {
        if (pages[space][n].frame != NONE) drop_frame(pages[space][n].frame);
        pages[space][n] = (struct page){NONE, NO_ACCESS, 0};
    }
    drop_frame(table_frame[space][t]);
    table_frame[space][t] = NONE;
}
static void go_to(unsigned space) {
    current = space;
    write_sysreg(ttbr0_el1, (u64)roots[space] | asids[space] << 48);
    isb();
    ++switches;
}

// ---- The current space's pages against the model

static u64 run(int user, u64 (*function)(u64, u64), u64 a, u64 b) {
    return user ? at_el0(function, a, b) : function(a, b);
}

static void must_fault(unsigned n, int user, int write) {
    const u64 address = address_of(n) + 8 * pick(WORDS);
    expect();
    run(user, write ? store_one : load_one, address, 1);
    if (this_cpu()->count != 1 || this_cpu()->far != address || (this_cpu()->esr >> 6 & 1) != (u64)write)
        trouble("no fault", current, n);
    ++faults;
}
static void compare(unsigned n) {
    const struct page* p = &pages[current][n];
    const int user = pick(2) != 0;
    expect();
    if (p->frame == NONE || p->right == NO_ACCESS || (user && !p->user)) return must_fault(n, user, 0);
    if (run(user, count_wrong, address_of(n), states[p->frame].stamp) != 0 || this_cpu()->count != 0)
        trouble("content", current, n);
    if (p->right != WRITE && pick(4) == 0) must_fault(n, user, 1);
    ++compared;
}
static void store(unsigned n) {
    struct page* p = &pages[current][n];
    const int user = pick(2) != 0;
    if (p->frame == NONE || (p->right != WRITE && p->right != COPY_ON_WRITE) || (user && !p->user))
        return must_fault(n, user, 1);
    if (p->right == COPY_ON_WRITE) {
        must_fault(n, user, 1);
        const unsigned old = p->frame;
        if (states[old].users > 1) {
            const unsigned f = take_frame();
            if (f == NONE) return;
            for (u64 i = 0; i < WORDS; ++i) ((volatile u64*)frames[f])[i] = ((volatile u64*)frames[old])[i];
            states[f].stamp = states[old].stamp;
            drop_frame(old);
            p->frame = (u16)f;
            p->right = WRITE;
            enter(current, n);
        } else {
            p->right = WRITE;
            enter_right(current, n);
        }
    }
    states[p->frame].stamp = ++next_stamp << 8 | 1;
    expect();
    run(user, fill, address_of(n), states[p->frame].stamp);
    if (this_cpu()->count != 0) trouble("store faults", current, n);
    ++stores;
}
static void compare_all(void) {
    for (unsigned n = 0; n < PAGES; ++n) compare(n);
}

// ---- Steps

static void map_new(unsigned n) {
    unmap(current, n);
    if (!need_table(current, n / (PAGES / TABLES))) return;
    const unsigned f = take_frame();
    if (f == NONE) return;
    pages[current][n] = (struct page){(u16)f, pick(5) == 0 ? READ : WRITE, pick(4) != 0};
    enter(current, n);
}
/// The same frame in two places, in one space or two; what is written in one is read in the other.
static void share(unsigned n) {
    const unsigned space = pick(SPACES), m = pick(PAGES), f = pages[space][m].frame;
    if (f == NONE || pages[space][m].right == COPY_ON_WRITE || (space == current && m == n)) return;
    ++states[f].users;  // not to be taken while the table is
    unmap(current, n);
    if (!need_table(current, n / (PAGES / TABLES))) return drop_frame(f);
    pages[current][n] = (struct page){(u16)f, pick(2) ? READ : WRITE, 1};
    enter(current, n);
}
static void protect(unsigned n) {
    struct page* p = &pages[current][n];
    if (p->frame == NONE || p->right == COPY_ON_WRITE) return;
    p->right = (u8)pick(3);
    enter_right(current, n);
}
static void move(unsigned from, unsigned to) {
    if (from == to || pages[current][from].frame == NONE) return;
    unmap(current, to);
    if (!need_table(current, to / (PAGES / TABLES))) return;
    const struct page p = pages[current][from];
    pages[current][from] = (struct page){NONE, NO_ACCESS, 0};
    enter(current, from);
    pages[current][to] = p;
    enter(current, to);
}
static void fork_to(unsigned child) {
    if (child == current) return;
    for (unsigned t = 0; t < TABLES; ++t) drop_table(child, t);
    for (unsigned n = 0; n < PAGES; ++n) {
        struct page* p = &pages[current][n];
        if (p->frame == NONE || !need_table(child, n / (PAGES / TABLES))) continue;
        // Frames that are written in several places stay shared, others are copied on write.
        if (p->right == WRITE && states[p->frame].users == 1) {
            p->right = COPY_ON_WRITE;
            enter_right(current, n);
        }
        ++states[p->frame].users;
        pages[child][n] = *p;
        enter(child, n);
    }
    ++forks;
}
static void exchange_asids(unsigned a, unsigned b) {
    if (a == b) return;
    const u64 old = asids[a];
    asids[a] = asids[b];
    asids[b] = old;
    tlbi_arg(aside1is, asids[a] << 48);
    tlbi_arg(aside1is, asids[b] << 48);
    go_to(current);
}
/// Past the mappings, as a kernel writes to a page of another process.
static void write_behind(unsigned n) {
    const unsigned f = pages[current][n].frame;
    if (f == NONE) return;
    states[f].stamp = ++next_stamp << 8 | 1;
    fill(frames[f], states[f].stamp);
}

static void step(void) {
    unsigned n = pick(PAGES);
    const unsigned kind = pick(32);
    // Most accesses are to something that is there.
    for (unsigned i = 0; kind >= 18 && i < 6 && pages[current][n].right == NO_ACCESS; ++i) n = pick(PAGES);
    switch (kind) {
        case 0:
        case 1:
        case 2: map_new(n); break;
        case 3: share(n); break;
        case 4: unmap(current, n); break;
        case 5:
        case 6: protect(n); break;
        case 7: move(n, pick(PAGES)); break;
        case 8:
            if (pick(4) == 0) fork_to(pick(SPACES));
            break;
        case 9:
            if (pick(8) == 0) drop_table(current, n / (PAGES / TABLES));
            break;
        case 10: write_behind(n); break;
        case 11:
            if (pick(4) == 0) exchange_asids(pick(SPACES), pick(SPACES));
            break;
        case 12:
            if (pick(6) == 0) compare_all();
            break;
        case 13:
        case 14:
        case 15:
        case 16:
            go_to(pick(SPACES));
            map_new(n);
            break;
        case 17:
            map_new(n);
            go_to(pick(3));
            break;
        default: pick(2) ? store(n) : compare(n); break;
    }
}

void test_main(void) {
    for (unsigned f = 0; f < FRAMES; ++f) frames[f] = new_page();
    for (unsigned s = 0; s < SPACES; ++s) {
        roots[s] = new_table();
        for (unsigned i = 0; i < 512; ++i) roots[s][i] = i == 1 ? 0 : bm_root[0][i];
        middle[s] = new_table();
        u64* const upper = new_table();
        roots[s][1] = (u64)upper | VALID | TABLE;
        upper[0] = (u64)middle[s] | VALID | TABLE;
        asids[s] = s + 1;
        for (unsigned t = 0; t < TABLES; ++t) table_frame[s][t] = NONE;
        for (unsigned n = 0; n < PAGES; ++n) pages[s][n] = (struct page){NONE, NO_ACCESS, 0};
    }
    tlbi(vmalle1);
    go_to(0);
    for (u64 i = 0; i < STEPS && wrong == 0; ++i) step();
    for (unsigned s = 0; s < SPACES; ++s) {
        go_to(s);
        compare_all();
    }
    for (unsigned f = 0; f < FRAMES; ++f)
        if (states[f].users != 0 && !states[f].table) wrong += count_wrong(frames[f], states[f].stamp) != 0;
    say("%d pages compared, %d stores, %d faults, %d forks, %d switches, %d tables became other pages, wrong "
        "%d\ndone\n",
        compared, stores, faults, forks, switches, reused, wrong);
}
