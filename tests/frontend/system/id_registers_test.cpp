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
        {"GIC", 4, 0, 24, 1},     {"RAS", 4, 0, 28, 1},       {"SVE", 4, 0, 32, 0},
        {"DIT", 4, 0, 48, 1},     {"CSV2", 4, 0, 56, 3},      {"CSV3", 4, 0, 60, 1},
        {"BT", 4, 1, 0, 1},       {"SSBS", 4, 1, 4, 2},       {"MTE", 4, 1, 8, 3},
        {"DebugVer", 5, 0, 0, 6}, {"PMUVer", 5, 0, 8, 6},     {"BRPs", 5, 0, 12, 5},
        {"WRPs", 5, 0, 20, 3},    {"CTX_CMPs", 5, 0, 28, 1},  {"AES", 6, 0, 4, 2},
        {"SHA1", 6, 0, 8, 1},     {"SHA2", 6, 0, 12, 2},      {"CRC32", 6, 0, 16, 1},
        {"Atomic", 6, 0, 20, 3},  {"RDM", 6, 0, 28, 1},       {"SHA3", 6, 0, 32, 1},
        {"DP", 6, 0, 44, 1},      {"TLBIRANGE", 6, 0, 56, 2}, {"DPB", 6, 1, 0, 2},
        {"FHM", 6, 0, 48, 1},     {"JSCVT", 6, 1, 12, 1},     {"FCMA", 6, 1, 16, 1},
        {"FRINTTS", 6, 1, 32, 1}, {"BF16", 6, 1, 44, 2},      {"I8MM", 6, 1, 52, 1},
        {"APA", 6, 1, 4, 0},      {"API", 6, 1, 8, 5},        {"LRCPC", 6, 1, 20, 3},
        {"PARange", 7, 0, 0, 2},  {"ASIDBits", 7, 0, 4, 2},   {"BigEnd", 7, 0, 8, 0},
        {"TGran16", 7, 0, 20, 1}, {"TGran64", 7, 0, 24, 0},   {"TGran4", 7, 0, 28, 0},
        {"HAFDBS", 7, 1, 0, 2},   {"VH", 7, 1, 8, 0},         {"PAN", 7, 1, 20, 2},
        {"CnP", 7, 2, 0, 1},      {"UAO", 7, 2, 4, 1},        {"VARange", 7, 2, 16, 0},
        {"E0PD", 7, 2, 60, 1},    {"ECV", 7, 0, 60, 1},       {"IESB", 7, 2, 12, 1},
        {"ST", 7, 2, 28, 1},      {"AFP", 7, 1, 44, 1},       {"RPRES", 6, 2, 4, 1},
        {"TTL", 7, 2, 48, 1},     {"BBM", 7, 2, 52, 2},
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
        {IdRegister::Pfr0, 0x1301'0000'1111'0011},  {IdRegister::Pfr1, 0x0000'0000'0000'0321},
        {IdRegister::Dfr0, 0x0000'0000'1030'5606},  {IdRegister::Isar0, 0x1221'1111'1031'2120},
        {IdRegister::Isar1, 0x0010'2111'1031'1502}, {IdRegister::Isar2, 0x0010'0000'0011'0012},
        {IdRegister::Mmfr0, 0x1000'0000'0010'0022}, {IdRegister::Mmfr1, 0x0000'1000'0020'2002},
        {IdRegister::Mmfr2, 0x1021'0001'1000'1011},
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

TEST(IdRegisters, ScalableVectors) {
    const CpuConfig config{.features = kScalableFeatures};
    EXPECT_EQ(id_register(config, 4, 4), 0x0110'1101'0021'0021u);
    EXPECT_EQ(id_field(config, 4, 0, 32), 1u);
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
        if (!kDefaultFeatures.has(static_cast<Feature>(f))) continue;
        const FeatureInfo& info = kFeatures[f];
        ASSERT_NE(info.present, info.absent) << info.title;
        const unsigned crm = static_cast<unsigned>(info.id) >> 4, op2 = static_cast<unsigned>(info.id) & 15;
        const FeatureSet rest = kDefaultFeatures.without(static_cast<Feature>(f));
        EXPECT_EQ(id_field({}, crm, op2, info.lsb), announced(kDefaultFeatures, info)) << info.title;
        EXPECT_EQ(id_field({.features = rest}, crm, op2, info.lsb), announced(rest, info)) << info.title;
        EXPECT_NE(announced(rest, info), info.present) << info.title;
    }
}

TEST(IdRegisters, AddressesOf52Bits) {
    const FeatureSet lpa2 = kDefaultFeatures.with(Feature::Lpa2Granule16),
                     lva = kDefaultFeatures.with(Feature::Lva);
    const auto field = [](FeatureSet features, unsigned op2, unsigned lsb) {
        return id_field({.features = features}, 7, op2, lsb);
    };
    EXPECT_EQ(field(lpa2, 0, 0), 6u) << "PARange";
    EXPECT_EQ(field(lpa2, 0, 20), 2u) << "TGran16";
    EXPECT_EQ(field(lpa2, 0, 28), 1u) << "TGran4";
    EXPECT_EQ(field(lpa2, 2, 16), 0u) << "VARange";
    EXPECT_EQ(field(lva, 2, 16), 1u) << "VARange";
    EXPECT_EQ(field(lva, 0, 0), 2u) << "PARange";
}

// The level is in the field of the algorithm: API, APA or APA3, with GPI, GPA or GPA3.
TEST(IdRegisters, PointerAuthentication) {
    const FeatureSet none = kDefaultFeatures.without(Feature::PAuth);
    const auto with = [&](FeatureSet more) {
        FeatureSet all = none;
        for (size_t f = 0; f < kFeatureCount; ++f)
            if (more.has(static_cast<Feature>(f))) all = all.with(static_cast<Feature>(f));
        return all;
    };
    const struct {
        FeatureSet features;
        unsigned api, apa, apa3, gpi, gpa, gpa3;
    } rows[] = {
        {none, 0, 0, 0, 0, 0, 0},
        {kDefaultFeatures, 5, 0, 0, 1, 0, 0},
        {with({Feature::PAuth, Feature::PacQarma5}), 0, 5, 0, 0, 1, 0},
        {kDefaultFeatures.with(Feature::PacQarma5), 0, 5, 0, 0, 1, 0},
        {with({Feature::PAuth, Feature::PacQarma3}), 0, 0, 5, 0, 0, 1},
    };
    for (const auto& row : rows) {
        const CpuConfig config{.features = row.features};
        EXPECT_EQ(id_field(config, 6, 1, 8), row.api);
        EXPECT_EQ(id_field(config, 6, 1, 4), row.apa);
        EXPECT_EQ(id_field(config, 6, 2, 12), row.apa3);
        EXPECT_EQ(id_field(config, 6, 1, 28), row.gpi);
        EXPECT_EQ(id_field(config, 6, 1, 24), row.gpa);
        EXPECT_EQ(id_field(config, 6, 2, 8), row.gpa3);
    }
}

// The layout of MIDR_EL1: an implementer that no errata list names, and the features in the ID registers.
TEST(IdRegisters, Midr) {
    EXPECT_EQ(CpuIdentity{}.midr >> 24, 0u);
    EXPECT_EQ(CpuIdentity{}.midr >> 16 & 15, 15u);
}

TEST(IdRegisters, Caches) {
    EXPECT_EQ(ctr_el0(), 0x9444'c004u);
    EXPECT_EQ(4u << (ctr_el0() & 15), kCacheLineBytes);
    for (uint64_t csselr : {0, 1, 2}) {
        const uint64_t c = ccsidr_el1({}, csselr);
        EXPECT_EQ(16u << (c & 7), kCacheLineBytes);
        const uint64_t size = (16 << (c & 7)) * ((c >> 3 & 0x3ff) + 1) * ((c >> 13 & 0x7fff) + 1);
        EXPECT_EQ(size, csselr == 2 ? 1024u * 1024 : 32u * 1024);
    }
    EXPECT_EQ(ccsidr_el1({}, 3), 0u);
}

// ---- Models

// What a model announces is what its manual says, of what there is.
TEST(CpuModels, AnnounceNoMoreThanTheyHave) {
    for (const CpuModel& model : cpu_models()) {
        const FeatureSet features = model.features();
        EXPECT_TRUE(features.consistent()) << model.name;
        for (size_t i = 0; i < kFeatureCount; ++i)
            if (features.has(static_cast<Feature>(i))) {
                EXPECT_TRUE(kDefaultFeatures.has(static_cast<Feature>(i))) << model.name;
            }
        if (model.pfr0 == 0) continue;
        const auto field = [&](unsigned crm, unsigned op2, unsigned lsb) {
            return id_field({.features = features}, crm, op2, lsb);
        };
        EXPECT_EQ(field(7, 0, 20), model.mmfr0 >> 20 & 15) << model.name << ": TGran16";
        EXPECT_EQ(field(7, 0, 24), model.mmfr0 >> 24 & 15) << model.name << ": TGran64";
        EXPECT_EQ(field(7, 2, 0), model.mmfr2 & 15) << model.name << ": CnP";
        EXPECT_EQ(field(6, 0, 20), model.isar0 >> 20 & 15) << model.name << ": Atomic";
        EXPECT_EQ(field(6, 0, 56), model.isar0 >> 56 & 15) << model.name << ": TLB";
        EXPECT_EQ(field(7, 1, 0), model.mmfr1 & 15) << model.name << ": HAFDBS";
        EXPECT_EQ(field(4, 0, 56), model.pfr0 >> 56 & 15) << model.name << ": CSV2";
    }
}

TEST(CpuModels, SomeByHand) {
    const auto has = [](std::string_view model, Feature feature) {
        return find_cpu_model(model)->features().has(feature);
    };
    EXPECT_EQ(find_cpu_model("max")->features(), kUsualFeatures);
    EXPECT_EQ(find_cpu_model("cortex-a15"), nullptr);
    EXPECT_EQ(find_cpu_model(""), nullptr);
    for (const char* old : {"cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72"}) {
        EXPECT_TRUE(has(old, Feature::Aes)) << old;
        for (const Feature f : {Feature::Lse, Feature::Pan, Feature::Hafdbs, Feature::Csv2, Feature::Ras})
            EXPECT_FALSE(has(old, f)) << old;
    }
    EXPECT_FALSE(has("cortex-a57", Feature::Granule16));
    EXPECT_TRUE(has("cortex-a57", Feature::Granule64));
    EXPECT_TRUE(has("cortex-a76", Feature::DotProd));
    EXPECT_FALSE(has("cortex-a76", Feature::TlbiOs));
    EXPECT_TRUE(has("cortex-a710", Feature::TlbiRange));
    EXPECT_FALSE(has("neoverse-v1", Feature::E0pd));
    EXPECT_TRUE(has("neoverse-v1", Feature::Bf16));
    EXPECT_FALSE(has("neoverse-v1", Feature::Ebf16));
    EXPECT_TRUE(has("neoverse-n2", Feature::E0pd));
    EXPECT_FALSE(has("a64fx", Feature::Ras));
    EXPECT_FALSE(has("a64fx", Feature::Granule16));
}

TEST(CpuModels, ShowTheirIdentity) {
    const CpuIdentity& a72 = find_cpu_model("cortex-a72")->identity;
    EXPECT_EQ(a72.midr, 0x410f'd083u);
    EXPECT_EQ(ccsidr_el1(a72, 0), 0x00'1fe00au) << "32 KiB, 2 ways, 256 sets";
    EXPECT_EQ(ccsidr_el1(a72, 1), 0x00'1fe012u) << "48 KiB, 3 ways";
    EXPECT_EQ(ccsidr_el1(a72, 2), 0x00'7fe07au) << "1 MiB, 16 ways";
}

using IdSpace = SystemTest;

TEST_F(IdSpace, RazAtEl1UndefinedAtEl0) {
    for (unsigned crm = 1; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            EXPECT_EQ(read(sysreg_encoding(3, 0, 0, crm, op2)), id_register(cpu.config, crm, op2));
    EXPECT_EQ(id_register(cpu.config, 1, 0), 0u) << "no AArch32";
    EXPECT_EQ(read(reg::midr), CpuIdentity{}.midr);
    EXPECT_EQ(read(reg::mpidr), 0x8000'0000u);
    enter_el0();
    uint64_t value;
    for (unsigned crm = 0; crm <= 7; ++crm)
        for (unsigned op2 = 0; op2 < 8; ++op2)
            EXPECT_EQ(read_sysreg(cpu, sysreg_encoding(3, 0, 0, crm, op2), value).kind,
                      SystemResult::Kind::Undefined);
}

TEST_F(IdSpace, OfAModel) {
    const CpuModel& model = *find_cpu_model("neoverse-n1");
    Cpu n1(*state, environment, tables.memory(), {.features = model.features(), .identity = model.identity});
    uint64_t value = 0;
    ASSERT_TRUE(read_sysreg(n1, reg::midr, value).ok());
    EXPECT_EQ(value, 0x414f'd0c1u);
    ASSERT_TRUE(read_sysreg(n1, sysreg_encoding(3, 0, 0, 7, 0), value).ok());
    EXPECT_EQ(value >> 20 & 15, 1u);
}

// A granule that the model lacks is one of 4 KiB.
TEST_F(IdSpace, GranulesThatTheCpuLacks) {
    for (const char* name : {"cortex-a57", "neoverse-n1"}) {
        const CpuModel& model = *find_cpu_model(name);
        Cpu other(*state, environment, tables.memory(), {.features = model.features(), .identity = {}});
        other.reset(0x1000);
        ASSERT_TRUE(write_sysreg(other, reg::tcr, uint64_t{16} | 16 << 16 | 2 << 14 | 3u << 30).ok());
        const bool has_16k = model.features().has(Feature::Granule16);
        EXPECT_EQ(other.translation.half[0].granule_bits, has_16k ? 14 : 12) << name;
        EXPECT_EQ(other.translation.half[1].granule_bits, 16) << name;
    }
}

TEST_F(IdSpace, MpidrNumbersCpus) {
    Cpu third(*state, environment, tables.memory(), {.index = 3, .affinity = 0x102});
    uint64_t value = 0;
    ASSERT_TRUE(read_sysreg(third, reg::mpidr, value).ok());
    EXPECT_EQ(value, 0x8000'0102u);
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
