// The script both sides run: pseudo-random GIC accesses whose every result is emitted. Compiled for the
// bare-metal guest as C and for the host test as C++. Whoever includes it supplies the six functions declared
// here.
#pragma once

#include <stdint.h>

static uint32_t mmio_read(uint32_t address);
static void mmio_write(uint32_t address, uint32_t value);
static uint64_t icc_read(unsigned index);
static void icc_write(unsigned index, uint64_t value);
static uint32_t interrupt_lines(void);  // bit 7 IRQ, bit 6 FIQ, as in ISR_EL1
static void emit(uint64_t operation, uint64_t value);

// name, CRn, CRm, op2, readable, writable
#define ICC_REGISTERS(X)        \
    X(pmr, 4, 6, 0, 1, 1)       \
    X(iar0, 12, 8, 0, 1, 0)     \
    X(eoir0, 12, 8, 1, 0, 1)    \
    X(hppir0, 12, 8, 2, 1, 0)   \
    X(bpr0, 12, 8, 3, 1, 1)     \
    X(ap0r0, 12, 8, 4, 1, 1)    \
    X(ap1r0, 12, 9, 0, 1, 1)    \
    X(dir, 12, 11, 1, 0, 1)     \
    X(rpr, 12, 11, 3, 1, 0)     \
    X(sgi1r, 12, 11, 5, 0, 1)   \
    X(asgi1r, 12, 11, 6, 0, 1)  \
    X(sgi0r, 12, 11, 7, 0, 1)   \
    X(iar1, 12, 12, 0, 1, 0)    \
    X(eoir1, 12, 12, 1, 0, 1)   \
    X(hppir1, 12, 12, 2, 1, 0)  \
    X(bpr1, 12, 12, 3, 1, 1)    \
    X(ctlr, 12, 12, 4, 1, 1)    \
    X(igrpen0, 12, 12, 6, 1, 1) \
    X(igrpen1, 12, 12, 7, 1, 1)

enum {
#define X(name, crn, crm, op2, r, w) icc_##name,
    ICC_REGISTERS(X)
#undef X
        icc_count
};

enum { gicd = 0x08000000, gicc = 0x08010000, gicr = 0x080a0000, gicr_stride = 0x20000 };

static uint64_t script_state;

// C leaves the order of operands open, and the two compilers differ: one draw a statement.
static uint32_t rnd(uint32_t below) {
    script_state ^= script_state << 13;
    script_state ^= script_state >> 7;
    script_state ^= script_state << 17;
    return (uint32_t)(script_state >> 20) % below;
}

static uint32_t rnd_bits(void) {
    // Sparse and dense masks of the few interrupts the script plays with.
    const uint32_t low = rnd(0x10000);
    const uint32_t mask = low | rnd(0x10000) << 16;
    switch (rnd(4)) {
        case 0: return 1u << rnd(32);
        case 1: return mask;
        case 2: return mask & 0x00ff00ff;
        default: return ~0u;
    }
}

static uint32_t rnd_priorities(void) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        value = value << 8 | rnd(8) << 5;
        if (rnd(4) == 0) value |= rnd(32);
    }
    return value;
}

static void read_back(uint32_t address) { emit(address, mmio_read(address)); }

static void write_and_read(uint32_t address, uint32_t value) {
    mmio_write(address, value);
    read_back(address);
}

// One of the registers of interrupts 32 * bank and up, in the given frame. QEMU 7.2's GICv2 ignores ISPENDR
// for private interrupts and keeps the active state of an SPI per CPU, which ISACTIVER shows: choices leaves
// those out.
static void bank_access(uint32_t frame, uint32_t bank, uint32_t choices) {
    static const uint16_t registers[] = {0x080, 0x100, 0x100, 0x180, 0x280, 0x380, 0x200, 0x200, 0x300};
    const uint32_t kind = rnd(8);
    const uint32_t which = rnd(8 * choices);
    switch (kind) {
        case 0: write_and_read(frame + 0x400 + bank * 32 + which % 8 * 4, rnd_priorities()); break;
        case 1: write_and_read(frame + 0xc00 + bank * 8 + which % 2 * 4, rnd_bits()); break;
        default: write_and_read(frame + registers[which % choices] + bank * 4, rnd_bits()); break;
    }
}

static uint32_t acknowledged[64];
static unsigned acknowledged_count;
static unsigned acknowledged_total;

static void remember(uint32_t intid) {
    if ((intid & 0x3ff) >= 1020) return;
    acknowledged[acknowledged_count++ % 64] = intid;
    acknowledged_total++;
}

static uint32_t some_intid(void) {
    if (acknowledged_count != 0 && rnd(8) != 0) return acknowledged[--acknowledged_count % 64];
    return rnd(8) == 0 ? rnd(1024) : rnd(128);
}

static void script_v3_step(void) {
    switch (rnd(16)) {
        case 0:
        case 1:
        case 2: bank_access(gicd, 1 + rnd(3), 9); break;
        case 3:
        case 4: bank_access(gicr + rnd(2) * gicr_stride + 0x10000, 0, 9); break;
        case 5: {
            const uint32_t intid = 32 + rnd(96);
            write_and_read(gicd + 0x6000 + intid * 8, rnd(4) == 0 ? rnd(3) : 0);
            break;
        }
        case 6:
            if (rnd(4) == 0) write_and_read(gicd, rnd(4));
            break;
        case 7:
        case 8:
        case 9: {
            const unsigned reg = rnd(4) == 0 ? icc_iar0 : icc_iar1;
            const uint64_t intid = icc_read(reg);
            emit(reg, intid);
            remember((uint32_t)intid);
            break;
        }
        case 10:
        case 11: {
            const unsigned reg = rnd(4) == 0 ? icc_eoir0 : icc_eoir1;
            icc_write(reg, some_intid());
            break;
        }
        case 12: icc_write(icc_dir, some_intid()); break;
        case 13: {
            static const uint8_t senders[] = {icc_sgi1r, icc_sgi1r, icc_sgi0r, icc_asgi1r};
            const unsigned sender = senders[rnd(4)];
            uint64_t value = (uint64_t)rnd(16) << 24;
            value |= rnd(8);
            if (rnd(8) == 0) value |= 1ull << 40;
            if (rnd(8) == 0) value |= 1ull << 16;
            icc_write(sender, value);
            break;
        }
        case 14: {
            static const uint8_t controls[] = {icc_pmr, icc_pmr, icc_bpr0, icc_bpr1, icc_ctlr};
            const unsigned reg = controls[rnd(5)];
            uint32_t value = rnd(8);
            if (reg == icc_pmr) value = rnd(3) == 0 ? rnd(256) : 0xff;
            if (reg == icc_ctlr) value &= 3;
            icc_write(reg, value);
            emit(reg, icc_read(reg));
            break;
        }
        default: {
            static const uint8_t readers[] = {icc_hppir0, icc_hppir1, icc_rpr, icc_ap0r0,
                                              icc_ap1r0,  icc_bpr1,   icc_ctlr};
            const unsigned reg = readers[rnd(7)];
            emit(reg, icc_read(reg));
            break;
        }
    }
    emit(0xffff, interrupt_lines());
}

static void script_v2_step(void) {
    switch (rnd(14)) {
        case 0:
        case 1:
        case 2: bank_access(gicd, 1 + rnd(3), 8); break;
        case 3:
        case 4: bank_access(gicd, 0, 6); break;
        case 5: read_back(gicd + 0x820 + rnd(24) * 4); break;
        case 6:
            if (rnd(4) == 0) write_and_read(gicd, rnd(3) == 0 ? 0 : 3);
            break;
        case 7:
        case 8: {
            const uint32_t intid = mmio_read(gicc + 0x0c);
            emit(gicc + 0x0c, intid);
            remember(intid);
            break;
        }
        case 9:
        case 10: {
            mmio_write(gicc + 0x10, some_intid());
            break;
        }
        case 11: {
            if (rnd(2) != 0) mmio_write(gicc + 0x1000, some_intid());
            uint32_t value = rnd(3) << 24;
            value |= rnd(4) << 16;
            value |= rnd(16);
            mmio_write(gicd + 0xf00, value);
            break;
        }
        case 12: {
            static const uint8_t controls[] = {0x04, 0x04, 0x08, 0x1c, 0x00};
            const uint32_t reg = controls[rnd(5)];
            uint32_t value = rnd(8);
            if (reg == 4) value = rnd(3) == 0 ? rnd(256) : 0xff;
            if (reg == 0 && value != 0) {
                value = 3 | value << 2;
                value |= rnd(2) << 9;
            }
            write_and_read(gicc + reg, value);
            break;
        }
        default: {
            static const uint16_t readers[] = {0x14, 0x18, 0xd0, 0xe0};
            read_back(gicc + readers[rnd(4)]);
            break;
        }
    }
    emit(0xffff, interrupt_lines());
}

static void run_script(int version, uint32_t seed, unsigned steps) {
    script_state = 0x9e3779b97f4a7c15ull * (seed + 1);
    acknowledged_count = 0;
    acknowledged_total = 0;
    // Left out, since QEMU 7.2 departs from the architecture: an interrupt of a group that the CPU interface
    // disables hides those of the other (GICv3), and the alias registers do not exist (GICv2).
    // Pending bits there belong to the targets (GICv2), so targets stay as they are.
    if (version == 3) {
        icc_write(icc_igrpen0, 1);
        icc_write(icc_igrpen1, 1);
    } else {
        for (uint32_t offset = 0x820; offset < 0x880; offset += 4) mmio_write(gicd + offset, 0x01010101);
    }

    for (unsigned i = 0; i < steps; i++) {
        if (version == 3) {
            script_v3_step();
        } else {
            script_v2_step();
        }
    }
}
