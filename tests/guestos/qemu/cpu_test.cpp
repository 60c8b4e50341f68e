#include <gtest/gtest.h>

#include "guestos/qemu/cpu_models.h"
#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

TEST(QemuCpu, ModelsAreTakenAndWhatIsMissingIsTold) {
    for (const CpuModel& model : cpu_models()) {
        const auto request = request_for(std::string("-cpu ") + std::string(model.name));
        ASSERT_TRUE(request) << model.name << ": " << request.error();
        const auto choice = CpuChoice::of_model(model.name);
        ASSERT_TRUE(choice) << model.name;
        EXPECT_EQ(request->options.cpu->text(), model.name == "host" ? "max" : model.name);
        const auto missing = lacking(model, choice->features);
        const std::string notes = notes_of(*request);
        EXPECT_EQ(notes.empty(), missing.empty()) << model.name << ": " << notes;
        for (const std::string_view feature : missing) EXPECT_TRUE(notes.contains(feature)) << notes;
        EXPECT_EQ(request_for(std::string("-strict -cpu ") + std::string(model.name)).has_value(),
                  missing.empty());
    }
}

// What a model is said to have is what its registers announce, and the other way.
TEST(QemuCpu, ModelsAreTheSameInBothTables) {
    using frontend::a64::Feature;
    constexpr Feature kCompared[] = {
        Feature::Fp,     Feature::AdvSimd, Feature::Pmu,       Feature::Aes, Feature::Pmull,   Feature::Sha1,
        Feature::Sha256, Feature::Crc32,   Feature::Lse,       Feature::Rdm, Feature::DotProd, Feature::Lrcpc,
        Feature::Hafdbs, Feature::Hpds,    Feature::Hpds2,     Feature::Pan, Feature::E0pd,    Feature::Ras,
        Feature::Iesb,   Feature::TlbiOs,  Feature::TlbiRange, Feature::Ecv, Feature::Ttcnp,   Feature::Ttst,
        Feature::Ttl,    Feature::Bbm};
    ASSERT_EQ(cpu_models().size(), frontend::a64::cpu_models().size());
    for (const CpuModel& model : cpu_models()) {
        if (model.name == "max" || model.name == "host") continue;
        const auto features = frontend::a64::find_cpu_model(model.name)->features();
        const std::string words = " " + std::string(model.features) + " ";
        for (const Feature f : kCompared) {
            const std::string title = frontend::a64::kFeatures[static_cast<size_t>(f)].title;
            EXPECT_EQ(features.has(f), words.contains(" " + title + " ")) << model.name << ' ' << title;
        }
    }
}

TEST(QemuCpu, LackingFollowsTheFeatureTable) {
    using frontend::a64::Feature;
    const CpuModel model{"x", "FEAT_AES FEAT_LSE FEAT_Unheard"};
    EXPECT_EQ(lacking(model, frontend::a64::kDefaultFeatures),
              (std::vector<std::string_view>{"FEAT_Unheard"}));
    EXPECT_EQ(lacking(model, frontend::a64::kDefaultFeatures.without(Feature::Aes)),
              (std::vector<std::string_view>{"FEAT_AES", "FEAT_Unheard"}));
}

TEST(QemuCpu, Properties) {
    // What scripts pass.
    for (const std::string_view cpu :
         {"max,lpa2=off,pauth-impdef=true", "max,pauth-impdef=on", "max,sve128=on,pauth=off",
          "max,sve=off,sme=off", "max,sve-max-vq=4", "cortex-a57,pmu=on", "host,kvm-no-adjvtime=on"})
        EXPECT_TRUE(request_for(std::string("-cpu ") + std::string(cpu))) << cpu;
    const auto without = request_for("-cpu max,sve=off,sme=off,lpa2=off");
    ASSERT_TRUE(without);
    for (const std::string_view feature : {"FEAT_SVE", "FEAT_SME", "FEAT_LPA2"})
        EXPECT_FALSE(notes_of(*without).contains(feature)) << notes_of(*without);
    using frontend::a64::Feature;
    const auto vectors = request_for("-cpu max,sve=on,sve256=on");
    ASSERT_TRUE(vectors);
    EXPECT_TRUE(vectors->options.cpu->features.has(Feature::Sve256));
    EXPECT_FALSE(vectors->options.cpu->features.has(Feature::Sve512)) << "a shorter length is named";
    EXPECT_FALSE(notes_of(*vectors).contains("FEAT_SVE,")) << notes_of(*vectors);
    EXPECT_FALSE(request_for("-cpu host,pmu=off")->options.cpu->features.has(Feature::Pmu));
    EXPECT_EQ(request_for("-cpu cortex-a57,midr=0x410fd034")->options.cpu->identity.midr, 0x410f'd034u);
    const auto integers = request_for("-cpu max,vfp=off,neon=off");
    ASSERT_TRUE(integers);
    EXPECT_FALSE(integers->options.cpu->features.has(Feature::Fp));
    EXPECT_FALSE(integers->options.cpu->features.has(Feature::Aes)) << "its registers are those of SIMD";
    EXPECT_TRUE(request_for("-cpu max,neon=off").error().contains("both VFP and Neon or neither"));
    EXPECT_EQ(request_for("-cpu max,aarch64=off").error(),
              "-cpu max,aarch64=off: aarch64=off: guests are AArch64");
    EXPECT_EQ(request_for("-cpu max,paut=on").error(),
              "-cpu max,paut=on: Invalid parameter 'paut', did you mean 'pauth'?");
    EXPECT_FALSE(request_for("-cpu max,sve=maybe"));
    EXPECT_FALSE(request_for("-cpu max,svefoo=on"));
}

TEST(QemuCpu, Unknown) {
    EXPECT_TRUE(request_for("-cpu cortex-a15").error().contains("32 bits"));
    EXPECT_TRUE(request_for("-cpu cortex-m3").error().contains("32 bits"));
    EXPECT_TRUE(request_for("-cpu cortex-a5")
                    .error()
                    .starts_with("unable to find CPU model 'cortex-a5', did you mean 'cortex-a"));
    const auto none = request_for_whole("-M virt -kernel k -nographic");
    ASSERT_TRUE(none);
    EXPECT_TRUE(notes_of(*none).contains("cortex-a15"));
}

TEST(QemuCpu, Counts) {
    struct Good {
        std::string_view text;
        unsigned cpus;
        CpuTopology topology;
    };
    // As QEMU 7.2's device tree shows them.
    const Good good[] = {
        {"4", 4, {.cores = 4}},
        {"cpus=2", 2, {.cores = 2}},
        {"cores=4", 4, {.cores = 4}},
        {"4,cores=2,sockets=2", 4, {.sockets = 2, .cores = 2}},
        {"4,cores=2", 4, {.sockets = 2, .cores = 2}},
        {"sockets=2,cores=2", 4, {.sockets = 2, .cores = 2}},
        {"2,maxcpus=8", 2, {.cores = 8}},
        {"8,threads=2", 8, {.cores = 4, .threads = 2}},
        {"6,clusters=2", 6, {.clusters = 2, .cores = 3}},
        {"1,cores=1,threads=1,sockets=64,maxcpus=64", 1, {.sockets = 64}},
    };
    for (const auto& [text, cpus, topology] : good) {
        const auto request = request_for("-smp " + std::string(text));
        ASSERT_TRUE(request) << text << ": " << request.error();
        EXPECT_EQ(request->options.cpus, cpus) << text;
        EXPECT_EQ(request->options.topology, topology) << text;
        EXPECT_EQ(notes_of(*request), "") << text;
    }
    EXPECT_EQ(request_for("")->options.cpus, 1u);
    EXPECT_EQ(request_for("-smp 65")->options.cpus, 64u);
    EXPECT_EQ(notes_of(*request_for("-smp 65")), "-smp 65: the guest gets 64 CPUs\n");
    EXPECT_EQ(request_for("-smp 8")->options.gic, 2u);
    EXPECT_EQ(request_for("-smp 9")->options.gic, 3u);
    EXPECT_EQ(request_for("-smp 9 -M virt,gic-version=2").error(),
              "Number of SMP CPUs requested (9) exceeds max CPUs supported by machine 'mach-virt' (8)");
    // Word for word as QEMU 7.2 says it.
    EXPECT_EQ(request_for("-smp 4,cores=3").error(),
              "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (1) * clusters (1) "
              "* cores (3) * threads (1) != "
              "maxcpus (4)");
    for (const std::string_view wrong : {"0", "x", "4,maxcpus=2", "cpu=4", "1,dies=2", "1,maxcpus=513",
                                         "sockets=32768,clusters=32768,cores=32768,threads=32768"})
        EXPECT_FALSE(request_for("-smp " + std::string(wrong))) << wrong;
}

}  // namespace
}  // namespace arclight::guestos::qemu
