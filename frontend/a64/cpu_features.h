// Which architectural features a CPU has. The decoder, the system registers and the ID registers follow from
// this one set: what is not in it is UNDEFINED and not announced.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>

namespace arclight::frontend::a64 {

enum class Feature : uint8_t {
#define FEATURE(name, ...) name,
#include "frontend/a64/cpu_features.inc"
#undef FEATURE
};

/// The ID registers that announce features: CRm << 4 | op2 of the encoding 3, 0, c0, CRm, op2.
enum class IdRegister : uint8_t {
    Pfr0 = 0x40,
    Pfr1 = 0x41,
    Zfr0 = 0x44,
    Dfr0 = 0x50,
    Isar0 = 0x60,
    Isar1 = 0x61,
    Isar2 = 0x62,
    Mmfr0 = 0x70,
    Mmfr1 = 0x71,
    Mmfr2 = 0x72,
};

/// One row of cpu_features.inc.
struct FeatureInfo {
    const char* title;
    Feature needs;
    IdRegister id;
    uint8_t lsb, present, absent;
};
inline constexpr FeatureInfo kFeatures[] = {
#define FEATURE(name, title, needs, id, lsb, present, absent) \
    {title, Feature::needs, IdRegister::id, lsb, present, absent},
#include "frontend/a64/cpu_features.inc"
#undef FEATURE
};
inline constexpr size_t kFeatureCount = std::size(kFeatures);

/// What some features need beside that: a scalable instruction is there if the one of Advanced SIMD is.
struct SecondNeed {
    Feature feature, needs;
};
inline constexpr SecondNeed kSecondNeeds[] = {
    {Feature::SveAes, Feature::Aes},   {Feature::SvePmull128, Feature::Pmull},
    {Feature::SveBf16, Feature::Bf16}, {Feature::SveEbf16, Feature::Ebf16},
    {Feature::SveSha3, Feature::Sha3}, {Feature::SveSm4, Feature::Sm4},
    {Feature::SveI8mm, Feature::I8mm},
};

class FeatureSet {
  public:
    constexpr FeatureSet() = default;
    constexpr FeatureSet(std::initializer_list<Feature> features) {
        for (const Feature f : features) word(f) |= mask(f);
    }
    constexpr bool has(Feature f) const { return (words_[place(f)] & mask(f)) != 0; }
    /// Without `f` and whatever needs it. Base stays.
    constexpr FeatureSet without(Feature f) const {
        FeatureSet rest = *this;
        if (f == Feature::Base) return rest;
        rest.word(f) &= ~mask(f);
        for (size_t i = 0; i < kFeatureCount; ++i)
            if (rest.has(static_cast<Feature>(i)) && !rest.has_needs_of(static_cast<Feature>(i)))
                rest.word(static_cast<Feature>(i)) &= ~mask(static_cast<Feature>(i));
        return rest;
    }
    /// With `f` and what it needs.
    constexpr FeatureSet with(Feature f) const {
        FeatureSet more = *this;
        for (; !more.has(f); f = kFeatures[static_cast<size_t>(f)].needs) {
            more.word(f) |= mask(f);
            for (const SecondNeed& second : kSecondNeeds)
                if (second.feature == f) more = more.with(second.needs);
        }
        return more;
    }
    constexpr bool has_needs_of(Feature f) const {
        bool all = has(kFeatures[static_cast<size_t>(f)].needs);
        for (const SecondNeed& second : kSecondNeeds)
            if (second.feature == f) all = all && has(second.needs);
        return all;
    }
    /// Each feature's needs are met.
    constexpr bool consistent() const {
        for (size_t i = 0; i < kFeatureCount; ++i)
            if (has(static_cast<Feature>(i)) && !has_needs_of(static_cast<Feature>(i))) return false;
        return has(Feature::Base);
    }
    constexpr bool operator==(const FeatureSet&) const = default;
    /// A number that differs where the sets do, as good as always: of the two words of bits, by feature.
    constexpr uint64_t hash() const { return words_[0] ^ words_[1] * 0x9e37'79b9'7f4a'7c15; }

  private:
    static constexpr size_t kWordBits = 64, kWords = 2;
    static constexpr size_t place(Feature f) { return static_cast<size_t>(f) / kWordBits; }
    static constexpr uint64_t mask(Feature f) { return uint64_t{1} << (static_cast<size_t>(f) % kWordBits); }
    constexpr uint64_t& word(Feature f) { return words_[place(f)]; }
    std::array<uint64_t, kWords> words_{};
};
static_assert(kFeatureCount <= 128);

/// The CPU model that a guest sees unless the machine takes something away.
inline constexpr FeatureSet kDefaultFeatures = {
    Feature::Base,
    Feature::Fp,
    Feature::AdvSimd,
    Feature::Gic,
    Feature::Csv2Bhb,
    Feature::Csv3,
    Feature::Pmu,
    Feature::Aes,
    Feature::Pmull,
    Feature::Sha1,
    Feature::Sha256,
    Feature::Crc32,
    Feature::Lse,
    Feature::Rdm,
    Feature::DotProd,
    Feature::Lrcpc,
    Feature::Hafdbs,
    Feature::Hpds,
    Feature::Pan,
    Feature::E0pd,
    // floating point and vectors
    Feature::Fp16,
    Feature::Fp16Simd,
    Feature::Fhm,
    Feature::Jscvt,
    Feature::Fcma,
    Feature::Frintts,
    Feature::Bf16,
    Feature::I8mm,
    // Mitigations, translation, RAS, counters
    Feature::Csv2,
    Feature::Csv2Scxtnum,
    Feature::Granule16,
    Feature::Granule64,
    Feature::TlbiOs,
    Feature::TlbiRange,
    Feature::Ttcnp,
    Feature::Ttst,
    Feature::Ttl,
    Feature::Bbm,
    Feature::Ras,
    Feature::Iesb,
    Feature::Ecv,
    Feature::Hpds2,
    // The same order as in cpu_features.inc.
    Feature::Dit,
    Feature::Ssbs,
    Feature::Ssbs2,
    Feature::Sha512,
    Feature::Sha3,
    Feature::Sm3,
    Feature::Sm4,
    Feature::FlagM,
    Feature::FlagM2,
    Feature::Rng,
    Feature::Dpb,
    Feature::Dpb2,
    Feature::Lrcpc2,
    Feature::Sb,
    Feature::Specres,
    Feature::Wfxt,
    Feature::Hbc,
    Feature::Cssc,
    Feature::Pan2,
    Feature::Uao,
    Feature::Bti,
    Feature::PAuth,
    Feature::PacImp,
    Feature::Mops,
    Feature::Lse2,
    Feature::Lse128,
    Feature::Lrcpc3,
    Feature::Pmu1,
    Feature::Pmu4,
    Feature::Pmu5,
    Feature::Ebf16,
    Feature::Afp,
    Feature::Rpres,
    Feature::Mte,
};
static_assert(kDefaultFeatures.consistent());
/// What a guest is shown unless somebody asks for more: debuggers older than GDB 15 do not follow signed return addresses through a
/// kernel; where guarded pages are used, indirect branches leave the regions of tier 2; checked accesses to tagged pages are slow.
inline constexpr FeatureSet kUsualFeatures =
    kDefaultFeatures.without(Feature::PAuth).without(Feature::Bti).without(Feature::Mte);
static_assert(kUsualFeatures.consistent());
// without() goes through the table once.
static_assert([] {
    for (size_t i = 0; i < kFeatureCount; ++i)
        if (static_cast<size_t>(kFeatures[i].needs) > i) return false;
    for (const SecondNeed& second : kSecondNeeds)
        if (second.needs > second.feature) return false;
    return true;
}());
/// And with scalable vectors, of all lengths: what `sve=on` shows a guest.
inline constexpr FeatureSet kScalableFeatures = kUsualFeatures.with(Feature::Sve512)
                                                    .with(Feature::SvePmull128)
                                                    .with(Feature::SveBitPerm)
                                                    .with(Feature::SveEbf16)
                                                    .with(Feature::SveSha3)
                                                    .with(Feature::SveSm4)
                                                    .with(Feature::SveI8mm)
                                                    .with(Feature::SveF32mm)
                                                    .with(Feature::SveF64mm);
static_assert(kScalableFeatures.consistent());

/// The fields of an ID register that `features` decide.
constexpr uint64_t feature_fields(FeatureSet features, IdRegister id) {
    uint64_t value = 0;
    const auto set = [&](const FeatureInfo& info, uint64_t field) {
        value = (value & ~(uint64_t{15} << info.lsb)) | field << info.lsb;
    };
    for (const FeatureInfo& info : kFeatures)
        if (info.id == id) set(info, info.absent);
    for (size_t i = 0; i < kFeatureCount; ++i)
        if (kFeatures[i].id == id && features.has(static_cast<Feature>(i)))
            set(kFeatures[i], kFeatures[i].present);
    return value;
}

}  // namespace arclight::frontend::a64
