#include "frontend/a64/system/id_registers.h"

#include "frontend/a64/system/sysregs.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint64_t field(unsigned lsb, uint64_t value) { return value << lsb; }

/// What does not depend on the features: sizes, and how much there is of something.
constexpr uint64_t fixed_fields(IdRegister id) {
    switch (id) {
        case IdRegister::Pfr0: return field(4, 1);  // EL1: AArch64 only
        case IdRegister::Dfr0:
            return field(0, 6) |  // debug: Armv8
                   field(12, SystemRegisters::kBreakpoints - 1) |
                   field(20, SystemRegisters::kWatchpoints - 1) |
                   field(28, SystemRegisters::kContextBreakpoints - 1);
        case IdRegister::Mmfr0: return field(4, 2);  // 16-bit ASIDs; granule of 4 KiB: 0 is yes
        default: return 0;
    }
}

/// `value` with how pointers are authenticated in the field of the algorithm that does it: API is the table's, APA QARMA5's
/// and APA3 QARMA3's.
uint64_t pac_fields(FeatureSet features, IdRegister id, uint64_t value) {
    const FeatureInfo& pauth = kFeatures[static_cast<size_t>(Feature::PAuth)];
    const bool qarma5 = features.has(Feature::PacQarma5), qarma3 = features.has(Feature::PacQarma3);
    if (!qarma5 && !qarma3) return value;
    const uint64_t level = features.has(Feature::PAuth) ? pauth.present : pauth.absent;
    if (id == pauth.id)
        value &= ~(field(pauth.lsb, 15) | field(kFeatures[static_cast<size_t>(Feature::PacImp)].lsb, 15));
    if (id == IdRegister::Isar1 && qarma5) value |= field(4, level);
    if (id == IdRegister::Isar2 && qarma3) value |= field(12, level);
    return value;
}

}  // namespace

uint64_t id_register(const CpuConfig& config, unsigned crm, unsigned op2) {
    // Zero where nothing is allocated, and for AArch32 (CRm 1 to 3).
    const auto id = static_cast<IdRegister>(crm << 4 | op2);
    return fixed_fields(id) | pac_fields(config.features, id, feature_fields(config.features, id));
}

namespace {
constexpr unsigned kLineLog2 = 6;
static_assert(1u << kLineLog2 == kCacheLineBytes);
constexpr uint64_t kLineWordsLog2 = kLineLog2 - 2;

constexpr uint64_t cache_geometry(const CacheSize& cache) {
    const unsigned sets = cache.kib * 1024 / kCacheLineBytes / cache.ways;
    return (kLineLog2 - 4) | uint64_t{cache.ways - 1} << 3 | uint64_t{sets - 1} << 13;
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

uint64_t ccsidr_el1(const CpuIdentity& identity, uint64_t csselr) {
    switch (csselr & 0xf) {
        case 0: return cache_geometry(identity.l1_data);
        case 1: return cache_geometry(identity.l1_instructions);
        case 2: return cache_geometry(identity.l2);
        default: return 0;
    }
}

}  // namespace arclight::frontend::a64
