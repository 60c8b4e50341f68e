#include "frontend/a64/cpu_models.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace arclight::frontend::a64 {

namespace {

// The technical reference manuals' values of the revisions that QEMU has, with the cryptographic extension. Physical addresses,
// AArch32, EL2 and EL3 are not looked at: they are as Arclight has them. Cache lines are of 64 bytes in all, since IC and DC work on
// such: in an A64FX they are of 256.
constexpr CpuModel kModels[] = {
    {.name = "a64fx",
     .identity = {0x461f'0010, {64, 4}, {64, 4}, {8192, 16}},
     .pfr0 = 0x0000'0001'0111'1111,
     .dfr0 = 0x1030'5408,
     .isar0 = 0x1021'1120,
     .isar1 = 0x0001'0001,
     .mmfr0 = 0x0000'1122,
     .mmfr1 = 0x1121'2100,
     .mmfr2 = 0x0000'1011,
     .longest_vector = Feature::Sve512},
    {.name = "cortex-a35",
     .identity = {0x411f'd040, {32, 4}, {32, 4}, {512, 16}},
     .pfr0 = 0x0000'2222,
     .dfr0 = 0x1030'5106,
     .isar0 = 0x0001'1120,
     .mmfr0 = 0x0010'1122},
    {.name = "cortex-a53",
     .identity = {0x410f'd034, {32, 4}, {32, 2}, {1024, 16}},
     .pfr0 = 0x0000'2222,
     .dfr0 = 0x1030'5106,
     .isar0 = 0x0001'1120,
     .mmfr0 = 0x0000'1122},
    {.name = "cortex-a55",
     .identity = {0x412f'd050, {32, 4}, {32, 4}, {512, 16}},
     .pfr0 = 0x1011'2222,
     .pfr1 = 0x10,
     .dfr0 = 0x1030'5408,
     .isar0 = 0x0000'1000'1021'1120,
     .isar1 = 0x0010'0001,
     .mmfr0 = 0x0010'1122,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x0000'1011},
    {.name = "cortex-a57",
     .identity = {0x411f'd070, {32, 2}, {48, 3}, {2048, 16}},
     .pfr0 = 0x0000'2222,
     .dfr0 = 0x1030'5106,
     .isar0 = 0x0001'1120,
     .mmfr0 = 0x0000'1124},
    {.name = "cortex-a710",
     .identity = {0x412f'd471, {64, 4}, {64, 4}, {512, 8}},
     .pfr0 = 0x1201'1111'2011'1112,
     .pfr1 = 0x221,
     .dfr0 = 0x0000'11f0'1030'5619,
     .isar0 = 0x0221'1111'1021'2120,
     .isar1 = 0x0010'1111'0121'1052,
     .mmfr0 = 0x0000'0222'0010'1122,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x1221'0111'1010'1011,
     .zfr0 = 0x0000'1101'0011'0021,
     .longest_vector = Feature::Sve128},
    {.name = "cortex-a72",
     .identity = {0x410f'd083, {32, 2}, {48, 3}, {1024, 16}},
     .pfr0 = 0x0000'2222,
     .dfr0 = 0x1030'5106,
     .isar0 = 0x0001'1120,
     .mmfr0 = 0x0000'1124},
    {.name = "cortex-a76",
     .identity = {0x414f'd0b1, {64, 4}, {64, 4}, {512, 8}},
     .pfr0 = 0x1100'0000'1011'1112,
     .pfr1 = 0x10,
     .dfr0 = 0x1030'5408,
     .isar0 = 0x0000'1000'1021'1120,
     .isar1 = 0x0010'0001,
     .mmfr0 = 0x0010'1122,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x0000'1011},
    {.name = "cortex-a78ae",
     .identity = {0x410f'd423, {64, 4}, {64, 4}, {512, 8}},
     .pfr0 = 0x1100'0000'1011'1112,
     .pfr1 = 0x10,
     .dfr0 = 0x0000'0001'1030'5408,
     .isar0 = 0x0010'1000'1021'1120,
     .isar1 = 0x0120'0031,
     .mmfr0 = 0x0010'1125,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x0000'0001'0000'1011},
    {.name = "host", .identity = {}},  // as "max": Arclight's translator is the host
    {.name = "max", .identity = {}},
    {.name = "neoverse-n1",
     .identity = {0x414f'd0c1, {64, 4}, {64, 4}, {1024, 8}},
     .pfr0 = 0x1100'0000'1011'1112,
     .pfr1 = 0x20,
     .dfr0 = 0x0000'0001'1030'5408,
     .isar0 = 0x0000'1000'1021'1120,
     .isar1 = 0x0010'0001,
     .mmfr0 = 0x0010'1125,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x0000'1011},
    {.name = "neoverse-n2",
     .identity = {0x410f'd493, {64, 4}, {64, 4}, {512, 8}},
     .pfr0 = 0x1201'1111'2011'1112,
     .pfr1 = 0x221,
     .dfr0 = 0x0000'11f2'1030'5619,
     .isar0 = 0x1221'1111'1021'2120,
     .isar1 = 0x0011'1111'0121'1052,
     .mmfr0 = 0x0000'0222'0010'1125,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x1221'0111'1210'1011,
     .zfr0 = 0x0000'1101'0011'0021,
     .longest_vector = Feature::Sve128},
    {.name = "neoverse-v1",
     .identity = {0x411f'd402, {64, 4}, {64, 4}, {1024, 8}},
     .pfr0 = 0x1101'1101'2011'1112,
     .pfr1 = 0x20,
     .dfr0 = 0x0000'01f2'1030'5519,
     .isar0 = 0x1011'1111'1021'2120,
     .isar1 = 0x0011'1000'0121'1032,  // with BF16: the manual's list of fields (3.2.74), not its table 3-6
     .mmfr0 = 0x0010'1125,
     .mmfr1 = 0x1021'2122,
     .mmfr2 = 0x0220'0111'0210'1011,
     .zfr0 = 0x0000'1000'0010'0000,
     .longest_vector = Feature::Sve256},
};
static_assert(std::ranges::is_sorted(kModels, {}, &CpuModel::name));

/// The value of the register in the model's manual; nothing is known of others, which later architectures have.
uint64_t register_of(const CpuModel& model, IdRegister id) {
    switch (std::to_underlying(id)) {  // CRm << 4 | op2
        case 0x40: return model.pfr0;
        case 0x41: return model.pfr1;
        case 0x44: return model.zfr0;
        case 0x50: return model.dfr0;
        case 0x60: return model.isar0;
        case 0x61: return model.isar1;
        case 0x70: return model.mmfr0;
        case 0x71: return model.mmfr1;
        case 0x72: return model.mmfr2;
        default: return 0;
    }
}

/// Fields grow with what there is; those whose 15 says "nothing" are signed (D19.1.3).
bool announces(const CpuModel& model, const FeatureInfo& feature) {
    const bool is_signed = feature.absent == 15;
    const auto number = [&](uint64_t field) {
        return is_signed && field >= 8 ? static_cast<int>(field) - 16 : static_cast<int>(field);
    };
    const uint64_t field = register_of(model, feature.id) >> feature.lsb & 15;
    return number(field) >= number(feature.present);
}

}  // namespace

FeatureSet CpuModel::features() const {
    if (pfr0 == 0) return kUsualFeatures;
    FeatureSet set{Feature::Base, Feature::Gic};  // the board's interrupt controller decides on the latter
    for (size_t i = 0; i < kFeatureCount; ++i) {
        const auto feature = static_cast<Feature>(i);
        if (kUsualFeatures.has(feature) && announces(*this, kFeatures[i]) && set.has(kFeatures[i].needs))
            set = set.with(feature);
    }
    return set;
}

FeatureSet CpuModel::scalable_features() const {
    if (pfr0 == 0) return kScalableFeatures;
    FeatureSet set = features().with(longest_vector);
    for (size_t i = 0; i < kFeatureCount; ++i) {
        const auto feature = static_cast<Feature>(i);
        if (kFeatures[i].id == IdRegister::Zfr0 && announces(*this, kFeatures[i]) &&
            set.has_needs_of(feature))
            set = set.with(feature);
    }
    return set;
}

std::span<const CpuModel> cpu_models() { return kModels; }

const CpuModel* find_cpu_model(std::string_view name) {
    const auto* found = std::ranges::lower_bound(kModels, name, {}, &CpuModel::name);
    return found != std::end(kModels) && found->name == name ? found : nullptr;
}

const CpuModel& max_cpu_model() {
    static const CpuModel& max = *find_cpu_model("max");
    return max;
}

}  // namespace arclight::frontend::a64
