#include "guestos/cpu_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "frontend/a64/system/id_registers.h"

namespace arclight::guestos {

namespace a64 = frontend::a64;
using a64::Feature;

namespace {

/// QEMU's words for features, and the architecture's names of these. Later versions of one (FEAT_PMUv3p5) go with it and do not come with it.
struct QemuWord {
    std::string_view word, title;
};
constexpr QemuWord kQemuWords[] = {
    {"pmu", "FEAT_PMUv3"}, {"vfp", "FEAT_FP"},  {"neon", "FEAT_AdvSIMD"}, {"sve", "FEAT_SVE"},
    {"sme", "FEAT_SME"},   {"mte", "FEAT_MTE"}, {"lpa2", "FEAT_LPA2"},    {"pauth", "FEAT_PAuth"},
    {"crc", "FEAT_CRC32"}, {"rme", "FEAT_RME"},
};

std::string lower(std::string_view text) {
    std::string small(text);
    std::ranges::transform(small, small.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return small;
}

std::string word_of(Feature feature) {
    std::string_view title = a64::kFeatures[static_cast<size_t>(feature)].title;
    if (title.starts_with("FEAT_")) title.remove_prefix(5);
    return lower(title);
}

/// What another row, the one before it, is about too: a feature that two fields announce.
bool is_second_field(size_t row) {
    return std::string_view(a64::kFeatures[row].title) == a64::kFeatures[row - 1].title;
}

std::vector<Feature> features_named(std::string_view word) {
    const auto* qemu = std::ranges::find(kQemuWords, word, &QemuWord::word);
    std::vector<Feature> found;
    for (size_t i = 1; i < a64::kFeatureCount; ++i) {
        const auto feature = static_cast<Feature>(i);
        const bool meant =
            qemu != std::end(kQemuWords) ? a64::kFeatures[i].title == qemu->title : word_of(feature) == word;
        if (meant) found.push_back(feature);
    }
    return found;
}

/// What ID_AA64ZFR0_EL1 announces.
bool is_scalable(Feature f) { return a64::kFeatures[static_cast<size_t>(f)].id == a64::IdRegister::Zfr0; }
bool is_vector_length(Feature f) { return f >= Feature::Sve128 && f <= Feature::Sve512; }

std::optional<uint64_t> number_of(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) text.remove_prefix(2);
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [last, wrong] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
    return wrong == std::errc() && last == end ? std::optional(value) : std::nullopt;
}

}  // namespace

std::vector<std::string> feature_words() {
    std::vector<std::string> words;
    for (size_t i = 1; i < a64::kFeatureCount; ++i)
        if (!is_second_field(i)) words.push_back(word_of(static_cast<Feature>(i)));
    return words;
}

Result<CpuChoice> CpuChoice::of_model(std::string_view name) {
    const a64::CpuModel* model = a64::find_cpu_model(name);
    if (model == nullptr) {
        std::vector<std::string_view> known;
        for (const a64::CpuModel& m : a64::cpu_models()) known.push_back(m.name);
        return failure("there is no CPU model '{}' (known: {})", name, fmt::join(known, ", "));
    }
    // "host" is another name of "max".
    return CpuChoice{.model = model->pfr0 == 0 ? "max" : std::string(name),
                     .identity = model->identity,
                     .features = model->features()};
}

Result<void> CpuChoice::switch_feature(std::string_view word, bool on) {
    if (word == "aarch64") return on ? Result<void>() : failure("aarch64=off: guests are AArch64");
    const std::vector<Feature> named = features_named(word);
    if (named.empty()) {
        const auto* qemu = std::ranges::find(kQemuWords, word, &QemuWord::word);
        if (qemu == std::end(kQemuWords))
            return failure("there is no feature '{}' (known: {})", word, fmt::join(feature_words(), ", "));
        if (on) return failure("{}=on: no CPU here has {}", word, qemu->title);
        return {};
    }
    for (const Feature feature : named) features = on ? features.with(feature) : features.without(feature);
    // SVE is of all the model's lengths, unless one is named: with it come the shorter ones, and without any of them there is no
    // SVE. With it comes what the model has beside base SVE.
    const bool length = is_vector_length(named.front());
    if (on && (word == "sve" || length)) {
        const a64::FeatureSet scalable = a64::find_cpu_model(model)->scalable_features();
        for (size_t i = 0; i < a64::kFeatureCount; ++i)
            if (const auto f = static_cast<Feature>(i); scalable.has(f) && features.has_needs_of(f) &&
                                                        (is_vector_length(f) ? !length : is_scalable(f)))
                features = features.with(f);
    }
    if (!features.has(Feature::Sve128)) features = features.without(Feature::Sve);
    if (!features.has(Feature::Granule16)) features = features.without(Feature::Lpa2Granule16);
    // Pointer authentication needs an algorithm: the fast one, unless one is named.
    if (features.has(Feature::PAuth) && !features.has(Feature::PacQarma5) &&
        !features.has(Feature::PacQarma3))
        features = features.with(Feature::PacImp);
    return {};
}

Result<CpuChoice> CpuChoice::parse(std::string_view text) {
    const auto next = [&text] {
        const size_t comma = text.find(',');
        const std::string_view word = text.substr(0, comma);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
        return word;
    };
    auto choice = of_model(next());
    while (choice && !text.empty()) {
        const std::string_view property = next();
        const size_t equals = std::min(property.find('='), property.size());
        const std::string_view word = property.substr(0, equals),
                               value = property.substr(std::min(equals + 1, property.size()));
        if (word == "midr") {
            const auto midr = number_of(value);
            if (!midr || *midr >> 32 != 0) return failure("midr={}: not a number of 32 bits", value);
            choice->identity.midr = *midr;
            continue;
        }
        if (value != "on" && value != "off") return failure("'{}': {}=on or {}=off", property, word, word);
        if (auto done = choice->switch_feature(word, value == "on"); !done)
            return std::unexpected(done.error());
    }
    return choice;
}

std::string CpuChoice::text() const {
    const a64::CpuModel& plain = *a64::find_cpu_model(model);
    const bool scalable = features.has(Feature::Sve);
    const a64::FeatureSet usual = scalable ? plain.scalable_features() : plain.features();
    std::string text = scalable ? model + ",sve=on" : model;
    // What others need comes first in the table: switched on in this order, and off in the opposite one, nothing else changes.
    for (size_t i = 1; i < a64::kFeatureCount; ++i)
        if (const auto f = static_cast<Feature>(i); !is_second_field(i) && !usual.has(f) && features.has(f))
            text += fmt::format(",{}=on", word_of(f));
    for (size_t i = a64::kFeatureCount; i-- > 1;)
        if (const auto f = static_cast<Feature>(i); !is_second_field(i) && usual.has(f) && !features.has(f))
            text += fmt::format(",{}=off", word_of(f));
    if (identity.midr != plain.identity.midr) text += fmt::format(",midr={:#x}", identity.midr);
    return text;
}

std::string CpuChoice::compatible() const {
    return a64::find_cpu_model(model)->pfr0 == 0 ? "arm,armv8" : "arm," + model;
}

uint64_t CpuChoice::mmfr0() const {
    constexpr unsigned kCrm = 7, kOp2 = 0;
    return a64::id_register({.features = features}, kCrm, kOp2);
}

}  // namespace arclight::guestos
