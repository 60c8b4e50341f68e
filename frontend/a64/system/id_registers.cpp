#include "frontend/a64/system/id_registers.h"

#include "frontend/a64/system/sysregs.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t field(unsigned lsb, uint64_t value) { return value << lsb; }

uint64_t pfr0(const CpuConfig& config) {
    return field(0, 1) |                            // EL0: AArch64 only
           field(4, 1) |                            // EL1: AArch64 only
           field(24, config.gic_sysregs ? 1 : 0) |  // GIC CPU interface as system registers
           field(56, 3) |  // CSV2_3: no Spectre-v2 or BHB mitigation is worth its cost
           field(60, 1);   // CSV3: no page-table isolation
}

constexpr uint64_t kDfr0 = field(0, 6) |  // debug: ARMv8
                           field(8, 1) |  // PMUv3
                           field(12, SystemRegisters::kBreakpoints - 1) |
                           field(20, SystemRegisters::kWatchpoints - 1) |
                           field(28, SystemRegisters::kContextBreakpoints - 1);

constexpr uint64_t kIsar0 = field(4, 2) |   // AES and PMULL
                            field(8, 1) |   // SHA1
                            field(12, 1) |  // SHA256
                            field(16, 1) |  // CRC32
                            field(20, 2) |  // LSE atomics
                            field(28, 1) |  // RDM
                            field(44, 1);   // DotProd

constexpr uint64_t kIsar1 = field(20, 1);  // LRCPC

constexpr uint64_t kMmfr0 = field(0, 2) |   // 40-bit physical addresses: mmu::kPhysicalAddressBits
                            field(4, 2) |   // 16-bit ASIDs
                            field(24, 15);  // no 64 KiB granule; 16 KiB: 0 is none; 4 KiB: 0 is yes

constexpr uint64_t kMmfr1 = field(0, 2) |   // HAFDBS: access flag and dirty state
                            field(12, 1) |  // HPDS
                            field(20, 1);   // PAN

constexpr uint64_t kMmfr2 = field(60, 1);  // E0PD

}  // namespace

uint64_t id_register(const CpuConfig& config, unsigned crm, unsigned op2) {
    switch (crm << 4 | op2) {
        case 0x40: return pfr0(config);
        case 0x50: return kDfr0;
        case 0x60: return kIsar0;
        case 0x61: return kIsar1;
        case 0x70: return kMmfr0;
        case 0x71: return kMmfr1;
        case 0x72: return kMmfr2;
        default: return 0;  // not there, or AArch32 (CRm 1 to 3)
    }
}

namespace {
constexpr unsigned kLineLog2 = 6;
static_assert(1u << kLineLog2 == kCacheLineBytes);
constexpr uint64_t kLineWordsLog2 = kLineLog2 - 2;

constexpr uint64_t cache_geometry(unsigned kib, unsigned ways) {
    const unsigned sets = kib * 1024 / kCacheLineBytes / ways;
    return (kLineLog2 - 4) | uint64_t{ways - 1} << 3 | uint64_t{sets - 1} << 13;
}
}  // namespace

uint64_t ctr_el0() {
    return field(31, 1) | field(28, 1) |  // RES1; IDC: no data cache cleaning for coherence with fetches
           field(24, kLineWordsLog2) | field(20, kLineWordsLog2) |  // CWG, ERG
           field(16, kLineWordsLog2) | field(0, kLineWordsLog2) |   // DminLine, IminLine
           field(14, 3);  // L1Ip: PIPT. DIC is 0: IC IVAU is how the translator hears of new code
}

// Level 1 split, level 2 unified, coherence at level 2; nothing to clean for unification (IDC).
uint64_t clidr_el1() { return field(0, 3) | field(3, 4) | field(24, 2); }

uint64_t ccsidr_el1(uint64_t csselr) {
    switch (csselr & 0xf) {
        case 0: return cache_geometry(32, 8);     // L1 data
        case 1: return cache_geometry(32, 8);     // L1 instruction
        case 2: return cache_geometry(1024, 16);  // L2
        default: return 0;
    }
}

}  // namespace arclight::frontend::a64
