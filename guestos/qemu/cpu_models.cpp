#include "guestos/qemu/cpu_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace arclight::guestos::qemu {

namespace a64 = frontend::a64;

namespace {

// By their ID registers in target/arm/cpu64.c of QEMU 7.2, without what belongs to EL2 and EL3.
constexpr std::string_view kArmv8_0 =
    "AArch32 FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_CRC32 FEAT_PMUv3";
constexpr std::string_view kArmv8_2 =
    "AArch32 FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_CRC32 FEAT_PMUv3 FEAT_LSE "
    "FEAT_RDM "
    "FEAT_DotProd FEAT_FP16 FEAT_DPB FEAT_LRCPC FEAT_PAN FEAT_PAN2 FEAT_UAO FEAT_HAFDBS FEAT_HPDS FEAT_HPDS2 "
    "FEAT_LOR "
    "FEAT_RAS "
    "FEAT_IESB FEAT_TTCNP FEAT_SSBS";

// Of later versions of QEMU's, which scripts for those name.
constexpr std::string_view kArmv8_4 =
    "AArch32 FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_SHA512 FEAT_SHA3 FEAT_SM3 "
    "FEAT_SM4 FEAT_CRC32 FEAT_PMUv3 FEAT_LSE FEAT_LSE2 FEAT_RDM FEAT_DotProd FEAT_FHM FEAT_FP16 FEAT_BF16 "
    "FEAT_I8MM FEAT_FCMA FEAT_JSCVT FEAT_FlagM FEAT_DIT FEAT_DPB FEAT_DPB2 FEAT_LRCPC FEAT_LRCPC2 FEAT_SSBS "
    "FEAT_RNG FEAT_PAuth FEAT_PAN FEAT_PAN2 FEAT_UAO FEAT_HAFDBS FEAT_HPDS FEAT_HPDS2 FEAT_LOR "
    "FEAT_RAS FEAT_IESB FEAT_TTCNP FEAT_BBM FEAT_SVE";
constexpr std::string_view kArmv9_0 =
    "AArch32 FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_SHA512 FEAT_SHA3 FEAT_SM3 "
    "FEAT_SM4 FEAT_CRC32 FEAT_PMUv3 FEAT_LSE FEAT_LSE2 FEAT_RDM FEAT_DotProd FEAT_FHM FEAT_FP16 FEAT_BF16 "
    "FEAT_I8MM FEAT_FCMA FEAT_JSCVT FEAT_FRINTTS FEAT_FlagM FEAT_FlagM2 FEAT_DIT FEAT_DPB FEAT_DPB2 "
    "FEAT_LRCPC "
    "FEAT_LRCPC2 FEAT_SB FEAT_SPECRES FEAT_SSBS FEAT_RNG FEAT_PAuth FEAT_BTI FEAT_PAN FEAT_PAN2 FEAT_UAO "
    "FEAT_HAFDBS FEAT_HPDS FEAT_HPDS2 FEAT_LOR FEAT_TLBIOS FEAT_TLBIRANGE FEAT_RAS FEAT_IESB FEAT_TTCNP "
    "FEAT_TTST FEAT_TTL FEAT_BBM FEAT_E0PD FEAT_SVE FEAT_SVE2";

constexpr CpuModel kModels[] = {
    {"a64fx",
     "FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_CRC32 FEAT_PMUv3 FEAT_LSE FEAT_RDM "
     "FEAT_FP16 "
     "FEAT_DPB FEAT_FCMA FEAT_PAN FEAT_PAN2 FEAT_UAO FEAT_HPDS FEAT_HPDS2 FEAT_LOR FEAT_IESB FEAT_TTCNP "
     "FEAT_SVE"},
    {"cortex-a35", kArmv8_0},
    {"cortex-a53", kArmv8_0},
    {"cortex-a55", kArmv8_2},
    {"cortex-a57", kArmv8_0},
    {"cortex-a72", kArmv8_0},
    {"cortex-a710", kArmv9_0},
    {"cortex-a76", kArmv8_2},
    {"cortex-a78ae", kArmv8_2},
    {"host", ""},  // whatever the host has
    {"max",
     "AArch32 FEAT_FP FEAT_AdvSIMD FEAT_AES FEAT_PMULL FEAT_SHA1 FEAT_SHA256 FEAT_SHA512 FEAT_SHA3 FEAT_SM3 "
     "FEAT_SM4 "
     "FEAT_CRC32 FEAT_PMUv3 FEAT_LSE FEAT_LSE2 FEAT_RDM FEAT_DotProd FEAT_FHM FEAT_FP16 FEAT_BF16 FEAT_I8MM "
     "FEAT_FCMA "
     "FEAT_JSCVT FEAT_FRINTTS FEAT_FlagM FEAT_FlagM2 FEAT_DIT FEAT_DPB FEAT_DPB2 FEAT_LRCPC FEAT_LRCPC2 "
     "FEAT_SB "
     "FEAT_SPECRES FEAT_SSBS FEAT_RNG FEAT_PAuth FEAT_BTI FEAT_PAN FEAT_PAN2 FEAT_PAN3 FEAT_UAO FEAT_HAFDBS "
     "FEAT_HPDS FEAT_HPDS2 "
     "FEAT_LOR FEAT_LVA FEAT_LPA FEAT_LPA2 FEAT_TTST FEAT_TTL FEAT_TTCNP FEAT_BBM FEAT_E0PD FEAT_ETS "
     "FEAT_TLBIOS "
     "FEAT_TLBIRANGE FEAT_RAS FEAT_IESB FEAT_IDST FEAT_SVE FEAT_SVE2 FEAT_SME"},
    {"neoverse-n1", kArmv8_2},
    {"neoverse-n2", kArmv9_0},
    {"neoverse-v1", kArmv8_4},
};

bool has(a64::FeatureSet features, std::string_view title) {
    const auto* found = std::ranges::find(
        a64::kFeatures, title, [](const a64::FeatureInfo& info) { return std::string_view(info.title); });
    return found != std::end(a64::kFeatures) &&
           features.has(static_cast<a64::Feature>(found - std::begin(a64::kFeatures)));
}

}  // namespace

std::span<const CpuModel> cpu_models() { return kModels; }

const CpuModel* find_cpu_model(std::string_view name) {
    const auto* found = std::ranges::find(kModels, name, &CpuModel::name);
    return found != std::end(kModels) ? found : nullptr;
}

std::vector<std::string_view> lacking(const CpuModel& model, a64::FeatureSet features) {
    std::vector<std::string_view> missing;
    for (std::string_view rest = model.features; !rest.empty();) {
        const std::string_view one = rest.substr(0, rest.find(' '));
        if (!has(features, one)) missing.push_back(one);
        rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    }
    return missing;
}

std::string cpu_help() {
    std::string text = "Available CPUs:\n";
    for (const CpuModel& model : kModels) text += fmt::format("  {}\n", model.name);
    return text;
}

}  // namespace arclight::guestos::qemu
