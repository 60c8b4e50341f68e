// -cpu: the model and its properties, and what of it is not there.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "guestos/qemu/cpu_models.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"
#include "guestos/qemu/words.h"

namespace arclight::guestos::qemu {

namespace {

/// A property of QEMU's that takes features away, or gives them.
struct FeatureProperty {
    std::string_view key;
    std::string_view prefix;  ///< of the names of its features
};
constexpr FeatureProperty kFeatureProperties[] = {
    {"sve", "FEAT_SVE"},   {"sme", "FEAT_SME"}, {"pauth", "FEAT_PAuth"},  {"lpa2", "FEAT_LPA2"},
    {"pmu", "FEAT_PMUv3"}, {"vfp", "FEAT_FP"},  {"neon", "FEAT_AdvSIMD"},
};

Result<const CpuModel*> find_model(const std::string& name, const std::string& origin) {
    if (const CpuModel* model = find_cpu_model(name)) return model;
    if (is_32_bit_cpu(name)) return failure("{}: a CPU of 32 bits, and guests are AArch64", origin);
    std::vector<std::string_view> known;
    for (const CpuModel& model : cpu_models()) known.push_back(model.name);
    return failure("unable to find CPU model '{}'{} (known: {})", name, hint(name, known),
                   fmt::join(known, ", "));
}

/// Lengths of vectors, in bits. Those that are longer than all that are switched on are not there.
Result<void> take_vector_lengths(Keys& keys, CpuChoice& choice) {
    bool named = false;
    for (const auto& [key, value] : keys.with_prefix("sve")) {
        const auto on = parse_switch(value);
        if (key != "-max-vq" && !(parse_number(key) && on))
            keys.fail("Invalid parameter 'sve{}={}'", key, value);
        const bool known = key == "128" || key == "256" || key == "512";
        // Without SVE there is none, and the line of missing features says that.
        if (!on || !known || !choice.features.has(frontend::a64::Feature::Sve)) continue;
        auto done = *on && !named ? choice.switch_feature("sve256", false) : Result<void>();
        named = named || *on;
        if (done) done = choice.switch_feature(fmt::format("sve{}", key), *on);
        if (!done) return done;
    }
    return {};
}

Result<void> take_properties(Translation& t, Keys& keys, std::string_view name, CpuChoice& choice,
                             std::vector<std::string_view>& missing) {
    for (const auto& [key, prefix] : kFeatureProperties) {
        const auto asked = keys.optional_switch(key);
        if (!asked) continue;
        const auto is_meant = [&](std::string_view feature) { return feature.starts_with(prefix); };
        if (!*asked) std::erase_if(missing, is_meant);
        const auto done = choice.switch_feature(key, *asked);
        // One line says what is missing.
        if (*asked && std::ranges::any_of(missing, is_meant)) continue;
        if (!done)
            if (const auto noted = t.notes.missed(fmt::format("-cpu {}: {}", name, done.error())); !noted)
                return noted;
    }
    using frontend::a64::Feature;
    if (choice.features.has(Feature::Fp) != choice.features.has(Feature::AdvSimd))
        keys.fail("AArch64 CPUs must have both VFP and Neon or neither");
    if (const auto taken = take_vector_lengths(keys, choice); !taken) return taken;
    for (const auto& [key, value] : keys.with_prefix("sme"))
        if (!(parse_number(key) || key == "_fa64") || !parse_switch(value))
            keys.fail("Invalid parameter 'sme{}={}'", key, value);
    if (!keys.on("aarch64", true)) keys.fail("aarch64=off: guests are AArch64");
    if (const auto midr = keys.number("midr")) {
        if (*midr >> 32 != 0) keys.fail("midr={:#x}: MIDR_EL1 has 32 bits", *midr);
        choice.identity.midr = *midr;
    }
    for (const std::string_view key : {"cntfrq", "mp-affinity"})
        if (keys.number(key))
            if (const auto done =
                    t.notes.missed(fmt::format("-cpu {},{}: the register keeps its value", name, key));
                !done)
                return done;
    // Which algorithm signs pointers: a guest sees no difference but the name of it.
    keys.on("pauth-impdef", false);
    for (const std::string_view key : {"has_el2", "has_el3", "cfgend", "reset-hivecs", "start-powered-off",
                                       "kvm-no-adjvtime", "kvm-steal-time"})
        keys.on(key, false);
    keys.ignore({"model", "reset-cbar", "rvbar", "core-count", "psci-conduit", "node-id"});
    return {};
}

/// -M mte=on: the models whose processors have it.
Result<void> take_tags(Translation& t, std::string_view name, CpuChoice& choice) {
    if (!t.mte) return {};
    constexpr std::string_view kTagging[] = {"max", "host", "cortex-a710", "neoverse-n2"};
    if (std::ranges::find(kTagging, name) == std::end(kTagging))
        return t.notes.missed("-machine mte=on: the CPU has no FEAT_MTE");
    return choice.switch_feature("mte", true);
}

}  // namespace

Result<void> take_cpu_model(Translation& t) {
    const auto text = t.in.word("cpu");
    // QEMU's own choice for this board is a Cortex-A15, which runs no AArch64.
    if (!text) {
        CpuChoice choice;
        if (const auto done = take_tags(t, choice.model, choice); !done) return done;
        if (t.mte) t.out.cpu = std::move(choice);
        return t.notes.missed(
            "no -cpu: QEMU's default for virt is cortex-a15, of 32 bits; the guest gets an AArch64 CPU");
    }
    auto values = parse_key_values(*text, "model");
    if (!values) return failure("-cpu {}: {}", *text, values.error());
    const Given given{.option = "cpu", .origin = "-cpu " + *text, .values = *values};
    const std::string name = given.value("model");
    const auto model = find_model(name, given.origin);
    if (!model) return std::unexpected(model.error());
    auto choice = CpuChoice::of_model(name);
    if (!choice) return failure("{}: {}", given.origin, choice.error());
    std::vector<std::string_view> missing = lacking(**model, choice->features);
    Keys keys(given);
    if (const auto taken = take_properties(t, keys, name, *choice, missing); !taken) return taken;
    if (const auto known = keys.finish(); !known) return known;
    if (const auto done = take_tags(t, name, *choice); !done) return done;
    t.out.cpu = std::move(*choice);
    const auto still = lacking(**model, t.out.cpu->features);
    std::erase_if(missing,
                  [&](std::string_view one) { return std::ranges::find(still, one) == still.end(); });
    if (missing.empty()) return {};
    return t.notes.missed(fmt::format("-cpu {}: the guest's CPU lacks {}", name, fmt::join(missing, ", ")));
}

}  // namespace arclight::guestos::qemu
