#include "frontend/a64/system/id_registers.h"

#include "mmu/walk.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using test::SystemTest;
namespace reg = test::reg;

uint64_t id_field(const CpuConfig& config, unsigned crm, unsigned op2, unsigned lsb) {
    return id_register(config, crm, op2) >> lsb & 15;
}

TEST(IdRegisters, Features) {
    const CpuConfig config;
    struct {
        const char* what;
        unsigned crm, op2, lsb;
        uint64_t value;
    } const rows[] = {
        {"EL0", 4, 0, 0, 1},      {"EL1", 4, 0, 4, 1},        {"EL2", 4, 0, 8, 0},
        {"EL3", 4, 0, 12, 0},     {"FP", 4, 0, 16, 1},        {"AdvSIMD", 4, 0, 20, 1},
        {"GIC", 4, 0, 24, 1},     {"RAS", 4, 0, 28, 0},       {"SVE", 4, 0, 32, 0},
        {"DIT", 4, 0, 48, 0},     {"CSV2", 4, 0, 56, 3},      {"CSV3", 4, 0, 60, 1},
        {"BT", 4, 1, 0, 0},       {"SSBS", 4, 1, 4, 0},       {"MTE", 4, 1, 8, 0},
        {"DebugVer", 5, 0, 0, 6}, {"PMUVer", 5, 0, 8, 1},     {"BRPs", 5, 0, 12, 5},
        {"WRPs", 5, 0, 20, 3},    {"CTX_CMPs", 5, 0, 28, 1},  {"AES", 6, 0, 4, 2},
        {"SHA1", 6, 0, 8, 1},     {"SHA2", 6, 0, 12, 1},      {"CRC32", 6, 0, 16, 1},
        {"Atomic", 6, 0, 20, 2},  {"RDM", 6, 0, 28, 1},       {"SHA3", 6, 0, 32, 0},
        {"DP", 6, 0, 44, 1},      {"TLBIRANGE", 6, 0, 56, 0}, {"DPB", 6, 1, 0, 0},
        {"FHM", 6, 0, 48, 1},     {"JSCVT", 6, 1, 12, 1},     {"FCMA", 6, 1, 16, 1},
        {"FRINTTS", 6, 1, 32, 1}, {"BF16", 6, 1, 44, 1},      {"I8MM", 6, 1, 52, 1},
        {"APA", 6, 1, 4, 0},      {"API", 6, 1, 8, 0},        {"LRCPC", 6, 1, 20, 1},
        {"PARange", 7, 0, 0, 2},  {"ASIDBits", 7, 0, 4, 2},   {"BigEnd", 7, 0, 8, 0},
        {"TGran16", 7, 0, 20, 0}, {"TGran64", 7, 0, 24, 15},  {"TGran4", 7, 0, 28, 0},
        {"HAFDBS", 7, 1, 0, 2},   {"VH", 7, 1, 8, 0},         {"PAN", 7, 1, 20, 1},
        {"CnP", 7, 2, 0, 0},      {"UAO", 7, 2, 4, 0},        {"VARange", 7, 2, 16, 0},
        {"E0PD", 7, 2, 60, 1},
    };
    for (const auto& row : rows)
        EXPECT_EQ(id_field(config, row.crm, row.op2, row.lsb), row.value) << row.what;
    EXPECT_EQ(id_field({.features = kDefaultFeatures.without(Feature::Gic)}, 4, 0, 24), 0u);
    EXPECT_EQ(mmu::kPhysicalAddressBits, 40u) << "PARange says so";
}

// Linux derives HWCAPs and errata from these: no change may go unnoticed.
TEST(IdRegisters, DefaultModel) {
    const struct {
        IdRegister id;
        uint64_t value;
    } rows[] = {
        {IdRegister::Pfr0, 0x1300'0000'0111'0011},  {IdRegister::Dfr0, 0x1030'5106},
        {IdRegister::Isar0, 0x0001'1000'1021'1120}, {IdRegister::Isar1, 0x0010'1001'0011'1000},
        {IdRegister::Mmfr0, 0x0f00'0022},           {IdRegister::Mmfr1, 0x0010'1002},
        {IdRegister::Mmfr2, 0x1000'0000'0000'0000},
    };
    const auto expected = [&](unsigned number) {
        for (const auto& row : rows)
            if (static_cast<unsigned>(row.id) == number) return row.value;
        return uint64_t{0};
    };
    for (unsigned crm = 1; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            EXPECT_EQ(id_register({}, crm, op2), expected(crm << 4 | op2)) << crm << ' ' << op2;
}

// Each feature has a field, which says so when the CPU does not have it: of several features in one the last that is there
// counts.
TEST(IdRegisters, AbsentFeaturesAreNotAnnounced) {
    const auto announced = [](FeatureSet features, const FeatureInfo& field) {
        uint64_t value = field.absent;
        for (size_t f = 0; f < kFeatureCount; ++f)
            if (kFeatures[f].id == field.id && kFeatures[f].lsb == field.lsb &&
                features.has(static_cast<Feature>(f)))
                value = kFeatures[f].present;
        return value;
    };
    for (size_t f = 1; f < kFeatureCount; ++f) {
        const FeatureInfo& info = kFeatures[f];
        ASSERT_NE(info.present, info.absent) << info.title;
        const unsigned crm = static_cast<unsigned>(info.id) >> 4, op2 = static_cast<unsigned>(info.id) & 15;
        const FeatureSet rest = kDefaultFeatures.without(static_cast<Feature>(f));
        EXPECT_EQ(id_field({}, crm, op2, info.lsb), announced(kDefaultFeatures, info)) << info.title;
        EXPECT_EQ(id_field({.features = rest}, crm, op2, info.lsb), announced(rest, info)) << info.title;
        EXPECT_NE(announced(rest, info), info.present) << info.title;
    }
}

// The layout of MIDR_EL1: an implementer that no errata list names, and the features in the ID registers.
TEST(IdRegisters, Midr) {
    EXPECT_EQ(kMidr >> 24, 0u);
    EXPECT_EQ(kMidr >> 16 & 15, 15u);
}

TEST(IdRegisters, Caches) {
    EXPECT_EQ(ctr_el0(), 0x9444'c004u);
    EXPECT_EQ(4u << (ctr_el0() & 15), kCacheLineBytes);
    for (uint64_t csselr : {0, 1, 2}) {
        const uint64_t c = ccsidr_el1(csselr);
        EXPECT_EQ(16u << (c & 7), kCacheLineBytes);
        const uint64_t size = (16 << (c & 7)) * ((c >> 3 & 0x3ff) + 1) * ((c >> 13 & 0x7fff) + 1);
        EXPECT_EQ(size, csselr == 2 ? 1024u * 1024 : 32u * 1024);
    }
    EXPECT_EQ(ccsidr_el1(3), 0u);
}

using IdSpace = SystemTest;

TEST_F(IdSpace, RazAtEl1UndefinedAtEl0) {
    for (unsigned crm = 1; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            EXPECT_EQ(read(sysreg_encoding(3, 0, 0, crm, op2)), id_register(cpu.config, crm, op2));
    EXPECT_EQ(id_register(cpu.config, 1, 0), 0u) << "no AArch32";
    EXPECT_EQ(read(reg::midr), kMidr);
    EXPECT_EQ(read(reg::mpidr), 0x8000'0000u);
    enter_el0();
    uint64_t value;
    for (unsigned crm = 0; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            EXPECT_EQ(read_sysreg(cpu, sysreg_encoding(3, 0, 0, crm, op2), value).kind,
                      SystemResult::Kind::Undefined);
}

TEST_F(IdSpace, MpidrNumbersCpus) {
    Cpu third(*state, environment, tables.memory(), {.index = 3});
    uint64_t value = 0;
    ASSERT_TRUE(read_sysreg(third, reg::mpidr, value).ok());
    EXPECT_EQ(value, 0x8000'0003u);
}

TEST_F(IdSpace, Dczid) {
    EXPECT_EQ(read(reg::dczid), 4u);
    enter_el0();
    EXPECT_EQ(read(reg::dczid), 4u | 16u) << "SCTLR.DZE is 0";
    cpu.translation.sctlr |= 1 << 14;
    EXPECT_EQ(read(reg::dczid), 4u);
}

}  // namespace
}  // namespace arclight::frontend::a64
