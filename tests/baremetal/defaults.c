// What a program finds that relies on QEMU's defaults: GICv2's CPU interface, and virtio-mmio in the legacy version, by which
// it reads and writes a disk. Tables in RAM are at fixed addresses, far behind the program.
#include "bare.h"

enum { GICD = 0x08000000, GICC = 0x08010000 };
enum { SLOTS = 32, SLOT_BYTES = 0x200 };
static u64 slot(unsigned n) { return 0x0a000000 + (u64)n * SLOT_BYTES; }

enum { QUEUE = 0x41000000, REQUEST = 0x41100000, DATA = 0x41101000, STATUS = 0x41102000, ENTRIES = 8 };
static u64 device;
static u16 offered;

static void cpu_interface(void) {
    number("GICv2", read32(GICD + 0xfe8) >> 4 & 15);
    write32(GICC + 4, 0xf0);
    write32(GICC, 1);
    number("PMR", read32(GICC + 4));
    number("CTLR", read32(GICC));
    number("IAR", read32(GICC + 0xc));
    // A software interrupt to this CPU.
    write32(GICD, 1);
    write32(GICD + 0x100, 1);
    write32(GICD + 0xf00, 2u << 24);
    const u32 taken = read32(GICC + 0xc);
    number("SGI", taken);
    write32(GICC + 0x10, taken);
    number("then", read32(GICC + 0xc));
}

static void describe(unsigned n, u64 address, u32 length, u16 flags, u16 next) {
    const u64 entry = QUEUE + n * 16u;
    *(volatile u64*)entry = address;
    write32(entry + 8, length);
    write32(entry + 12, flags | (u32)next << 16);
}

static void set_up(u32 alignment) {
    write32(device + 0x70, 0);
    write32(device + 0x70, 1);
    write32(device + 0x70, 3);
    write32(device + 0x14, 0);
    number("VERSION_1 and other high features", (write32(device + 0x14, 1), read32(device + 0x10)));
    write32(device + 0x14, 0);
    write32(device + 0x24, 0);
    write32(device + 0x20, 0);
    write32(device + 0x28, 4096);
    write32(device + 0x30, 0);
    number("room for entries", read32(device + 0x34) >= ENTRIES);
    write32(device + 0x38, ENTRIES);
    write32(device + 0x3c, alignment);
    number("page before", read32(device + 0x40));
    write32(device + 0x40, QUEUE >> 12);
    number("page", read32(device + 0x40));
    // Registers of the other version are none.
    write32(device + 0x80, 0x12345000);
    number("version 2's", read32(device + 0x44) | read32(device + 0xfc));
    number("page still", read32(device + 0x40));
    write32(device + 0x70, 7);
    number("status", read32(device + 0x70));
    offered = 0;
}

static void request(u32 type, u64 sector, u32 alignment) {
    const u64 available = QUEUE + ENTRIES * 16,
              used = (available + 6 + 2 * ENTRIES + alignment - 1) & ~(u64)(alignment - 1);
    write32(REQUEST, type);
    write32(REQUEST + 4, 0);
    *(volatile u64*)(REQUEST + 8) = sector;
    *(volatile u8*)STATUS = 0x55;
    describe(0, REQUEST, 16, 1, 1);
    describe(1, DATA, 512, type == 0 ? 3 : 1, 2);
    describe(2, STATUS, 1, 2, 0);
    *(volatile u16*)(available + 4 + offered % ENTRIES * 2u) = 0;
    __asm__ volatile("dmb sy" ::: "memory");
    *(volatile u16*)(available + 2) = ++offered;
    __asm__ volatile("dmb sy" ::: "memory");
    write32(device + 0x50, 0);
    while (*(volatile u16*)(used + 2) != offered) __asm__ volatile("yield");
    __asm__ volatile("dmb sy" ::: "memory");
    const u8 status = *(volatile u8*)STATUS;
    number("request status", status);
    if (status == 0) number("used length", read32(used + 4 + (offered - 1u) % ENTRIES * 8 + 4));
    number("interrupt", read32(device + 0x60));
    write32(device + 0x64, 1);
    number("acknowledged", read32(device + 0x60));
}

static void disk(void) {
    for (unsigned n = 0; n < SLOTS; ++n)
        if (read32(slot(n)) == 0x74726976 && read32(slot(n) + 8) == 2) device = slot(n);
    if (!device) {
        text("no disk\n");
        return;
    }
    number("version", read32(device + 4));
    number("capacity", read32(device + 0x100));
    for (u32 alignment = 4096; alignment >= 256; alignment /= 16) {
        for (u64 at = QUEUE; at < QUEUE + 0x4000; at += 4) write32(at, 0);
        set_up(alignment);
        request(0, 1, alignment);
        number("data", read32(DATA));
        write32(DATA, read32(DATA) + 0x01010101);
        request(1, 1, alignment);
        request(0, 1, alignment);
        number("data", read32(DATA));
        request(0, 100000, alignment);  // past the end
        write32(device + 0x70, 0);
        number("after reset: status", read32(device + 0x70));
        number("page", read32(device + 0x40));
    }
}

void test_main(void) {
    cpu_interface();
    disk();
    text("done\n");
}
