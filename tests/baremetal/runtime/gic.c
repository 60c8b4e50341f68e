#include "runtime/gic.h"

#define GICD 0x08000000ul
#define GICC 0x08010000ul
#define GICR (0x080a0000ul + 0x20000ul * cpu_number())
#define SGI_FRAME (GICR + 0x10000)

int gic_version;

// With a GICv3 an Aff1 has 16 CPUs; fewer have none.
u64 cpu_number(void) {
    const u64 mpidr = read_sysreg(mpidr_el1);
    return (mpidr >> 8 & 0xff) * 16 + (mpidr & 0xff);
}
u64 affinity_of(u64 cpu) { return cpu / 16 << 8 | cpu % 16; }

void gic_init(void) {
    gic_version = read_sysreg(id_aa64pfr0_el1) >> 24 & 15 ? 3 : 2;
    write32(GICD, gic_version == 3 ? 0x12 : 1);  // ARE and group 1, or enable
    if (gic_version == 3) {
        write32(GICD, 0x12);
        for (unsigned i = 1; i < 8; ++i) write32(GICD + 0x80 + 4 * i, ~0u);
    }
}

void gic_cpu_init(void) {
    if (gic_version == 3) {
        write32(GICR + 0x14, read32(GICR + 0x14) & ~2u);  // WAKER: not asleep
        while (read32(GICR + 0x14) & 4) {
        }
        write32(SGI_FRAME + 0x80, ~0u);
        for (unsigned i = 0; i < 8; ++i) write32(SGI_FRAME + 0x400 + 4 * i, 0xa0a0a0a0);
        write_sysreg(S3_0_C12_C12_5, 7);  // SRE
        isb();
        write_sysreg(S3_0_C4_C6_0, 0xff);  // PMR
        write_sysreg(S3_0_C12_C12_3, 0);   // BPR1
        write_sysreg(S3_0_C12_C12_4, 0);   // CTLR
        write_sysreg(S3_0_C12_C12_7, 1);   // IGRPEN1
        isb();
    } else {
        for (unsigned i = 0; i < 8; ++i) write32(GICD + 0x400 + 4 * i, 0xa0a0a0a0);
        write32(GICC + 4, 0xff);
        write32(GICC + 8, 0);
        write32(GICC, 1);
    }
}

// The frame that holds an interrupt's bits.
static u64 frame(u64 intid) { return gic_version == 3 && intid < 32 ? SGI_FRAME : GICD; }

void gic_enable(u64 intid, int on) {
    write32(frame(intid) + (on ? 0x100 : 0x180) + intid / 32 * 4, 1u << (intid & 31));
}
void gic_priority(u64 intid, u64 priority) { *(volatile u8*)(frame(intid) + 0x400 + intid) = (u8)priority; }
u64 gic_get_priority(u64 intid) { return *(volatile u8*)(frame(intid) + 0x400 + intid); }
void gic_pending(u64 intid, int set) {
    if (gic_version == 2 && intid < 16) {
        *(volatile u8*)(GICD + (set ? 0xf20 : 0xf10) + intid) = 1;
        return;
    }
    write32(frame(intid) + (set ? 0x200 : 0x280) + intid / 32 * 4, 1u << (intid & 31));
}
u64 gic_is_pending(u64 intid) { return read32(frame(intid) + 0x200 + intid / 32 * 4) >> (intid & 31) & 1; }
u64 gic_is_active(u64 intid) { return read32(frame(intid) + 0x300 + intid / 32 * 4) >> (intid & 31) & 1; }
void gic_target(u64 spi, u64 cpu) {
    if (gic_version == 3)
        *(volatile u64*)(GICD + 0x6000 + 8 * spi) = affinity_of(cpu);
    else
        *(volatile u8*)(GICD + 0x800 + spi) = (u8)(1 << cpu);
}
void gic_level(u64 intid, int edge) {
    const u64 at = frame(intid) + 0xc00 + intid / 16 * 4;
    const u32 bit = 2u << (intid & 15) * 2;
    write32(at, edge ? read32(at) | bit : read32(at) & ~bit);
}
void gic_sgi(u64 intid, u64 cpu) {
    dsb();
    if (gic_version == 3) {
        write_sysreg(S3_0_C12_C11_5, intid << 24 | (cpu / 16) << 16 | 1ul << cpu % 16);
        isb();
    } else {
        write32(GICD + 0xf00, (u32)(1ul << (16 + cpu) | intid));
    }
}
u64 gic_acknowledge(void) {
    const u64 iar = gic_version == 3 ? read_sysreg(S3_0_C12_C12_0) : read32(GICC + 0xc);
    dsb();
    return iar;
}
void gic_end(u64 iar) {
    if (gic_version == 3) {
        write_sysreg(S3_0_C12_C12_1, iar);
        isb();
    } else {
        write32(GICC + 0x10, (u32)iar);
    }
}
void gic_deactivate(u64 iar) {
    if (gic_version == 3) {
        write_sysreg(S3_0_C12_C11_1, iar);
        isb();
    } else {
        write32(GICC + 0x1000, (u32)iar);
    }
}
void gic_mask(u64 priority) {
    if (gic_version == 3) {
        write_sysreg(S3_0_C4_C6_0, priority);
        isb();
    } else {
        write32(GICC + 4, (u32)priority);
    }
}
u64 gic_running_priority(void) {
    return gic_version == 3 ? read_sysreg(S3_0_C12_C11_3) : read32(GICC + 0x14);
}
u64 gic_highest_pending(void) { return gic_version == 3 ? read_sysreg(S3_0_C12_C12_2) : read32(GICC + 0x18); }
void gic_eoi_mode(int split) {
    if (gic_version == 3) {
        write_sysreg(S3_0_C12_C12_4, split ? 2 : 0);
        isb();
    } else {
        write32(GICC, split ? 0x201 : 1);
    }
}
