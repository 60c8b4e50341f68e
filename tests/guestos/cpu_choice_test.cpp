#include "guestos/cpu_choice.h"

#include <gtest/gtest.h>

namespace arclight::guestos {
namespace {

using frontend::a64::Feature;
using frontend::a64::kScalableFeatures;
using frontend::a64::kUsualFeatures;

TEST(CpuChoice, ModelsAndFeatures) {
    EXPECT_EQ(CpuChoice::parse("max")->features, kUsualFeatures);
    const auto n1 = CpuChoice::parse("neoverse-n1");
    ASSERT_TRUE(n1);
    EXPECT_EQ(n1->identity.midr, 0x414f'd0c1u);
    EXPECT_EQ(n1->compatible(), "arm,neoverse-n1");
    EXPECT_EQ(CpuChoice{}.compatible(), "arm,armv8");
    EXPECT_EQ(CpuChoice::parse("max,lse=off")->features, kUsualFeatures.without(Feature::Lse));
    const auto little = CpuChoice::parse("max,tlbios=off,sha1=off");
    for (const Feature f : {Feature::TlbiOs, Feature::TlbiRange, Feature::Sha1, Feature::Sha256})
        EXPECT_FALSE(little->features.has(f)) << "with what needs it";
    const auto more = CpuChoice::parse("cortex-a53,tlbirange=on,midr=0x410fd049");
    ASSERT_TRUE(more);
    EXPECT_TRUE(more->features.has(Feature::TlbiOs)) << "with what it needs";
    EXPECT_FALSE(more->features.has(Feature::Lse));
    EXPECT_EQ(more->identity.midr, 0x410f'd049u);
    for (const Feature f : {Feature::Fp16, Feature::Fp16Simd}) {
        EXPECT_TRUE(CpuChoice::parse("cortex-a53,fp16=on")->features.has(f)) << "one word for two fields";
        EXPECT_TRUE(CpuChoice::parse("cortex-a76")->features.has(f));
        EXPECT_FALSE(CpuChoice::parse("max,fp16=off")->features.has(f));
    }
    EXPECT_EQ(CpuChoice::parse("max,fp16=off,fp16=on,fhm=on")->text(), "max");
    EXPECT_FALSE(CpuChoice::parse("cortex-a57,pmu=on")->features.has(Feature::Pmu5))
        << "what it has, and no later one";
    EXPECT_FALSE(CpuChoice::parse("cortex-a57,vfp=on")->features.has(Feature::Fp16));
    EXPECT_FALSE(CpuChoice::parse("max,pmu=off")->features.has(Feature::Pmu5));
    EXPECT_EQ(CpuChoice::parse("max,sve=off,lpa2=off,mte=off,aarch64=on")->features, kUsualFeatures);
}

TEST(CpuChoice, TextIsReadBack) {
    for (const char* text :
         {"max", "cortex-a57", "max,lse=off", "cortex-a53,tlbirange=on,midr=0x410fd049", "max,fp=off",
          "max,fp16=off", "cortex-a53,fp16=on", "neoverse-n2,tgran16=off,pmu=off"}) {
        const auto choice = CpuChoice::parse(text);
        ASSERT_TRUE(choice) << text;
        const auto again = CpuChoice::parse(choice->text());
        ASSERT_TRUE(again) << choice->text();
        EXPECT_EQ(again->features, choice->features) << choice->text();
        EXPECT_EQ(again->identity.midr, choice->identity.midr);
        EXPECT_EQ(again->text(), choice->text());
    }
    EXPECT_EQ(CpuChoice{}.text(), "max");
    EXPECT_EQ(CpuChoice::parse("max,crc32=off")->text(), "max,crc32=off");
    EXPECT_EQ(CpuChoice::parse("max,lse=off")->text(), "max,lse128=off,lse=off") << "with what needs it";
    EXPECT_EQ(CpuChoice::parse("max,lse=on")->text(), "max");
    EXPECT_EQ(CpuChoice::parse("max,pauth=on,bti=on,mte=on")->features, frontend::a64::kDefaultFeatures);
    EXPECT_EQ(CpuChoice::parse("max,pauth=on,pauth=off")->text(), "max");
    for (const std::string& word : feature_words()) {
        if (word == "pauth" || word == "bti" || word == "mte" || word.starts_with("pac") ||
            word.starts_with("sve") || word == "f32mm" || word == "f64mm" || word == "lva" ||
            word.starts_with("lpa"))
            continue;  // not there until asked for
        const auto without = CpuChoice::parse("max," + word + "=off");
        ASSERT_TRUE(without) << word;
        EXPECT_NE(without->features, kUsualFeatures) << word;
    }
}

TEST(CpuChoice, LengthsOfVectors) {
    const auto features = [](std::string_view text) { return CpuChoice::parse(text)->features; };
    EXPECT_EQ(features("max,sve=on"), kScalableFeatures);
    EXPECT_EQ(features("max,sve256=on"), kScalableFeatures.without(Feature::Sve512))
        << "with what is shorter";
    EXPECT_EQ(features("max,sve=on,sve512=off"), features("max,sve256=on"));
    EXPECT_EQ(features("max,sve=on,sve128=off"), kUsualFeatures) << "without a length there is no SVE";
    EXPECT_FALSE(features("a64fx").has(Feature::Sve)) << "not until asked for";
    EXPECT_FALSE(features("max,sve=on,fp16=off").has(Feature::Sve));
    EXPECT_EQ(features("a64fx,sve=on"), features("a64fx").with(Feature::Sve512));
    EXPECT_FALSE(features("neoverse-v1,sve=on").has(Feature::Sve2));
    EXPECT_TRUE(features("neoverse-v1,sve=on").has(Feature::SveI8mm));
    EXPECT_TRUE(features("neoverse-v1,sve=on").has(Feature::SveBf16));
    EXPECT_TRUE(features("neoverse-n2,sve=on").has(Feature::SveBitPerm));
    EXPECT_FALSE(features("neoverse-n2,sve=on").has(Feature::Sve256)) << "it has vectors of 128 bits";
    EXPECT_FALSE(features("max,sve=on,sm4=off").has(Feature::SveSm4));
    for (const char* text :
         {"max,sve=on", "max,sve256=on", "max,sve128=on", "a64fx,sve=on", "max,sve=on,sve2=off",
          "max,sve=on,bf16=off", "neoverse-n2,sve=on,sve2=off,sve512=on"})
        EXPECT_EQ(features(CpuChoice::parse(text)->text()), features(text)) << text;
}

// Not before they are asked for, and of 16 KiB only where there is that granule.
TEST(CpuChoice, AddressesOf52Bits) {
    const auto features = [](std::string_view text) { return CpuChoice::parse(text)->features; };
    EXPECT_EQ(features("max,lpa2=on"), kUsualFeatures.with(Feature::Lpa2Granule16));
    EXPECT_TRUE(features("max,lpa2=on").has(Feature::Lpa));
    EXPECT_EQ(features("max,lpa2=on,lpa2=off"), features("max,lpa=on"));
    EXPECT_EQ(features("max,lpa2=on,lpa=off"), kUsualFeatures);
    EXPECT_EQ(features("max,lva=on"), kUsualFeatures.with(Feature::Lva));
    EXPECT_FALSE(features("max,lva=on,tgran64=off").has(Feature::Lva));
    EXPECT_TRUE(features("cortex-a53,lpa2=on").has(Feature::Lpa2));
    EXPECT_FALSE(features("cortex-a53,lpa2=on").has(Feature::Lpa2Granule16));
    for (const char* text : {"max,lpa2=on,lva=on", "max,lpa=on", "cortex-a53,lpa2=on"})
        EXPECT_EQ(features(CpuChoice::parse(text)->text()), features(text)) << text;
}

TEST(CpuChoice, Mistakes) {
    const auto error = [](std::string_view text) { return CpuChoice::parse(text).error(); };
    EXPECT_TRUE(
        error("cortex-a5").starts_with("there is no CPU model 'cortex-a5' (known: a64fx, cortex-a35,"));
    EXPECT_TRUE(error("").starts_with("there is no CPU model ''"));
    EXPECT_TRUE(error("max,lsd=on").starts_with("there is no feature 'lsd' (known: fp, "));
    EXPECT_EQ(error("max,lse"), "'lse': lse=on or lse=off");
    EXPECT_EQ(error("max,lse=maybe"), "'lse=maybe': lse=on or lse=off");
    EXPECT_EQ(error("max,aarch64=off"), "aarch64=off: guests are AArch64");
    EXPECT_EQ(error("max,rme=on"), "rme=on: no CPU here has FEAT_RME");
    EXPECT_EQ(error("max,midr=0x100000000"), "midr=0x100000000: not a number of 32 bits");
    EXPECT_EQ(error("max,midr=x"), "midr=x: not a number of 32 bits");
}

}  // namespace
}  // namespace arclight::guestos
