// An NVMe disk of the host's that is the guest's (vfio.py): it is placed, reads its first page of blocks into guest memory, writes
// the complement of that behind it, and interrupts by MSI-X and then by its pin. If the complement was not there at the start, the
// machine is reset, and finds it.
#include "runtime/gic.h"

#define FUNCTION (0x4010000000ul + (1ul << 15))  // 00:01.0
#define BAR 0x10000000ul
#define DOORBELLS (BAR + 0x1000)
#define MESSAGES 0x08020040ul  // GICv2m, MSI_SETSPI_NS
#define MESSAGE 80             // the first of its SPIs
#define PIN 36                 // INTA of device 1
#define PAGE_BYTES 4096
#define DEPTH 8
#define SYSTEM_RESET 0x84000009ul

// NVM Express 1.4 section 3.1.
#define CC (BAR + 0x14)
#define CSTS (BAR + 0x1c)
#define AQA (BAR + 0x24)
#define ASQ (BAR + 0x28)
#define ACQ (BAR + 0x30)

struct queue {
    volatile u32* submissions;
    volatile u32* completions;
    u64 number, tail, head, phase;
};
static struct queue admin = {.number = 0, .phase = 1}, io = {.number = 1, .phase = 1};
static u64 interrupt;  // the INTID that tells of completions; 0: it is not waited for

static void write64(u64 address, u64 value) {
    write32(address, (u32)value);
    write32(address + 4, (u32)(value >> 32));
}

static int in_time(int (*done)(u64), u64 argument) {
    const u64 end = read_sysreg(cntvct_el0) + 60 * read_sysreg(cntfrq_el0);
    while (!done(argument))
        if (read_sysreg(cntvct_el0) > end) return 0;
    return 1;
}
static int ready(u64 wanted) { return (read32(CSTS) & 1) == wanted; }
static int pending(u64 intid) { return gic_is_pending(intid) != 0; }
static int completed(u64 queue) {
    const struct queue* q = (const struct queue*)queue;
    return (q->completions[q->head * 4 + 3] >> 16 & 1) == q->phase;
}

// The status field, or -1: nothing has come of it.
static s64 execute(struct queue* q, u32 opcode, u32 nsid, u64 page, u32 cdw10, u32 cdw11, u32 cdw12) {
    const u32 words[16] = {opcode, nsid, 0, 0, 0, 0, (u32)page, (u32)(page >> 32), 0, 0, cdw10, cdw11, cdw12};
    for (u64 i = 0; i < 16; ++i) q->submissions[q->tail * 16 + i] = words[i];
    q->tail = (q->tail + 1) % DEPTH;
    dsb();
    write32(DOORBELLS + q->number * 8, (u32)q->tail);
    if (interrupt != 0 && !in_time(pending, interrupt)) return -1;
    if (!in_time(completed, (u64)q)) return -1;
    const u32 status = q->completions[q->head * 4 + 3] >> 17;
    q->head = (q->head + 1) % DEPTH;
    if (q->head == 0) q->phase ^= 1;
    // By the doorbell the pin falls.
    const u64 iar = interrupt != 0 ? gic_acknowledge() : 0;
    if (iar != interrupt) say("an interrupt of %d\n", iar);
    write32(DOORBELLS + q->number * 8 + 4, (u32)q->head);
    if (interrupt != 0) gic_end(iar);
    return status;
}

static u64 find_capability(u32 id) {
    for (u64 at = read32(FUNCTION + 0x34) & 0xff; at != 0; at = read32(FUNCTION + at) >> 8 & 0xff)
        if ((read32(FUNCTION + at) & 0xff) == id) return at;
    return 0;
}

static int is_complement(u64 page, u64 of) {
    for (u64 i = 0; i < PAGE_BYTES; i += 8)
        if (*(volatile u64*)(page + i) != ~*(volatile u64*)(of + i)) return 0;
    return 1;
}

static u64 sum_of(u64 page) {
    u64 sum = 0;
    for (u64 i = 0; i < PAGE_BYTES; i += 8) sum = (sum << 1 | sum >> 63) + *(volatile u64*)(page + i);
    return sum;
}

void test_main(void) {
    map(0x4000000000ul, 0x4000000000ul, 1, VALID | BLOCK | DEVICE | AF | UXN | PXN);
    dsb();
    isb();
    gic_init();
    gic_cpu_init();
    say("device %x\n", read32(FUNCTION));
    write32(FUNCTION + 0x10, ~0u);
    say("BAR 0: %x\n", read32(FUNCTION + 0x10));
    write64(FUNCTION + 0x10, BAR);
    write32(FUNCTION + 4, 6);  // memory, bus master
    const u64 msix = find_capability(0x11);
    const u64 table = BAR + (read32(FUNCTION + msix + 4) & ~7u);
    write64(table, MESSAGES);
    write32(table + 8, MESSAGE);
    write32(table + 12, 0);
    write32(FUNCTION + msix, 1u << 31 | read32(FUNCTION + msix));
    gic_level(MESSAGE, 1);
    gic_target(MESSAGE, 0);
    gic_target(PIN, 0);
    gic_enable(MESSAGE, 1);
    gic_enable(PIN, 1);

    struct queue* const queues[2] = {&admin, &io};
    for (int i = 0; i < 2; ++i) {
        queues[i]->submissions = (volatile u32*)new_page();
        queues[i]->completions = (volatile u32*)new_page();
    }
    write32(CC, 0);
    if (!in_time(ready, 0)) say("not disabled\n");
    write32(AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
    write64(ASQ, (u64)admin.submissions);
    write64(ACQ, (u64)admin.completions);
    write32(CC, 6 << 16 | 4 << 20 | 1);
    if (!in_time(ready, 1)) say("not enabled\n");

    interrupt = MESSAGE;
    const u64 page = new_page();
    say("identify: %d\n", execute(&admin, 6, 0, page, 1, 0, 0));
    say("serial number: ");
    for (u64 i = 4; i < 24 && *(volatile u8*)(page + i) != ' '; ++i)
        say("%c", (u64) * (volatile u8*)(page + i));
    say("\ncompletion queue: %d\n", execute(&admin, 5, 0, (u64)io.completions, (DEPTH - 1) << 16 | 1, 3, 0));
    say("submission queue: %d\n",
        execute(&admin, 1, 0, (u64)io.submissions, (DEPTH - 1) << 16 | 1, 1 << 16 | 1, 0));
    say("read: %d\n", execute(&io, 2, 1, page, 0, 0, 7));
    say("sum %x\n", sum_of(page));
    const u64 other = new_page();
    say("read: %d\n", execute(&io, 2, 1, other, 8, 0, 7));
    const int found = is_complement(other, page);
    for (u64 i = 0; i < PAGE_BYTES; i += 8) *(volatile u64*)(page + i) ^= ~0ul;
    say("write: %d\n", execute(&io, 1, 1, page, 8, 0, 7));

    interrupt = PIN;
    write32(FUNCTION + msix, ~(1u << 31) & read32(FUNCTION + msix));
    say("by the pin, read: %d\n", execute(&io, 2, 1, page, 8, 0, 7));
    say("sum %x\n", sum_of(page));
    say("flush: %d\n", execute(&io, 0, 1, 0, 0, 0, 0));
    say("waits: %d\n", gic_is_pending(PIN) + gic_is_pending(MESSAGE));
    say("%s\n", found ? "done" : "once more");
    if (!found) hvc(SYSTEM_RESET, 0, 0, 0);
}
